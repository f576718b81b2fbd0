using System.Runtime.Intrinsics;

namespace Attune.Tensors.Formats;

/// <summary>
/// ggml's Q5_K: as <see cref="Q4_K"/>, with codes of five bits: bit p of byte j is the fifth one of element j of part p.
/// </summary>
internal sealed unsafe class Q5_K() : BlockFormat("Q5_K", 256, 176)
{
    protected override void WidenBlock(byte* block, float* values)
    {
        float scale = Codes.Half(block);
        float minimum = Codes.Half(block + 2);
        var one = Vector128.Create((byte)1);
        for (int part = 0; part < 8; part++, values += 32)
        {
            var (factor, below) = Q4_K.Factors(block + 4, part);
            float scaled = scale * factor;
            float offset = -(minimum * below);
            byte* bytes = block + 48 + part / 2 * 32;
            for (int half = 0; half < 32; half += 16)
            {
                var lower = Codes.Shift(Vector128.Load(bytes + half), part % 2 * 4) & Codes.Low;
                var fifth = Codes.Shift(Vector128.Load(block + 16 + half), part) & one;
                Codes.Scale(lower | (fifth << 4), scaled, offset, values + half);
            }
        }
    }
}
