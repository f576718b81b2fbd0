using System.Runtime.Intrinsics;

namespace Attune.Tensors.Formats;

/// <summary>
/// ggml's Q2_K: 256 codes of two bits in parts of sixteen, each with a factor and a minimum of four bits, and binary16 scales of both. An
/// element is scale factor code - scale of minima minimum. Within a half of 128 elements the parts come in pairs: the bits 0 and 1 of 32
/// bytes, then the bits 2 and 3, and so on.
/// </summary>
internal sealed unsafe class Q2_K() : BlockFormat("Q2_K", 256, 84)
{
    protected override void WidenBlock(byte* block, float* values)
    {
        float scale = Codes.Half(block + 80);
        float minimum = Codes.Half(block + 82);
        var mask = Vector128.Create((byte)3);
        for (int part = 0; part < 16; part++, values += 16)
        {
            var bytes = Vector128.Load(block + 16 + part / 8 * 32 + part % 2 * 16);
            int factor = block[part];
            Codes.Scale(
                Codes.Shift(bytes, part % 8 / 2 * 2) & mask, scale * (factor & 15), -(minimum * (factor >> 4)), values);
        }
    }
}
