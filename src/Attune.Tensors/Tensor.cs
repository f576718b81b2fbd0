using System.Diagnostics;
using System.Runtime.CompilerServices;

namespace Attune.Tensors;

/// <summary>
/// An array of numbers on a device, with a shape and strides; the innermost axis is always contiguous. Slices and reshapes are views that
/// share the storage. A tensor is owned by the <see cref="TensorScope"/> it was created in, or by its creator; using one after it was
/// disposed throws. Operations are in <see cref="TensorOperations"/>; the host sees elements through <see cref="Read"/> and
/// <see cref="Write"/>.
/// </summary>
[DebuggerDisplay("Tensor {Shape}")]
public sealed unsafe class Tensor : IDisposable
{
    private readonly StrideList _strides;
    private Storage? _storage;
    private readonly float* _pointer;

    private Tensor(Storage storage, long offset, Shape shape, in StrideList strides, Device device)
    {
        storage.AddReference();
        _storage = storage;
        if (storage is HostStorage host)
            _pointer = host.Pointer + offset;
        Offset = offset;
        Shape = shape;
        _strides = strides;
        Device = device;
        Precision = storage.Precision;
        TensorMemory.CountTensor(1);
        TensorScope.Register(this);
    }

    /// <summary>The extents, outermost first.</summary>
    public Shape Shape { get; }

    /// <summary>Where the tensor lives and which kernels act on it.</summary>
    public Device Device { get; }

    /// <summary>What the elements are held in; on the CPU always <see cref="Precision.Float32"/>.</summary>
    public Precision Precision { get; }

    /// <summary>The number of elements.</summary>
    public long Count => Shape.Count;

    /// <summary>Whether <see cref="Dispose"/> was called.</summary>
    public bool IsDisposed => _storage == null;

    /// <summary>Whether the elements lie in memory one after the other, in row-major order.</summary>
    public bool IsContiguous
    {
        get
        {
            long expected = 1;
            for (int axis = Shape.Rank - 1; axis >= 0; axis--)
            {
                if (Shape[axis] != 1 && _strides[axis] != expected)
                    return false;
                expected *= Shape[axis];
            }
            return true;
        }
    }

    /// <summary>The first element, for kernels of the CPU. Valid until the tensor is disposed.</summary>
    /// <exception cref="ObjectDisposedException">The tensor is disposed.</exception>
    /// <exception cref="InvalidOperationException">The host cannot reach the tensor's storage.</exception>
    internal float* Pointer
    {
        get
        {
            ObjectDisposedException.ThrowIf(_storage == null, this);
            return _pointer != null ? _pointer : throw OutOfReach();
        }
    }

    /// <summary>What the elements lie in: its device alone understands it.</summary>
    /// <exception cref="ObjectDisposedException">The tensor is disposed.</exception>
    internal Storage Storage
    {
        get
        {
            ObjectDisposedException.ThrowIf(_storage == null, this);
            return _storage;
        }
    }

    /// <summary>Where in its storage the first element lies, counted in elements.</summary>
    internal long Offset { get; }

    internal TensorScope? Scope { get; set; }

    internal int ScopeIndex { get; set; }

    /// <summary>A new tensor of undefined content on a device.</summary>
    /// <param name="device">Where it lives and which kernels act on it.</param>
    /// <param name="shape">Its extents.</param>
    public static Tensor Empty(Device device, Shape shape)
    {
        ArgumentNullException.ThrowIfNull(device);
        return Empty(device, shape, Precision.Float32);
    }

    /// <summary>A new tensor of zeros on a device.</summary>
    public static Tensor Zeros(Device device, Shape shape) => Full(device, shape, 0);

    /// <summary>A new tensor with the same value everywhere, on a device.</summary>
    public static Tensor Full(Device device, Shape shape, float value)
    {
        var tensor = Empty(device, shape);
        tensor.Fill(value);
        return tensor;
    }

    /// <summary>A new tensor on a device with a copy of the given values, in row-major order.</summary>
    /// <exception cref="ArgumentException">The number of values is not that of the shape.</exception>
    public static Tensor From(Device device, ReadOnlySpan<float> values, Shape shape)
    {
        if (values.Length != shape.Count)
            throw new ArgumentException($"{values.Length} values do not fill the shape {shape}.", nameof(values));
        var tensor = Empty(device, shape);
        using var view = tensor.Write();
        values.CopyTo(view.Span);
        return tensor;
    }

