namespace Attune.Tensors.Formats;

/// <summary>
/// ggml's Q2_0: a binary16 scale and 64 codes of two bits, the first in the lowest bits of a byte. An element is (code - 1) scale.
/// </summary>
internal sealed unsafe class Q2_0() : RareBlockFormat("Q2_0", 64, 18)
{
    protected override void WidenBlock(byte* block, float* values)
    {
        float scale = Codes.Half(block);
        for (int i = 0; i < 64; i++)
            values[i] = ((block[2 + i / 4] >> 2 * (i % 4) & 3) - 1) * scale;
    }
}
