using System.Globalization;
using System.Text.Json.Nodes;

namespace Attune.Weights.SingleFile;

/// <summary>The kinds of components that files hold, and how a file is taken apart into them.</summary>
internal static class PartKinds
{
    /// <summary>How many names a message shows.</summary>
    private const int Shown = 5;

    /// <summary>What stands before the names of components in files that hold several, or that were cut out of such.</summary>
    private static readonly string[] Prefixes =
    [
        "model.diffusion_model.", "first_stage_model.", "cond_stage_model.transformer.", "cond_stage_model.model.",
        "conditioner.embedders.0.transformer.", "conditioner.embedders.1.model.", "vae.",
        "diffusion_model.", "net.", "transformer.", "model.",
    ];

    private const string Encoders = "text_encoders.";

    /// <summary>Tensors that are no weights, in files of any kind.</summary>
    private static readonly string[] NoWeights = ["spiece_model", "tekken_model", "tokenizer_json", "__x0__", "__32x32__"];

    /// <summary>What is told to be of no family that is supported, by a name that no other has.</summary>
    private static readonly (string Name, string What)[] Others =
    [
        ("edm_mean", "it has the latent statistics edm_mean of Playground 2.5, which is not supported"),
        ("txt_in.individual_token_refiner.blocks.0.norm1.weight", "it is HunyuanVideo, which is not supported"),
        ("double_layers.0.attn.w1q.weight", "it is AuraFlow, which is not supported"),
        ("patchify_proj.weight", "it is LTX-Video, which is not supported"),
        ("caption_projection.0.linear.weight", "it is HiDream, which is not supported"),
        ("t5_yproj.weight", "it is Mochi, which is not supported"),
        ("nerf_blocks.0.attn.qkv.weight", "it is Chroma Radiance, which works on pixels and is not supported"),
        ("vace_patch_embedding.weight", "it is VACE of Wan, which is not supported"),
        ("control_adapter.conv.weight", "it is a Wan that is steered by a camera, which is not supported"),
        ("patch_embedding_pose.weight", "it is a Wan that is steered by poses, which is not supported"),
        ("siglip_embedder.0.weight", "it is a Z-Image that reads pictures, which is not supported"),
    ];

