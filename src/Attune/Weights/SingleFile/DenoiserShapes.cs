using System.Text.Json.Nodes;

namespace Attune.Weights.SingleFile;

/// <summary>
/// What the shapes of denoisers, by the names of diffusers, say about their configurations. What shapes do not tell (axes of rotary
/// positions, channels of a head, norms' epsilon) is embedded data of the families.
/// </summary>
internal static class DenoiserShapes
{
    public static JsonObject Flux(FilePart part, FilePart original) => new()
    {
        ["in_channels"] = part.Extent("x_embedder.weight", 1),
        ["out_channels"] = part.Extent("proj_out.weight", 0),
        ["num_layers"] = Blocks(part, "transformer_blocks", "attn.to_q.weight"),
        ["num_single_layers"] = Blocks(part, "single_transformer_blocks", "attn.to_q.weight"),
        ["num_attention_heads"] = Heads(part, "x_embedder.weight", 128),
        ["joint_attention_dim"] = part.Extent("context_embedder.weight", 1),
        ["pooled_projection_dim"] = part.Extent("time_text_embed.text_embedder.linear_1.weight", 1),
        ["guidance_embeds"] = part.HasAny("time_text_embed.guidance_embedder."),
    };

    public static JsonObject Chroma(FilePart part, FilePart original) => new()
    {
        ["in_channels"] = part.Extent("x_embedder.weight", 1),
        ["out_channels"] = part.Extent("proj_out.weight", 0),
        ["num_layers"] = Blocks(part, "transformer_blocks", "attn.to_q.weight"),
        ["num_single_layers"] = Blocks(part, "single_transformer_blocks", "attn.to_q.weight"),
        ["num_attention_heads"] = Heads(part, "x_embedder.weight", 128),
        ["joint_attention_dim"] = part.Extent("context_embedder.weight", 1),
        ["approximator_num_channels"] = part.Extent("distilled_guidance_layer.in_proj.weight", 1),
        ["approximator_hidden_dim"] = part.Extent("distilled_guidance_layer.in_proj.weight", 0),
        ["approximator_layers"] = Blocks(part, "distilled_guidance_layer.layers", "linear_1.weight"),
    };

    public static JsonObject Flux2(FilePart part, FilePart original) => new()
    {
        ["in_channels"] = part.Extent("x_embedder.weight", 1),
        ["out_channels"] = part.Extent("proj_out.weight", 0),
        ["num_layers"] = Blocks(part, "transformer_blocks", "attn.to_q.weight"),
        ["num_single_layers"] = Blocks(part, "single_transformer_blocks", "attn.to_out.weight"),
        ["num_attention_heads"] = Heads(part, "x_embedder.weight", 128),
        ["joint_attention_dim"] = part.Extent("context_embedder.weight", 1),
        ["timestep_guidance_channels"] = part.Extent("time_guidance_embed.timestep_embedder.linear_1.weight", 1),
        ["guidance_embeds"] = part.HasAny("time_guidance_embed.guidance_embedder."),
    };

    /// <summary>FLUX.2 dev embeds a guidance scale; klein is 4B or 9B by the width of its text.</summary>
    public static string? FamilyOfFlux2(FilePart part) =>
        part.HasAny("time_guidance_embed.guidance_embedder.") ? "flux2-dev"
            : part.Extent("context_embedder.weight", 1) == 12288 ? "flux2-klein-9b" : "flux2-klein-4b";

    public static JsonObject StableDiffusion3(FilePart part, FilePart original)
    {
        int patch = part.Extent("pos_embed.proj.weight", 2);
        int layers = Blocks(part, "transformer_blocks", "attn.to_q.weight");
        return new JsonObject
        {
            ["in_channels"] = part.Extent("pos_embed.proj.weight", 1),
            ["out_channels"] = part.Extent("proj_out.weight", 0) / (patch * patch),
            ["patch_size"] = patch,
            ["pos_embed_max_size"] = (int)Math.Sqrt(part.Extent("pos_embed.pos_embed", part.Rank("pos_embed.pos_embed") - 2)),
            ["num_layers"] = layers,
            ["num_attention_heads"] = Heads(part, "pos_embed.proj.weight", 64),
            ["joint_attention_dim"] = part.Extent("context_embedder.weight", 1),
            ["pooled_projection_dim"] = part.Extent("time_text_embed.text_embedder.linear_1.weight", 1),
            ["dual_attention_layers"] = new JsonArray(
                [
                    .. Enumerable.Range(0, layers)
                        .Where(i => part.Has(FormattableString.Invariant($"transformer_blocks.{i}.attn2.to_q.weight")))
                        .Select(i => (JsonNode)i)]),
            ["qk_norm"] = part.Has("transformer_blocks.0.attn.norm_q.weight") ? "rms_norm" : null,
        };
    }

