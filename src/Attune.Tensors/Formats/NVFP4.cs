using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;

namespace Attune.Tensors.Formats;

/// <summary>
/// ggml's NVFP4: 64 numbers in E2M1 in four parts, each with a scale in E4M3 without a sign, of which the codes 0 and 0x7F are zero. Byte j
/// of a part holds its elements j and j + 8.
/// </summary>
internal sealed unsafe class NVFP4() : BlockFormat("NVFP4", 64, 36)
{
    protected override void WidenBlock(byte* block, float* values)
    {
        for (int part = 0; part < 4; part++, values += 16)
        {
            int code = block[part] & 0x7F;
            float scale = code == 0x7F ? 0 : Float8E4M3.ValueOf(code) / 2;
            var bytes = Vector128.CreateScalarUnsafe(Unsafe.ReadUnaligned<ulong>(block + 4 + 8 * part)).AsByte();
            var codes = Vector128.Create((bytes & Codes.Low).GetLower(), (Codes.Shift(bytes, 4) & Codes.Low).GetLower());
            Codes.Scale(Codes.Look(MXFP4.Doubled, codes), scale, values);
        }
    }
}
