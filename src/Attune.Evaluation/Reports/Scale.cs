using System.Globalization;
using Attune.Guidance.Diagnostics;

namespace Attune.Evaluation.Reports;

/// <summary>Round numbers for axes, and numbers as people write them.</summary>
public sealed class Scale
{
    private Scale(double low, double high, double step) => (Low, High, Step) = (low, high, step);

    /// <summary>The first tick.</summary>
    public double Low { get; }

    /// <summary>The last tick.</summary>
    public double High { get; }

    /// <summary>The distance of ticks: 1, 2 or 5 times a power of ten.</summary>
    public double Step { get; }

    /// <summary>The ticks.</summary>
    public IEnumerable<double> Ticks => Enumerable.Range(0, (int)Math.Round((High - Low) / Step) + 1).Select(i => Low + i * Step);

    /// <summary>A scale that holds two values, within the possible range, with about five ticks.</summary>
    public static Scale Around(double low, double high, Quantity quantity)
    {
        // A range that is nothing beside its values would show rounding as if it were a course.
        double size = Math.Max(Math.Abs(low), Math.Abs(high));
        if (high - low <= size * 1e-4)
            (low, high) = size == 0 ? (0, 1) : (low - size / 2, high + size / 2);
        double step = RoundUp((high - low) / 5);
        double first = Math.Floor(low / step + 1e-9) * step;
        double last = Math.Ceiling(high / step - 1e-9) * step;
        if (first < quantity.Minimum)
            first = quantity.Minimum;
        if (last > quantity.Maximum)
            last = quantity.Maximum;
        return new Scale(first, Math.Max(last, first + step), step);
    }

    /// <summary>Where a value lies between both ends, 0 to 1.</summary>
    public double Position(double value) => Math.Clamp((value - Low) / (High - Low), 0, 1);

    /// <summary>A value with three digits: <c>63 %</c>, <c>1.84</c>, <c>-12.3</c>, <c>2.1e-5</c>.</summary>
    public static string Format(double value, Quantity quantity) =>
        quantity.Unit == QuantityUnit.Share ? $"{Digits(100 * value)} %" : Digits(value);

    /// <summary>A tick, with as many digits as its scale needs.</summary>
    public string FormatTick(double value, Quantity quantity)
    {
        var (shown, step, suffix) = quantity.Unit == QuantityUnit.Share ? (100 * value, 100 * Step, "%") : (value, Step, "");
        if (Math.Abs(shown) < step * 1e-6)
            return "0" + suffix;
        if (Math.Max(Math.Abs(Low), Math.Abs(High)) is < 1e-3 or >= 1e6)
            return Typeset(shown.ToString("0.##e0", CultureInfo.InvariantCulture)) + suffix;
        int decimals = Math.Clamp((int)Math.Ceiling(-Math.Log10(step) - 1e-9), 0, 9);
        return Typeset(shown.ToString(FormattableString.Invariant($"F{decimals}"), CultureInfo.InvariantCulture)) + suffix;
    }

    private static string Digits(double value)
    {
        double size = Math.Abs(value);
        string form = size switch
        {
            0 => "0",
            < 1e-3 or >= 1e6 => "0.##e0",
            < 1 => "0.###",
            < 10 => "0.##",
            < 100 => "0.#",
            _ => "0",
        };
        return Typeset(value.ToString(form, CultureInfo.InvariantCulture));
    }

    /// <summary>With a minus as long as a plus, not a hyphen.</summary>
    private static string Typeset(string number) => number.Replace('-', '\u2212');

    private static double RoundUp(double value)
    {
        double power = Math.Pow(10, Math.Floor(Math.Log10(value)));
        double lead = value / power;
        return power * (lead <= 1 ? 1 : lead <= 2 ? 2 : lead <= 5 ? 5 : 10);
    }
}
