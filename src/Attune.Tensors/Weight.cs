using System.Diagnostics;

namespace Attune.Tensors;

/// <summary>
/// A parameter of a model: a read-only view, in the type it was stored in, on a memory-mapped file or on a tensor. Kernels widen it to
/// float32 while they use it. A weight owns nothing: it is valid as long as its file or tensor is.
/// </summary>
[DebuggerDisplay("Weight {Name} {Shape} {Type}")]
public sealed unsafe class Weight
{
    private readonly MappedFile? _file;
    private readonly Tensor? _tensor;
    private readonly long _offset;

    /// <summary>A weight in a mapped file.</summary>
    /// <param name="name">The full name in the checkpoint, for messages.</param>
    /// <param name="shape">Its extents.</param>
    /// <param name="type">Its stored type.</param>
    /// <param name="file">The mapped file.</param>
    /// <param name="offset">Where it begins, in bytes; any alignment.</param>
    /// <exception cref="ArgumentOutOfRangeException">The weight does not lie within the file.</exception>
    public Weight(string name, Shape shape, DataType type, MappedFile file, long offset)
    {
        ArgumentNullException.ThrowIfNull(file);
        if (offset < 0 || offset > file.Length - shape.Count * type.Size())
            throw new ArgumentOutOfRangeException(nameof(offset), $"{name}: {shape.Count * type.Size()} bytes at {offset} do not lie within '{file.Path}' ({file.Length} bytes).");
        (Name, Shape, Type, _file, _offset) = (name, shape, type, file, offset);
    }

    /// <summary>A weight that is a contiguous float32 tensor, which must outlive it.</summary>
    /// <exception cref="ArgumentException">The tensor is a strided view.</exception>
    public Weight(string name, Tensor tensor)
        : this(name, tensor, (tensor ?? throw new ArgumentNullException(nameof(tensor))).Shape, DataType.Float32, 0)
    {
        if (!tensor.IsContiguous)
            throw new ArgumentException($"{name}: a weight must be contiguous.", nameof(tensor));
    }

    private Weight(string name, Tensor tensor, Shape shape, DataType type, long offset) =>
        (Name, Shape, Type, _tensor, _offset) = (name, shape, type, tensor, offset);

    /// <summary>
    /// A weight of a 16-bit type whose elements lie in the memory of a tensor (half as many floats, at least): for weights that are made
    /// rather than loaded.
    /// </summary>
    public static Weight Packed(string name, Tensor memory, Shape shape, DataType type)
    {
        ArgumentNullException.ThrowIfNull(memory);
        if (!memory.IsContiguous || memory.Count * sizeof(float) < shape.Count * type.Size())
            throw new ArgumentException($"{name}: {shape} of {type} does not fit into the tensor {memory.Shape}.", nameof(memory));
        return new Weight(name, memory, shape, type, 0);
    }

    /// <summary>The full name in the checkpoint.</summary>
    public string Name { get; }

    /// <summary>The extents.</summary>
    public Shape Shape { get; }

    /// <summary>The stored type.</summary>
    public DataType Type { get; }

    /// <summary>The file or tensor that the elements lie in.</summary>
    internal object Owner => (object?)_file ?? _tensor!;

    /// <summary>The number of elements.</summary>
    public long Count => Shape.Count;

    /// <summary>The first element, in the stored type; not necessarily aligned.</summary>
    /// <exception cref="ObjectDisposedException">The file or tensor was disposed.</exception>
    public void* Pointer => (_file != null ? _file.Pointer : (byte*)_tensor!.Pointer) + _offset;

    /// <summary>A part of the outermost axis, as a view.</summary>
    /// <exception cref="ArgumentOutOfRangeException">The part does not lie within the axis.</exception>
    public Weight Rows(int start, int length)
    {
        if (start < 0 || length < 0 || start > Shape[0] - length)
            throw new ArgumentOutOfRangeException(nameof(start), $"Rows [{start}, {start} + {length}) of {Name} {Shape}.");
        long offset = _offset + start * (Shape.Count / Math.Max(Shape[0], 1)) * Type.Size();
        var shape = Shape.With(0, length);
        return _file != null ? new Weight(Name, shape, Type, _file, offset) : new Weight(Name, _tensor!, shape, Type, offset);
    }

    /// <summary>The same elements with another shape.</summary>
    /// <exception cref="ArgumentException">The number of elements differs.</exception>
    public Weight Reshape(Shape shape)
    {
        if (shape.Count != Shape.Count)
            throw new ArgumentException($"{Name} {Shape} cannot be seen as {shape}.", nameof(shape));
        return _file != null ? new Weight(Name, shape, Type, _file, _offset) : new Weight(Name, _tensor!, shape, Type, _offset);
    }

    /// <summary>Widens elements [start, start + count) to float32.</summary>
    /// <param name="start">The first element, in row-major order.</param>
    /// <param name="destination">Where to write.</param>
    /// <param name="count">How many.</param>
    public void Widen(long start, float* destination, long count) => Conversion.Widen((byte*)Pointer + start * Type.Size(), Type, destination, count);

    /// <summary>A new tensor with the elements widened to float32.</summary>
    public Tensor ToTensor()
    {
        _ = Pointer;        // throws before anything is allocated
        var result = Tensor.Empty(Shape);
        Widen(0, result.Pointer, Count);
        return result;
    }
}
