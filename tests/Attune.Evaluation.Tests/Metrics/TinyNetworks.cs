using Attune.Evaluation.Metrics;
using Attune.Tensors;
using Attune.Tests;
using Attune.Tests.Weights;
using Attune.Weights;

namespace Attune.Evaluation.Tests.Metrics;

/// <summary>Networks of metrics with random weights: CLIP and ImageReward tiny, Inception of its one size.</summary>
internal static class TinyNetworks
{
    /// <summary>A CLIPModel with its tokenizer: pictures of 32 pixels, 32 channels, one layer of each tower.</summary>
    public static void Clip(string folder)
    {
        Repository.Copy(Repository.Golden("tokenizers", "clip"), folder);
        File.WriteAllText(Path.Combine(folder, "config.json"), """
            { "projection_dim": 16,
              "text_config": { "hidden_size": 32, "intermediate_size": 64, "num_attention_heads": 2, "num_hidden_layers": 1,
                "vocab_size": 49408, "max_position_embeddings": 77, "eos_token_id": 2, "hidden_act": "quick_gelu" },
              "vision_config": { "hidden_size": 32, "intermediate_size": 64, "num_attention_heads": 2, "num_hidden_layers": 1,
                "image_size": 32, "patch_size": 8, "hidden_act": "quick_gelu" } }
            """);
        var file = new Weights(11);
        file.Add("logit_scale");
        foreach (string tower in new[] { "text_model", "vision_model" })
        {
            string layer = $"{tower}.encoder.layers.0";
            foreach (string norm in new[] { "layer_norm1", "layer_norm2" })
                file.Norm($"{layer}.{norm}", 32);
            foreach (string part in new[] { "q_proj", "k_proj", "v_proj", "out_proj" })
                file.Linear($"{layer}.self_attn.{part}", 32, 32);
            file.Linear($"{layer}.mlp.fc1", 64, 32);
            file.Linear($"{layer}.mlp.fc2", 32, 64);
        }
        file.Add("text_model.embeddings.token_embedding.weight", 49408, 32);
        file.Add("text_model.embeddings.position_embedding.weight", 77, 32);
        file.Norm("text_model.final_layer_norm", 32);
        file.Add("text_projection.weight", 16, 32);
        file.Add("vision_model.embeddings.class_embedding", 32);
        file.Add("vision_model.embeddings.patch_embedding.weight", 32, 3, 8, 8);
        file.Add("vision_model.embeddings.position_embedding.weight", 17, 32);
        file.Norm("vision_model.pre_layrnorm", 32);
        file.Norm("vision_model.post_layernorm", 32);
        file.Add("visual_projection.weight", 16, 32);
        file.Write(Path.Combine(folder, "model.safetensors"));
    }

    /// <summary>ImageReward with a small tokenizer: pictures of 32 pixels, one layer of each part.</summary>
    public static void Reward(string folder)
    {
        Repository.Copy(Repository.Golden("tokenizers", "bert"), folder);
        File.WriteAllText(Path.Combine(folder, "med_config.json"), """
            { "hidden_size": 32, "intermediate_size": 64, "num_attention_heads": 2, "num_hidden_layers": 1, "vocab_size": 4096,
              "max_position_embeddings": 64, "hidden_act": "gelu" }
            """);
        var file = new Weights(12);
        const string Vision = "blip.visual_encoder", Text = "blip.text_encoder";
        file.Add($"{Vision}.cls_token", 1, 1, 64);
        file.Add($"{Vision}.pos_embed", 1, 5, 64);
        file.Linear($"{Vision}.patch_embed.proj", 64, 3, 16, 16);
        file.Norm($"{Vision}.norm", 64);
        foreach (string norm in new[] { "norm1", "norm2" })
            file.Norm($"{Vision}.blocks.0.{norm}", 64);
        file.Linear($"{Vision}.blocks.0.attn.qkv", 192, 64);
        file.Linear($"{Vision}.blocks.0.attn.proj", 64, 64);
        file.Linear($"{Vision}.blocks.0.mlp.fc1", 128, 64);
        file.Linear($"{Vision}.blocks.0.mlp.fc2", 64, 128);
        file.Add($"{Text}.embeddings.word_embeddings.weight", 4096, 32);
        file.Add($"{Text}.embeddings.position_embeddings.weight", 64, 32);
        file.Norm($"{Text}.embeddings.LayerNorm", 32);
        foreach (var (attention, inputs) in new[] { ("attention", 32), ("crossattention", 64) })
        {
            string at = $"{Text}.encoder.layer.0.{attention}";
            file.Linear($"{at}.self.query", 32, 32);
            file.Linear($"{at}.self.key", 32, inputs);
            file.Linear($"{at}.self.value", 32, inputs);
            file.Linear($"{at}.output.dense", 32, 32);
            file.Norm($"{at}.output.LayerNorm", 32);
        }
        file.Linear($"{Text}.encoder.layer.0.intermediate.dense", 64, 32);
        file.Linear($"{Text}.encoder.layer.0.output.dense", 32, 64);
        file.Norm($"{Text}.encoder.layer.0.output.LayerNorm", 32);
        int[] widths = [32, 1024, 128, 64, 16, 1], places = [0, 2, 4, 6, 7];
        for (int i = 0; i < places.Length; i++)
            file.Linear($"mlp.layers.{places[i]}", widths[i + 1], widths[i]);
        file.Write(Path.Combine(folder, "ImageReward.safetensors"));
    }

