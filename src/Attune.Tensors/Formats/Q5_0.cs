using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;

namespace Attune.Tensors.Formats;

/// <summary>
/// ggml's Q5_0: a binary16 scale, the fifth bits of 32 codes, and their lower four. An element is (code - 16) scale; bit i belongs to
/// element i, byte j holds the lower bits of the elements j and j + 16.
/// </summary>
internal sealed unsafe class Q5_0() : BlockFormat<Q5_0.Block>("Q5_0", 32, 22)
{
    internal readonly struct Block : IBlock
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public static void Read<TSink>(byte* block, ref TSink sink)
            where TSink : struct, IValueSink
        {
            float scale = Codes.Half(block);
            uint fifth = Unsafe.ReadUnaligned<uint>(block + 2);
            var bytes = Vector128.Load(block + 6);
            // A code whose fifth bit is not set is 16 below its lower four.
            var below = Vector128.Create((byte)0xF0);
            var first = (bytes & Codes.Low) | Vector128.AndNot(below, Codes.Bits(fifth));
            var second = (Codes.Shift(bytes, 4) & Codes.Low) | Vector128.AndNot(below, Codes.Bits(fifth >> 16));
            Codes.Scale(ref sink, first.AsSByte(), scale, second.AsSByte(), scale);
        }
    }
}
