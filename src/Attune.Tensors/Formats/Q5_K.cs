using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;

namespace Attune.Tensors.Formats;

/// <summary>
/// ggml's Q5_K: as <see cref="Q4_K"/>, with codes of five bits: bit p of byte j is the fifth one of element j of part p.
/// </summary>
internal sealed unsafe class Q5_K() : BlockFormat<Q5_K.Block>("Q5_K", 256, 176)
{
    internal readonly struct Block : IBlock
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public static void Read<TSink>(byte* block, ref TSink sink)
            where TSink : struct, IValueSink
        {
            Q4_K.Unpack(block, out var unpackedScales, out var unpackedOffsets);
            float* scales = (float*)&unpackedScales;
            float* offsets = (float*)&unpackedOffsets;
            var bit = Vector128.Create((byte)16);
            var firstFifth = Vector128.Load(block + 16);
            var secondFifth = Vector128.Load(block + 32);
            for (int part = 0; part < 8; part += 2)
            {
                var first = Vector128.Load(block + 48 + 16 * part);
                var second = Vector128.Load(block + 64 + 16 * part);
                Codes.Scale(
                    ref sink, (first & Codes.Low) | ((firstFifth << 4) & bit), scales[part], offsets[part],
                    (second & Codes.Low) | ((secondFifth << 4) & bit), scales[part], offsets[part]);
                Codes.Scale(
                    ref sink, (Codes.Shift(first, 4) & Codes.Low) | ((firstFifth << 3) & bit), scales[part + 1], offsets[part + 1],
                    (Codes.Shift(second, 4) & Codes.Low) | ((secondFifth << 3) & bit), scales[part + 1], offsets[part + 1]);
                firstFifth = Codes.Shift(firstFifth, 2);
                secondFifth = Codes.Shift(secondFifth, 2);
            }
        }
    }
}
