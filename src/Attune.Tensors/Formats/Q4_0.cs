using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;

namespace Attune.Tensors.Formats;

/// <summary>
/// ggml's Q4_0: a binary16 scale and 32 codes of four bits. An element is (code - 8) scale; byte j holds the elements j and j + 16.
/// </summary>
internal sealed unsafe class Q4_0() : BlockFormat<Q4_0.Block>("Q4_0", 32, 18)
{
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
