using System.Runtime.CompilerServices;

namespace Attune.Tensors.Formats;

/// <summary>
/// ggml's Q8_0: a binary16 scale and 32 signed bytes. An element is its byte times the scale.
/// </summary>
internal sealed unsafe class Q8_0() : BlockFormat<Q8_0.Block>("Q8_0", 32, 34)
{
    internal readonly struct Block : IBlock
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public static void Read<TSink>(byte* block, ref TSink sink)
            where TSink : struct, IValueSink
        {
            Codes.Scale(ref sink, (sbyte*)block + 2, Codes.Half(block));
        }
    }
}
