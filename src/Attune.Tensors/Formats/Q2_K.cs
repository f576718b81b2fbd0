using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;

namespace Attune.Tensors.Formats;

/// <summary>
/// ggml's Q2_K: 256 codes of two bits in parts of sixteen, each with a factor and a minimum of four bits, and binary16 scales of both. An
/// element is scale factor code - scale of minima minimum. Within a half of 128 elements the parts come in pairs: the bits 0 and 1 of 32
/// bytes, then the bits 2 and 3, and so on.
/// </summary>
internal sealed unsafe class Q2_K() : BlockFormat<Q2_K.Block>("Q2_K", 256, 84)
{
    internal readonly struct Block : IBlock
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public static void Read<TSink>(byte* block, ref TSink sink)
            where TSink : struct, IValueSink
        {
            float scale = Codes.Half(block + 80);
            float minimum = Codes.Half(block + 82);
            var mask = Vector128.Create((byte)3);
            for (int pair = 0; pair < 8; pair++)
            {
                byte* bytes = block + 16 + pair / 4 * 32;
                int shift = pair % 4 * 2;
                int first = block[2 * pair];
                int second = block[2 * pair + 1];
                Codes.Scale(
                    ref sink, Codes.Shift(Vector128.Load(bytes), shift) & mask, scale * (first & 15), -(minimum * (first >> 4)),
                    Codes.Shift(Vector128.Load(bytes + 16), shift) & mask, scale * (second & 15), -(minimum * (second >> 4)));
            }
        }
    }
}