    /// <summary>A new tensor of undefined content, on the same device and in the same precision.</summary>
    public Tensor Like(Shape shape) => Empty(Device, shape, Precision);

    /// <summary>
    /// The elements for the host to read: on the CPU the memory itself, elsewhere a copy. To be disposed before the next operation.
    /// </summary>
    /// <exception cref="ObjectDisposedException">The tensor is disposed.</exception>
    public HostView Read() => Device.Map(this, HostAccess.Read);

    /// <summary>
    /// The elements for the host to write, all of them: what the view holds before is undefined. On the CPU it is the memory itself,
    /// elsewhere what was written is given to the device when the view is disposed, which must be before the next operation.
    /// </summary>
    /// <exception cref="ObjectDisposedException">The tensor is disposed.</exception>
    public HostView Write() => Device.Map(this, HostAccess.Write);

    /// <summary>The distance in elements between neighbours along an axis.</summary>
    public long Stride(Index axis) => _strides[axis.GetOffset(Shape.Rank)];

    /// <summary>The elements of a contiguous tensor.</summary>
    /// <exception cref="InvalidOperationException">The tensor is a strided view, or has 2^31 elements or more.</exception>
    internal Span<float> Span
    {
        get
        {
            if (!IsContiguous)
                throw new InvalidOperationException($"The tensor {Shape} is a strided view; it has no span.");
            if (Count > int.MaxValue)
                throw new InvalidOperationException($"The tensor {Shape} has {Count} elements; a span ends at {int.MaxValue}.");
            return new Span<float>(Pointer, (int)Count);
        }
    }

    /// <summary>The innermost axis at the given outer coordinates: <c>x.Row(b, t)</c> of a tensor [batch, tokens, channels].</summary>
    internal Span<float> Row(params ReadOnlySpan<int> coordinates)
    {
        if (coordinates.Length != Shape.Rank - 1)
            throw new ArgumentException(
                $"A row of {Shape} needs {Shape.Rank - 1} coordinates, not {coordinates.Length}.", nameof(coordinates));
        float* row = Pointer;
        for (int axis = 0; axis < coordinates.Length; axis++)
        {
            if ((uint)coordinates[axis] >= (uint)Shape[axis])
                throw new ArgumentOutOfRangeException(nameof(coordinates), $"Coordinate {coordinates[axis]} on axis {axis} of {Shape}.");
            row += coordinates[axis] * _strides[axis];
        }
        return new Span<float>(row, Shape[^1]);
    }

    /// <summary>A view of a part of one axis.</summary>
    /// <exception cref="ArgumentOutOfRangeException">The part does not lie within the axis.</exception>
    public Tensor Slice(Index axis, int start, int length)
    {
        int a = axis.GetOffset(Shape.Rank);
        if (start < 0 || length < 0 || start > Shape[a] - length)
            throw new ArgumentOutOfRangeException(nameof(start), $"[{start}, {start} + {length}) on axis {a} of {Shape}.");
        return new Tensor(Storage, Offset + start * _strides[a], Shape.With(a, length), _strides, Device);
    }

    /// <summary>A view of <paramref name="count"/> places of an outer axis, <paramref name="step"/> apart.</summary>
    /// <exception cref="ArgumentOutOfRangeException">The places do not lie within the axis.</exception>
    public Tensor Slice(Index axis, int start, int count, int step)
    {
        int a = axis.GetOffset(Shape.Rank);
        if (start < 0 || count < 1 || step < 1 || a == Shape.Rank - 1 || start + (count - 1L) * step >= Shape[a])
            throw new ArgumentOutOfRangeException(nameof(start), $"{count} places from {start}, {step} apart, on axis {a} of {Shape}.");
        var strides = _strides;
        strides[a] *= step;
        return new Tensor(Storage, Offset + start * _strides[a], Shape.With(a, count), strides, Device);
    }

    /// <summary>A view with another shape over the same elements in the same order. One extent may be -1: it is computed.</summary>
    /// <exception cref="ArgumentException">The number of elements differs, or the strides do not allow a view: then copy first
    /// (<see cref="TensorOperations.Contiguous"/>).</exception>
    public Tensor Reshape(params ReadOnlySpan<int> axes)
    {
        var shape = Infer(axes);
        if (!TryStrides(shape, out var strides))
            throw new ArgumentException($"The strided view {Shape} cannot be seen as {shape} without a copy.", nameof(axes));
        return new Tensor(Storage, Offset, shape, strides, Device);
    }

