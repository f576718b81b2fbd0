namespace Attune.Tensors.Tests;

/// <summary>
/// A device whose memory the host cannot reach, as that of a graphics card: kernels run on copies, by the kernels of the CPU, and the host
/// sees copies. It finds what is taken for granted where all memory is the host's: host access while a kernel runs, a kernel on a tensor
/// of another device or on one that the host is looking at, and memory that is read before it was written (it is not a number) throw or
/// show.
/// </summary>
/// <param name="fused">Whether kernels that could be composed are the CPU's own, so that results are its bits; else only the primitives
/// are, and everything else is composed of them.</param>
internal sealed class DetachedDevice(bool fused) : Device
{
    private static readonly Device Cpu = Devices.Managed;
    private int _running;

    public override string Name => "detached";

    /// <summary>How many kernels ran.</summary>
    public int Kernels { get; private set; }

    protected internal override Storage Allocate(long elements, Precision precision) => new Memory(this, elements);

    protected internal override HostView Map(Tensor tensor, HostAccess access)
    {
        if (_running > 0)
            throw new InvalidOperationException($"The host looks at {tensor.Shape} while a kernel runs.");
        var memory = MemoryOf(tensor);
        var copy = TensorScope.Detach(Tensor.Full(Cpu, tensor.Shape, float.NaN));
        if (access == HostAccess.Read)
            Gather(tensor, copy);
        memory.Views++;
        return new HostView(copy, new Release(() =>
        {
            memory.Views--;
            if (access == HostAccess.Write)
                Scatter(copy, tensor);
            copy.Dispose();
        }));
    }

    protected internal override PreparedWeight PrepareElements(StoredWeight weight, WeightRole role) =>
        Cpu.PrepareElements(weight, role);

    public override void Linear(Tensor x, PreparedWeight weight, PreparedWeight? bias, Activation activation, Tensor output) =>
        Run(k => Cpu.Linear(k.In(x), weight, bias, activation, k.Out(output)));

    public override void Conv2d(Tensor x, PreparedWeight weight, PreparedWeight? bias, Conv2dGeometry geometry, Tensor output) =>
        Run(k => Cpu.Conv2d(k.In(x), weight, bias, geometry, k.Out(output)));

    public override void Attention(in AttentionArguments arguments)
    {
        var a = arguments;
        Run(k => Cpu.Attention(k.In(a)));
    }

    public override void GroupNorm(
        Tensor x, int groups, PreparedWeight? weight, PreparedWeight? bias, float epsilon, Activation activation, Tensor output) =>
        Run(k => Cpu.GroupNorm(k.In(x), groups, weight, bias, epsilon, activation, k.Out(output)));

    public override void LayerNorm(Tensor x, PreparedWeight? weight, PreparedWeight? bias, float epsilon, Tensor output) =>
        Run(k => Cpu.LayerNorm(k.In(x), weight, bias, epsilon, k.Out(output)));

    public override void RmsNorm(Tensor x, PreparedWeight? weight, float epsilon, Tensor output) =>
        Run(k => Cpu.RmsNorm(k.In(x), weight, epsilon, k.Out(output)));

    public override void Activate(Tensor x, Activation activation, Tensor output) =>
        Run(k => Cpu.Activate(k.In(x), activation, k.Out(output)));

    public override void Softmax(Tensor x, Tensor output) => Run(k => Cpu.Softmax(k.In(x), k.Out(output)));

    public override void Rotate(Tensor x, RotaryEmbedding rotary, Tensor output) =>
        Run(k => Cpu.Rotate(
            k.In(x), new RotaryEmbedding(k.In(rotary.Cosine), k.In(rotary.Sine), rotary.Pairing), k.Out(output)));

    public override void ResizeNearest(Tensor x, Tensor output) => Run(k => Cpu.ResizeNearest(k.In(x), k.Out(output)));

    public override void Embed(PreparedWeight table, ReadOnlySpan<int> ids, Tensor output)
    {
        int[] rows = ids.ToArray();
        Run(k => Cpu.Embed(table, rows, k.Out(output)));
    }

    public override void Binary(BinaryOperation operation, Tensor a, Tensor b, Tensor output) =>
        Run(k => Cpu.Binary(operation, k.In(a), k.In(b), k.Out(output)));

