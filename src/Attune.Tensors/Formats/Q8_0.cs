using System.Buffers.Binary;
using System.Numerics.Tensors;
using System.Runtime.InteropServices;

namespace Attune.Tensors.Formats;

/// <summary>ggml's Q8_0: blocks of 32 elements, a binary16 scale and 32 signed bytes. An element is its byte times the scale.</summary>
internal sealed class Q8_0 : WeightFormat
{
    public override string Name => "Q8_0";

    public override int BlockLength => 32;

    public override int BlockBytes => 34;

    protected override void WidenBlocks(ReadOnlySpan<byte> blocks, Span<float> values)
    {
        for (; values.Length > 0; blocks = blocks[34..], values = values[32..])
        {
            var block = values[..32];
            TensorPrimitives.ConvertTruncating<sbyte, float>(MemoryMarshal.Cast<byte, sbyte>(blocks[2..34]), block);
            TensorPrimitives.Multiply(block, (float)BinaryPrimitives.ReadHalfLittleEndian(blocks), block);
        }
    }
}
