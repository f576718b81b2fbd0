using System.Runtime.InteropServices;
using System.Text.Json.Nodes;
using Attune.Autoencoders;
using Attune.Tensors;
using Attune.TextEncoders.Decoder;
using Attune.Weights;

namespace Attune.Tests.Weights;

/// <summary>
/// Whole pipelines of the families of which the repository holds the golden denoiser alone: text encoders and autoencoders of random
/// weights are made beside it, of the names and shapes that are asked for. What they compute is compared with nothing; they let tests run
/// from prompts to pictures.
/// </summary>
internal static class TinyPipelines
{
    private const string FlowMatching =
        """
        { "_class_name": "FlowMatchEulerDiscreteScheduler", "num_train_timesteps": 1000, "shift": 1.0, "use_dynamic_shifting": true,
          "base_shift": 0.5, "max_shift": 0.9, "base_image_seq_len": 256, "max_image_seq_len": 8192, "shift_terminal": 0.02 }
        """;

    private const string Qwen3Vl =
        """
        { "model_type": "qwen3_vl", "image_token_id": 752,
          "text_config": { "model_type": "qwen3_vl_text", "vocab_size": 768, "hidden_size": 40, "intermediate_size": 64,
          "num_hidden_layers": 4, "num_attention_heads": 4, "num_key_value_heads": 2, "head_dim": 16,
          "rms_norm_eps": 1e-6, "hidden_act": "silu", "rope_theta": 5000000,
          "rope_scaling": { "mrope_interleaved": true, "mrope_section": [4, 2, 2], "rope_type": "default" } },
          "vision_config": { "model_type": "qwen3_vl", "depth": 2, "hidden_size": 16, "num_heads": 2, "intermediate_size": 24,
          "in_channels": 3, "patch_size": 16, "temporal_patch_size": 2, "spatial_merge_size": 2, "num_position_embeddings": 36,
          "out_hidden_size": 40, "hidden_act": "gelu_pytorch_tanh", "deepstack_visual_indexes": [0] } }
        """;

    private const string Vae21 =
        """
        { "_class_name": "AutoencoderKLQwenImage21", "base_dim": 4, "decoder_base_dim": 6, "dim_mult": [1, 2, 2, 4, 4], "in_channels": 4,
          "out_channels": 4, "is_residual": true, "num_res_blocks": 1, "temperal_downsample": [false, true, true, true], "z_dim": 16,
          "latents_mean": [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0],
          "latents_std": [1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1] }
        """;

    private const string Ministral3 =
        """
        { "model_type": "mistral3", "text_config": { "model_type": "ministral3", "vocab_size": 768, "hidden_size": 40,
          "intermediate_size": 56, "num_hidden_layers": 3, "num_attention_heads": 2, "num_key_value_heads": 1, "head_dim": 32,
          "rms_norm_eps": 1e-5, "hidden_act": "silu", "rope_parameters": { "rope_type": "yarn", "rope_theta": 1000000, "factor": 16,
          "beta_fast": 32, "beta_slow": 1, "mscale": 1, "mscale_all_dim": 1, "llama_4_scaling_beta": 0.1, "max_position_embeddings": 128,
          "original_max_position_embeddings": 8 } } }
        """;

    private const string Vae2 =
        """
        { "_class_name": "AutoencoderKLFlux2", "act_fn": "silu", "batch_norm_eps": 0.0001, "block_out_channels": [8, 8, 8, 16],
          "in_channels": 3, "out_channels": 3, "latent_channels": 8, "layers_per_block": 1, "mid_block_add_attention": true,
          "norm_num_groups": 4, "patch_size": [2, 2], "use_post_quant_conv": true, "use_quant_conv": true,
          "down_block_types": ["DownEncoderBlock2D", "DownEncoderBlock2D", "DownEncoderBlock2D", "DownEncoderBlock2D"],
          "up_block_types": ["UpDecoderBlock2D", "UpDecoderBlock2D", "UpDecoderBlock2D", "UpDecoderBlock2D"] }
        """;

    /// <summary>The names of the golden denoisers.</summary>
    public static IReadOnlyList<string> Names { get; } = ["qwen-image-2.1", "krea2-turbo", "ernie-image"];