    public override void Combine(float a, Tensor x, float b, Tensor y, Tensor output) =>
        Run(k => Cpu.Combine(a, k.In(x), b, k.In(y), k.Out(output)));

    public override void RowNorms(Tensor x, float push, Tensor? y, int p, Tensor output) =>
        Run(k => Cpu.RowNorms(k.In(x), push, k.InOrNull(y), p, k.Out(output)));

    public override void RowDots(Tensor x, Tensor y, Tensor? over, Tensor output) =>
        Run(k => Cpu.RowDots(k.In(x), k.In(y), k.InOrNull(over), k.Out(output)));

    public override void AddRows(Tensor into, Tensor? a, Tensor x, Tensor? b, Tensor? y) =>
        Run(k => Cpu.AddRows(k.InOut(into), k.InOrNull(a), k.In(x), k.InOrNull(b), k.InOrNull(y)));

    public override void Copy(Tensor source, Tensor destination) => Run(k => Cpu.Copy(k.In(source), k.Out(destination)));

    public override void Permute(Tensor x, ReadOnlySpan<int> axes, Tensor output)
    {
        int[] order = axes.ToArray();
        Run(k => Cpu.Permute(k.In(x), order, k.Out(output)));
    }

    public override void AddLinear(Tensor residual, Tensor x, PreparedWeight weight, PreparedWeight? bias, Tensor output)
    {
        if (fused)
            Run(k => Cpu.AddLinear(k.In(residual), k.In(x), weight, bias, k.Out(output)));
        else
            base.AddLinear(residual, x, weight, bias, output);
    }

    public override void AddConv2d(
        Tensor residual, Tensor x, PreparedWeight weight, PreparedWeight? bias, Conv2dGeometry geometry, Tensor output)
    {
        if (fused)
            Run(k => Cpu.AddConv2d(k.In(residual), k.In(x), weight, bias, geometry, k.Out(output)));
        else
            base.AddConv2d(residual, x, weight, bias, geometry, output);
    }

    public override void Affine(Tensor x, float multiplier, float addend, Tensor output)
    {
        if (fused)
            Run(k => Cpu.Affine(k.In(x), multiplier, addend, k.Out(output)));
        else
            base.Affine(x, multiplier, addend, output);
    }

    public override void Clamp(Tensor x, float minimum, float maximum, Tensor output)
    {
        if (fused)
            Run(k => Cpu.Clamp(k.In(x), minimum, maximum, k.Out(output)));
        else
            base.Clamp(x, minimum, maximum, output);
    }

    public override void Modulate(Tensor x, Tensor scale, Tensor shift, Tensor output)
    {
        if (fused)
            Run(k => Cpu.Modulate(k.In(x), k.In(scale), k.In(shift), k.Out(output)));
        else
            base.Modulate(x, scale, shift, output);
    }

    public override void AddGated(Tensor residual, Tensor gate, Tensor update, Tensor output)
    {
        if (fused)
            Run(k => Cpu.AddGated(k.In(residual), k.In(gate), k.In(update), k.Out(output)));
        else
            base.AddGated(residual, gate, update, output);
    }

    public override void ModulatedLayerNorm(Tensor x, Tensor scale, Tensor shift, float epsilon, Tensor output)
    {
        if (fused)
            Run(k => Cpu.ModulatedLayerNorm(k.In(x), k.In(scale), k.In(shift), epsilon, k.Out(output)));
        else
            base.ModulatedLayerNorm(x, scale, shift, epsilon, output);
    }

    public override void MergeAttention(
        Tensor output1, Tensor logSumExp1, Tensor output2, Tensor logSumExp2, Tensor output, Tensor? logSumExp)
    {
        if (fused)
            Run(k => Cpu.MergeAttention(
                k.In(output1), k.In(logSumExp1), k.In(output2), k.In(logSumExp2), k.Out(output), k.OutOrNull(logSumExp)));
        else
            base.MergeAttention(output1, logSumExp1, output2, logSumExp2, output, logSumExp);
    }

    public override void Entmax(Tensor x, float alpha, Tensor output)
    {
        if (fused)
            Run(k => Cpu.Entmax(k.In(x), alpha, k.Out(output)));
        else
            base.Entmax(x, alpha, output);
    }

