using Attune.Tensors.Cpu;

namespace Attune.Tensors.OneDnn;

/// <summary>
/// Products and convolutions by oneDNN; everything else, and what oneDNN has no fast implementation for, by another device. One call runs
/// at a time. Results are the same from run to run for a fixed number of threads.
/// </summary>
internal sealed unsafe class OneDnnDevice : DelegatingDevice, IDisposable
{
    /// <summary>Compiled primitives that are kept: a model needs some dozens for each size of image.</summary>
    private const int MaxOperations = 512;

    /// <summary>One thread converts so many elements to bfloat16, about 40 microseconds' worth, before another could wake up.</summary>
    private const long SerialConversion = 1 << 20;

    private readonly CpuDevice _managed;
    private readonly OneDnnLibrary _library;
    private readonly Precision _precision;
    private readonly bool _everything;
    private readonly Dictionary<Key, Operation?> _operations = [];
    private readonly long _weightBudget;
    private long _clock;

    /// <param name="managed">What does everything else.</param>
    /// <param name="library">The library.</param>
    /// <param name="precision">What is multiplied.</param>
    /// <param name="everything">Whether oneDNN does what it can, rather than what it is faster at.</param>
    /// <param name="weightBytes">
    /// The memory for reordered weights; a quarter of the machine's by default. Nothing is driven out: a model larger than that, which
    /// reads its weights in turn, would only ever miss.
    /// </param>
    public OneDnnDevice(CpuDevice managed, OneDnnLibrary library, Precision precision, bool everything, long? weightBytes = null)
        : base(managed)
    {
        (_managed, _library, _precision, _everything) = (managed, library, precision, everything);
        _weightBudget = weightBytes ?? GC.GetGCMemoryInfo().TotalAvailableMemoryBytes / 4;
    }

    public override string Name => "onednn";

    public override string Description =>
        $"oneDNN {_library.Version}, {(_precision == Precision.BFloat16 ? "bf16" : "f32")}"
            + (_precision == Precision.BFloat16 && !_library.HasBFloat16
                ? " (emulated: this processor has no bfloat16 instructions)" : "")
        + (_everything ? " for all products and convolutions" : ", managed where that is faster");

    /// <summary>Bytes of reordered weights. Changed only while <see cref="Gate"/> is held.</summary>
    internal long WeightBytes { get; set; }

    /// <summary>Held during a call, and while a weight is freed.</summary>
    internal Lock Gate { get; } = new();

    private int Type => _precision == Precision.BFloat16 ? Native.BFloat16 : Native.Float32;

    private WeightFormat MultipliedFormat => _precision == Precision.BFloat16 ? WeightFormat.BFloat16 : WeightFormat.Float32;

    /// <summary>Products and convolutions have weights of their own; everything else reads those of the managed device.</summary>
    protected internal override PreparedWeight PrepareElements(StoredWeight weight, WeightRole role)
    {
        var plain = Inner.PrepareElements(weight, role);
        return role is WeightRole.Matrix or WeightRole.Convolution ? new OneDnnWeight(this, (CpuWeight)plain) : plain;
    }

    public override void Linear(Tensor x, PreparedWeight weight, PreparedWeight? bias, Activation activation, Tensor output)
    {
        if (!TryLinear(x, weight, bias, activation, output, add: false))
            Inner.Linear(x, Plain(weight), bias, activation, output);
    }

    public override void AddLinear(Tensor residual, Tensor x, PreparedWeight weight, PreparedWeight? bias, Tensor output)
    {
        Place(residual, output);
        if (!TryLinear(x, weight, bias, Activation.None, output, add: true))
            Inner.AddLinear(output, x, Plain(weight), bias, output);
    }

    public override void Conv2d(Tensor x, PreparedWeight weight, PreparedWeight? bias, Conv2dGeometry geometry, Tensor output)
    {
        if (!Suits(x, weight, geometry, output) || !TryConvolution(x, weight, bias, geometry, output, add: false))
            Inner.Conv2d(x, Plain(weight), bias, geometry, output);
    }

