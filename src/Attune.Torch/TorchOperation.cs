using System.Runtime.InteropServices;
using System.Runtime.Intrinsics.X86;
using System.Text;
using Attune.Tensors;

namespace Attune.Torch;

/// <summary>
/// What a primitive does on the device's thread: makes views of tensors, calls operators on them, stores results. Every handle that is
/// made belongs to the operation and is freed at its end; arguments of operators are slots of 64 bits (<see cref="Some"/>,
/// <see cref="Pass"/>, ...) in the order of the operator's schema, which results overwrite.
/// </summary>
internal sealed unsafe class TorchOperation(TorchDevice device, TorchFunctions torch)
{
    /// <summary>What the functions were when this was written: how they read the slots.</summary>
    private const ulong BuiltFor = 2UL << 56 | 10UL << 48;

    private const int MaxSlots = 24;

    /// <summary>The end of a message where the library does not tell why an operator failed.</summary>
    public const string NoReason = " (libtorch's own words are on the standard error stream)";

    private readonly List<nint> _handles = [];
    private readonly HashSet<nint> _operands = [];
    private readonly List<Shape> _shapes = [];
    private readonly Dictionary<string, nint> _constants = [];
    private long _live;

    /// <summary>Handles that were made and not freed, on this device, without those of constants.</summary>
    public long LiveHandles => Interlocked.Read(ref _live) - _constants.Count;

    /// <summary>The type of what is multiplied, and of what layers give, by libtorch's number.</summary>
    public int Computed { get; } = device.Precision switch
    {
        Precision.BFloat16 => torch.BFloat16,
        Precision.Float16 => torch.Float16,
        _ => torch.Float32,
    };

    /// <summary>
    /// The type in which operators are given what is multiplied. It is float32 on processors for which libtorch has no fast product of
    /// fewer bits: oneDNN takes bfloat16 from AVX-512 on, and libtorch's own kernels are several times slower than those for float32. The
    /// numbers are those of <see cref="Computed"/> all the same: their products are exact in float32, and sums are float32 either way.
    /// </summary>
    public int Factors { get; } = device.Precision == Precision.Float32 || (device.Type == torch.Cpu && !MultipliesHalves(device.Precision))
        ? torch.Float32
        : device.Precision == Precision.BFloat16 ? torch.BFloat16
        : torch.Float16;

    public TorchFunctions Torch => torch;

    /// <summary>The shapes of the tensors so far, for messages.</summary>
    public string Shapes => string.Join(", ", _shapes);

    /// <summary>Frees what was made.</summary>
    public void End()
    {
        for (int i = _handles.Count - 1; i >= 0; i--)
            Delete(_handles[i]);
        _handles.Clear();
        _operands.Clear();
        _shapes.Clear();
    }

    /// <summary>How much was made so far, for <see cref="FreeSince"/>.</summary>
    public int Mark => _handles.Count;

    /// <summary>Frees what was made since a mark, but one handle.</summary>
    public nint FreeSince(int mark, nint kept)
    {
        for (int i = _handles.Count - 1; i >= mark; i--)
        {
            if (_handles[i] != kept)
                Delete(_handles[i]);
        }
        bool made = _handles.IndexOf(kept, mark) >= 0;
        _handles.RemoveRange(mark, _handles.Count - mark);
        if (made)
            _handles.Add(kept);
        return kept;
    }

    /// <summary>Frees a handle that no operation owns.</summary>
    public void Delete(nint handle)
    {
        _ = torch.Delete(handle);
        Interlocked.Decrement(ref _live);
    }

    /// <summary>Takes a handle out of the operation: the caller frees it.</summary>
    public nint Release(nint handle)
    {
        _handles.Remove(handle);
        return handle;
    }

    // ---- tensors

    /// <summary>A view of a tensor, as it is.</summary>
    public nint View(Tensor tensor)
    {
        long* sizes = stackalloc long[Shape.MaxRank], strides = stackalloc long[Shape.MaxRank];
        int rank = Layout(tensor, sizes, strides);
        return View(tensor, new ReadOnlySpan<long>(sizes, rank), new ReadOnlySpan<long>(strides, rank));
    }

