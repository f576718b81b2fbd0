using System.Text.Json.Nodes;

namespace Attune.Weights.SingleFile;

/// <summary>A CLIP text encoder under the names of transformers.</summary>
internal sealed class TransformersClipLayout : ILdmLayout
{
    /// <inheritdoc/>
    public JsonObject Describe(LdmPart part)
    {
        string start = part.HasAny("text_model.") ? "text_model." : "";
        string Layer(int i) => FormattableString.Invariant($"{start}encoder.layers.{i}.mlp.fc1.weight");
        return OpenClipLayout.Sizes(
            part, start + "embeddings.token_embedding.weight", start + "embeddings.position_embedding.weight", Layer(0), part.Count(Layer));
    }

    /// <inheritdoc/>
    public IEnumerable<RenamedTensor> Map(LdmPart part) =>
        part.Tensors.Select(entry => new RenamedTensor(entry.Key, entry.Value));
}

/// <summary>
/// A CLIP text encoder under the names of OpenCLIP: query, key and value are one matrix, and the projection is stored transposed.
/// </summary>
/// <param name="penultimate">Whether the model was trained on the output of the last layer but one (SD 2): the last layer and the
/// projection are then left out.</param>
internal sealed class OpenClipLayout(bool penultimate) : ILdmLayout
{
    private static readonly (string OpenClip, string Transformers)[] Layer =
    [
        ("ln_1", "layer_norm1"), ("ln_2", "layer_norm2"), ("attn.out_proj", "self_attn.out_proj"), ("mlp.c_fc", "mlp.fc1"),
        ("mlp.c_proj", "mlp.fc2"),
    ];

    /// <inheritdoc/>
    public JsonObject Describe(LdmPart part)
    {
        var config = Sizes(part, "token_embedding.weight", "positional_embedding", "transformer.resblocks.0.mlp.c_fc.weight", Layers(part));
        if (!penultimate && Projection(part) is { } projection)
            config["projection_dim"] = part.Extent(projection, projection == "text_projection" ? 1 : 0);
        return config;
    }

    /// <inheritdoc/>
    public IEnumerable<RenamedTensor> Map(LdmPart part)
    {
        int layers = Layers(part);
        var names = new PrefixMap(Pairs(layers));
        foreach (var (name, tensor) in part.Tensors)
        {
            if (name is "logit_scale" or "attn_mask"
                || (
                    penultimate
                        && (
                            name.StartsWith("text_projection", StringComparison.Ordinal)
                                || name.StartsWith(
                                    FormattableString.Invariant($"transformer.resblocks.{layers}."), StringComparison.Ordinal))))
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

    /// <summary>What the shapes of a text encoder say. All CLIP models of these families have heads of 64 channels.</summary>
    internal static JsonObject Sizes(LdmPart part, string tokens, string positions, string feedForward, int layers)
    {
        int hidden = part.Extent(tokens, 1);
        return new JsonObject
        {
            ["vocab_size"] = part.Extent(tokens, 0),
            ["hidden_size"] = hidden,
            ["max_position_embeddings"] = part.Extent(positions, 0),
            ["intermediate_size"] = part.Extent(feedForward, 0),
            ["num_hidden_layers"] = layers,
            ["num_attention_heads"] = Math.Max(hidden / 64, 1),
        };
    }

    private static string? Projection(LdmPart part) =>
        part.Has("text_projection") ? "text_projection" : part.Has("text_projection.weight") ? "text_projection.weight" : null;

    /// <summary>The number of layers that the model uses.</summary>
    private int Layers(LdmPart part)
    {
        int layers = part.Count(i => FormattableString.Invariant($"transformer.resblocks.{i}.mlp.c_fc.weight")) - (penultimate ? 1 : 0);
        return layers > 0 ? layers : throw new CheckpointException($"'{part.Path}': the text encoder has too few transformer.resblocks.");
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
    private static IEnumerable<RenamedTensor> Thirds(LdmPart part, string name, TensorEntry tensor)
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