    public override void AddConv2d(
        Tensor residual, Tensor x, PreparedWeight weight, PreparedWeight? bias, Conv2dGeometry geometry, Tensor output)
    {
        if (!Suits(x, weight, geometry, output))
        {
            Inner.AddConv2d(residual, x, Plain(weight), bias, geometry, output);
            return;
        }
        Place(residual, output);
        if (!TryConvolution(x, weight, bias, geometry, output, add: true))
            Inner.AddConv2d(output, x, Plain(weight), bias, geometry, output);
    }

    /// <summary>The library chooses by the shape of what it is given: bands have other bits.</summary>
    public override GroupMoments? BeginGroupNorm(long pixels, int channels, int groups) => null;

    /// <summary>Frees primitives; weights are their owners' to free. The device must not be in use.</summary>
    public void Dispose()
    {
        lock (Gate)
        {
            foreach (var operation in _operations.Values)
                operation?.Dispose();
            _operations.Clear();
        }
    }

    private static OneDnnWeight Prepared(PreparedWeight weight) =>
        weight as OneDnnWeight ?? throw new ArgumentException($"{weight.Name} {weight.Shape} was not prepared for oneDNN.");

    private static CpuWeight Plain(PreparedWeight weight) => Prepared(weight).Plain;

    /// <summary>Whether so many bytes more of reordered weights stay within the budget.</summary>
    private bool HasRoom(nuint bytes) => WeightBytes + (long)bytes <= _weightBudget;

    /// <summary>The library adds to what the output holds.</summary>
    private void Place(Tensor residual, Tensor output)
    {
        if (residual.Pointer != output.Pointer)
            Inner.Copy(residual, output);
    }

    /// <summary>Version 2.6 adds wrongly where a window lies in the padding as a whole, which no model has.</summary>
    private bool Suits(Tensor x, PreparedWeight weight, Conv2dGeometry geometry, Tensor output) =>
        x.IsContiguous && output.IsContiguous && x.Count > 0 && output.Count > 0
        && Math.Max(geometry.Top, geometry.Bottom) < weight.Shape[2] && Math.Max(geometry.Left, geometry.Right) < weight.Shape[3]
        && (_everything || !Choice.Convolution(weight.Shape, geometry, output.Shape, _managed.Convolution));

    /// <summary>False when nothing was computed.</summary>
    private bool TryLinear(Tensor x, PreparedWeight weight, PreparedWeight? bias, Activation activation, Tensor output, bool add)
    {
        if (x.Count == 0 || output.Count == 0)
            return false;
        var (from, to) = (Rows.Of(x), Rows.Of(output));
        if (from.Even && to.Even && from.Stride >= from.Columns && to.Stride >= to.Columns)
            return TryProduct(from, weight, bias, activation, to, add);
        if (x.Shape.Rank <= 2)
            return false;
        for (int i = 0; i < x.Shape[0]; i++)
        {
            using var part = x.Slice(0, i, 1);
            using var result = output.Slice(0, i, 1);
            if (TryLinear(part, weight, bias, activation, result, add))
                continue;
            if (add)
                Inner.AddLinear(result, part, Plain(weight), bias, result);
            else
                Inner.Linear(part, Plain(weight), bias, activation, result);
        }
        return true;
    }

