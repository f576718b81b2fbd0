using Attune.Generation;
using Attune.Models.ErnieImage;
using Attune.Models.Krea2;
using Attune.Models.QwenImage21;
using Attune.Models.Wan;
using Attune.TextEncoders.Clip;
using Attune.Weights;
using Attune.Weights.SingleFile;

namespace Attune.Tests.Weights;

/// <summary>
/// Files of released sizes, by the names and shapes of their tensors and without values: the family is told, its configuration is built in,
/// and the network is built from both. The golden manifests hold the same of whole lists of released files.
/// </summary>
[NoLeaks]
public class EmbeddedFamiliesTests
{
    [Theory]
    [InlineData(1536, 30, 8960, 16, 16, "WanPipeline", 3.0, "AutoencoderKLWan, UMT5EncoderModel")]
    [InlineData(5120, 40, 13824, 16, 16, "WanPipeline", 3.0, "AutoencoderKLWan, UMT5EncoderModel")]
    [InlineData(3072, 30, 14336, 48, 48, "WanPipeline", 5.0, "AutoencoderKLWan, UMT5EncoderModel")]
    [InlineData(
        5120, 40, 13824, 36, 16, "WanImageToVideoPipeline", 3.0, "AutoencoderKLWan, UMT5EncoderModel, WanTransformer3DModel")]
    public void Wan_is_told_by_its_channels(
        int width, int layers, int ffn, int inputs, int outputs, string pipeline, double shift, string missing)
    {
        using var folder = new TemporaryFolder();
        string file = HollowFile.Write(folder.At("wan.safetensors"), Wan(width, layers, ffn, inputs, outputs));
        var source = Open(file, pipeline, missing);
        Assert.Equal(shift, source.Scheduler.Number("flow_shift", 0, 0, 100));
        using var network = WanTransformer.Load(source.Component("transformer"));
        var config = network.Config;
        Assert.Equal(
            (width / 128, layers, ffn, inputs, outputs),
            (config.NumAttentionHeads, config.NumLayers, config.FfnDim, config.InChannels, config.OutChannels));
    }

    /// <summary>The two networks of Wan 2.2 have equal names and shapes.</summary>
    [Fact]
    public void Networks_for_high_and_low_noise_are_told_by_the_names_of_their_files()
    {
        using var folder = new TemporaryFolder();
        string Of(string name, int channels = 16) =>
            HollowFile.Write(folder.At(name + ".safetensors"), Wan(1536, 2, 64, channels, channels));
        var (high, low) = (Of("Wan2.2-T2V-A14B-HighNoise-Q4_K_M"), Of("wan2.2_t2v_low_noise_14B_fp16"));
        var (kijaiHigh, kijaiLow) = (Of("Wan2_2-T2V-A14B_HIGH_fp8_e4m3fn"), Of("Wan2_2-T2V-A14B-LOW_fp8_e4m3fn"));
        var (first, second) = (Of("a-slow-and-highland-model"), Of("b"));
        foreach (var (files, expected) in new (string[], string[])[]
        {
            ([high, low], [high, low]), ([low, high], [high, low]), ([kijaiLow, kijaiHigh], [kijaiHigh, kijaiLow]),
            ([first, second], [first, second]), ([second, first], [second, first]), ([low, first], [first, low]),
        })
        {
            var source = new LoadOptions { Parts = files[1..] }.Open(files[0]);
            Assert.Equal(0.875, source.Index.Number("boundary_ratio", 0, 0, 1));
            Assert.Equal(expected, new[] { "transformer", "transformer_2" }.Select(slot => FileOf(source, slot)));
        }

        // One of two is missed; a file that does not say that it is one of two is a model by itself.
        Assert.Contains("transformer_2", Open(high, "WanPipeline").Missing);
        var one = Open(low, "WanPipeline");
        Assert.Equal(low, FileOf(one, "transformer_2"));
        Assert.Contains("transformer", one.Missing);
        Assert.Contains(
            "transformer: the network of Wan 2.2 for high noise, which has that in its name, as high_noise.safetensors (--transformer",
            one.Needed("transformer").ToString(), StringComparison.Ordinal);
        Assert.DoesNotContain("transformer_2", Open(kijaiHigh, "WanPipeline").Missing);

        var (small, other) = (Of("5b-high-noise", 48), Of("5b-low-noise", 48));
        Assert.Contains(
            "both hold a denoiser",
            Assert.Throws<CheckpointException>(() => new LoadOptions { Parts = [other] }.Open(small)).Message, StringComparison.Ordinal);
    }

