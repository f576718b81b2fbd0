using Attune.Tensors;

namespace Attune.Weights.Quantised;

/// <summary>The tensors of a file, and which of them were understood as parts of a quantised weight.</summary>
internal sealed class TensorParts(SafetensorsSource source)
{
    private const int MaxText = 1 << 16;
    private readonly HashSet<string> _taken = new(StringComparer.Ordinal);

    /// <summary>The names of all tensors.</summary>
    public IReadOnlyCollection<string> Names => source.Names;

    /// <summary>The files' free texts under a key.</summary>
    public IEnumerable<(string File, string Text)> Metadata(string key) =>
        source.Files.Where(file => file.Metadata.ContainsKey(key)).Select(file => (file.Path, file.Metadata[key]));

    /// <summary>Whether a tensor belongs to a weight, and is none itself.</summary>
    public bool IsTaken(string name) => _taken.Contains(name);

    /// <summary>A tensor, whatever becomes of it.</summary>
    public TensorEntry? Find(string name) => source.Describe(name);

    /// <summary>A tensor that is part of a weight; null when there is none.</summary>
    public TensorEntry? Take(string name)
    {
        var tensor = source.Describe(name);
        if (tensor != null)
            _taken.Add(name);
        return tensor;
    }

    /// <summary>A tensor that is part of a weight and must be there.</summary>
    /// <exception cref="CheckpointException">It is missing.</exception>
    public TensorEntry Require(string name, string of) =>
        Take(name) ?? throw new CheckpointException($"'{source.Path}': the tensor {name}, a part of {of}, is missing.");

    /// <summary>The text that a tensor of bytes holds.</summary>
    /// <exception cref="CheckpointException">It holds something else, or no JSON object.</exception>
    public JsonPart Json(TensorEntry tensor)
    {
        if (tensor.Type != "U8" || tensor.Length > MaxText)
            throw Wrong(tensor, $"is {tensor.Type} {tensor.Extents}, expected JSON of up to {MaxText} bytes");
        return JsonPart.Parse($"{tensor.File}: {tensor.Name}", source.FileOf(tensor.Name).Bytes(tensor)).Object();
    }

    /// <summary>A tensor of floats as what stands beside a weight.</summary>
    /// <param name="tensor">The tensor.</param>
    /// <param name="shape">How it is read, in row-major order.</param>
    /// <exception cref="CheckpointException">It is of no type of floats.</exception>
    public StoredWeight Floats(TensorEntry tensor, Shape shape) =>
        WeightFormat.Find(tensor.Type) is { BlockLength: 1 } format ? Read(tensor, format, shape)
            : throw Wrong(tensor, $"is of type {tensor.Type}, expected floats");

    /// <summary>All elements of a tensor of floats, as many as expected.</summary>
    /// <exception cref="CheckpointException">They are others.</exception>
    public float[] Values(TensorEntry tensor, long count)
    {
        if (tensor.Count != count)
            throw Wrong(tensor, $"has {tensor.Count} elements, expected {count}");
        var values = new float[count];
        Floats(tensor, [checked((int)count)]).Widen(0, values);
        return values;
    }

    /// <summary>A tensor's bytes.</summary>
    public ReadOnlySpan<byte> Bytes(TensorEntry tensor) => source.FileOf(tensor.Name).Bytes(tensor);

    /// <summary>A tensor's bytes as a format and shape that the caller knows of.</summary>
    public StoredWeight Read(TensorEntry tensor, WeightFormat format, Shape shape) =>
        source.FileOf(tensor.Name).ToWeight(tensor, format, shape);

    /// <summary>The error that a tensor is not what it should be.</summary>
    public static CheckpointException Wrong(TensorEntry tensor, string what) => new($"'{tensor.File}': the tensor {tensor.Name} {what}.");
}
