using System.Buffers.Binary;
using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.X86;

namespace Attune.Tensors.Formats;

/// <summary>
/// ggml's Q4_0: a binary16 scale and 32 codes of four bits. An element is (code - 8) scale; byte j holds the elements j and j + 16.
/// </summary>
internal sealed unsafe class Q4_0() : BlockFormat<Q4_0.Block>("Q4_0", 32, 18)
{
    public override bool CanNarrow => true;

    protected override void NarrowBlocks(ReadOnlySpan<float> values, Span<byte> blocks)
    {
        for (; values.Length > 0; values = values[32..], blocks = blocks[18..])
        {
            // The largest magnitude gets the code 0, which stands for -8.
            float largest = 0;
            foreach (float value in values[..32])
                largest = MathF.Abs(value) > MathF.Abs(largest) ? value : largest;
            float scale = largest / -8;
            float inverse = scale == 0 ? 0 : 1 / scale;
            BinaryPrimitives.WriteHalfLittleEndian(blocks, (Half)scale);
            for (int i = 0; i < 16; i++)
                blocks[2 + i] = (byte)(Code(values[i] * inverse) | Code(values[i + 16] * inverse) << 4);
        }
    }

    internal override int SumLength => 32;

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    internal override float Dot(byte* blocks, int count, float* row, float* sums)
    {
        if (!Avx2.IsSupported)
            return base.Dot(blocks, count, row, sums);
        // Codes are multiplied as they are, and the 8 that is missing with the sum of what they are multiplied with.
        Vector256<float> total = default, other = default;
        float common = 0;
        var low = Vector256.Create(15);
        for (; count > 0; count -= 32, blocks += 18, row += 32, sums++)
        {
            float scale = Codes.Half(blocks);
            var codes = Avx2.ConvertToVector256Int32(blocks + 2);
            var more = Avx2.ConvertToVector256Int32(blocks + 10);
            var first = Vector256.ConvertToSingle(codes & low) * Vector256.Load(row);
            var second = Vector256.ConvertToSingle(codes >> 4) * Vector256.Load(row + 16);
            first = Vector256.MultiplyAddEstimate(Vector256.ConvertToSingle(more & low), Vector256.Load(row + 8), first);
            second = Vector256.MultiplyAddEstimate(Vector256.ConvertToSingle(more >> 4), Vector256.Load(row + 24), second);
            total = Vector256.MultiplyAddEstimate(first, Vector256.Create(scale), total);
            other = Vector256.MultiplyAddEstimate(second, Vector256.Create(scale), other);
            common += scale * *sums;
        }
        return Vector256.Sum(total + other) - 8 * common;
    }

    private static int Code(float multiple) => Math.Min(15, (int)(multiple + 8.5f));

    internal readonly struct Block : IBlock
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public static void Read<TSink>(byte* block, ref TSink sink)
            where TSink : struct, IValueSink
        {
            float scale = Codes.Half(block);
            var bytes = Vector128.Load(block + 2);
            var middle = Vector128.Create((sbyte)8);
            Codes.Scale(
                ref sink, (bytes & Codes.Low).AsSByte() - middle, scale, (Codes.Shift(bytes, 4) & Codes.Low).AsSByte() - middle, scale);
        }
    }
}