    /// <summary>Writes the folder of a pipeline.</summary>
    public static void Write(string name, string folder)
    {
        Repository.Copy(Repository.Golden("checkpoints", name), folder);
        string At(string part) => Path.Combine(folder, part);
        void Index(string json) => File.WriteAllText(At("model_index.json"), json);
        Directory.CreateDirectory(At("scheduler"));
        File.WriteAllText(At("scheduler/scheduler_config.json"), FlowMatching);
        Repository.Copy(Repository.Golden("tokenizers", "qwen2"), At(name == "qwen-image-2.1" ? "processor" : "tokenizer"));
        switch (name)
        {
            case "qwen-image-2.1":
                Index(
                    """
                    { "_class_name": "QwenImage21Pipeline", "processor": ["transformers", "Qwen3VLProcessor"],
                      "scheduler": ["diffusers", "FlowMatchEulerDiscreteScheduler"],
                      "text_encoder": ["transformers", "Qwen3VLForConditionalGeneration"],
                      "transformer": ["diffusers", "QwenImage21Transformer2DModel"], "vae": ["diffusers", "AutoencoderKLQwenImage21"] }
                    """);
                Make(
                    At("text_encoder"), Qwen3Vl, source => DecoderTextModel.Load(source, seesPictures: true),
                    ("model.language_model.embed_tokens.weight", [768, 40]), ("model.visual.patch_embed.proj.weight", [16, 3, 2, 16, 16]));
                Make(At("vae"), Vae21, AutoencoderKlQwenImage21.Load);
                break;
            case "krea2-turbo":
                Index(
                    """
                    { "_class_name": "Krea2Pipeline", "is_distilled": true, "patch_size": 2,
                      "scheduler": ["diffusers", "FlowMatchEulerDiscreteScheduler"], "text_encoder": ["transformers", "Qwen3VLModel"],
                      "text_encoder_select_layers": [0, 1, 2, 3, 4, 0, 1, 2, 3, 4, 0, 1], "tokenizer": ["transformers", "Qwen2Tokenizer"],
                      "transformer": ["diffusers", "Krea2Transformer2DModel"], "vae": ["diffusers", "AutoencoderKLQwenImage"] }
                    """);
                string narrow = Qwen3Vl.Replace("\"hidden_size\": 40", "\"hidden_size\": 24", StringComparison.Ordinal);
                Make(At("text_encoder"), narrow, DecoderTextModel.Load);
                Repository.Copy(Repository.Golden("checkpoints", "qwen-image", "vae"), At("vae"));
                break;
            case "ernie-image":
                Index(
                    """
                    { "_class_name": "ErnieImagePipeline", "scheduler": ["diffusers", "FlowMatchEulerDiscreteScheduler"],
                      "text_encoder": ["transformers", "Mistral3Model"], "tokenizer": ["transformers", "TokenizersBackend"],
                      "transformer": ["diffusers", "ErnieImageTransformer2DModel"], "vae": ["diffusers", "AutoencoderKLFlux2"] }
                    """);
                Make(At("text_encoder"), Ministral3, DecoderTextModel.Load);
                Make(At("vae"), Vae2, AutoencoderKlFlux2.Load);
                break;
            default:
                throw new ArgumentException($"There is no {name}, expected {string.Join(", ", Names)}.", nameof(name));
        }
    }

    /// <summary>Writes a component's folder: its configuration, and a weight for each that its class asks for.</summary>
    /// <param name="folder">Where it goes.</param>
    /// <param name="config">config.json.</param>
    /// <param name="load">Builds the component.</param>
    /// <param name="stated">Tensors by whose names the class tells how others are called, with their shapes.</param>
    public static void Make(
        string folder, string config, Func<ComponentSource, IDisposable> load, params (string Name, long[] Shape)[] stated)
    {
        Directory.CreateDirectory(folder);
        File.WriteAllText(Path.Combine(folder, "config.json"), JsonNode.Parse(config)!.ToJsonString());
        var made = new MadeWeights(stated);
        load(new ComponentSource(ModelConfig.Read(Path.Combine(folder, "config.json")), Host, () => made)).Dispose();
        made.Writer.Write(Path.Combine(folder, "model.safetensors"));
    }

    private sealed class MadeWeights((string Name, long[] Shape)[] stated) : WeightSource
    {
        private readonly HashSet<string> _written = new(StringComparer.Ordinal);

        public SafetensorsWriter Writer { get; } = new();

        public override string Path => "made weights";

        public override IReadOnlyCollection<string> Names { get; } = [.. stated.Select(one => one.Name).Order(StringComparer.Ordinal)];

        public override TensorEntry? Describe(string name) => stated.FirstOrDefault(one => one.Name == name) is { Name: not null } one
            ? new TensorEntry(name, "F32", one.Shape, Path, 0, 4 * one.Shape.Aggregate(1L, (product, extent) => product * extent)) : null;

        public override StoredWeight? Find(string name, Shape? expected = null)
        {
            var shape = expected ?? ShapeOf(name) ?? throw new ArgumentNullException(nameof(expected));
            var random = new Random(name.Length * 7919 + (int)(shape.Count % 1000));
            double scale = shape.Rank > 1 ? Math.Sqrt(3.0 * shape[0] / shape.Count) : 0.1;
            double middle = shape.Rank == 1 && !name.EndsWith("bias", StringComparison.Ordinal) ? 1 : 0;
            float[] values = new float[shape.Count];
            for (int i = 0; i < values.Length; i++)
                values[i] = (float)(middle + scale * (2 * random.NextDouble() - 1));
            if (_written.Add(name))
                Writer.Add(name, values, [.. Enumerable.Range(0, shape.Rank).Select(axis => (long)shape[axis])]);
            var bytes = WeightBytes.Allocate(4L * values.Length);
            MemoryMarshal.AsBytes(values.AsSpan()).CopyTo(bytes.Write(0, 4 * values.Length));
            return new StoredWeight(name, shape, WeightFormat.Float32, bytes);
        }

        protected override void Dispose(bool disposing)
        {
        }
    }
}
