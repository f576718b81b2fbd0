namespace Attune.Tensors.Formats;

/// <summary>
/// ggml's Q1_0: a binary16 scale and 128 signs; a bit that is set is the scale, another one its negative.
/// </summary>
internal sealed unsafe class Q1_0() : RareBlockFormat("Q1_0", 128, 18)
{
    protected override void WidenBlock(byte* block, float* values)
    {
        float scale = Codes.Half(block);
        for (int i = 0; i < 128; i++)
            values[i] = (block[2 + i / 8] >> i % 8 & 1) != 0 ? scale : -scale;
    }
}