    /// <summary>A view of a tensor with its axes in another order.</summary>
    public nint View(Tensor tensor, ReadOnlySpan<int> axes)
    {
        long* sizes = stackalloc long[Shape.MaxRank], strides = stackalloc long[Shape.MaxRank];
        for (int i = 0; i < axes.Length; i++)
            (sizes[i], strides[i]) = (tensor.Shape[axes[i]], tensor.Stride(axes[i]));
        return View(tensor, new ReadOnlySpan<long>(sizes, axes.Length), new ReadOnlySpan<long>(strides, axes.Length));
    }

    /// <summary>A view of a tensor with extents and strides of its own.</summary>
    public nint View(Tensor tensor, ReadOnlySpan<long> sizes, ReadOnlySpan<long> strides)
    {
        var storage = device.Of(tensor, out long offset);
        _shapes.Add(tensor.Shape);
        if (storage.Handle == 0)
        {
            if (tensor.Count > 0)
                throw new InvalidOperationException($"The tensor {tensor.Shape} is read before anything was written to it.");
            return Empty(sizes, torch.Float32);
        }
        _operands.Add(storage.Data);
        return Reinterpret(storage.Handle, sizes, strides, offset);
    }

    /// <summary>As <see cref="View(Tensor)"/>, in float32.</summary>
    public nint Wide(Tensor tensor) => As(View(tensor), torch.Float32);

    /// <summary>As <see cref="View(Tensor)"/>, as a factor of a product.</summary>
    public nint Factor(Tensor tensor) => Factor(View(tensor));

    /// <summary>Numbers of <see cref="Computed"/>, in the type that operators multiply.</summary>
    public nint Factor(nint handle) => As(As(handle, Computed), Factors);

    /// <summary>A view of memory with other extents.</summary>
    public nint Reinterpret(nint handle, ReadOnlySpan<long> sizes, ReadOnlySpan<long> strides, long offset = 0)
    {
        nint result;
        fixed (long* s = sizes, t = strides)
            Check(torch.Reinterpret(handle, sizes.Length, s, t, offset, &result), "a view");
        return Own(result);
    }

    /// <summary>Contiguous memory of undefined content on the device.</summary>
    public nint Empty(ReadOnlySpan<long> sizes, int type)
    {
        long* strides = stackalloc long[Math.Max(sizes.Length, 1)];
        Contiguous(sizes, strides);
        nint result;
        fixed (long* s = sizes)
        {
            if (torch.EmptyStrided(sizes.Length, s, strides, type, device.Type, device.Index, &result) != 0)
            {
                throw device.OutOfMemory(sizes.ToArray(), Reason());
            }
        }
        return Own(result);
    }

    /// <summary>Memory of the host as a tensor, which it must outlive.</summary>
    public nint Blob(void* memory, ReadOnlySpan<long> sizes, int type)
    {
        long* strides = stackalloc long[Math.Max(sizes.Length, 1)];
        Contiguous(sizes, strides);
        nint result;
        fixed (long* s = sizes)
            Check(torch.FromBlob(memory, sizes.Length, s, strides, 0, type, torch.Cpu, 0, &result), "a view of the host's memory");
        return Own(result);
    }

    /// <summary>A number, as a tensor without axes.</summary>
    public nint Number(float value)
    {
        nint result;
        Check(torch.Number(value, &result), "a number");
        return Own(result);
    }

    /// <summary>A byte, as a tensor without axes.</summary>
    public nint Byte(byte value)
    {
        nint result;
        Check(torch.ByteNumber(value, &result), "a number");
        return Own(result);
    }

    /// <summary>The same bytes as another type.</summary>
    public nint ViewAs(nint handle, int type)
    {
        nint result;
        Check(torch.ViewAs(handle, type, &result), "a view as another type");
        return Own(result);
    }

    /// <summary>Contiguous float32 numbers of the host, on the device.</summary>
    public nint Upload(ReadOnlySpan<float> values, ReadOnlySpan<long> sizes)
    {
        fixed (float* memory = values)
            return Upload(memory, sizes, torch.Float32);
    }