    private bool TryProduct(Rows from, PreparedWeight weight, PreparedWeight? bias, Activation activation, Rows to, bool add)
    {
        int inputs = weight.Shape[1];
        int outputs = weight.Shape[0];
        lock (Gate)
        {
            _library.UseThreads(Workers.MaxThreads);
            long stride = Type == Native.Float32 ? Spacing(from) : inputs;
            var key = new Key(
                weight.Shape, [], [], default, from.Count, stride, Spacing(to), bias != null, activation, add, Blocked: true,
                Workers.MaxThreads);
            var operation = Find(
                key,
                k => Operation.Product(
                    _library, k.Rows, inputs, outputs, Type, k.SourceStride, k.DestinationStride, blocked: true, k.Bias, k.Activation,
                    k.Add));
            if (operation == null)
                return false;
            var prepared = Prepared(weight);
            nint memory = prepared.Find(operation.Weights);
            bool roomless = memory == 0 && !HasRoom(Native.SizeOf(operation.Weights));
            if (!_everything && Choice.Product(from.Count, kept: !roomless))
                return false;
            using var source = Convert(from.At(0), from.Count, from.Columns, Spacing(from));
            using var offsets = Widen(bias);
            if (roomless
                && prepared.Plain.Format == MultipliedFormat
                && prepared.Plain.PlainBytes > 0
                && Find(
                    key with { Blocked = false },
                    k => Operation.Product(
                        _library, k.Rows, inputs, outputs, Type, k.SourceStride, k.DestinationStride, blocked: false, k.Bias, k.Activation,
                        k.Add)) is { } plain)
            {
                // No room for a copy in the library's order: it reads the weight where it lies, and reorders what it needs for each block.
                memory = Operation.Memory(_library, plain.Weights, prepared.Plain.Pointer);
                try
                {
                    plain.Run(source.Pointer, memory, (float*)offsets.Pointer, to.At(0));
                }
                finally
                {
                    _ = Native.MemoryDestroy(memory);
                }
                return true;
            }
            Run(operation, source.Pointer, memory, prepared, [inputs, outputs], [1, inputs], (float*)offsets.Pointer, to.At(0));
            return true;
        }
    }

    private bool TryConvolution(Tensor x, PreparedWeight weight, PreparedWeight? bias, Conv2dGeometry geometry, Tensor output, bool add)
    {
        lock (Gate)
        {
            _library.UseThreads(Workers.MaxThreads);
            var key = new Key(
                weight.Shape, x.Shape, output.Shape, geometry, 0, 0, 0, bias != null, Activation.None, add, Blocked: true,
                Workers.MaxThreads);
            var operation = Find(key, k => Operation.Convolution(_library, k.Input, k.Weight, k.Output, k.Geometry, Type, k.Bias, k.Add));
            if (operation == null)
                return false;
            using var source = Convert(x.Pointer, x.Count / x.Shape[3], x.Shape[3], x.Shape[3]);
            using var offsets = Widen(bias);
            var prepared = Prepared(weight);
            var s = weight.Shape;
            long kernel = (long)s[2] * s[3];
            Run(
                operation, source.Pointer, prepared.Find(operation.Weights), prepared, [s[0], s[1], s[2], s[3]],
                [s[1] * kernel, kernel, s[3], 1], (float*)offsets.Pointer, output.Pointer);
            return true;
        }
    }

    /// <summary>Runs with a weight that is, or is not yet, in the order of the operation.</summary>
    private void Run(
        Operation operation, void* source, nint memory, OneDnnWeight weight, ReadOnlySpan<long> extents, ReadOnlySpan<long> strides,
        float* bias, void* destination)
    {
        if (memory != 0)
        {
            operation.Run(source, memory, bias, destination);
            return;
        }
        nuint bytes = Native.SizeOf(operation.Weights);
        if (HasRoom(bytes))
        {
            memory = weight.Add(_library, operation.Weights, out void* kept);
            Reorder(weight.Plain, extents, strides, operation.Weights, kept);
            operation.Run(source, memory, bias, destination);
            return;
        }
        using var room = new Borrowed(TensorMemory.Rent(bytes, out nuint rented), rented);
        memory = Operation.Memory(_library, operation.Weights, room.Pointer);
        try
        {
            Reorder(weight.Plain, extents, strides, operation.Weights, room.Pointer);
            operation.Run(source, memory, bias, destination);
        }
        finally
        {
            _ = Native.MemoryDestroy(memory);
        }
    }

