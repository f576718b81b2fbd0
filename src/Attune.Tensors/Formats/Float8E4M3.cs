namespace Attune.Tensors.Formats;

/// <summary>
/// One sign bit, 4 bits of exponent with bias 7, 3 of mantissa; no infinities, and NaN only where all other bits are set (Micikevicius et
/// al., "FP8 formats for deep learning", 2022: E4M3). Files often have a scale beside it, a companion of the weight.
/// </summary>
internal sealed class Float8E4M3 : Float8<Float8E4M3.Layout>
{
    private static readonly float[] Values = [.. Enumerable.Range(0, 256).Select(Value)];

    public override string Name => "F8_E4M3";

    protected override float[] Table => Values;

    /// <summary>The number of a code.</summary>
    public static float ValueOf(int code) => Values[code];

    private static float Value(int code)
    {
        int exponent = code >> 3 & 15;
        int mantissa = code & 7;
        float magnitude = (code & 0x7F) == 0x7F ? float.NaN
            : exponent == 0 ? MathF.ScaleB(mantissa, -9) : MathF.ScaleB(8 + mantissa, exponent - 10);
        return (code & 0x80) == 0 ? magnitude : -magnitude;
    }

    internal readonly struct Layout : IFloat8
    {
        public static int MantissaBits => 3;

        public static int Bias => 7;

        public static sbyte LastFinite => 0x7E;

        public static uint Special => 0x7FC00000;
    }
}
