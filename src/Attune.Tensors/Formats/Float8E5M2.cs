namespace Attune.Tensors.Formats;

/// <summary>
/// One sign bit, 5 bits of exponent with bias 15, 2 of mantissa: the upper half of a binary16, with its infinities and NaN (Micikevicius et
/// al., "FP8 formats for deep learning", 2022: E5M2).
/// </summary>
internal sealed class Float8E5M2 : Float8<Float8E5M2.Layout>
{
    private static readonly float[] Values = [
        .. Enumerable.Range(0, 256).Select(code => (float)BitConverter.UInt16BitsToHalf((ushort)(code << 8)))];

    public override string Name => "F8_E5M2";

    protected override float[] Table => Values;

    internal readonly struct Layout : IFloat8
    {
        public static int MantissaBits => 2;

        public static int Bias => 15;

        public static sbyte LastFinite => 0x7B;

        public static uint Special => 0x7F800000;
    }
}
