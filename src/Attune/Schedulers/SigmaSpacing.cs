using Attune.Weights;

namespace Attune.Schedulers;

/// <summary>How noise levels lie between the highest and the lowest.</summary>
internal enum SigmaSpacingKind
{
    /// <summary>Where the chosen timesteps put them.</summary>
    Timesteps,

    /// <summary>Even in sigma^(1/7): Karras et al., arXiv 2206.00364, equation 5.</summary>
    Karras,

    /// <summary>Even in the logarithm.</summary>
    Exponential,

    /// <summary>By quantiles of Beta(0.6, 0.6): Lee et al., arXiv 2407.12173.</summary>
    Beta,
}

/// <summary>
/// The spacing that use_karras_sigmas, use_exponential_sigmas and use_beta_sigmas choose, between the ends that sigma_min and sigma_max may
/// state.
/// </summary>
internal sealed class SigmaSpacing
{
    private readonly double? _min;
    private readonly double? _max;

    private SigmaSpacing(SigmaSpacingKind kind, double? min, double? max) => (Kind, _min, _max) = (kind, min, max);

    /// <summary>Of classes that have no such options.</summary>
    public static SigmaSpacing None { get; } = new(SigmaSpacingKind.Timesteps, null, null);

    public SigmaSpacingKind Kind { get; }

    /// <summary>Whether noise levels follow from timesteps, rather than timesteps from noise levels.</summary>
    public bool FollowsTimesteps => Kind == SigmaSpacingKind.Timesteps;

    /// <summary>
    /// Reads a configuration. Some classes of the reference take no notice of sigma_min and sigma_max in the spacing of Karras.
    /// </summary>
    public static SigmaSpacing Read(ModelConfig config, bool karrasTakesEnds = true)
    {
        var kind = SigmaSpacingKind.Timesteps;
        foreach (
            var (key, value) in new[] {
                ("use_karras_sigmas", SigmaSpacingKind.Karras), ("use_exponential_sigmas", SigmaSpacingKind.Exponential),
                ("use_beta_sigmas", SigmaSpacingKind.Beta) })
        {
            if (!config.Bool(key, false))
                continue;
            if (kind != SigmaSpacingKind.Timesteps)
                throw new CheckpointException($"'{config.Path}': {key} is true, but another spacing of sigmas is chosen too.");
            kind = value;
        }
        return kind == SigmaSpacingKind.Karras && !karrasTakesEnds ? new SigmaSpacing(kind, null, null)
            : new SigmaSpacing(kind, config.OptionalPositive("sigma_min"), config.OptionalPositive("sigma_max"));
    }

    /// <summary>n noise levels, falling.</summary>
    public double[] Space(double highest, double lowest, int n)
    {
        highest = _max ?? highest;
        lowest = _min ?? lowest;
        return Kind switch
        {
            SigmaSpacingKind.Karras => Karras(highest, lowest, n, 7),
            SigmaSpacingKind.Exponential => Exponential(highest, lowest, n),
            _ => Array.ConvertAll(Even.Linspace(0, 1, n), part => lowest + (BetaQuantile(1 - part, 0.6) * (highest - lowest))),
        };
    }

    public static double[] Karras(double highest, double lowest, int n, double rho)
    {
        double top = Math.Pow(highest, 1 / rho);
        double bottom = Math.Pow(lowest, 1 / rho);
        return Array.ConvertAll(Even.Linspace(0, 1, n), part => Math.Pow(top + (part * (bottom - top)), rho));
    }

    public static double[] Exponential(double highest, double lowest, int n) =>
        Array.ConvertAll(Even.Linspace(Math.Log(highest), Math.Log(lowest), n), Math.Exp);

    /// <summary>The inverse of the distribution function of Beta(a, a).</summary>
    internal static double BetaQuantile(double probability, double a)
    {
        if (probability > 0.5)
            return 1 - BetaQuantile(1 - probability, a);
        if (probability <= 0)
            return 0;
        // The integral from 0 to 1/2 is half of the whole.
        double target = 2 * probability * BetaIntegral(0.5, a);
        double low = 0;
        double high = 0.5;
        for (int i = 0; i < 200 && low < high; i++)
        {
            double middle = (low + high) / 2;
            if (middle == low || middle == high)
                break;
            if (BetaIntegral(middle, a) < target)
                low = middle;
            else
                high = middle;
        }
        return (low + high) / 2;
    }

    /// <summary>The integral of (u (1 - u))^(a - 1) from 0 to x, at most 1/2, by the series of (1 - u)^(a - 1).</summary>
    private static double BetaIntegral(double x, double a)
    {
        double sum = 0;
        double term = 1;
        for (int k = 0; k < 200; k++)
        {
            double part = term / (a + k);
            sum += part;
            if (part < sum * 1e-17)
                break;
            term *= (k + 1 - a) / (k + 1) * x;
        }
        return Math.Pow(x, a) * sum;
    }
}
