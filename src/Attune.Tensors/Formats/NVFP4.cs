using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;

namespace Attune.Tensors.Formats;

/// <summary>
/// ggml's NVFP4: 64 numbers in E2M1 in four parts, each with a scale in E4M3 without a sign, of which the codes 0 and 0x7F are zero. Byte j
/// of a part holds its elements j and j + 8.
/// </summary>
internal sealed unsafe class NVFP4() : BlockFormat<NVFP4.Block>("NVFP4", 64, 36)
{
    internal readonly struct Block : IBlock
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public static void Read<TSink>(byte* block, ref TSink sink)
            where TSink : struct, IValueSink
        {
            Codes.Scale(ref sink, Part(block, 0), Scale(block[0]), Part(block, 1), Scale(block[1]));
            Codes.Scale(ref sink, Part(block, 2), Scale(block[2]), Part(block, 3), Scale(block[3]));
        }

        private static float Scale(int code) => (code & 0x7F) == 0x7F ? 0 : Float8E4M3.ValueOf(code & 0x7F) / 2;

        private static Vector128<sbyte> Part(byte* block, int part)
        {
            var bytes = Vector128.CreateScalarUnsafe(Unsafe.ReadUnaligned<ulong>(block + 4 + 8 * part)).AsByte();
            var codes = Vector128.Create((bytes & Codes.Low).GetLower(), (Codes.Shift(bytes, 4) & Codes.Low).GetLower());
            return Codes.Look(MXFP4.Doubled, codes);
        }
    }
}