    /// <summary>AlexNet, and weights of the lpips package for it.</summary>
    public static void Lpips(string folder)
    {
        Directory.CreateDirectory(folder);
        var (network, linear) = (new Weights(14), new Weights(15));
        int[] widths = [3, 64, 192, 384, 256, 256], places = [0, 3, 6, 8, 10], sides = [11, 5, 3, 3, 3];
        for (int i = 0; i < places.Length; i++)
        {
            network.Linear($"features.{places[i]}", widths[i + 1], widths[i], sides[i], sides[i]);
            linear.Add($"lin{i}.model.1.weight", 1, widths[i + 1], 1, 1);
        }
        network.Write(Path.Combine(folder, "alexnet.safetensors"));
        linear.Write(Path.Combine(folder, "alex.safetensors"));
    }

    /// <summary>Inception v3 in bfloat16, 48 MB.</summary>
    public static void Inception(string file)
    {
        var weights = new Weights(13);
        using (InceptionModel.Load(new Recording(weights), Devices.Managed))
            weights.Write(file);
    }

    /// <summary>Random weights, in bfloat16, of about the size that keeps activations.</summary>
    private sealed class Weights(int seed)
    {
        private readonly SafetensorsWriter _writer = new();
        private readonly Random _random = new(seed);

        public void Add(string name, params long[] shape) => _writer.Add(name, "BF16", Make(name, shape), shape);

        public void Linear(string name, params long[] shape)
        {
            Add(name + ".weight", shape);
            Add(name + ".bias", shape[0]);
        }

        public void Norm(string name, long channels)
        {
            Add(name + ".weight", channels);
            Add(name + ".bias", channels);
        }

        public void Write(string file) => _writer.Write(file);

        private byte[] Make(string name, long[] shape)
        {
            long count = shape.Aggregate(1L, (product, extent) => product * extent);
            bool norm = shape.Length == 1
                && (name.EndsWith("weight", StringComparison.Ordinal) || name.EndsWith("var", StringComparison.Ordinal));
            float scale = shape.Length > 1 ? MathF.Sqrt(6f * shape[0] / count) : 0.1f;
            byte[] bytes = new byte[2 * count];
            for (long i = 0; i < count; i++)
            {
                float value = (norm ? 1 : 0) + scale * (2 * _random.NextSingle() - 1);
                BitConverter.TryWriteBytes(bytes.AsSpan((int)(2 * i)), (ushort)(BitConverter.SingleToUInt32Bits(value) >> 16));
            }
            return bytes;
        }
    }

    /// <summary>Makes whatever it is asked for, and keeps it.</summary>
    private sealed class Recording(Weights weights) : WeightSource
    {
        public override string Path => "random weights";

        public override IReadOnlyCollection<string> Names => [];

        public override TensorEntry? Describe(string name) => null;

        public override StoredWeight? Find(string name, Shape? expected = null)
        {
            var shape = expected ?? throw new ArgumentNullException(nameof(expected));
            weights.Add(name, [.. Enumerable.Range(0, shape.Rank).Select(axis => (long)shape[axis])]);
            using var scope = new TensorScope();
            return StoredWeight.Owning(name, scope.Keep(Tensor.Zeros(Devices.Managed, shape)));
        }

        protected override void Dispose(bool disposing)
        {
        }
    }
}
