using System.Numerics.Tensors;
using System.Runtime.InteropServices;

namespace Attune.Tensors.Formats;

/// <summary>Signed bytes, which are weights only with a scale beside them.</summary>
internal sealed class Int8 : WeightFormat
{
    public override string Name => "I8";

    public override int BlockLength => 1;

    public override int BlockBytes => 1;

    protected override void WidenBlocks(ReadOnlySpan<byte> blocks, Span<float> values) =>
        TensorPrimitives.ConvertTruncating<sbyte, float>(MemoryMarshal.Cast<byte, sbyte>(blocks), values);
}
