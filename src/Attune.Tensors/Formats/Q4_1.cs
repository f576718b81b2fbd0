using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;

namespace Attune.Tensors.Formats;

/// <summary>
/// ggml's Q4_1: a binary16 scale and minimum and 32 codes of four bits. An element is code scale + minimum; byte j holds the elements j
/// and j + 16.
/// </summary>
internal sealed unsafe class Q4_1() : BlockFormat<Q4_1.Block>("Q4_1", 32, 20)
{
    internal readonly struct Block : IBlock
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public static void Read<TSink>(byte* block, ref TSink sink)
            where TSink : struct, IValueSink
        {
            float scale = Codes.Half(block);
            float minimum = Codes.Half(block + 2);
            var bytes = Vector128.Load(block + 4);
            Codes.Scale(ref sink, bytes & Codes.Low, scale, minimum, Codes.Shift(bytes, 4) & Codes.Low, scale, minimum);
        }
    }
}