    /// <summary>Whole numbers, on the device. They stay there: a card would else wait for them each time.</summary>
    public nint Constant(ReadOnlySpan<long> values) => Constant(MemoryMarshal.AsBytes(values), [values.Length], torch.Int64);

    /// <summary>Numbers of float32, on the device, where they stay.</summary>
    public nint Constant(ReadOnlySpan<float> values) => Constant(MemoryMarshal.AsBytes(values), [values.Length], torch.Float32);

    /// <summary>Bytes, on the device, where they stay.</summary>
    public nint Constant(ReadOnlySpan<byte> values, ReadOnlySpan<long> sizes) => Constant(values, sizes, torch.Byte);

    /// <summary>Frees what stays, when the device ends.</summary>
    public void FreeConstants()
    {
        foreach (nint handle in _constants.Values)
            Delete(handle);
        _constants.Clear();
    }

    /// <summary>The same numbers in a type; the tensor itself where it has that.</summary>
    public nint As(nint handle, int type) => TypeOf(handle) == type ? handle : Clone(handle, type);

    /// <summary>A contiguous copy.</summary>
    public nint Clone(nint handle) => Clone(handle, TypeOf(handle));

    /// <summary>A contiguous copy in a type.</summary>
    public nint Clone(nint handle, int type)
    {
        nint result = Empty(SizesOf(handle), type);
        Copy(result, handle);
        return result;
    }

    /// <summary>Copies elements, whatever the types and strides.</summary>
    public void Copy(nint to, nint from) => Check(torch.Copy(to, from, 0), "copy_");

    /// <summary>The tensor itself where its elements lie one after the other, else a copy.</summary>
    public nint Contiguous(nint handle) => IsContiguous(handle) ? handle : Clone(handle);

    /// <summary>The elements with other extents; a copy where a view cannot show them.</summary>
    public nint Reshape(nint handle, ReadOnlySpan<long> sizes)
    {
        handle = Contiguous(handle);
        long* strides = stackalloc long[Math.Max(sizes.Length, 1)];
        Contiguous(sizes, strides);
        return Reinterpret(handle, sizes, new ReadOnlySpan<long>(strides, sizes.Length));
    }

    /// <summary>A view with the axes in another order.</summary>
    public nint Permute(nint handle, ReadOnlySpan<int> axes)
    {
        var sizes = SizesOf(handle);
        var strides = StridesOf(handle);
        Span<long> newSizes = stackalloc long[axes.Length], newStrides = stackalloc long[axes.Length];
        for (int i = 0; i < axes.Length; i++)
            (newSizes[i], newStrides[i]) = (sizes[axes[i]], strides[axes[i]]);
        return Reinterpret(handle, newSizes, newStrides);
    }

    public ReadOnlySpan<long> SizesOf(nint handle)
    {
        long rank;
        long* sizes;
        Check(torch.Rank(handle, &rank), "get_dim");
        Check(torch.Sizes(handle, &sizes), "get_sizes");
        return new ReadOnlySpan<long>(sizes, (int)rank);
    }

    public ReadOnlySpan<long> StridesOf(nint handle)
    {
        long rank;
        long* strides;
        Check(torch.Rank(handle, &rank), "get_dim");
        Check(torch.Strides(handle, &strides), "get_strides");
        return new ReadOnlySpan<long>(strides, (int)rank);
    }

    public int TypeOf(nint handle)
    {
        int type;
        Check(torch.TypeOf(handle, &type), "get_dtype");
        return type;
    }

    public int BytesOf(int type) =>
        type == torch.Int64 || type == torch.Float64 ? 8
            : type == torch.Float32 ? 4
            : type == torch.BFloat16 || type == torch.Float16 ? 2
            : 1;

    // ---- results

