using System.Runtime.Intrinsics;

namespace Attune.Tensors.Formats;

/// <summary>
/// ggml's Q6_K: 256 codes of six bits in parts of sixteen, each with a signed factor of eight bits, and a binary16 scale at the end. An
/// element is scale factor (code - 32). Of a half of 128 elements 64 bytes hold the lower four bits, 32 bytes the upper two.
/// </summary>
internal sealed unsafe class Q6_K() : BlockFormat("Q6_K", 256, 210)
{
    protected override void WidenBlock(byte* block, float* values)
    {
        float scale = Codes.Half(block + 208);
        var two = Vector128.Create((byte)3);
        var middle = Vector128.Create((sbyte)32);
        for (int part = 0; part < 16; part++, values += 16)
        {
            int half = part / 8;
            int quarter = part % 8 / 2;        // of 32 elements
            int at = part % 2 * 16;
            var lower = Codes.Shift(Vector128.Load(block + 64 * half + quarter % 2 * 32 + at), quarter / 2 * 4) & Codes.Low;
            var upper = Codes.Shift(Vector128.Load(block + 128 + 32 * half + at), 2 * quarter) & two;
            Codes.Scale((lower | (upper << 4)).AsSByte() - middle, scale * (sbyte)block[192 + part], values);
        }
    }
}
