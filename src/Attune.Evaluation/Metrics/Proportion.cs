namespace Attune.Evaluation.Metrics;

/// <summary>How often something was so among independent trials.</summary>
public readonly record struct Proportion
{
    /// <summary>The 0.975 quantile of the normal distribution: 95 % lie within it on both sides.</summary>
    private const double Quantile = 1.959963984540054;

    /// <summary>A share of trials.</summary>
    /// <param name="successes">0 to the trials.</param>
    /// <param name="trials">0 or more.</param>
    /// <exception cref="ArgumentOutOfRangeException">The numbers are no share.</exception>
    public Proportion(int successes, int trials)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(trials);
        ArgumentOutOfRangeException.ThrowIfNegative(successes);
        ArgumentOutOfRangeException.ThrowIfGreaterThan(successes, trials);
        (Successes, Trials) = (successes, trials);
    }

    /// <summary>How often it was so.</summary>
    public int Successes { get; }

    /// <summary>Among how many.</summary>
    public int Trials { get; }

    /// <summary>Successes by trials; NaN without trials.</summary>
    public double Value => (double)Successes / Trials;

    /// <summary>The proportion over all trials of some.</summary>
    public static Proportion Sum(IEnumerable<Proportion> parts)
    {
        ArgumentNullException.ThrowIfNull(parts);
        var (successes, trials) = (0, 0);
        foreach (var part in parts)
            (successes, trials) = (checked(successes + part.Successes), checked(trials + part.Trials));
        return new Proportion(successes, trials);
    }

    /// <summary>
    /// Wilson's score interval, which holds the true probability with 95 % confidence (Wilson, "Probable Inference, the Law of Succession,
    /// and Statistical Inference", 1927). 0 to 1 without trials.
    /// </summary>
    public Interval Wilson()
    {
        if (Trials == 0)
            return new Interval(0, 1);
        const double Square = Quantile * Quantile;
        double n = Trials;
        double middle = (Successes + Square / 2) / (n + Square);
        double half = Quantile / (n + Square) * Math.Sqrt(Successes * (n - Successes) / n + Square / 4);
        // At the ends the bound is exact; elsewhere rounding cannot reach it.
        return new Interval(Successes == 0 ? 0 : middle - half, Successes == Trials ? 1 : middle + half);
    }

    /// <summary>
    /// The ratio of two proportions that were measured on the same prompts, with a 95 % percentile interval of the bootstrap over prompts
    /// (Efron and Tibshirani, "An Introduction to the Bootstrap", 1993, chapters 8 and 13): prompts are drawn with replacement, each with
    /// all of its trials on both sides, because the pictures of one prompt resemble each other.
    /// </summary>
    /// <param name="clusters">For each prompt what was counted, and what the baseline gave.</param>
    /// <param name="seed">Of the draws; its low 32 bits count. The same seed gives the same interval, on any machine.</param>
    /// <param name="resamples">How often the prompts are drawn, from 100.</param>
    /// <returns>
    /// The ratio over all prompts, NaN or infinity where the baseline is 0. The interval leaves out draws that have no ratio (0 by 0, or a
    /// side without trials), and ends at infinity where more than 2.5 % of the others have a baseline of 0; it is NaN to NaN where all are
    /// left out.
    /// </returns>
    public static RatioEstimate Ratio(IReadOnlyList<PairedProportions> clusters, long seed = 0, int resamples = 10_000)
    {
        ArgumentNullException.ThrowIfNull(clusters);
        ArgumentOutOfRangeException.ThrowIfLessThan(resamples, 100);
        var draws = new Draws(seed);
        var ratios = new List<double>(resamples);
        for (int i = 0; i < resamples && clusters.Count > 0; i++)
        {
            var sums = new RatioSums();
            for (int j = 0; j < clusters.Count; j++)
                sums.Add(clusters[draws.Below(clusters.Count)]);
            if (!double.IsNaN(sums.Ratio))
                ratios.Add(sums.Ratio);
        }
        var all = new RatioSums();
        foreach (var cluster in clusters)
            all.Add(cluster);
        if (ratios.Count == 0)
            return new RatioEstimate(all.Ratio, new Interval(double.NaN, double.NaN));
        // Nearest ranks: between infinities there is nothing to interpolate.
        ratios.Sort();
        int outside = (int)(0.025 * ratios.Count);
        return new RatioEstimate(all.Ratio, new Interval(ratios[outside], ratios[^(outside + 1)]));
    }

    private struct RatioSums
    {
        private long _successes;
        private long _trials;
        private long _baselineSuccesses;
        private long _baselineTrials;

        public readonly double Ratio => (double)_successes / _trials / ((double)_baselineSuccesses / _baselineTrials);

        public void Add(PairedProportions pair)
        {
            _successes += pair.Value.Successes;
            _trials += pair.Value.Trials;
            _baselineSuccesses += pair.Baseline.Successes;
            _baselineTrials += pair.Baseline.Trials;
        }
    }
}

/// <summary>A range of numbers.</summary>
/// <param name="Low">The lower end.</param>
/// <param name="High">The upper end.</param>
public readonly record struct Interval(double Low, double High);

/// <summary>What one prompt gave, and what it gave without the method that is measured.</summary>
/// <param name="Value">With it.</param>
/// <param name="Baseline">Without.</param>
public readonly record struct PairedProportions(Proportion Value, Proportion Baseline);

/// <summary>A ratio of proportions.</summary>
/// <param name="Value">The ratio.</param>
/// <param name="Interval">Where it lies with 95 % confidence.</param>
public readonly record struct RatioEstimate(double Value, Interval Interval);