    /// <summary>
    /// Writes a result into a tensor or view. One that fills the whole of its storage is taken over where it is memory of its own; else
    /// it is copied, after the storage was widened if the result is wider.
    /// </summary>
    public void Store(Tensor output, nint result)
    {
        var storage = device.Of(output, out long offset);
        if (output.Count == 0)
            return;
        int type = TypeOf(result);
        if (type != torch.Float32 && type != torch.BFloat16 && type != torch.Float16)
            result = As(result, type = torch.Float32);
        if (offset == 0 && output.Count == storage.Elements && output.IsContiguous)
        {
            result = Contiguous(result);
            if (!IsWhole(result, storage.Elements, type))
                result = Clone(result);
            storage.Take(Release(result), type, Data(result), storage.Elements * BytesOf(type));
            return;
        }
        if (storage.Handle == 0)
            Fresh(storage, type);
        else if (BytesOf(type) > BytesOf(storage.Type))
            Replace(storage, Clone(storage.Handle, type), type);
        else if (type != storage.Type && type != torch.Float32 && BytesOf(type) == 2)
            Replace(storage, Clone(storage.Handle, torch.Float32), torch.Float32);
        Copy(View(output), result);
    }

    /// <summary>Memory for a storage of which a part is written first.</summary>
    public void Fresh(TorchStorage storage, int type)
    {
        nint memory = Empty([storage.Elements], type);
        if (TorchDevice.PoisonNewTensors)
            Check(torch.Fill(memory, double.NaN), "fill_");
        Replace(storage, memory, type);
    }

    // ---- operators

    /// <summary>Calls an operator of one result.</summary>
    /// <param name="name">Its name, ending in a zero byte, as UTF-8 literals do.</param>
    /// <param name="overload">Which of that name.</param>
    /// <param name="arguments">All of them.</param>
    public nint Call(ReadOnlySpan<byte> name, ReadOnlySpan<byte> overload, params ReadOnlySpan<ulong> arguments)
    {
        ulong* slots = stackalloc ulong[MaxSlots];
        Call(name, overload, arguments, slots);
        return Own((nint)slots[0]);
    }

    /// <summary>Calls an operator of several results, of which the first are tensors that are wanted.</summary>
    /// <param name="name">Its name, ending in a zero byte, as UTF-8 literals do.</param>
    /// <param name="kinds">What the results are: t for a tensor that is wanted, d for one that is not, - for what is no tensor.</param>
    /// <param name="arguments">All of them.</param>
    public (nint First, nint Second) CallSeveral(ReadOnlySpan<byte> name, string kinds, params ReadOnlySpan<ulong> arguments)
    {
        ulong* slots = stackalloc ulong[MaxSlots];
        Call(name, ""u8, arguments, slots);
        for (int i = 0; i < kinds.Length; i++)
        {
            if (kinds[i] != '-' && slots[i] != 0)
                Own((nint)slots[i]);
        }
        return ((nint)slots[0], (nint)slots[1]);
    }

    /// <summary>A tensor as an argument: the operator takes a handle of its own.</summary>
    public ulong Pass(nint handle)
    {
        nint result;
        Check(torch.NewHandle(handle, &result), "a handle");
        return (ulong)result;
    }

    /// <summary>A tensor, or none where the handle is 0, as an optional argument.</summary>
    public ulong PassOrNone(nint handle) => handle == 0 ? 0 : Some(Pass(handle));

    /// <summary>A value as an optional argument: eight bytes that the operator frees.</summary>
    public static ulong Some(ulong value)
    {
        ulong* place = (ulong*)NativeMemory.Alloc(sizeof(ulong));
        *place = value;
        return (ulong)place;
    }

    public static ulong Of(double value) => (ulong)BitConverter.DoubleToInt64Bits(value);

    public static ulong Of(long value) => (ulong)value;

    public static ulong Of(bool value) => value ? 1UL : 0;

    /// <summary>Whole numbers as a list.</summary>
    public ulong List(params ReadOnlySpan<long> values)
    {
        nint list;
        Check(torch.NewList((nuint)values.Length, &list), "a list");
        foreach (long value in values)
            Check(torch.PushBack(list, (ulong)value), "a list");
        return (ulong)list;
    }

    /// <summary>Text as an argument.</summary>
    public ulong Text(ReadOnlySpan<byte> text)
    {
        nint result;
        fixed (byte* start = text)
            Check(torch.NewString(start, (nuint)text.Length, &result), "a text");
        return (ulong)result;
    }

    // ---- operators by name