    /// <summary>A view with another shape.</summary>
    /// <inheritdoc cref="Reshape(ReadOnlySpan{int})"/>
    public Tensor Reshape(Shape shape)
    {
        Span<int> axes = stackalloc int[Shape.MaxRank];
        shape.CopyTo(axes);
        return Reshape(axes[..shape.Rank]);
    }

    /// <summary>A view in which an axis of extent 1 appears <paramref name="extent"/> times, without a copy. Only for reading.</summary>
    public Tensor Expand(Index axis, int extent)
    {
        int a = axis.GetOffset(Shape.Rank);
        if (Shape[a] == extent)
            return new Tensor(Storage, Offset, Shape, _strides, Device);
        if (Shape[a] != 1 || a == Shape.Rank - 1)
            throw new ArgumentException($"Only an outer axis of extent 1 can be expanded, not axis {a} of {Shape}.", nameof(axis));
        var strides = _strides;
        strides[a] = 0;
        return new Tensor(Storage, Offset, Shape.With(a, extent), strides, Device);
    }

    /// <summary>A second handle to the same elements, with its own lifetime.</summary>
    public Tensor View() => new(Storage, Offset, Shape, _strides, Device);

    /// <summary>Sets every element.</summary>
    public void Fill(float value) => Device.Fill(this, value);

    /// <summary>The elements in row-major order, in a managed array.</summary>
    public float[] ToArray()
    {
        var result = new float[checked((int)Count)];
        using var view = Read();
        view.CopyTo(result);
        return result;
    }

    /// <summary>Frees the storage once no view uses it. Disposing twice does nothing.</summary>
    public void Dispose()
    {
        var storage = _storage;
        if (storage == null)
            return;
        _storage = null;
        Scope?.Remove(this);
        TensorMemory.CountTensor(-1);
        storage.Release();
    }

    private static Tensor Empty(Device device, Shape shape, Precision precision)
    {
        var storage = device.Allocate(shape.Count, precision);
        var strides = new StrideList();
        long stride = 1;
        for (int axis = shape.Rank - 1; axis >= 0; axis--)
        {
            strides[axis] = stride;
            stride *= shape[axis];
        }
        return new Tensor(storage, 0, shape, strides, device);
    }

    private InvalidOperationException OutOfReach() => new(
        $"The tensor {Shape} lies on '{Device.Name}', out of the host's reach: no kernel of the CPU can run on it.");

    private Shape Infer(ReadOnlySpan<int> axes)
    {
        Span<int> resolved = stackalloc int[Shape.MaxRank];
        if (axes.Length > Shape.MaxRank)
            throw new ArgumentException($"A shape has at most {Shape.MaxRank} axes, not {axes.Length}.", nameof(axes));
        axes.CopyTo(resolved);
        resolved = resolved[..axes.Length];
        int open = resolved.IndexOf(-1);
        if (open >= 0)
        {
            long others = 1;
            for (int i = 0; i < resolved.Length; i++)
                others *= i == open ? 1 : resolved[i];
            resolved[open] = others == 0 ? 0 : (int)(Count / others);
        }
        Shape shape = Shape.Create(resolved);
        if (shape.Count != Count)
            throw new ArgumentException($"The shape {shape} has {shape.Count} elements, the tensor {Shape} has {Count}.", nameof(axes));
        return shape;
    }

    /// <summary>Strides of a view with the given shape, if the elements can be reached that way.</summary>
    private bool TryStrides(Shape shape, out StrideList strides)
    {
        strides = new StrideList();
        int source = Shape.Rank - 1;
        int target = shape.Rank - 1;
        while (target >= 0)
        {
            // The smallest group of source axes that holds a whole group of target axes; it must be evenly spaced.
            long stride = source >= 0 ? _strides[source] : 1;
            long have = 1;
            while (source >= 0 && (have == 1 || Shape[source] == 1 || _strides[source] == stride * have))
            {
                if (have == 1 && Shape[source] != 1)
                    stride = _strides[source];
                have *= Shape[source--];
                if (Count == 0)
                    break;
            }
            long taken = 1;
            while (target >= 0 && (taken * shape[target] <= have) && have % (taken * shape[target]) == 0)
            {
                strides[target] = stride * taken;
                taken *= shape[target--];
            }
            if (Count == 0)
                return true;
            if (taken != have)
                return false;
        }
        for (; source >= 0; source--)
        {
            if (Shape[source] != 1)
                return false;
        }
        return true;
    }

    [InlineArray(Shape.MaxRank)]
    private struct StrideList
    {
        private long _first;
    }
}
