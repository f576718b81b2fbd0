using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;

namespace Attune.Tensors.Formats;

/// <summary>
/// ggml's IQ4_NL: a binary16 scale and 32 codes of four bits, which stand for sixteen unequally spaced integers. An element is its integer
/// times the scale; byte j holds the elements j and j + 16.
/// </summary>
internal sealed unsafe class IQ4_NL() : BlockFormat<IQ4_NL.Block>("IQ4_NL", 32, 18)
{
    /// <summary>The integers of the codes.</summary>
    public static Vector128<sbyte> Table =>
        Vector128.Create(-127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113);

    internal readonly struct Block : IBlock
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public static void Read<TSink>(byte* block, ref TSink sink)
            where TSink : struct, IValueSink
        {
            float scale = Codes.Half(block);
            var bytes = Vector128.Load(block + 2);
            Codes.Scale(
                ref sink, Codes.Look(Table, bytes & Codes.Low), scale, Codes.Look(Table, Codes.Shift(bytes, 4) & Codes.Low), scale);
        }
    }
}