    public nint Multiply(nint a, nint b) => Call("aten::mul"u8, "Tensor"u8, Pass(a), Pass(b));

    public nint Multiply(nint a, float b) => b == 1 ? a : Multiply(a, Number(b));

    /// <summary>a b, in the place of a, which must be a result that nobody else reads.</summary>
    public nint MultiplyHere(nint a, nint b) => Call("aten::mul_"u8, "Tensor"u8, Pass(a), Pass(b));

    public nint Divide(nint a, nint b) => Call("aten::div"u8, "Tensor"u8, Pass(a), Pass(b));

    public nint Maximum(nint a, nint b) => Call("aten::maximum"u8, ""u8, Pass(a), Pass(b));

    public nint Minimum(nint a, nint b) => Call("aten::minimum"u8, ""u8, Pass(a), Pass(b));

    /// <summary>a + factor b; the operators that add take a scalar, which the dispatcher's slots do not.</summary>
    public nint Add(nint a, nint b, double factor = 1)
    {
        nint result;
        Check(torch.Subtract(a, b, -factor, &result), "aten::sub");
        return Own(result);
    }

    public nint Clamp(nint x, float minimum, float maximum) => Minimum(Maximum(x, Number(minimum)), Number(maximum));

    public nint Unary(ReadOnlySpan<byte> name, nint x) => Call(name, ""u8, Pass(x));

    /// <summary>A sum in float32 that keeps its axis.</summary>
    public nint Sum(nint x, int axis) =>
        Call("aten::sum"u8, "dim_IntList"u8, Pass(x), Some(List(axis)), Of(true), Some(Of((long)torch.Float32)));

    /// <summary>a + weight (b - a), all of one type.</summary>
    public nint Between(nint a, nint b, nint weight) => Call("aten::lerp"u8, "Tensor"u8, Pass(a), Pass(b), Pass(weight));

    public nint Largest(nint x, int axis) => Call("aten::amax"u8, ""u8, Pass(x), List(axis), Of(true));

    public nint Equal(nint a, float b) => Call("aten::eq"u8, "Tensor"u8, Pass(a), Pass(Number(b)));

    /// <summary>x, but a number where a condition holds.</summary>
    public nint Replace(nint x, nint condition, float number) =>
        Call("aten::masked_fill"u8, "Tensor"u8, Pass(x), Pass(condition), Pass(Number(number)));

    public nint MatrixProduct(nint a, nint b) => Call("aten::matmul"u8, ""u8, Pass(a), Pass(b));

    public nint Concatenate(ReadOnlySpan<nint> parts, int axis)
    {
        nint list;
        Check(torch.NewList((nuint)parts.Length, &list), "a list");
        foreach (nint part in parts)
            Check(torch.PushBack(list, Pass(part)), "a list");
        return Call("aten::cat"u8, ""u8, (ulong)list, Of(axis));
    }

    public nint Activate(nint x, Activation activation) => activation switch
    {
        Activation.None => x,
        Activation.Silu => Unary("aten::silu"u8, x),
        Activation.Gelu => Call("aten::gelu"u8, ""u8, Pass(x), Text("none"u8)),
        Activation.GeluTanh => Call("aten::gelu"u8, ""u8, Pass(x), Text("tanh"u8)),
        Activation.QuickGelu => Multiply(x, Unary("aten::sigmoid"u8, Multiply(x, 1.702f))),
        Activation.Relu => Unary("aten::relu"u8, x),
        Activation.Tanh => Unary("aten::tanh"u8, x),
        Activation.Sigmoid => Unary("aten::sigmoid"u8, x),
        Activation.Exp => Unary("aten::exp"u8, x),
        Activation.Log => Unary("aten::log"u8, x),
        _ => throw new ArgumentOutOfRangeException(nameof(activation), activation, null),
    };

    /// <exception cref="TorchException">The status says that the function failed.</exception>
    public void Check(int status, string what)
    {
        if (status != 0)
            throw Failure(what);
    }

    private TorchException Failure(string what) => new($"{what} failed{Reason()}");