    public static JsonObject QwenImage(FilePart part, FilePart original) => new()
    {
        ["in_channels"] = part.Extent("img_in.weight", 1),
        ["out_channels"] = part.Extent("proj_out.weight", 0) / 4,
        ["num_layers"] = Blocks(part, "transformer_blocks", "attn.to_q.weight"),
        ["num_attention_heads"] = Heads(part, "img_in.weight", 128),
        ["joint_attention_dim"] = part.Extent("txt_in.weight", 1),
        ["zero_cond_t"] = part.HasAny("__index_timestep_zero__"),
        ["use_additional_t_cond"] = part.HasAny("time_text_embed.addition_t_embedding."),
    };

    public static JsonObject ZImage(FilePart part, FilePart original)
    {
        int heads = Heads(part, "all_x_embedder.2-1.weight", 128);
        return new JsonObject
        {
            ["in_channels"] = part.Extent("all_x_embedder.2-1.weight", 1) / 4,
            ["dim"] = part.Extent("all_x_embedder.2-1.weight", 0),
            ["n_layers"] = Blocks(part, "layers", "attention.to_q.weight"),
            ["n_refiner_layers"] = Blocks(part, "noise_refiner", "attention.to_q.weight"),
            ["n_heads"] = heads,
            ["n_kv_heads"] = heads,
            ["cap_feat_dim"] = part.Extent("cap_embedder.1.weight", 1),
        };
    }

    /// <summary>
    /// The size for which it was trained is that of the positions, which diffusers computes anew and original files hold.
    /// </summary>
    public static JsonObject PixArt(FilePart part, FilePart original)
    {
        int patch = part.Extent("pos_embed.proj.weight", 2);
        int inputs = part.Extent("pos_embed.proj.weight", 1);
        int width = part.Extent("pos_embed.proj.weight", 0);
        var config = new JsonObject
        {
            ["in_channels"] = inputs,
            ["out_channels"] = part.Extent("proj_out.weight", 0) / (patch * patch),
            ["patch_size"] = patch,
            ["num_layers"] = Blocks(part, "transformer_blocks", "attn1.to_q.weight"),
            ["num_attention_heads"] = Heads(part, "pos_embed.proj.weight", 72),
            ["cross_attention_dim"] = width,
            ["caption_channels"] = part.Extent("caption_projection.linear_1.weight", 1),
            ["use_additional_conditions"] = part.HasAny("adaln_single.emb.resolution_embedder."),
        };
        if (original.Has("pos_embed"))
            config["sample_size"] = patch * (int)Math.Sqrt(original.Extent("pos_embed", original.Rank("pos_embed") - 2));
        return config;
    }

    /// <summary>Heads have 32 channels in linear attention; in attention to the text 112, or 72 in the small model.</summary>
    public static JsonObject Sana(FilePart part, FilePart original)
    {
        int width = part.Extent("patch_embed.proj.weight", 0);
        int channels = width % 112 == 0 ? 112 : 72;
        return new JsonObject
        {
            ["in_channels"] = part.Extent("patch_embed.proj.weight", 1),
            ["out_channels"] = part.Extent("proj_out.weight", 0),
            ["patch_size"] = part.Extent("patch_embed.proj.weight", 2),
            ["num_layers"] = Blocks(part, "transformer_blocks", "attn1.to_q.weight"),
            ["num_attention_heads"] = Heads(part, "patch_embed.proj.weight", 32),
            ["num_cross_attention_heads"] = Math.Max(width / channels, 1),
            ["cross_attention_head_dim"] = channels,
            ["cross_attention_dim"] = width,
            ["caption_channels"] = part.Extent("caption_projection.linear_1.weight", 1),
            ["mlp_ratio"] = part.Extent("transformer_blocks.0.ff.conv_inverted.weight", 0) / 2.0 / width,
            ["qk_norm"] = part.Has("transformer_blocks.0.attn1.norm_q.weight") ? "rms_norm_across_heads" : null,
            ["guidance_embeds"] = part.HasAny("time_embed.guidance_embedder."),
        };
    }

    /// <summary>Patches are 1 x 2 x 2. Their embedding is counted, not measured: writers of GGUF merge its axes.</summary>
    public static JsonObject Wan(FilePart part, FilePart original)
    {
        int width = part.Extent("blocks.0.attn1.to_q.weight", 0);
        var config = new JsonObject
        {
            ["in_channels"] = InputsOfWan(part),
            ["out_channels"] = part.Extent("proj_out.weight", 0) / 4,
            ["num_layers"] = Blocks(part, "blocks", "attn1.to_q.weight"),
            ["num_attention_heads"] = Math.Max(width / 128, 1),
            ["ffn_dim"] = part.Extent("blocks.0.ffn.net.0.proj.weight", 0),
            ["freq_dim"] = part.Extent("condition_embedder.time_embedder.linear_1.weight", 1),
            ["text_dim"] = part.Extent("condition_embedder.text_embedder.linear_1.weight", 1),
            ["cross_attn_norm"] = part.Has("blocks.0.norm2.weight"),
        };
        if (part.HasAny(ImageEmbedder))
            (config["image_dim"], config["added_kv_proj_dim"]) = (part.Extent(ImageEmbedder + "norm1.weight", 0), width);
        return config;
    }

