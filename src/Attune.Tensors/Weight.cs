using System.Diagnostics;
using System.Runtime.CompilerServices;

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
    private readonly Weight? _slices;

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
            throw new ArgumentOutOfRangeException(
                nameof(offset),
                $"{name}: {shape.Count * type.Size()} bytes at {offset} do not lie within '{file.Path}' ({file.Length} bytes).");
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

    /// <summary>The same elements, with time slices of them beside.</summary>
    private Weight(Weight weight, Weight slices) =>
        (Name, Shape, Type, _file, _tensor, _offset, _slices) = (
            weight.Name, weight.Shape, weight.Type, weight._file, weight._tensor, weight._offset, slices);

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

    /// <summary>
    /// This weight of a <see cref="Device.CausalConv3d"/> with copies of its time slices, each of which is scattered in PyTorch's order, so
    /// that they are not copied in every call and that devices can keep what they make of them. It costs as much memory as the weight, in
    /// the stored type.
    /// </summary>
    /// <param name="memory">What the slices lie in. It is in no scope: the caller disposes it after the last use.</param>
    /// <exception cref="InvalidOperationException">The weight is not [out, in, kernel frames, kernel height, kernel width].</exception>
    /// <exception cref="ObjectDisposedException">The file or tensor was disposed.</exception>
    public Weight WithTimeSlices(out Tensor memory)
    {
        RequireFrames();
        _ = Pointer;        // throws before anything is allocated
        var s = Shape;
        memory = TensorScope.Detach(Tensor.Empty([s[2], RoomForSlice()]));
        var slices = new Weight(Name, memory, [s[2], s[0], s[1], s[3], s[4]], Type, 0);
        for (int k = 0; k < s[2]; k++)
            CopySlice(k, (byte*)memory.Pointer + k * (s.Count / s[2]) * Type.Size());
        return new Weight(this, slices);
    }

    /// <summary>
    /// weight[:, :, index] of [out, in, kernel frames, kernel height, kernel width]: [out, in, kernel height, kernel width], contiguous.
    /// </summary>
    /// <param name="index">The kernel's frame.</param>
    /// <param name="copy">What the slice lies in, where it had to be copied: the caller disposes it. Else null.</param>
    internal Weight TimeSlice(int index, out Tensor? copy)
    {
        RequireFrames();
        copy = null;
        Shape slice = [Shape[0], Shape[1], Shape[3], Shape[4]];
        if (_slices != null)
            return _slices.Rows(index, 1).Reshape(slice);
        if (Shape[2] == 1)
            return Reshape(slice);
        _ = Pointer;        // throws before anything is allocated
        copy = TensorScope.Detach(Tensor.Empty([RoomForSlice()]));
        CopySlice(index, (byte*)copy.Pointer);
        return new Weight(Name, copy, slice, Type, 0);
    }

    /// <summary>Floats that a slice fits into.</summary>
    private int RoomForSlice() => checked((int)((Shape.Count / Shape[2] * Type.Size() + sizeof(float) - 1) / sizeof(float)));

    private void RequireFrames()
    {
        if (Shape.Rank != 5 || Shape[2] == 0)
            throw new InvalidOperationException(
                $"{Name} {Shape} has no time slices, expected [out, in, kernel frames, kernel height, kernel width].");
    }

    /// <summary>Gathers a slice: a run of the kernel's height and width for each pair of an output and an input.</summary>
    private void CopySlice(int index, byte* target)
    {
        int inputs = Shape[1];
        long run = (long)Shape[3] * Shape[4] * Type.Size();
        long step = Shape[2] * run;
        byte* source = (byte*)Pointer + index * run;
        Workers.For(Shape[0], output =>
        {
            byte* from = source + output * inputs * step;
            byte* to = target + output * inputs * run;
            for (int i = 0; i < inputs; i++, from += step, to += run)
                Unsafe.CopyBlockUnaligned(to, from, (uint)run);
        });
    }

    /// <summary>Widens elements [start, start + count) to float32.</summary>
    /// <param name="start">The first element, in row-major order.</param>
    /// <param name="destination">Where to write.</param>
    /// <param name="count">How many.</param>
    public void Widen(long start, float* destination, long count) =>
        Conversion.Widen((byte*)Pointer + start * Type.Size(), Type, destination, count);

    /// <summary>A new tensor with the elements widened to float32.</summary>
    public Tensor ToTensor()
    {
        _ = Pointer;        // throws before anything is allocated
        var result = Tensor.Empty(Shape);
        Widen(0, result.Pointer, Count);
        return result;
    }
}
