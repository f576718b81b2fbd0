namespace Attune.Evaluation.Metrics;

/// <summary>A mean, and what it may be by chance.</summary>
/// <param name="Mean">The mean.</param>
/// <param name="Deviation">The standard deviation of the values, 0 for a single one.</param>
/// <param name="Interval">A 95 % interval of the mean.</param>
public sealed record MeanEstimate(double Mean, double Deviation, Interval Interval)
{
    /// <summary>
    /// The mean of values with a 95 % percentile interval of the bootstrap (Efron and Tibshirani, "An Introduction to the Bootstrap", 1993,
    /// chapter 13).
    /// </summary>
    /// <param name="values">One for each picture or pair.</param>
    /// <param name="seed">Of the draws. The same seed gives the same interval, on any machine.</param>
    /// <param name="resamples">How often the values are drawn, from 100.</param>
    /// <exception cref="ArgumentException">There are no values.</exception>
    public static MeanEstimate Of(IReadOnlyList<double> values, long seed = 0, int resamples = 2000)
    {
        ArgumentNullException.ThrowIfNull(values);
        ArgumentOutOfRangeException.ThrowIfLessThan(resamples, 100);
        if (values.Count == 0)
            throw new ArgumentException("There are no values.", nameof(values));
        double mean = values.Average();
        double square = values.Sum(value => (value - mean) * (value - mean));
        var draws = new Draws(seed);
        var means = new double[resamples];
        for (int i = 0; i < resamples; i++)
        {
            double sum = 0;
            for (int j = 0; j < values.Count; j++)
                sum += values[draws.Below(values.Count)];
            means[i] = sum / values.Count;
        }
        Array.Sort(means);
        var interval = new Interval(means[(int)(0.025 * (resamples - 1))], means[(int)Math.Ceiling(0.975 * (resamples - 1))]);
        return new MeanEstimate(mean, values.Count == 1 ? 0 : Math.Sqrt(square / (values.Count - 1)), interval);
    }
}
