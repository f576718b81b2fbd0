namespace Attune.Tensors.Cpu;

/// <summary>
/// The managed CPU device. Its kernels use the widest SIMD that the processor and the runtime have, and all worker threads.
/// </summary>
/// <param name="convolution">How convolutions are computed.</param>
internal sealed partial class CpuDevice(ConvolutionOptions convolution) : Device
{
    /// <summary>About as many elements as make a piece of work worth handing to a thread.</summary>
    private const int Grain = 1 << 14;

    public override string Name => "managed";

    /// <summary>How convolutions are computed.</summary>
    public ConvolutionOptions Convolution => convolution;

    protected internal override Storage Allocate(long elements, Precision precision) =>
        precision == Precision.Float32 ? new HostStorage(this, elements)
            : throw new NotSupportedException($"Tensors of the device '{Name}' are float32, not {precision}.");

    protected internal override HostView Map(Tensor tensor, HostAccess access)
    {
        ArgumentNullException.ThrowIfNull(tensor);
        ObjectDisposedException.ThrowIf(tensor.IsDisposed, tensor);
        return new HostView(tensor);
    }

    /// <summary>Calls <paramref name="body"/> for ranges of rows that hold about <see cref="Grain"/> elements each.</summary>
    private static void ForRows(long rows, int columns, Action<long, long> body)
    {
        if (rows == 0 || columns == 0)
            return;
        long perPiece = Math.Max(1, Grain / columns);
        long pieces = (rows + perPiece - 1) / perPiece;
        if (pieces == 1)
        {
            body(0, rows);
            return;
        }
        Workers.For(checked((int)pieces), i => body(i * perPiece, Math.Min(rows, (i + 1) * perPiece)));
    }
}