    /// <summary>All kinds; the first that a part is of counts.</summary>
    public static IReadOnlyList<PartKind> All { get; } =
    [
        Denoiser(
            "the transformer of Stable Diffusion 3", OriginalNames.StableDiffusion3,
            part => part.Has("joint_blocks.0.context_block.attn.qkv.weight")
                || (part.Has("transformer_blocks.0.attn.add_q_proj.weight") && part.Has("pos_embed.proj.weight")),
            _ => "sd3", DenoiserShapes.StableDiffusion3),
        Denoiser(
            "the transformer of FLUX.2", OriginalNames.Flux2,
            part => part.Has("double_stream_modulation_img.lin.weight") || part.Has("double_stream_modulation_img.linear.weight"),
            DenoiserShapes.FamilyOfFlux2, DenoiserShapes.Flux2),
        Denoiser(
            "the transformer of Chroma", OriginalNames.Chroma, part => part.Has("distilled_guidance_layer.in_proj.weight"), _ => "chroma",
            DenoiserShapes.Chroma),
        Denoiser(
            "the transformer of FLUX.1", OriginalNames.Flux,
            part => part.Has("double_blocks.0.img_attn.qkv.weight")
                || (part.Has("single_transformer_blocks.0.attn.to_q.weight") && part.Has("transformer_blocks.0.norm1.linear.weight")),
            part => part.HasAny("time_text_embed.guidance_embedder.") ? "flux-dev" : "flux-schnell", DenoiserShapes.Flux),
        Denoiser(
            "the transformer of Qwen-Image", OriginalNames.None,
            part => part.Has("txt_norm.weight") && part.Has("transformer_blocks.0.attn.add_q_proj.weight"), _ => "qwen-image",
            DenoiserShapes.QwenImage),
        Denoiser(
            "the transformer of Z-Image", OriginalNames.ZImage,
            part => part.Has("cap_pad_token") && part.Has("cap_embedder.1.weight"), _ => "z-image", DenoiserShapes.ZImage),
        Denoiser(
            "the transformer of Sana-Sprint", OriginalNames.Sprint,
            part => part.HasAny("cfg_embedder.") || part.HasAny("time_embed.guidance_embedder."), _ => "sana-sprint", DenoiserShapes.Sana),
        Denoiser(
            "the transformer of Sana", OriginalNames.Sana,
            part => part.Has("blocks.0.mlp.inverted_conv.conv.weight") || part.Has("transformer_blocks.0.ff.conv_inverted.weight"),
            _ => "sana", DenoiserShapes.Sana),
        Denoiser(
            "the transformer of PixArt", OriginalNames.PixArt,
            part => part.Has("t_block.1.weight") || part.Has("adaln_single.linear.weight"),
            part => part.HasAny("adaln_single.emb.resolution_embedder.") ? "pixart-alpha" : "pixart-sigma", DenoiserShapes.PixArt),
        Denoiser(
            "the transformer of Qwen-Image-2.1", OriginalNames.QwenImage2,
            part => part.Has("txt_in.text_norm.weight") && part.HasAny("transformer_blocks.0.img_mlp."), _ => "qwen-image-2.1",
            DenoiserShapes.QwenImage21),
        Denoiser(
            "the transformer of Krea 2", OriginalNames.Krea2,
            part => part.HasAny("txtfusion.") || part.HasAny("text_fusion.layerwise_blocks."), _ => "krea2", DenoiserShapes.Krea2),
        Denoiser(
            "the transformer of Wan", OriginalNames.Wan,
            part => part.Has("head.modulation") || part.Has("condition_embedder.time_proj.weight"), DenoiserShapes.FamilyOfWan,
            DenoiserShapes.Wan) with
        {
            PairFamily = family => family switch { "wan2.1" => "wan2.2-t2v", "wan2.2-i2v" => family, _ => null },
        },
        Denoiser(
            "the transformer of ERNIE-Image", OriginalNames.None,
            part => part.Has("layers.0.adaLN_sa_ln.weight") && part.Has("final_norm.linear.weight"), _ => "ernie-image",
            DenoiserShapes.ErnieImage),
        new(
            "the UNet of Stable Diffusion", PartRole.Denoiser, part => part.Has("input_blocks.0.0.weight"),
            (part, _) => LdmUnetLayout.Map(part)),
        new(
            "the UNet of Stable Diffusion, in names of diffusers", PartRole.Denoiser,
            part => part.Has("down_blocks.0.resnets.0.conv1.weight") && part.Has("time_embedding.linear_1.weight"), Plain),
        new(
            "an autoencoder of FLUX.2", PartRole.Autoencoder, part => IsKl(part) && part.Has("bn.running_mean"),
            (part, _) => LdmVaeLayout.Map(part))
        {
            Describe = (part, _) => LdmVaeLayout.Describe(part), Width = Latents, Classes = ["AutoencoderKLFlux2"],
        },
        new("an autoencoder", PartRole.Autoencoder, IsKl, (part, _) => LdmVaeLayout.Map(part))
        {
            Describe = (part, _) => LdmVaeLayout.Describe(part), Width = Latents, Classes = ["AutoencoderKL"],
        },
        new(
            "the autoencoder of Qwen-Image-2.1", PartRole.Autoencoder, part => IsNested(part) && CausalVaeLayout.IsOfPictures(part),
            (part, _) => CausalVaeLayout.Map(part))
        {
            Width = Latents, Classes = ["AutoencoderKLQwenImage21"],
        },
        new("the autoencoder of Wan 2.2", PartRole.Autoencoder, IsNested, (part, _) => CausalVaeLayout.Map(part))
        {
            Width = Latents, Classes = ["AutoencoderKLWan"],
        },
        new(
            "the autoencoder of Wan 2.1 and Qwen-Image", PartRole.Autoencoder,
            part => part.Has("decoder.middle.0.residual.0.gamma") || part.Has("decoder.mid_block.resnets.0.norm1.gamma"),
            (part, _) => CausalVaeLayout.Map(part))
        {
            Width = Latents, Classes = ["AutoencoderKLQwenImage", "AutoencoderKLWan"],
        },
        new(
            "the autoencoder of Sana", PartRole.Autoencoder,
            part => part.Has("decoder.norm_out.weight") && part.Has("encoder.down_blocks.0.0.conv1.weight"), Plain)
        {
            Width = Latents, Classes = ["AutoencoderDC"],
        },
        new(
            "a CLIP text encoder", PartRole.TextEncoder,
            part => ClipLayout.IsOpenClip(part) || part.Has("text_model.encoder.layers.0.self_attn.q_proj.weight")
                || (part.Has("encoder.layers.0.self_attn.q_proj.weight") && part.Has("embeddings.position_embedding.weight")),
            ClipLayout.Map)
        {
            Describe = (part, _) => ClipLayout.Describe(part),
            Width = part => part.Extent((part.HasAny("text_model.") ? "text_model." : "") + "embeddings.token_embedding.weight", 1),
            Classes = ["CLIPTextModel", "CLIPTextModelWithProjection"],
        },
        new(
            "a CLIP image encoder", PartRole.ImageEncoder, part => part.Has("vision_model.encoder.layers.0.self_attn.q_proj.weight"), Plain)
        {
            Describe = (part, _) => new JsonObject
            {
                ["num_hidden_layers"] = part.Count(
                    i => FormattableString.Invariant($"vision_model.encoder.layers.{i}.self_attn.q_proj.weight")),
            },
            Width = part => part.Extent("vision_model.embeddings.class_embedding", 0),
            Classes = ["CLIPVisionModel", "CLIPVisionModelWithProjection"],
        },
        .. T5(
            part => part.Has("encoder.block.1.layer.0.SelfAttention.relative_attention_bias.weight")
                || part.Has("enc.blk.1.attn_rel_b.weight") || part.Has("blocks.1.pos_embedding.embedding.weight"),
            "a UMT5 text encoder", "UMT5EncoderModel"),
        .. T5(_ => true, "a T5 text encoder", "T5EncoderModel"),
        .. LanguageModels(),
    ];

