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
        double Quantile(double part)
        {
            double at = part * (count - 1);
            int below = (int)at;
            return below + 1 < count ? sorted[below] + (at - below) * (sorted[below + 1] - sorted[below]) : sorted[count - 1];
        }

        // The mean of equal values can miss them by rounding; it never lies outside of them.
        double mean = Math.Clamp(sum / count, sorted[0], sorted[count - 1]);
        return new Summary(count, mean, sorted[0], Quantile(0.1), Quantile(0.5), Quantile(0.9), sorted[count - 1]);
    }
}
