using Attune.Tensors;

namespace Attune.Weights;

/// <summary>A tensor of a component, and what it is in the file: whole, or some rows of a larger one.</summary>
/// <param name="Name">Its name in the component.</param>
/// <param name="Entry">The tensor of the file.</param>
/// <param name="Dimensions">Its extents, where the file has it in another shape; null as there.</param>
/// <param name="Rows">Which rows of the file's tensor it is; null for all.</param>
/// <param name="Transposed">Whether the file has it with its two axes exchanged.</param>
/// <param name="HalvesSwapped">Whether the file has the two halves of its rows the other way round.</param>
internal sealed record RenamedTensor(
    string Name, TensorEntry Entry, IReadOnlyList<long>? Dimensions = null, (int Start, int Length)? Rows = null, bool Transposed = false,
    bool HalvesSwapped = false)
{
    /// <summary>The tensor as the component has it.</summary>
    public TensorEntry Describe()
    {
        var entry = Entry with { Name = Name };
        if (Rows is { } rows)
            entry = entry with
            {
                Dimensions = [rows.Length, .. Entry.Dimensions.Skip(1)], Length = Entry.Length / Entry.Dimensions[0] * rows.Length,
            };
        if (Transposed)
            entry = entry with { Dimensions = [Entry.Dimensions[1], Entry.Dimensions[0]] };
        return Dimensions == null ? entry : entry with { Dimensions = Dimensions };
    }
}

/// <summary>Tensors of a source under other names, or parts of them: one component of a file that holds several.</summary>
internal sealed class RenamedSource : WeightSource
{
    private readonly WeightSource _source;
    private readonly SortedDictionary<string, RenamedTensor> _tensors = new(StringComparer.Ordinal);

    /// <param name="source">The file; this source owns it.</param>
    /// <param name="tensors">What the component has of it.</param>
    /// <exception cref="CheckpointException">Two tensors get one name.</exception>
    public RenamedSource(WeightSource source, IEnumerable<RenamedTensor> tensors)
    {
        _source = source;
        foreach (var tensor in tensors)
        {
            if (!_tensors.TryAdd(tensor.Name, tensor))
                throw new CheckpointException($"'{Path}' holds the tensor {tensor.Name} twice, under two names.");
        }
    }

    /// <inheritdoc/>
    public override string Path => _source.Path;

    /// <inheritdoc/>
    public override IReadOnlyCollection<string> Names => _tensors.Keys;

    /// <inheritdoc/>
    public override TensorEntry? Describe(string name) => _tensors.GetValueOrDefault(name)?.Describe();

    /// <inheritdoc/>
    public override StoredWeight? Find(string name, Shape? expected = null)
    {
        if (!_tensors.TryGetValue(name, out var tensor))
            return null;
        bool asItIs = tensor is { Rows: null, Dimensions: null, Transposed: false };
        var stored = _source.Find(tensor.Entry.Name, asItIs ? expected : null)! with { Name = name };
        if (tensor.Rows is { } rows)
            stored = stored.Rows(rows.Start, rows.Length);
        if (tensor.HalvesSwapped)
            stored = stored.ExchangeHalves();
        if (tensor.Transposed)
            stored = Transpose(stored);
        return tensor.Dimensions == null ? stored : stored.Reshape(tensor.Describe().ToShape());
    }

    /// <inheritdoc/>
    protected override void Dispose(bool disposing) => _source.Dispose();

    private static StoredWeight Transpose(StoredWeight stored)
    {
        using var scope = new TensorScope();
        return StoredWeight.Owning(stored.Name, stored.ToTensor(Devices.Managed).Permute(1, 0));
    }
}