    /// <summary>
    /// By the channels that it reads: latents of 16 channels, the same beside a mask and a picture's latents, or latents of 48; and whether
    /// it reads what CLIP sees of the picture, as Wan 2.1 does. A model of a first and a last frame places both, and has no family.
    /// </summary>
    public static string? FamilyOfWan(FilePart part) => (InputsOfWan(part), part.HasAny(ImageEmbedder)) switch
    {
        (16, false) => "wan2.1",
        (36, true) => part.Has(ImageEmbedder + "pos_embed") ? null : "wan2.1-i2v",
        (36, false) => "wan2.2-i2v",
        (48, false) => "wan2.2-5b",
        _ => null,
    };

    private const string ImageEmbedder = "condition_embedder.image_embedder.";

    private static int InputsOfWan(FilePart part) =>
        (int)(part.CountOf("patch_embedding.weight") / (4L * part.Extent("blocks.0.attn1.to_q.weight", 0)));

    public static JsonObject Krea2(FilePart part, FilePart original)
    {
        int channels = part.Extent("transformer_blocks.0.attn.norm_q.weight", 0);
        int Rows(string name) => part.Extent(name, 0) / channels;
        return new JsonObject
        {
            ["attention_head_dim"] = channels,
            ["in_channels"] = part.Extent("img_in.weight", 1),
            ["num_layers"] = Blocks(part, "transformer_blocks", "attn.to_q.weight"),
            ["num_attention_heads"] = Rows("transformer_blocks.0.attn.to_q.weight"),
            ["num_key_value_heads"] = Rows("transformer_blocks.0.attn.to_k.weight"),
            ["intermediate_size"] = part.Extent("transformer_blocks.0.ff.gate.weight", 0),
            ["num_layerwise_text_blocks"] = Blocks(part, "text_fusion.layerwise_blocks", "attn.to_q.weight"),
            ["num_refiner_text_blocks"] = Blocks(part, "text_fusion.refiner_blocks", "attn.to_q.weight"),
            ["num_text_layers"] = (int)part.CountOf("text_fusion.projector.weight"),         // one row, which GGUF may drop
            ["text_hidden_dim"] = part.Extent("txt_in.norm.weight", 0),
            ["text_intermediate_size"] = part.Extent("text_fusion.layerwise_blocks.0.ff.gate.weight", 0),
            ["text_num_attention_heads"] = Rows("text_fusion.layerwise_blocks.0.attn.to_q.weight"),
            ["text_num_key_value_heads"] = Rows("text_fusion.layerwise_blocks.0.attn.to_k.weight"),
            ["timestep_embed_dim"] = part.Extent("time_embed.linear_1.weight", 1),
        };
    }

    public static JsonObject QwenImage21(FilePart part, FilePart original)
    {
        int width = part.Extent("img_in.weight", 0);
        return new JsonObject
        {
            ["in_channels"] = part.Extent("img_in.weight", 1),
            ["out_channels"] = part.Extent("proj_out.weight", 0),
            ["num_layers"] = Blocks(part, "transformer_blocks", "attn.to_q.weight"),
            ["num_attention_heads"] = Heads(part, "img_in.weight", 128),
            ["context_in_dim"] = part.Extent("txt_in.text_norm.weight", 0),
            ["mlp_ratio"] = part.Extent("transformer_blocks.0.img_mlp.proj.weight", 0) / width,
        };
    }

    public static JsonObject ErnieImage(FilePart part, FilePart original) => new()
    {
        ["in_channels"] = part.Extent("x_embedder.proj.weight", 1),
        ["out_channels"] = part.Extent("final_linear.weight", 0),
        ["num_layers"] = Blocks(part, "layers", "self_attention.to_q.weight"),
        ["hidden_size"] = part.Extent("x_embedder.proj.weight", 0),
        ["num_attention_heads"] = Heads(part, "x_embedder.proj.weight", 128),
        ["ffn_hidden_size"] = part.Extent("layers.0.mlp.gate_proj.weight", 0),
        ["text_in_dim"] = part.Extent("text_proj.weight", 1),
        ["qk_layernorm"] = part.Has("layers.0.self_attention.norm_q.weight"),
    };

    private static int Blocks(FilePart part, string blocks, string tensor) =>
        part.Count(i => FormattableString.Invariant($"{blocks}.{i}.{tensor}"));

    private static int Heads(FilePart part, string embedder, int channels) => Math.Max(part.Extent(embedder, 0) / channels, 1);
}
