namespace Attune.Guidance.Diagnostics;

/// <summary>How some values are distributed. Quantiles are interpolated linearly between neighbours.</summary>
/// <param name="Count">How many values there are.</param>
/// <param name="Mean">Their mean.</param>
/// <param name="Minimum">The least of them.</param>
/// <param name="LowDecile">A tenth of them lie below.</param>
/// <param name="Median">Half of them lie below.</param>
/// <param name="HighDecile">A tenth of them lie above.</param>
/// <param name="Maximum">The greatest of them.</param>
public readonly record struct Summary(
    int Count, double Mean, double Minimum, double LowDecile, double Median, double HighDecile, double Maximum)
{
    /// <summary>The summary of the values that are finite, or null when none is.</summary>
    public static Summary? Of(ReadOnlySpan<double> values)
    {
        double[] sorted = new double[values.Length];
        int count = 0;
        foreach (double value in values)
        {
            if (double.IsFinite(value))
                sorted[count++] = value;
        }
        if (count == 0)
            return null;
        Array.Sort(sorted, 0, count);
        double sum = 0;
        for (int i = 0; i < count; i++)
            sum += sorted[i];
        // The mean of equal values can miss them by rounding; it never lies outside of them.
        double mean = Math.Clamp(sum / count, sorted[0], sorted[count - 1]);
        var finite = sorted.AsSpan(0, count);
        return new Summary(
            count, mean, sorted[0], Quantile(finite, 0.1), Quantile(finite, 0.5), Quantile(finite, 0.9), sorted[count - 1]);
    }

    /// <summary>A quantile of values, between the two neighbours where it falls in proportion, as NumPy's default.</summary>
    /// <param name="sorted">One or more, rising.</param>
    /// <param name="part">From 0, the least, to 1, the greatest.</param>
    /// <exception cref="ArgumentException">There are no values.</exception>
    /// <exception cref="ArgumentOutOfRangeException">The part is not from 0 to 1.</exception>
    public static double Quantile(ReadOnlySpan<double> sorted, double part)
    {
        if (sorted.IsEmpty)
            throw new ArgumentException("No values have no quantile.", nameof(sorted));
        if (part is not (>= 0 and <= 1))
            throw new ArgumentOutOfRangeException(nameof(part), part, "A part is from 0 to 1.");
        double at = part * (sorted.Length - 1);
        int below = (int)at;
        return below + 1 < sorted.Length ? sorted[below] + (at - below) * (sorted[below + 1] - sorted[below]) : sorted[^1];
    }
}
