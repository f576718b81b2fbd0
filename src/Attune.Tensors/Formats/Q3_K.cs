using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;

namespace Attune.Tensors.Formats;

/// <summary>
/// ggml's Q3_K: 256 codes of three bits in parts of sixteen, each with a factor of six bits, and a binary16 scale. An element is
/// scale (factor - 32) (code - 4). The lower two bits lie as in <see cref="Q2_K"/>; bit p of byte j of the mask is the third one of element
/// j of the p-th pair of parts.
/// </summary>
internal sealed unsafe class Q3_K() : BlockFormat<Q3_K.Block>("Q3_K", 256, 110)
{
    internal readonly struct Block : IBlock
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public static void Read<TSink>(byte* block, ref TSink sink)
            where TSink : struct, IValueSink
        {
            float scale = Codes.Half(block + 108);
            byte* factors = block + 96;
            var two = Vector128.Create((byte)3);
            var one = Vector128.Create((byte)1);
            var four = Vector128.Create((sbyte)4);
            var firstMask = Vector128.Load(block);
            var secondMask = Vector128.Load(block + 16);
            for (int pair = 0; pair < 8; pair++)
            {
                byte* bytes = block + 32 + pair / 4 * 32;
                int shift = pair % 4 * 2;
                var first = (Codes.Shift(Vector128.Load(bytes), shift) & two) | ((Codes.Shift(firstMask, pair) & one) << 2);
                var second = (Codes.Shift(Vector128.Load(bytes + 16), shift) & two) | ((Codes.Shift(secondMask, pair) & one) << 2);
                Codes.Scale(
                    ref sink, first.AsSByte() - four, scale * (Factor(factors, 2 * pair) - 32), second.AsSByte() - four,
                    scale * (Factor(factors, 2 * pair + 1) - 32));
            }
        }

        /// <summary>The factor of a part, from 12 bytes that hold those of sixteen.</summary>
        private static int Factor(byte* packed, int part) =>
            (part < 8 ? packed[part] & 15 : packed[part - 8] >> 4) | (packed[8 + part % 4] >> 2 * (part / 4) & 3) << 4;
    }
}
