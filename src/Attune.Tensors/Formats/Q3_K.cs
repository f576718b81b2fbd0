using System.Runtime.Intrinsics;

namespace Attune.Tensors.Formats;

/// <summary>
/// ggml's Q3_K: 256 codes of three bits in parts of sixteen, each with a factor of six bits, and a binary16 scale. An element is
/// scale (factor - 32) (code - 4). The lower two bits lie as in <see cref="Q2_K"/>; bit p of byte j of the mask is the third one of element
/// j of the p-th pair of parts.
/// </summary>
internal sealed unsafe class Q3_K() : BlockFormat("Q3_K", 256, 110)
{
    protected override void WidenBlock(byte* block, float* values)
    {
        float scale = Codes.Half(block + 108);
        byte* factors = block + 96;
        var two = Vector128.Create((byte)3);
        var one = Vector128.Create((byte)1);
        var four = Vector128.Create((sbyte)4);
        for (int part = 0; part < 16; part++, values += 16)
        {
            int factor = (part < 8 ? factors[part] & 15 : factors[part - 8] >> 4) | (factors[8 + part % 4] >> 2 * (part / 4) & 3) << 4;
            var lower = Codes.Shift(Vector128.Load(block + 32 + part / 8 * 32 + part % 2 * 16), part % 8 / 2 * 2) & two;
            var upper = Codes.Shift(Vector128.Load(block + part % 2 * 16), part / 2) & one;
            Codes.Scale((lower | (upper << 2)).AsSByte() - four, scale * (factor - 32), values);
        }
    }
}
