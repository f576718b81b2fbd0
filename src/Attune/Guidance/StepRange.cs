using System.Globalization;

namespace Attune.Guidance;

/// <summary>Some of the steps of a run: iterations [first, end), or a part of them given as fractions from 0 to 1.</summary>
public readonly record struct StepRange
{
    private StepRange(double first, double end, bool fractions) => (First, End, Fractions) = (first, end, fractions);

    /// <summary>Every step.</summary>
    public static StepRange All { get; } = new(0, double.PositiveInfinity, false);

    /// <summary>The first step, or the fraction at which the range begins.</summary>
    public double First { get; }

    /// <summary>The step, or the fraction, before which the range ends.</summary>
    public double End { get; }

    /// <summary>Whether the bounds are fractions of all steps.</summary>
    public bool Fractions { get; }

    /// <summary>Iterations first, first + 1, ..., end - 1.</summary>
    /// <exception cref="ArgumentOutOfRangeException">A bound is negative or the range ends before it begins.</exception>
    public static StepRange Iterations(int first, int end)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(first);
        ArgumentOutOfRangeException.ThrowIfLessThan(end, first);
        return new StepRange(first, end, false);
    }

    /// <summary>Steps i of n with first &lt;= i / n &lt; end.</summary>
    /// <exception cref="ArgumentOutOfRangeException">A bound is outside of 0 to 1 or the range ends before it begins.</exception>
    public static StepRange Part(double first, double end)
    {
        if (!(first >= 0 && end <= 1 && first <= end))
            throw new ArgumentOutOfRangeException(nameof(first), FormattableString.Invariant($"The part {first} to {end} does not lie within 0 to 1."));
        return new StepRange(first, end, true);
    }

    /// <summary>Whether a step, counted from 0, lies in the range.</summary>
    public bool Contains(int step, int steps)
    {
        double at = Fractions ? (double)step / steps : step;
        return at >= First && at < End;
    }

    /// <summary>Reads <c>0-2</c> (iterations 0 and 1), <c>2-</c>, <c>0%-50%</c> or <c>all</c>.</summary>
    /// <exception cref="FormatException">The text is none of these.</exception>
    public static StepRange Parse(string text)
    {
        ArgumentNullException.ThrowIfNull(text);
        if (text == "all")
            return All;
        string[] bounds = text.Split('-');
        if (bounds.Length == 2)
        {
            if (text.Contains('%', StringComparison.Ordinal))
            {
                if (Percent(bounds[0], 0) is { } from && Percent(bounds[1], 1) is { } to && from >= 0 && from <= to && to <= 1)
                    return Part(from, to);
            }
            else if (int.TryParse(bounds[0], NumberStyles.None, CultureInfo.InvariantCulture, out int first))
            {
                if (bounds[1].Length == 0)
                    return new StepRange(first, double.PositiveInfinity, false);
                if (int.TryParse(bounds[1], NumberStyles.None, CultureInfo.InvariantCulture, out int end) && end >= first)
                    return Iterations(first, end);
            }
        }
        throw new FormatException($"'{text}' is no range of steps; expected FIRST-END (as 0-2), FIRST-, P%-Q% or all.");
    }

    /// <inheritdoc/>
    public override string ToString() => this == All ? "all" : Fractions
        ? FormattableString.Invariant($"{First * 100}%-{End * 100}%")
        : FormattableString.Invariant($"{First}-{(double.IsPositiveInfinity(End) ? "" : End)}");

    private static double? Percent(string text, double missing) => text.Length == 0 ? missing
        : text.EndsWith('%') && double.TryParse(text[..^1], NumberStyles.Float, CultureInfo.InvariantCulture, out double value) ? value / 100 : null;
}
