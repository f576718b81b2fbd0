namespace Attune.Evaluation.Tracing;

/// <summary>
/// Colours for values: from dark blue over green to light yellow where all values have one sign, from blue over grey to orange around 0
/// where they do not. Both are interpolated in the OKLab space, so that equal steps look equal, and readable on light and dark pages and
/// without red and green.
/// </summary>
internal sealed class ColorMap
{
    private static readonly (double L, double A, double B)[] Sequential = [
        .. new[] { 0x2B1E66, 0x2F5C94, 0x1F8E8C, 0x5DBB63, 0xF2E34C }.Select(ToLab)];
    private static readonly (double L, double A, double B)[] Diverging = [
        .. new[] { 0x1D4E9E, 0x6FA3D8, 0xD5D8DC, 0xE79A55, 0xB04A12 }.Select(ToLab)];
    private readonly bool _diverging;

    /// <summary>Colours for values from <paramref name="low"/> to <paramref name="high"/>.</summary>
    public ColorMap(double low, double high)
    {
        _diverging = low < 0 && high > 0;
        double reach = Math.Max(-low, high);
        (Low, High) = _diverging ? (-reach, reach) : (low, high);
    }

    /// <summary>The value of the first colour.</summary>
    public double Low { get; }

    /// <summary>The value of the last colour.</summary>
    public double High { get; }

    /// <summary>The colour of a value, as #rrggbb, and whether dark text stands out on it.</summary>
    public (string Color, bool IsLight) Of(double value)
    {
        double part = High > Low ? Math.Clamp((value - Low) / (High - Low), 0, 1) : 0.5;
        var stops = _diverging ? Diverging : Sequential;
        double at = part * (stops.Length - 1);
        int first = Math.Min((int)at, stops.Length - 2);
        double weight = at - first;
        var (a, b) = (stops[first], stops[first + 1]);
        var mixed = (L: a.L + weight * (b.L - a.L), A: a.A + weight * (b.A - a.A), B: a.B + weight * (b.B - a.B));
        return (ToHex(mixed), mixed.L > 0.62);
    }

    /// <summary>sRGB to OKLab (Ottosson, 2020).</summary>
    private static (double L, double A, double B) ToLab(int rgb)
    {
        double Linear(int shift)
        {
            double value = ((rgb >> shift) & 255) / 255.0;
            return value <= 0.04045 ? value / 12.92 : Math.Pow((value + 0.055) / 1.055, 2.4);
        }

        var (r, g, b) = (Linear(16), Linear(8), Linear(0));
        double l = Math.Cbrt(0.4122214708 * r + 0.5363325363 * g + 0.0514459929 * b);
        double m = Math.Cbrt(0.2119034982 * r + 0.6806995451 * g + 0.1073969566 * b);
        double s = Math.Cbrt(0.0883024619 * r + 0.2817188376 * g + 0.6299787005 * b);
        return (
            0.2104542553 * l + 0.7936177850 * m - 0.0040720468 * s, 1.9779984951 * l - 2.4285922050 * m + 0.4505937099 * s,
            0.0259040371 * l + 0.7827717662 * m - 0.8086757660 * s);
    }

    private static string ToHex((double L, double A, double B) lab)
    {
        double l = Math.Pow(lab.L + 0.3963377774 * lab.A + 0.2158037573 * lab.B, 3);
        double m = Math.Pow(lab.L - 0.1055613458 * lab.A - 0.0638541728 * lab.B, 3);
        double s = Math.Pow(lab.L - 0.0894841775 * lab.A - 1.2914855480 * lab.B, 3);
        int Byte(double linear)
        {
            double value = linear <= 0.0031308 ? 12.92 * linear : 1.055 * Math.Pow(linear, 1 / 2.4) - 0.055;
            return (int)Math.Round(255 * Math.Clamp(value, 0, 1));
        }

        int red = Byte(4.0767416621 * l - 3.3077115913 * m + 0.2309699292 * s);
        int green = Byte(-1.2684380046 * l + 2.6097574011 * m - 0.3413193965 * s);
        int blue = Byte(-0.0041960863 * l - 0.7034186147 * m + 1.7076147010 * s);
        return FormattableString.Invariant($"#{red:x2}{green:x2}{blue:x2}");
    }
}
