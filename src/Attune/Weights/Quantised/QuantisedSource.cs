using Attune.Tensors;

namespace Attune.Weights.Quantised;

/// <summary>
/// The tensors of safetensors files of which some are codes, scales and what else belongs to quantised weights: each such weight is one
/// tensor here, and its parts are none. A part that no weight uses is an error, because weights without their scales are noise.
/// </summary>
internal sealed class QuantisedSource : WeightSource
{
    /// <summary>What the names of parts end with.</summary>
    private static readonly string[] Parts =
    [
        ".absmax", ".quant_map", ".nested_absmax", ".nested_quant_map", ".quant_state.bitsandbytes__nf4", ".quant_state.bitsandbytes__fp4",
        ".SCB", ".weight_format", ".scaled_fp8", ".scale_weight", ".scale_input", ".comfy_quant", ".weight_scale", ".weight_scale_2",
        ".weight_scale_inv", ".input_scale", ".pre_quant_scale", ".weight_global_scale", ".weight_zero_point", ".input_global_scale",
        ".weight_packed", ".qweight", ".qzeros", ".wscales", ".weight._data", ".weight._scale",
    ];

    private readonly SafetensorsSource _source;
    private readonly SortedDictionary<string, QuantisedWeight?> _tensors = new(StringComparer.Ordinal);
    private readonly Dictionary<(string Name, Shape? Shape), StoredWeight> _read = [];
    private readonly MadeMemory _memory = new();
    private readonly Lock _gate = new();

    private QuantisedSource(SafetensorsSource source)
    {
        _source = source;
        var parts = new TensorParts(source);
        Unsupported.Refuse(parts);
        foreach (var weight in Bitsandbytes.Read(parts).Concat(ComfyQuant.Read(parts)).Concat(Scaled.Read(parts)))
        {
            if (!_tensors.TryAdd(weight.Entry.Name, weight))
                throw TensorParts.Wrong(weight.Entry, "is quantised in two ways");
        }
        foreach (string name in source.Names)
        {
            if (parts.IsTaken(name))
                continue;
            if (IsPart(name))
                throw TensorParts.Wrong(source.Describe(name)!, "is part of a quantised weight, but belongs to none");
            _tensors.TryAdd(name, null);
        }
    }

    /// <inheritdoc/>
    public override string Path => _source.Path;

    /// <inheritdoc/>
    public override IReadOnlyCollection<string> Names => _tensors.Keys;

    /// <summary>A source itself where it holds no quantised weights, or what makes weights of them.</summary>
    /// <exception cref="CheckpointException">Parts are missing, do not fit each other or are of a kind that is not supported; the message
    /// names file and tensor. The source is disposed.</exception>
    public static WeightSource Of(SafetensorsSource source)
    {
        try
        {
            return source.Names.Any(IsPart) || source.Files.Any(file => file.Metadata.ContainsKey(ComfyQuant.MetadataKey))
                ? new QuantisedSource(source) : source;
        }
        catch
        {
            source.Dispose();
            throw;
        }
    }

    /// <inheritdoc/>
    public override TensorEntry? Describe(string name) =>
        _tensors.TryGetValue(name, out var weight) ? weight?.Entry ?? _source.Describe(name) : null;

    /// <inheritdoc/>
    public override StoredWeight? Find(string name, Shape? expected = null)
    {
        if (!_tensors.TryGetValue(name, out var weight))
            return null;
        if (weight == null)
            return _source.Find(name, expected);
        lock (_gate)
        {
            if (!_read.TryGetValue((name, expected), out var read))
                _read[(name, expected)] = read = weight.Read(expected, _memory);
            return read;
        }
    }

    /// <inheritdoc/>
    protected override void Dispose(bool disposing)
    {
        _memory.Dispose();
        _source.Dispose();
    }

    private static bool IsPart(string name) =>
        name == Scaled.Marker || Parts.Any(part => name.EndsWith(part, StringComparison.Ordinal));
}
