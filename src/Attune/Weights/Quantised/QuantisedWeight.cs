using Attune.Tensors;

namespace Attune.Weights.Quantised;

/// <summary>A weight that a file holds in several tensors: one object under its own name, which renames and cuts move as a whole.</summary>
/// <param name="Entry">What it is for a model: logical extents, and a type that says how it is stored.</param>
/// <param name="Read">Makes the weight, of the shape that the model expects or null for the entry's. Memory that it needs is the
/// owner's.</param>
internal sealed record QuantisedWeight(TensorEntry Entry, Func<Shape?, MadeMemory, StoredWeight> Read);

/// <summary>Memory that was made for weights, and is freed with their source.</summary>
internal sealed class MadeMemory : IDisposable
{
    private readonly List<WeightBytes> _made = [];

    /// <summary>Room for a weight.</summary>
    public WeightBytes Allocate(long bytes)
    {
        var memory = WeightBytes.Allocate(bytes);
        _made.Add(memory);
        return memory.Slice(0, bytes);
    }

    /// <summary>Floats that stand beside a weight.</summary>
    public StoredWeight Floats(string name, ReadOnlySpan<float> values, Shape shape)
    {
        long bytes = (long)values.Length * sizeof(float);
        var memory = Allocate(bytes);
        values.CopyTo(System.Runtime.InteropServices.MemoryMarshal.Cast<byte, float>(memory.Write(0, checked((int)bytes))));
        return new StoredWeight(name, shape, WeightFormat.Float32, memory);
    }

    /// <summary>Frees it.</summary>
    public void Dispose() => _made.ForEach(memory => memory.Dispose());
}
