using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;

namespace Attune.Tensors.Formats;

/// <summary>
/// ggml's Q6_K: 256 codes of six bits in parts of sixteen, each with a signed factor of eight bits, and a binary16 scale at the end. An
/// element is scale factor (code - 32). Of a half of 128 elements 64 bytes hold the lower four bits, 32 bytes the upper two.
/// </summary>
internal sealed unsafe class Q6_K() : BlockFormat<Q6_K.Block>("Q6_K", 256, 210)
{
    internal readonly struct Block : IBlock
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public static void Read<TSink>(byte* block, ref TSink sink)
            where TSink : struct, IValueSink
        {
            float scale = Codes.Half(block + 208);
            var factors = Vector128.Load((sbyte*)block + 192);
            var unpacked = (Codes.Floats(factors) * scale, Codes.Floats(Codes.Upper(factors)) * scale);
            float* scales = (float*)&unpacked;
            var upper = Vector128.Create((byte)0x30);
            for (int half = 0; half < 2; half++, scales += 8)
            {
                byte* lower = block + 64 * half;
                var a = Vector128.Load(lower);
                var b = Vector128.Load(lower + 16);
                var c = Vector128.Load(lower + 32);
                var d = Vector128.Load(lower + 48);
                var high = Vector128.Load(block + 128 + 32 * half);
                var other = Vector128.Load(block + 144 + 32 * half);
                Take(ref sink, a & Codes.Low | high << 4 & upper, b & Codes.Low | other << 4 & upper, scales);
                Take(ref sink, c & Codes.Low | high << 2 & upper, d & Codes.Low | other << 2 & upper, scales + 2);
                Take(ref sink, Codes.Shift(a, 4) & Codes.Low | high & upper, Codes.Shift(b, 4) & Codes.Low | other & upper, scales + 4);
                Take(
                    ref sink, Codes.Shift(c, 4) & Codes.Low | Codes.Shift(high, 2) & upper,
                    Codes.Shift(d, 4) & Codes.Low | Codes.Shift(other, 2) & upper, scales + 6);
            }
        }

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        private static void Take<TSink>(ref TSink sink, Vector128<byte> first, Vector128<byte> second, float* scales)
            where TSink : struct, IValueSink
        {
            var middle = Vector128.Create((sbyte)32);
            Codes.Scale(ref sink, first.AsSByte() - middle, scales[0], second.AsSByte() - middle, scales[1]);
        }
    }
}