    /// <summary>Takes a file apart.</summary>
    /// <exception cref="CheckpointException">It holds nothing that is known; the message shows names.</exception>
    public static IReadOnlyList<FileComponent> Of(WeightSource file)
    {
        if (file.Names.Any(name => name.StartsWith("conditioner.embedders.0.model.", StringComparison.Ordinal)))
            throw Unknown(file, "it is the refiner of SDXL, which is not supported as a file");
        var parts = new List<FileComponent>();
        var left = file.Entries.Where(tensor => !NoWeights.Contains(tensor.Name)).ToList();
        foreach (string prefix in PrefixesOf(left).Append(""))
        {
            var part = new FilePart(file.Path, prefix, left);
            if (KindOf(part, out var told) is not { } kind)
                continue;
            var refused = Others.FirstOrDefault(other => part.Has(other.Name) || file.Describe(other.Name) != null);
            if (refused.What != null)
                throw Unknown(file, refused.What);
            parts.Add(new FileComponent(kind, part, told));
            left.RemoveAll(tensor => part.Holds(tensor.Name));
        }
        if (parts.Count > 0)
            return parts;
        string? other = Others.FirstOrDefault(
            other => file.Names.Any(name => name == other.Name || name.EndsWith("." + other.Name, StringComparison.Ordinal))).What;
        throw Unknown(
            file,
            other ?? string.Create(
                CultureInfo.InvariantCulture,
                $"its {file.Names.Count} tensors are of no model that is known: {string.Join(", ", file.Names.Take(Shown))}"
                    + $"{(file.Names.Count > Shown ? ", ..." : "")}"));
    }

    /// <summary>The kind of a part, and the tensors by which it is told.</summary>
    private static PartKind? KindOf(FilePart part, out IReadOnlyList<string> told)
    {
        var found = new List<string>();
        part.Found = found;
        var kind = All.FirstOrDefault(kind =>
        {
            found.Clear();
            return kind.Is(part);
        });
        part.Found = null;
        told = found;
        return kind;
    }

    private static CheckpointException Unknown(WeightSource file, string what) =>
        new($"'{file.Path}' is no model that can be used: {what}.");

    /// <summary>What stands before names of the file, longest first.</summary>
    private static SortedSet<string> PrefixesOf(IEnumerable<TensorEntry> tensors)
    {
        var prefixes = new SortedSet<string>(Comparer<string>.Create((a, b) => a.Length != b.Length ? b.Length - a.Length
            : string.CompareOrdinal(a, b)));
        foreach (var tensor in tensors)
        {
            if (tensor.Name.StartsWith(Encoders, StringComparison.Ordinal))
            {
                int end = tensor.Name.IndexOf('.', Encoders.Length);
                const string Inner = "transformer.";
                if (end > 0)
                    prefixes.Add(
                        tensor.Name[..(end + 1)]
                            + (tensor.Name.AsSpan(end + 1).StartsWith(Inner) ? Inner : ""));
            }
            else if (Array.Find(Prefixes, prefix => tensor.Name.StartsWith(prefix, StringComparison.Ordinal)) is { } prefix)
            {
                prefixes.Add(prefix);
            }
        }
        return prefixes;
    }

    private static PartKind Denoiser(
        string name, IReadOnlyList<OriginalName> names, Func<FilePart, bool> matches, Func<FilePart, string?> family,
        Func<FilePart, FilePart, JsonObject> describe)
    {
        var layout = new NamesLayout(names);
        return new PartKind(name, PartRole.Denoiser, matches, (part, _) => layout.Map(part)) { Describe = describe, Family = family };
    }

    private static IEnumerable<RenamedTensor> Plain(FilePart part, ModelConfig? config) =>
        part.Tensors.Select(tensor => new RenamedTensor(tensor.Key, tensor.Value));

