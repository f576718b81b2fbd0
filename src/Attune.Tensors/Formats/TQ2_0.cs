using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;

namespace Attune.Tensors.Formats;

/// <summary>
/// ggml's TQ2_0: 256 codes of two bits and a binary16 scale. An element is (code - 1) scale; of each half, the bits 0 and 1 of its 32 bytes
/// come first, then the bits 2 and 3, and so on.
/// </summary>
internal sealed unsafe class TQ2_0() : BlockFormat<TQ2_0.Block>("TQ2_0", 256, 66)
{
    internal readonly struct Block : IBlock
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public static void Read<TSink>(byte* block, ref TSink sink)
            where TSink : struct, IValueSink
        {
            float scale = Codes.Half(block + 64);
            var mask = Vector128.Create((byte)3);
            var one = Vector128.Create((sbyte)1);
            for (int pair = 0; pair < 8; pair++)
            {
                byte* bytes = block + pair / 4 * 32;
                int shift = pair % 4 * 2;
                Codes.Scale(
                    ref sink, (Codes.Shift(Vector128.Load(bytes), shift) & mask).AsSByte() - one, scale,
                    (Codes.Shift(Vector128.Load(bytes + 16), shift) & mask).AsSByte() - one, scale);
            }
        }
    }
}