    private void Reorder(CpuWeight weight, ReadOnlySpan<long> extents, ReadOnlySpan<long> strides, byte* order, void* target)
    {
        // The library reads float32 and bfloat16.
        bool brain = weight.Format == WeightFormat.BFloat16 && weight.PlainBytes > 0;
        using var wide = brain || (weight.Format == WeightFormat.Float32 && weight.PlainBytes > 0) ? null : weight.Widened();
        byte* descriptor = stackalloc byte[Native.MemoryDescriptorBytes];
        Operation.Describe(descriptor, brain ? Native.BFloat16 : Native.Float32, extents, strides);
        using var reorder = Operation.Reorder(_library, descriptor, order);
        reorder.Run(wide != null ? wide.Pointer : weight.Pointer, 0, null, target);
    }

    /// <summary>A bias as float32; null for none.</summary>
    private static Borrowed Widen(PreparedWeight? bias)
    {
        if (CpuWeight.Find(bias) is not { } stored)
            return new Borrowed(null, 0);
        if (stored.Format == WeightFormat.Float32 && stored.PlainBytes > 0)
            return new Borrowed(stored.Pointer, 0);
        void* wide = TensorMemory.Rent((nuint)(stored.Count * sizeof(float)), out nuint rented);
        stored.Widen(0, (float*)wide, stored.Count);
        return new Borrowed(wide, rented);
    }

    /// <summary>Rows in the type that is multiplied, one after the other: where they are, or a copy.</summary>
    private Borrowed Convert(float* rows, long count, int columns, long stride)
    {
        if (_precision == Precision.Float32)
            return new Borrowed(rows, 0);
        int threads = count * columns < SerialConversion ? 1 : Workers.MaxThreads;
        _library.UseThreads(threads);
        var key = new Key([columns], [], [], default, count, stride, columns, false, Activation.None, Add: false, Blocked: false, threads);
        var reorder = Find(key, k =>
        {
            byte* from = stackalloc byte[Native.MemoryDescriptorBytes];
            byte* to = stackalloc byte[Native.MemoryDescriptorBytes];
            Operation.Describe(from, Native.Float32, [k.Rows, k.DestinationStride], [k.SourceStride, 1]);
            Operation.Describe(to, Native.BFloat16, [k.Rows, k.DestinationStride], [k.DestinationStride, 1]);
            return Operation.Reorder(_library, from, to);
        })!;
        void* copy = TensorMemory.Rent(checked((nuint)(count * columns * sizeof(ushort))), out nuint rented);
        reorder.Run(rows, 0, null, copy);
        _library.UseThreads(Workers.MaxThreads);
        return new Borrowed(copy, rented);
    }

    /// <summary>The operation of a key; null when the library has none.</summary>
    private Operation? Find(in Key key, Func<Key, Operation?> make)
    {
        if (!_operations.TryGetValue(key, out var operation))
        {
            if (_operations.Count == MaxOperations)
            {
                var oldest = _operations.MinBy(pair => pair.Value?.Stamp ?? 0);
                oldest.Value?.Dispose();
                _operations.Remove(oldest.Key);
            }
            _operations[key] = operation = make(key);
        }
        if (operation != null)
            operation.Stamp = ++_clock;
        return operation;
    }

    /// <summary>Elements between rows; of a single row, which is no matter, its length.</summary>
    private static long Spacing(Rows rows) => rows.Count > 1 ? rows.Stride : rows.Columns;

    /// <summary>What an operation depends on.</summary>
    private readonly record struct Key(
        Shape Weight, Shape Input, Shape Output, Conv2dGeometry Geometry, long Rows, long SourceStride, long DestinationStride, bool Bias,
        Activation Activation, bool Add, bool Blocked, int Threads);

    /// <summary>Memory from the pool for the length of a call, or memory of someone else.</summary>
    private readonly ref struct Borrowed(void* pointer, nuint rented)
    {
        public void* Pointer => pointer;

        public void Dispose()
        {
            if (rented != 0)
                TensorMemory.Return(pointer, rented);
        }
    }
}
