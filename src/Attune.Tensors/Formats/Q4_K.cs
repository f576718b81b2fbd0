using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.X86;

namespace Attune.Tensors.Formats;

/// <summary>
/// ggml's Q4_K: 256 codes of four bits in eight parts, each with a factor and a minimum of six bits, and binary16 scales of both. An
/// element is scale factor code - scale of minima minimum; 32 bytes hold two parts, the first in their lower halves.
/// </summary>
internal sealed unsafe class Q4_K() : BlockFormat<Q4_K.Block>("Q4_K", 256, 144)
{
    /// <summary>Scales and offsets of eight parts, from two numbers of binary16 and 12 bytes of factors and minima.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void Unpack(byte* packed, out Vector256<float> scales, out Vector256<float> offsets)
    {
        const uint Six = 0x3F3F3F3F, Four = 0x0F0F0F0F, Upper = 0x30303030;
        uint a = Unsafe.ReadUnaligned<uint>(packed + 4);
        uint b = Unsafe.ReadUnaligned<uint>(packed + 8);
        uint c = Unsafe.ReadUnaligned<uint>(packed + 12);
        // The last four parts have their lower bits in c, and the upper two beside the numbers of the first four.
        scales = Codes.Floats(a & Six | (ulong)(c & Four | a >> 2 & Upper) << 32) * Codes.Half(packed);
        offsets = Codes.Floats(b & Six | (ulong)(c >> 4 & Four | b >> 2 & Upper) << 32) * -Codes.Half(packed + 2);
    }

    internal override int SumLength => 32;

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    internal override float Dot(byte* blocks, int count, float* row, float* sums)
    {
        if (Avx512F.IsSupported)
            return WideDot(blocks, count, row);
        if (!Avx2.IsSupported)
            return base.Dot(blocks, count, row, sums);
        // Codes are multiplied as they are, a part's products with its scale, and its offset with the sum of what it is multiplied with.
        Vector256<float> total = default, other = default, common = default;
        var low = Vector256.Create(15);
        for (; count > 0; count -= 256, blocks += 144, sums += 8)
        {
            Unpack(blocks, out var unpacked, out var offsets);
            float* scales = (float*)&unpacked;
            common = Vector256.MultiplyAddEstimate(offsets, Vector256.Load(sums), common);
            byte* bytes = blocks + 16;
            for (int pair = 0; pair < 4; pair++, scales += 2, bytes += 32, row += 64)
            {
                var codes = Avx2.ConvertToVector256Int32(bytes);
                var first = Vector256.ConvertToSingle(codes & low) * Vector256.Load(row);
                var second = Vector256.ConvertToSingle(codes >> 4) * Vector256.Load(row + 32);
                for (int i = 8; i < 32; i += 8)
                {
                    codes = Avx2.ConvertToVector256Int32(bytes + i);
                    first = Vector256.MultiplyAddEstimate(Vector256.ConvertToSingle(codes & low), Vector256.Load(row + i), first);
                    second = Vector256.MultiplyAddEstimate(Vector256.ConvertToSingle(codes >> 4), Vector256.Load(row + 32 + i), second);
                }
                total = Vector256.MultiplyAddEstimate(first, Vector256.Create(scales[0]), total);
                other = Vector256.MultiplyAddEstimate(second, Vector256.Create(scales[1]), other);
            }
        }
        return Vector256.Sum(total + other + common);
    }

    /// <summary>
    /// Sixteen elements are looked up at once, in a table of a part's sixteen values; the instruction reads the lower four bits of an
    /// index.
    /// </summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static float WideDot(byte* blocks, int count, float* row)
    {
        Vector512<float> first = default, second = default, third = default, fourth = default;
        var codes = Vector512.Create(0f, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
        for (; count > 0; count -= 256, blocks += 144)
        {
            Unpack(blocks, out var unpackedScales, out var unpackedOffsets);
            float* scales = (float*)&unpackedScales;
            float* offsets = (float*)&unpackedOffsets;
            byte* bytes = blocks + 16;
            for (int pair = 0; pair < 4; pair++, scales += 2, offsets += 2, bytes += 32, row += 64)
            {
                var lower = Vector512.FusedMultiplyAdd(codes, Vector512.Create(scales[0]), Vector512.Create(offsets[0]));
                var upper = Vector512.FusedMultiplyAdd(codes, Vector512.Create(scales[1]), Vector512.Create(offsets[1]));
                var left = Avx512F.ConvertToVector512Int32(Vector128.Load(bytes));
                var right = Avx512F.ConvertToVector512Int32(Vector128.Load(bytes + 16));
                first = Vector512.FusedMultiplyAdd(Avx512F.PermuteVar16x32(lower, left), Vector512.Load(row), first);
                second = Vector512.FusedMultiplyAdd(Avx512F.PermuteVar16x32(lower, right), Vector512.Load(row + 16), second);
                third = Vector512.FusedMultiplyAdd(Avx512F.PermuteVar16x32(upper, left >> 4), Vector512.Load(row + 32), third);
                fourth = Vector512.FusedMultiplyAdd(Avx512F.PermuteVar16x32(upper, right >> 4), Vector512.Load(row + 48), fourth);
            }
        }
        return Vector512.Sum(first + second + (third + fourth));
    }

    internal readonly struct Block : IBlock
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public static void Read<TSink>(byte* block, ref TSink sink)
            where TSink : struct, IValueSink
        {
            Unpack(block, out var unpackedScales, out var unpackedOffsets);
            float* scales = (float*)&unpackedScales;
            float* offsets = (float*)&unpackedOffsets;
            for (int part = 0; part < 8; part += 2)
            {
                var first = Vector128.Load(block + 16 + 16 * part);
                var second = Vector128.Load(block + 32 + 16 * part);
                float scale = scales[part];
                float offset = offsets[part];
                Codes.Scale(ref sink, first & Codes.Low, scale, offset, second & Codes.Low, scale, offset);
                scale = scales[part + 1];
                offset = offsets[part + 1];
                Codes.Scale(ref sink, Codes.Shift(first, 4) & Codes.Low, scale, offset, Codes.Shift(second, 4) & Codes.Low, scale, offset);
            }
        }
    }
}
