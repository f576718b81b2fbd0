using System.Runtime.InteropServices;

namespace Attune.Tensors.Formats;

/// <summary>IEEE 754 binary32.</summary>
internal sealed class Float32 : WeightFormat
{
    public override string Name => "F32";

    public override int BlockLength => 1;

    public override int BlockBytes => 4;

    public override bool CanNarrow => true;

    protected override void NarrowBlocks(ReadOnlySpan<float> values, Span<byte> blocks) => MemoryMarshal.AsBytes(values).CopyTo(blocks);

    protected override void WidenBlocks(ReadOnlySpan<byte> blocks, Span<float> values) => blocks.CopyTo(MemoryMarshal.AsBytes(values));
}