    public override void EntmaxAttention(in AttentionArguments arguments, float alpha, Tensor? dense, Tensor? support)
    {
        var a = arguments;
        if (fused)
            Run(k => Cpu.EntmaxAttention(k.In(a), alpha, k.OutOrNull(dense), k.OutOrNull(support)));
        else
            base.EntmaxAttention(arguments, alpha, dense, support);
    }

    /// <summary>Runs a kernel on copies, and gives its outputs back.</summary>
    private void Run(Action<Kernel> kernel)
    {
        Kernels++;
        using var scope = new TensorScope();
        var operands = new Kernel(this);
        _running++;
        try
        {
            kernel(operands);
            operands.GiveBack();
        }
        finally
        {
            _running--;
        }
    }

    private Memory MemoryOf(Tensor tensor) => (Memory)StorageOf(tensor);

    private void Gather(Tensor from, Tensor to)
    {
        var memory = MemoryOf(from);
        using var view = to.Write();
        var target = view.Span;
        int columns = Columns(from);
        for (int row = 0; row * columns < target.Length; row++)
            memory.Values.AsSpan(At(from, row), columns).CopyTo(target[(row * columns)..]);
    }

    private void Scatter(Tensor from, Tensor to)
    {
        var memory = MemoryOf(to);
        using var view = from.Read();
        var source = view.Span;
        int columns = Columns(to);
        for (int row = 0; row * columns < source.Length; row++)
            source.Slice(row * columns, columns).CopyTo(memory.Values.AsSpan(At(to, row)));
    }

    private static int Columns(Tensor tensor) => tensor.Shape.Rank == 0 ? 1 : tensor.Shape[^1];

    /// <summary>Where a row of the innermost axis begins.</summary>
    private static int At(Tensor tensor, int row)
    {
        long at = OffsetOf(tensor);
        for (int axis = tensor.Shape.Rank - 2; axis >= 0; axis--)
        {
            at += row % tensor.Shape[axis] * tensor.Stride(axis);
            row /= tensor.Shape[axis];
        }
        return (int)at;
    }

    private sealed class Memory : Storage
    {
        public Memory(Device device, long elements)
            : base(device, Precision.Float32)
        {
            Values = new float[elements];
            Array.Fill(Values, float.NaN);
        }

        public float[] Values { get; private set; }

        /// <summary>How many views of the host are open.</summary>
        public int Views { get; set; }

        protected override void Free()
        {
            Assert.Equal(0, Views);
            Values = [];
        }
    }

    private sealed class Release(Action action) : IDisposable
    {
        public void Dispose() => action();
    }

    /// <summary>The operands of a kernel that runs, in memory that the CPU's kernels can reach.</summary>
    private sealed class Kernel(DetachedDevice device)
    {
        private readonly List<(Tensor From, Tensor To)> _outputs = [];

        public Tensor In(Tensor tensor)
        {
            RequireUnseen(tensor);
            var copy = Tensor.Empty(Cpu, tensor.Shape);
            device.Gather(tensor, copy);
            return copy;
        }

        public Tensor? InOrNull(Tensor? tensor) => tensor == null ? null : In(tensor);

        public Tensor Out(Tensor tensor)
        {
            RequireUnseen(tensor);
            var copy = Tensor.Full(Cpu, tensor.Shape, float.NaN);
            _outputs.Add((copy, tensor));
            return copy;
        }

        public Tensor? OutOrNull(Tensor? tensor) => tensor == null ? null : Out(tensor);

        public Tensor InOut(Tensor tensor)
        {
            var copy = In(tensor);
            _outputs.Add((copy, tensor));
            return copy;
        }

        public AttentionArguments In(AttentionArguments a) => new(
            In(a.Query), In(a.Key), In(a.Value), a.Scale, Out(a.Output), OutOrNull(a.LogSumExp),
            a.Mask == null ? null : a.Mask with { Keys = InOrNull(a.Mask.Keys), Bias = InOrNull(a.Mask.Bias) });

        public void GiveBack()
        {
            foreach (var (from, to) in _outputs)
                device.Scatter(from, to);
        }

        private void RequireUnseen(Tensor tensor)
        {
            if (device.MemoryOf(tensor).Views > 0)
                throw new InvalidOperationException($"A kernel runs on {tensor.Shape} while the host looks at it.");
        }
    }
}
