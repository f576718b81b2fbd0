namespace Attune.Weights.Quantised;

/// <summary>Kinds of quantisation that are not read: they are called by their names, with what to take instead.</summary>
internal static class Unsupported
{
    private const string Instead = "which is not supported; take a GGUF, an fp8 or a bf16 version of the model";

    private static readonly (string Part, string Other, string Kind)[] Kinds =
    [
        (".qweight", ".wscales", "packed for tensor cores (SVDQuant, Nunchaku)"),
        (".qweight", ".qzeros", "packed in four bits (GPTQ or AWQ)"),
        (".weight._data", ".weight._scale", "quantised by quanto"),
        (".weight_packed", ".weight_scale", "packed by compressed-tensors"),
    ];

    /// <summary>Methods of a configuration's <c>quantization_config</c> of which the tensors tell all that is to be known.</summary>
    private static readonly string[] Methods = ["bitsandbytes", "gguf", "fp8"];

    /// <summary>Fails when tensors are of such a kind.</summary>
    /// <exception cref="CheckpointException">They are.</exception>
    public static void Refuse(TensorParts parts)
    {
        foreach (var (part, other, kind) in Kinds)
        {
            if (parts.Names.FirstOrDefault(name => name.EndsWith(part, StringComparison.Ordinal)) is { } name
                && parts.Find(name[..^part.Length] + other) != null)
            {
                throw TensorParts.Wrong(parts.Find(name)!, $"is {kind}, {Instead}");
            }
        }
    }

    /// <summary>Fails when a component's configuration says that it was quantised in a manner that is not read.</summary>
    /// <exception cref="CheckpointException">It does.</exception>
    public static void Refuse(ModelConfig config)
    {
        if (config.Object("quantization_config") is { } quantisation
            && quantisation.String("quant_method", "") is { Length: > 0 } method && !Methods.Contains(method))
        {
            throw new CheckpointException($"'{config.Path}': the weights are quantised by {method}, {Instead}.");
        }
    }
}
