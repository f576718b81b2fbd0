using System.Runtime.Intrinsics;

namespace Attune.Tensors.Formats;

/// <summary>
/// ggml's Q4_K: 256 codes of four bits in eight parts, each with a factor and a minimum of six bits, and binary16 scales of both. An
/// element is scale factor code - scale of minima minimum; 32 bytes hold two parts, the first in their lower halves.
/// </summary>
internal sealed unsafe class Q4_K() : BlockFormat("Q4_K", 256, 144)
{
    /// <summary>Factor and minimum of a part, from 12 bytes that hold those of eight.</summary>
    public static (int Factor, int Minimum) Factors(byte* packed, int part) => part < 4
        ? (packed[part] & 63, packed[part + 4] & 63)
        : ((packed[part + 4] & 15) | packed[part - 4] >> 6 << 4, packed[part + 4] >> 4 | packed[part] >> 6 << 4);

    protected override void WidenBlock(byte* block, float* values)
    {
        float scale = Codes.Half(block);
        float minimum = Codes.Half(block + 2);
        for (int part = 0; part < 8; part++, values += 32)
        {
            var (factor, below) = Factors(block + 4, part);
            float scaled = scale * factor;
            float offset = -(minimum * below);
            byte* bytes = block + 16 + part / 2 * 32;
            int shift = part % 2 * 4;
            Codes.Scale(Codes.Shift(Vector128.Load(bytes), shift) & Codes.Low, scaled, offset, values);
            Codes.Scale(Codes.Shift(Vector128.Load(bytes + 16), shift) & Codes.Low, scaled, offset, values + 16);
        }
    }
}
