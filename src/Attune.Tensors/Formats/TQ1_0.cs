namespace Attune.Tensors.Formats;

/// <summary>
/// ggml's TQ1_0: 256 numbers -1, 0 and 1 and a binary16 scale. A byte holds five of them (the last four bytes four) as the digits, in base
/// three, of a fraction of 256.
/// </summary>
internal sealed unsafe class TQ1_0() : RareBlockFormat("TQ1_0", 256, 54)
{
    private static readonly (int Start, int Count, int Digits)[] Runs = [(0, 32, 5), (32, 16, 5), (48, 4, 4)];

    protected override void WidenBlock(byte* block, float* values)
    {
        float scale = Codes.Half(block + 52);
        foreach (var (start, count, digits) in Runs)
        {
            int power = 1;
            for (int digit = 0; digit < digits; digit++, power *= 3)
            {
                for (int j = 0; j < count; j++)
                    *values++ = (((byte)(block[start + j] * power) * 3 >> 8) - 1) * scale;
            }
        }
    }
}
