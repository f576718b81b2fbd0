using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;

namespace Attune.Tensors.Formats;

/// <summary>
/// ggml's Q5_1: a binary16 scale and minimum, the fifth bits of 32 codes, and their lower four. An element is code scale + minimum; bit i
/// belongs to element i, byte j holds the lower bits of the elements j and j + 16.
/// </summary>
internal sealed unsafe class Q5_1() : BlockFormat<Q5_1.Block>("Q5_1", 32, 24)
{
    internal readonly struct Block : IBlock
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public static void Read<TSink>(byte* block, ref TSink sink)
            where TSink : struct, IValueSink
        {
            float scale = Codes.Half(block);
            float minimum = Codes.Half(block + 2);
            uint fifth = Unsafe.ReadUnaligned<uint>(block + 4);
            var bytes = Vector128.Load(block + 8);
            var bit = Vector128.Create((byte)16);
            var first = (bytes & Codes.Low) | (Codes.Bits(fifth) & bit);
            var second = (Codes.Shift(bytes, 4) & Codes.Low) | (Codes.Bits(fifth >> 16) & bit);
            Codes.Scale(ref sink, first, scale, minimum, second, scale, minimum);
        }
    }
}
