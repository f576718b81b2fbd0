using System.Buffers.Binary;
using System.Numerics.Tensors;
using System.Runtime.CompilerServices;

namespace Attune.Tensors.Formats;

/// <summary>
/// ggml's Q8_0: a binary16 scale and 32 signed bytes. An element is its byte times the scale.
/// </summary>
internal sealed unsafe class Q8_0() : BlockFormat<Q8_0.Block>("Q8_0", 32, 34)
{
    public override bool CanNarrow => true;

    protected override void NarrowBlocks(ReadOnlySpan<float> values, Span<byte> blocks)
    {
        for (; values.Length > 0; values = values[32..], blocks = blocks[34..])
        {
            float scale = MathF.Abs(TensorPrimitives.MaxMagnitude(values[..32])) / 127;
            float inverse = scale == 0 ? 0 : 1 / scale;
            BinaryPrimitives.WriteHalfLittleEndian(blocks, (Half)scale);
            for (int i = 0; i < 32; i++)
                blocks[2 + i] = (byte)(sbyte)MathF.Round(values[i] * inverse, MidpointRounding.AwayFromZero);
        }
    }

    internal readonly struct Block : IBlock
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public static void Read<TSink>(byte* block, ref TSink sink)
            where TSink : struct, IValueSink
        {
            Codes.Scale(ref sink, (sbyte*)block + 2, Codes.Half(block));
        }
    }
}
