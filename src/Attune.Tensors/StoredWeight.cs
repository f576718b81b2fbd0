using System.Collections.ObjectModel;
using System.Diagnostics;

namespace Attune.Tensors;

/// <summary>
/// A parameter of a model as a file states it: never changed, not yet ready to compute with. <see cref="Device.Prepare"/> makes of it what
/// kernels read. It is a view on a mapped file unless it was made (merged, transposed), and then owns its memory.
/// </summary>
[DebuggerDisplay("StoredWeight {Name} {Shape} {Format.Name}")]
public sealed record StoredWeight : IDisposable
{
    /// <summary>The companion that values are multiplied with: one number, or one for each part of equal size that the weight, seen as
    /// rows of the outermost axis, is cut into along rows, columns or both: [rows], [rows, groups], [tiles, tiles].</summary>
    public const string ScaleCompanion = "scale";

    /// <summary>The companion whose numbers the columns are multiplied with, one for each: [columns].</summary>
    public const string ColumnsCompanion = "columns";

    /// <summary>A weight.</summary>
    /// <param name="name">The full name in the checkpoint, for messages.</param>
    /// <param name="shape">Its extents, whatever its container makes of them.</param>
    /// <param name="format">How its elements lie in memory, in row-major order.</param>
    /// <param name="bytes">All of its elements.</param>
    /// <exception cref="ArgumentException">The bytes are not those of so many elements.</exception>
    public StoredWeight(string name, Shape shape, WeightFormat format, WeightBytes bytes)
    {
        ArgumentNullException.ThrowIfNull(format);
        ArgumentNullException.ThrowIfNull(bytes);
        if (bytes.Length != format.BytesOf(shape.Count))
            throw new ArgumentException(
                $"{name}: {bytes.Length} bytes, expected {format.BytesOf(shape.Count)} for {shape} of {format.Name}.", nameof(bytes));
        (Name, Shape, Format, Bytes) = (name, shape, format, bytes);
    }

    /// <summary>The full name in the checkpoint.</summary>
    public string Name { get; init; }

    /// <summary>The extents.</summary>
    public Shape Shape { get; private init; }

    /// <summary>How the elements lie in memory.</summary>
    public WeightFormat Format { get; private init; }

    /// <summary>The elements.</summary>
    public WeightBytes Bytes { get; private init; }

    /// <summary>What belongs to the weight and is stored beside it: <see cref="ScaleCompanion"/>,
    /// <see cref="ColumnsCompanion"/>. A companion may have such in its turn.</summary>
    public IReadOnlyDictionary<string, StoredWeight> Companions { get; init; } = ReadOnlyDictionary<string, StoredWeight>.Empty;

    /// <summary>Low-rank addends that are kept apart, in order; empty unless the user wants LoRA so.</summary>
    public IReadOnlyList<LowRank> LowRank { get; init; } = [];

    /// <summary>A contiguous float32 tensor, which must outlive the weight.</summary>
    /// <exception cref="ArgumentException">The tensor is a strided view.</exception>
    public static StoredWeight Of(string name, Tensor tensor) =>
        new(name, (tensor ?? throw new ArgumentNullException(nameof(tensor))).Shape, WeightFormat.Float32, WeightBytes.Of(tensor));

    /// <summary>A contiguous float32 tensor, which is taken out of its scope and disposed with the weight.</summary>
    /// <exception cref="ArgumentException">The tensor is a strided view.</exception>
    public static StoredWeight Owning(string name, Tensor tensor) =>
        new(name, (tensor ?? throw new ArgumentNullException(nameof(tensor))).Shape, WeightFormat.Float32, WeightBytes.Owning(tensor));

    /// <summary>Some rows of the outermost axis, as a view, with what belongs to them. The whole weight must outlive it.</summary>
    /// <exception cref="ArgumentOutOfRangeException">They do not lie within the axis.</exception>
    /// <exception cref="ArgumentException">They do not begin and end with a block, or with a part that has a scale of its own.</exception>
    public StoredWeight Rows(int start, int length)
    {
        if (start < 0 || length < 0 || start > Shape[0] - length)
            throw new ArgumentOutOfRangeException(nameof(start), $"Rows [{start}, {start} + {length}) of {Name} {Shape}.");
        long columns = Shape.Count / Math.Max(Shape[0], 1);
        var rows = this with
        {
            Shape = Shape.With(0, length),
            Bytes = Bytes.Slice(Format.BytesOf(start * columns), Format.BytesOf(length * columns)),
            LowRank = [.. LowRank.Select(part => part with { Up = part.Up.Rows(start, length) })],
        };
        if (!Companions.TryGetValue(ScaleCompanion, out var scale) || scale.Shape.Count == 1)
            return rows;
        var companions = new Dictionary<string, StoredWeight>(Companions) { [ScaleCompanion] = ScaleOf(scale, start, length) };
        return rows with { Companions = companions };
    }

