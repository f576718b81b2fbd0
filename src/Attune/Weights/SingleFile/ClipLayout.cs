using System.Text.Json.Nodes;

namespace Attune.Weights.SingleFile;

/// <summary>
/// CLIP text encoders, under the names of transformers or of OpenCLIP, in which query, key and value are one matrix and the projection is
/// stored transposed.
/// </summary>
internal static class ClipLayout
{
    private static readonly (string OpenClip, string Transformers)[] Layer =
    [
        ("ln_1", "layer_norm1"), ("ln_2", "layer_norm2"), ("attn.out_proj", "self_attn.out_proj"), ("mlp.c_fc", "mlp.fc1"),
        ("mlp.c_proj", "mlp.fc2"),
    ];

    /// <summary>Whether the names are those of OpenCLIP.</summary>
    public static bool IsOpenClip(FilePart part) => part.Has("transformer.resblocks.0.ln_1.weight");

    /// <summary>
    /// What the shapes say about the configuration, by the names of transformers. All CLIP models of these families have heads of 64
    /// channels.
    /// </summary>
    public static JsonObject Describe(FilePart part)
    {
        string start = part.HasAny("text_model.") ? "text_model." : "";
        string Layer(int i) => FormattableString.Invariant($"{start}encoder.layers.{i}.mlp.fc1.weight");
        int hidden = part.Extent(start + "embeddings.token_embedding.weight", 1);
        var config = new JsonObject
        {
            ["vocab_size"] = part.Extent(start + "embeddings.token_embedding.weight", 0),
            ["hidden_size"] = hidden,
            ["max_position_embeddings"] = part.Extent(start + "embeddings.position_embedding.weight", 0),
            ["intermediate_size"] = part.Extent(Layer(0), 0),
            ["num_hidden_layers"] = part.Count(Layer),
            ["num_attention_heads"] = Math.Max(hidden / 64, 1),
        };
        if (part.Has("text_projection.weight"))
            config["projection_dim"] = part.Extent("text_projection.weight", 0);
        return config;
    }

    /// <summary>
    /// The tensors under the names of transformers. A configuration tells how many layers the model uses: SD 2 was trained on the output of
    /// the last layer but one, so that its files hold a layer and a projection that nothing reads.
    /// </summary>
    /// <exception cref="CheckpointException">A tensor cannot be cut.</exception>
    public static IEnumerable<RenamedTensor> Map(FilePart part, ModelConfig? config)
    {
        if (!IsOpenClip(part))
        {
            foreach (var (name, tensor) in part.Tensors)
                yield return new RenamedTensor(name, tensor);
            yield break;
        }
        int count = part.Count(i => FormattableString.Invariant($"transformer.resblocks.{i}.ln_1.weight"));
        int layers = Math.Min(count, config?.Int("num_hidden_layers", count) ?? count);
        bool projects = config == null || config.ClassName != "CLIPTextModel";
        var names = new PrefixMap(Pairs(layers));
        foreach (var (name, tensor) in part.Tensors)
        {
            if (name is "logit_scale" or "attn_mask"
                || (!projects && name.StartsWith("text_projection", StringComparison.Ordinal))
                || Enumerable.Range(layers, count - layers).Any(
                    layer => name.StartsWith(FormattableString.Invariant($"transformer.resblocks.{layer}."), StringComparison.Ordinal)))
                continue;
            if (name.EndsWith(".attn.in_proj_weight", StringComparison.Ordinal)
                || name.EndsWith(".attn.in_proj_bias", StringComparison.Ordinal))
            {
                foreach (var third in Thirds(part, name, tensor))
                    yield return third;
            }
            else if (name == "text_projection")
            {
                part.Extent(name, 1);
                yield return new RenamedTensor("text_projection.weight", tensor, Transposed: true);
            }
            else
            {
                yield return new RenamedTensor(
                    names.Rename(name).FirstOrDefault() ?? (name == "text_projection.weight" ? name : tensor.Name), tensor);
            }
        }
    }

    private static IEnumerable<(string OpenClip, string Transformers)> Pairs(int layers)
    {
        yield return ("token_embedding", "text_model.embeddings.token_embedding");
        yield return ("positional_embedding", "text_model.embeddings.position_embedding.weight");
        yield return ("ln_final", "text_model.final_layer_norm");
        for (int i = 0; i < layers; i++)
        {
            foreach (var (openClip, transformers) in Layer)
                yield return ($"transformer.resblocks.{i}.{openClip}", $"text_model.encoder.layers.{i}.{transformers}");
        }
    }

    /// <summary>The rows of query, key and value, as views on the file.</summary>
    private static IEnumerable<RenamedTensor> Thirds(FilePart part, string name, TensorEntry tensor)
    {
        string layer = name[..name.IndexOf(".attn.", StringComparison.Ordinal)]
            .Replace("transformer.resblocks.", "text_model.encoder.layers.", StringComparison.Ordinal);
        string kind = name.EndsWith("weight", StringComparison.Ordinal) ? "weight" : "bias";
        if (part.Extent(name, 0) % 3 != 0)
            throw new CheckpointException(
                $"'{part.Path}': the tensor {tensor.Name} is {tensor.Extents}, expected three equal parts.");
        int rows = part.Extent(name, 0) / 3;
        for (int i = 0; i < 3; i++)
            yield return new RenamedTensor($"{layer}.self_attn.{"qkv"[i]}_proj.{kind}", tensor, Rows: (i * rows, rows));
    }
}
