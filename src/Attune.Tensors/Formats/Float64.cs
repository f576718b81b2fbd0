using System.Numerics.Tensors;
using System.Runtime.InteropServices;

namespace Attune.Tensors.Formats;

/// <summary>IEEE 754 binary64, rounded to the nearest float32: the only format that loses something when it is read.</summary>
internal sealed class Float64 : WeightFormat
{
    public override string Name => "F64";

    public override int BlockLength => 1;

    public override int BlockBytes => 8;

    protected override void WidenBlocks(ReadOnlySpan<byte> blocks, Span<float> values) =>
        TensorPrimitives.ConvertTruncating<double, float>(MemoryMarshal.Cast<byte, double>(blocks), values);
}