    /// <summary>Why the last function failed, as the end of a sentence; older libraries tell the error stream alone.</summary>
    private string Reason()
    {
        if (torch.What == null)
            return NoReason;
        string text = Marshal.PtrToStringUTF8((nint)torch.What()) ?? "";
        return text.Length == 0 ? "" : $": {text.Split('\n')[0]}";
    }

    private void Call(ReadOnlySpan<byte> name, ReadOnlySpan<byte> overload, ReadOnlySpan<ulong> arguments, ulong* slots)
    {
        arguments.CopyTo(new Span<ulong>(slots, MaxSlots));
        int status;
        fixed (byte* n = name, o = overload)
        {
            byte none = 0;
            status = torch.CallDispatcher(n, o == null ? &none : o, slots, BuiltFor);
        }
        if (status != 0)
            throw Failure(Encoding.UTF8.GetString(name));
    }

    private nint Upload(void* memory, ReadOnlySpan<long> sizes, int type)
    {
        nint result = Empty(sizes, type);
        Copy(result, Blob(memory, sizes, type));
        return result;
    }

    private nint Constant(ReadOnlySpan<byte> values, ReadOnlySpan<long> sizes, int type)
    {
        string key = $"{type} {string.Join(' ', sizes.ToArray())} {Convert.ToBase64String(values)}";
        if (!_constants.TryGetValue(key, out nint kept))
        {
            fixed (byte* memory = values)
                kept = Release(Upload(memory, sizes, type));
            _constants.Add(key, kept);
        }
        return kept;
    }

    /// <summary>Whether the processor has instructions by which libtorch multiplies numbers of few bits.</summary>
    private static bool MultipliesHalves(Precision precision) =>
        precision == Precision.BFloat16 && Avx512BW.VL.IsSupported && Avx512DQ.VL.IsSupported;

    private void Replace(TorchStorage storage, nint memory, int type) =>
        storage.Take(Release(memory), type, Data(memory), storage.Elements * BytesOf(type));

    /// <summary>Whether a contiguous result is memory of its own, of exactly so many elements.</summary>
    private bool IsWhole(nint handle, long elements, int type)
    {
        long bytes, offset;
        Check(torch.StorageBytes(handle, &bytes), "get_storage_size");
        Check(torch.StorageOffset(handle, &offset), "get_storage_offset");
        return offset == 0 && bytes == elements * BytesOf(type) && !_operands.Contains(Data(handle));
    }

    private nint Data(nint handle)
    {
        void* data;
        Check(torch.DataPointer(handle, &data), "get_data_ptr");
        return (nint)data;
    }

    /// <summary>Whether the innermost axis is of neighbours that can be seen as complex numbers.</summary>
    public bool ArePairs(nint handle)
    {
        long offset;
        Check(torch.StorageOffset(handle, &offset), "get_storage_offset");
        bool even = offset % 2 == 0;
        foreach (long stride in StridesOf(handle)[..^1])
            even &= stride % 2 == 0;
        return even && StridesOf(handle)[^1] == 1;
    }

    private bool IsContiguous(nint handle)
    {
        var sizes = SizesOf(handle);
        var strides = StridesOf(handle);
        long expected = 1;
        for (int axis = sizes.Length - 1; axis >= 0; axis--)
        {
            if (sizes[axis] != 1 && strides[axis] != expected)
                return false;
            expected *= sizes[axis];
        }
        return true;
    }

    /// <summary>Takes a handle that was made elsewhere.</summary>
    public nint Own(nint handle)
    {
        Interlocked.Increment(ref _live);
        _handles.Add(handle);
        return handle;
    }

    private static int Layout(Tensor tensor, long* sizes, long* strides)
    {
        int rank = tensor.Shape.Rank;
        for (int axis = 0; axis < rank; axis++)
            (sizes[axis], strides[axis]) = (tensor.Shape[axis], tensor.Stride(axis));
        return rank;
    }

    internal static void Contiguous(ReadOnlySpan<long> sizes, long* strides)
    {
        long stride = 1;
        for (int axis = sizes.Length - 1; axis >= 0; axis--)
        {
            strides[axis] = stride;
            stride *= Math.Max(sizes[axis], 1);
        }
    }
}
