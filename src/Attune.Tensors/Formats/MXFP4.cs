using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;

namespace Attune.Tensors.Formats;

/// <summary>
/// ggml's MXFP4: the exponent of a power of two and 32 numbers in E2M1 (Open Compute Project, "Microscaling formats", 2023); byte j holds
/// the elements j and j + 16.
/// </summary>
internal sealed unsafe class MXFP4() : BlockFormat<MXFP4.Block>("MXFP4", 32, 17)
{
    /// <summary>Twice the numbers of E2M1, by their codes.</summary>
    public static Vector128<sbyte> Doubled => Vector128.Create(0, 1, 2, 3, 4, 6, 8, 12, 0, -1, -2, -3, -4, -6, -8, -12);

    internal readonly struct Block : IBlock
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public static void Read<TSink>(byte* block, ref TSink sink)
            where TSink : struct, IValueSink
        {
            // Twice the numbers are integers.
            float scale = MathF.ScaleB(1, block[0] - 128);
            var bytes = Vector128.Load(block + 1);
            Codes.Scale(
                ref sink, Codes.Look(Doubled, bytes & Codes.Low), scale, Codes.Look(Doubled, Codes.Shift(bytes, 4) & Codes.Low), scale);
        }
    }
}
