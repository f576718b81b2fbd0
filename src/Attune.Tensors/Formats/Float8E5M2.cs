namespace Attune.Tensors.Formats;

/// <summary>
/// One sign bit, 5 bits of exponent with bias 15, 2 of mantissa: the upper half of a binary16, with its infinities and NaN (Micikevicius et
/// al., "FP8 formats for deep learning", 2022: E5M2).
/// </summary>
internal sealed class Float8E5M2 : WeightFormat
{
    private static readonly float[] Values = [
        .. Enumerable.Range(0, 256).Select(code => (float)BitConverter.UInt16BitsToHalf((ushort)(code << 8)))];

    public override string Name => "F8_E5M2";

    public override int BlockLength => 1;

    public override int BlockBytes => 1;

    protected override void WidenBlocks(ReadOnlySpan<byte> blocks, Span<float> values) =>
        Float8.Widen(blocks, values, Values, mantissa: 2, MathF.ScaleB(1, 112), firstSpecial: 0x7C, special: 0x7F800000);
}
