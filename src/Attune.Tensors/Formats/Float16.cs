using System.Numerics.Tensors;
using System.Runtime.InteropServices;

namespace Attune.Tensors.Formats;

/// <summary>IEEE 754 binary16.</summary>
internal sealed class Float16 : WeightFormat
{
    public override string Name => "F16";

    public override int BlockLength => 1;

    public override int BlockBytes => 2;

    public override bool CanNarrow => true;

    protected override void NarrowBlocks(ReadOnlySpan<float> values, Span<byte> blocks) =>
        TensorPrimitives.ConvertToHalf(values, MemoryMarshal.Cast<byte, Half>(blocks));

    protected override void WidenBlocks(ReadOnlySpan<byte> blocks, Span<float> values) =>
        TensorPrimitives.ConvertToSingle(MemoryMarshal.Cast<byte, Half>(blocks), values);
}