    private static bool IsKl(FilePart part) =>
        part.Has("decoder.conv_in.weight")
            && (part.Has("decoder.mid.block_1.norm1.weight") || part.Has("decoder.mid_block.resnets.0.norm1.weight"));

    /// <summary>A causal autoencoder whose levels are blocks with a shortcut beside them.</summary>
    private static bool IsNested(FilePart part) =>
        part.HasAny("decoder.upsamples.0.upsamples.") || part.HasAny("decoder.up_blocks.0.upsampler.");

    private static int Latents(FilePart part) => part.Extent("decoder.conv_in.weight", 1);

    /// <summary>T5 under the names of transformers, of llama.cpp and of Wan.</summary>
    private static PartKind[] T5(Func<FilePart, bool> matches, string name, string className)
    {
        PartKind Kind(IReadOnlyList<OriginalName> names, string mark)
        {
            var layout = new NamesLayout(names);
            return new PartKind(name, PartRole.TextEncoder, part => part.Has(mark) && matches(part), (part, _) => layout.Map(part))
            {
                Describe = (part, _) => new JsonObject
                {
                    ["d_model"] = part.Extent("encoder.final_layer_norm.weight", 0),
                    ["num_layers"] = part.Count(
                        i => FormattableString.Invariant($"encoder.block.{i}.layer.0.SelfAttention.q.weight")),
                },
                Width = part => part.Extent("encoder.final_layer_norm.weight", 0),
                Classes = [className],
            };
        }

        return
        [
            Kind(OriginalNames.None, "encoder.block.0.layer.0.SelfAttention.q.weight"),
            Kind(OriginalNames.LlamaT5, "enc.blk.0.attn_q.weight"),
            Kind(OriginalNames.WanT5, "blocks.0.pos_embedding.embedding.weight"),
        ];
    }

    /// <summary>
    /// Language models: Qwen3 norms queries and keys, Qwen2.5 has biases, Gemma 2 norms behind its layers too, Mistral none of these.
    /// </summary>
    private static IEnumerable<PartKind> LanguageModels()
    {
        const string Vision = "visual.";
        static bool Sees(FilePart part) => part.Tensors.Any(tensor => tensor.Key.StartsWith(Vision, StringComparison.Ordinal));

        // With its vision tower beside it the language model stands below a name of its own in folders, and not in files.
        var vision = new NamesLayout(OriginalNames.Qwen3Vision);
        yield return new PartKind(
            "Qwen3-VL", PartRole.TextEncoder,
            part => part.HasEnd("layers.0.self_attn.q_norm.weight")
                && part.Tensors.Any(tensor => tensor.Key.StartsWith("model." + Vision, StringComparison.Ordinal)),
            (part, _) => vision.Map(part))
        {
            Width = part => part.ExtentOfEnd("embed_tokens.weight", 1), Classes = ["Qwen3VLModel", "Qwen3VLForConditionalGeneration"],
        };
        foreach (var (names, start, norm, bias, behind) in new[]
        {
            (OriginalNames.None, "layers.0.", "self_attn.q_norm.weight", "self_attn.q_proj.bias", "pre_feedforward_layernorm.weight"),
            (OriginalNames.Llama, "blk.0.", "attn_q_norm.weight", "attn_q.bias", "post_attention_norm.weight"),
        })
        {
            bool llama = start == "blk.0.";
            var layout = new NamesLayout(names);
            bool Has(FilePart part, string end) => part.HasEnd(start + end);
            PartKind Kind(string name, string mark, params string[] classes) => new(
                name, PartRole.TextEncoder,
                part => Has(part, mark) && (mark == bias || !Sees(part)),
                llama && classes.Length == 0 ? Permuted : (part, _) => layout.Map(part))
            {
                Width = part => part.ExtentOfEnd("embed_tokens.weight", 1), Classes = classes,
            };
            yield return Kind("Qwen3", norm, "Qwen3ForCausalLM", "Qwen3Model", "Qwen3VLModel", "Qwen3VLForConditionalGeneration");
            yield return Kind("Qwen2.5-VL", bias, "Qwen2_5_VLForConditionalGeneration");
            yield return llama ? Kind("Gemma 2", behind) : Kind("Gemma 2", behind, "Gemma2Model");
            string query = llama ? "attn_q.weight" : "self_attn.q_proj.weight";
            yield return llama ? Kind("Mistral 3", query) : Kind("Mistral 3", query, "Mistral3ForConditionalGeneration", "Mistral3Model");
        }

        static IEnumerable<RenamedTensor> Permuted(FilePart part, ModelConfig? config) =>
            throw new CheckpointException(
                $"'{part.Path}': Gemma and Mistral in files of llama.cpp are not supported: their weights are changed there (norms, the "
                    + "order of rows); expected the file of transformers.");
    }
}