    /// <summary>
    /// A copy with the two halves of the rows exchanged, in the same format, with what belongs to them. Low-rank addends may not be there.
    /// </summary>
    /// <exception cref="ArgumentException">There is no half, or it does not end with a block or a part that has a scale of its own; or
    /// there are low-rank addends.</exception>
    public StoredWeight ExchangeHalves()
    {
        if (Shape.Rank == 0 || Shape[0] % 2 != 0 || LowRank.Count > 0)
            throw new ArgumentException($"The halves of {Name} {Shape} cannot be exchanged.");
        int half = Shape[0] / 2;
        var (first, second) = (Rows(0, half), Rows(half, half));
        return this with
        {
            Bytes = WeightBytes.Join(second.Bytes, first.Bytes),
            Companions = Companions.TryGetValue(ScaleCompanion, out var scale) && scale.Shape.Count > 1
                ? new Dictionary<string, StoredWeight>(Companions) { [ScaleCompanion] = scale.ExchangeHalves() } : Companions,
        };
    }

    /// <summary>The same elements with another shape.</summary>
    /// <exception cref="ArgumentException">The number of elements differs.</exception>
    public StoredWeight Reshape(Shape shape)
    {
        if (shape.Count != Shape.Count)
            throw new ArgumentException($"{Name} {Shape} cannot be seen as {shape}.", nameof(shape));
        return this with
        {
            Shape = shape,
            LowRank = [.. LowRank.Select(part => part with { Down = part.Down.Reshape(shape.With(0, part.Down.Shape[0])) })],
        };
    }

    /// <summary>Widens some of the elements to float32, without low-rank addends.</summary>
    /// <param name="start">The first of them, in row-major order.</param>
    /// <param name="destination">Where they go; its length says how many.</param>
    /// <exception cref="ArgumentOutOfRangeException">There are not so many.</exception>
    public unsafe void Widen(long start, Span<float> destination)
    {
        if (start < 0 || start > Shape.Count - destination.Length)
            throw new ArgumentOutOfRangeException(nameof(start), $"{destination.Length} elements from {start} of {Name} {Shape}.");
        fixed (float* values = destination)
            new WeightReader(this).Widen(start, values, destination.Length);
    }

    /// <summary>A new tensor with the elements widened to float32, without low-rank addends.</summary>
    /// <param name="device">Where it lives.</param>
    public unsafe Tensor ToTensor(Device device)
    {
        _ = Bytes.Pointer;        // throws before anything is allocated
        var result = Tensor.Empty(device, Shape);
        using var view = result.Write();
        Widen(0, view.Span);
        return result;
    }

    /// <summary>Frees memory that was made for the weight, but not for its companions; does nothing to a file.</summary>
    public void Dispose() => Bytes.Dispose();

    private StoredWeight ScaleOf(StoredWeight scale, int start, int length)
    {
        int rowsPerScale = Shape[0] / scale.Shape[0];
        if (start % rowsPerScale != 0 || length % rowsPerScale != 0)
            throw new ArgumentException(
                $"Rows [{start}, {start} + {length}) of {Name} {Shape} share scales {scale.Shape} with others.", nameof(start));
        return scale.Rows(start / rowsPerScale, length / rowsPerScale);
    }
}

/// <summary>A low-rank addend of a weight: scale Up Down, as LoRA (Hu et al., arXiv 2106.09685) has it.</summary>
/// <param name="Down">[rank, in], or [rank, in, kernel height, kernel width] beside a convolution.</param>
/// <param name="Up">[out, rank].</param>
/// <param name="Scale">What the product is multiplied with.</param>
public sealed record LowRank(StoredWeight Down, StoredWeight Up, float Scale);