    /// <summary>It reads what CLIP sees of the picture, and so needs that encoder, which is in a file of its own.</summary>
    [Fact]
    public void Image_to_video_of_Wan_2_1_takes_the_vision_tower_of_CLIP()
    {
        using var folder = new TemporaryFolder();
        const int Width = 5120, Seen = 1280;
        (string, long[])[] tensors =
        [
            .. Wan(Width, 2, 13824, 36, 16), ("img_emb.proj.0.weight", [Seen]), ("img_emb.proj.0.bias", [Seen]),
            .. Layer("img_emb.proj.1", Seen, Seen), .. Layer("img_emb.proj.3", Width, Seen),
            ("img_emb.proj.4.weight", [Width]), ("img_emb.proj.4.bias", [Width]),
            .. Numbers(2).Select(i => $"blocks.{i}.cross_attn.").SelectMany(
                at => Layer(at + "k_img", Width, Width).Concat(Layer(at + "v_img", Width, Width))
                    .Append((at + "norm_k_img.weight", [Width]))),
        ];
        string file = HollowFile.Write(folder.At("wan.safetensors"), tensors);
        var source = Open(file, "WanImageToVideoPipeline", "AutoencoderKLWan, CLIPVisionModel, UMT5EncoderModel");
        Assert.Equal(
            "image_encoder: the vision tower of CLIP-H, as clip_vision_h.safetensors (--image-encoder, or a folder of it in "
                + "--config-folder)",
            source.Needed("image_encoder").ToString());

        const string At = "vision_model.";
        string vision = HollowFile.Write(
            folder.At("clip_vision_h.safetensors"),
            [
                (At + "embeddings.class_embedding", [Seen]), (At + "embeddings.patch_embedding.weight", [Seen, 3, 14, 14]),
                (At + "embeddings.position_embedding.weight", [257, Seen]),
                .. new[] { "pre_layrnorm", "post_layernorm" }.SelectMany(
                    norm => new (string, long[])[] { (At + norm + ".weight", [Seen]), (At + norm + ".bias", [Seen]) }),
                .. Numbers(32).Select(i => $"{At}encoder.layers.{i}.").SelectMany(
                    at => new[] { "k_proj", "v_proj", "q_proj", "out_proj" }
                        .SelectMany(part => Layer(at + "self_attn." + part, Seen, Seen))
                        .Concat(Layer(at + "mlp.fc1", 4 * Seen, Seen)).Concat(Layer(at + "mlp.fc2", Seen, 4 * Seen))
                        .Concat(new[] { "layer_norm1", "layer_norm2" }.SelectMany(
                            norm => new (string, long[])[] { (at + norm + ".weight", [Seen]), (at + norm + ".bias", [Seen]) }))),
                Matrix("visual_projection", 1024, Seen),
            ]);
        source = (SingleFileSource)new LoadOptions { Parts = [vision] }.Open(file);
        Assert.DoesNotContain("image_encoder", source.Missing);
        var component = source.Component("image_encoder");
        var config = ClipVisionConfig.ReadTower(component.Config);
        Assert.Equal(
            (32, Seen, 14, 224, 257), (config.Layers, config.Layer.HiddenSize, config.PatchSize, config.ImageSize, config.Positions));
        using var tower = component.Build((checkpoint, _) => new ClipVisionTower(checkpoint, config, projects: false));
        using var network = WanTransformer.Load(source.Component("transformer"));
        Assert.Equal((Seen, 36), (network.Config.ImageDim, network.Config.InChannels));

        // Text to video has no place for it.
        string other = HollowFile.Write(folder.At("other.safetensors"), Wan(1536, 1, 64, 16, 16));
        Assert.Contains(
            "holds a CLIP image encoder of 1280 channels, for which WanPipeline has no place",
            Assert.Throws<CheckpointException>(() => new LoadOptions { Parts = [vision] }.Open(other)).Message, StringComparison.Ordinal);

        // Models of a first and a last frame place both, by a table.
        file = HollowFile.Write(folder.At("frames.safetensors"), [.. tensors, ("img_emb.emb_pos", [1, 514, Seen])]);
        Assert.Contains(
            "no configuration is built in",
            Assert.Throws<CheckpointException>(() => new LoadOptions().Open(file)).Message, StringComparison.Ordinal);
        file = HollowFile.Write(
            folder.At("vace.safetensors"), [.. Wan(1536, 1, 64, 16, 16), ("vace_patch_embedding.weight", [1536, 96, 1, 2, 2])]);
        Assert.Contains(
            "it is VACE of Wan, which is not supported",
            Assert.Throws<CheckpointException>(() => new LoadOptions().Open(file)).Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Krea_2_is_built_from_names_and_shapes()
    {
        using var folder = new TemporaryFolder();
        const int Width = 6144, Text = 2560;
        IEnumerable<(string, long[])> Block(string at, int width, int keys, int inner) =>
        [
            (at + ".prenorm.scale", [width]), (at + ".postnorm.scale", [width]), (at + ".attn.wq.weight", [width, width]),
            (at + ".attn.wk.weight", [keys, width]), (at + ".attn.wv.weight", [keys, width]), (at + ".attn.gate.weight", [width, width]),
            (at + ".attn.wo.weight", [width, width]), (at + ".attn.qknorm.qnorm.scale", [128]), (at + ".attn.qknorm.knorm.scale", [128]),
            (at + ".mlp.gate.weight", [inner, width]), (at + ".mlp.up.weight", [inner, width]), (at + ".mlp.down.weight", [width, inner]),
        ];
        string file = HollowFile.Write(
            folder.At("raw.safetensors"),
            [
                .. Layer("first", Width, 64), .. Layer("tmlp.0", Width, 256), .. Layer("tmlp.2", Width, Width),
                .. Layer("tproj.1", 6 * Width, Width), ("txtmlp.0.scale", [Text]), .. Layer("txtmlp.1", Width, Text),
                .. Layer("txtmlp.3", Width, Width), ("txtfusion.projector.weight", [1, 12]),
                .. Numbers(2).SelectMany(i => Block($"txtfusion.layerwise_blocks.{i}", Text, Text, 6912)),
                .. Numbers(2).SelectMany(i => Block($"txtfusion.refiner_blocks.{i}", Text, Text, 6912)),
                .. Numbers(28).SelectMany(i => Block($"blocks.{i}", Width, 1536, 16384).Append(($"blocks.{i}.mod.lin", [6 * Width]))),
                ("last.modulation.lin", [2, Width]), ("last.norm.scale", [Width]), .. Layer("last.linear", 64, Width),
            ]);
        var source = Open(file, "Krea2Pipeline", "AutoencoderKLQwenImage, Qwen3VLModel");
        Assert.Equal(6400, source.Scheduler.Size("max_image_seq_len", 4096));
        using var network = Krea2Transformer.Load(source.Component("transformer"));
        Assert.Equal((28, 12, 12), (network.Config.NumLayers, network.Config.NumKeyValueHeads, network.Config.NumTextLayers));
    }

    [Fact]
    public void Qwen_Image_2_1_is_built_from_names_and_shapes()
    {
        using var folder = new TemporaryFolder();
        const int Width = 4096;
        string file = HollowFile.Write(
            folder.At("qwen.safetensors"),
            [
                .. new[]
                {
                    ("time_text_embed.timestep_embedder.linear_1", Width, 256),
                    ("time_text_embed.timestep_embedder.linear_2", Width, Width),
                    ("txt_in.in_layer", Width, Width), ("txt_in.out_layer", Width, Width), ("img_in", Width, 64),
                    ("modulation.1", 4 * Width, Width), ("norm_out.linear", Width, Width), ("proj_out", 64, Width),
                }.Select(layer => Matrix("model.diffusion_model." + layer.Item1, layer.Item2, layer.Item3)),
                ("model.diffusion_model.txt_in.text_norm.weight", [Width]),
                .. Numbers(32).Select(i => $"model.diffusion_model.transformer_blocks.{i}.").SelectMany(
                    at => new (string, long[])[]
                    {
                        Matrix(at + "attn.to_q", Width, Width), Matrix(at + "attn.to_k", Width, Width),
                        Matrix(at + "attn.to_v", Width, Width), Matrix(at + "attn.to_out.0", Width, Width),
                        (at + "attn.norm_q.weight", [128]), (at + "attn.norm_k.weight", [128]),
                        Matrix(at + "img_mlp.gate_up", 6 * Width, Width), Matrix(at + "img_mlp.out", Width, 3 * Width),
                    }),
            ]);
        var source = Open(file, "QwenImage21Pipeline", "AutoencoderKLQwenImage21, Qwen3VLForConditionalGeneration");
        using var network = QwenImage21Transformer.Load(source.Component("transformer"));
        Assert.Equal((32, 32, 4096), (network.Config.NumLayers, network.Config.NumAttentionHeads, network.Config.ContextInDim));
    }

    [Fact]
    public void ERNIE_Image_is_built_from_names_and_shapes()
    {
        using var folder = new TemporaryFolder();
        const int Width = 4096;
        string file = HollowFile.Write(
            folder.At("ernie.safetensors"),
            [
                ("x_embedder.proj.weight", [Width, 128, 1, 1]), ("x_embedder.proj.bias", [Width]), Matrix("text_proj", Width, 3072),
                .. Layer("time_embedding.linear_1", Width, Width), .. Layer("time_embedding.linear_2", Width, Width),
                .. Layer("adaLN_modulation.1", 6 * Width, Width), .. Layer("final_norm.linear", 2 * Width, Width),
                .. Layer("final_linear", 128, Width),
                .. Numbers(36).Select(i => $"layers.{i}.").SelectMany(
                    at => new (string, long[])[]
                    {
                        (at + "adaLN_sa_ln.weight", [Width]), (at + "adaLN_mlp_ln.weight", [Width]),
                        Matrix(at + "self_attention.to_q", Width, Width), Matrix(at + "self_attention.to_k", Width, Width),
                        Matrix(at + "self_attention.to_v", Width, Width), Matrix(at + "self_attention.to_out.0", Width, Width),
                        (at + "self_attention.norm_q.weight", [128]), (at + "self_attention.norm_k.weight", [128]),
                        Matrix(at + "mlp.gate_proj", 12288, Width), Matrix(at + "mlp.up_proj", 12288, Width),
                        Matrix(at + "mlp.linear_fc2", Width, 12288),
                    }),
            ]);
        var source = Open(file, "ErnieImagePipeline", "AutoencoderKLFlux2, Mistral3Model");
        Assert.Equal(4, source.Scheduler.Number("shift", 1, 0, 100));
        using var network = ErnieImageTransformer.Load(source.Component("transformer"));
        Assert.Equal((36, 4096, 3072), (network.Config.NumLayers, network.Config.HiddenSize, network.Config.TextInDim));
    }

    private static SingleFileSource Open(string file, string pipeline, string? missing = null)
    {
        var source = (SingleFileSource)new LoadOptions().Open(file);
        Assert.Equal(pipeline, source.Index.ClassName);
        if (missing != null)
            Assert.Equal(missing, string.Join(", ", source.Missing.Select(source.ClassOf).Order(StringComparer.Ordinal)));
        return source;
    }

    private static string FileOf(ModelSource source, string slot)
    {
        using var weights = source.Component(slot).OpenWeights();
        return weights.Path;
    }

    private static IEnumerable<(string Name, long[] Shape)> Wan(int width, int layers, int ffn, int inputs, int outputs) =>
    [
        ("patch_embedding.weight", [width, inputs, 1, 2, 2]), ("patch_embedding.bias", [width]),
        .. Layer("time_embedding.0", width, 256), .. Layer("time_embedding.2", width, width),
        .. Layer("time_projection.1", 6 * width, width),
        .. Layer("text_embedding.0", width, 4096), .. Layer("text_embedding.2", width, width),
        ("head.modulation", [1, 2, width]), .. Layer("head.head", 4 * outputs, width),
        .. Numbers(layers).Select(i => $"blocks.{i}.").SelectMany(
            at => new[] { "self_attn", "cross_attn" }.SelectMany(
                attention => new[] { "q", "k", "v", "o" }.SelectMany(part => Layer($"{at}{attention}.{part}", width, width))
                    .Append(($"{at}{attention}.norm_q.weight", [width])).Append(($"{at}{attention}.norm_k.weight", [width])))
                .Concat(Layer(at + "ffn.0", ffn, width)).Concat(Layer(at + "ffn.2", width, ffn))
                .Append((at + "norm3.weight", [width])).Append((at + "norm3.bias", [width]))
                .Append((at + "modulation", [1, 6, width]))),
    ];

    private static IEnumerable<int> Numbers(int count) => Enumerable.Range(0, count);

    private static (string Name, long[] Shape) Matrix(string name, int rows, int columns) => (name + ".weight", [rows, columns]);

    private static IEnumerable<(string Name, long[] Shape)> Layer(string name, int rows, int columns) =>
        [Matrix(name, rows, columns), (name + ".bias", [rows])];
}
