using System.Text.Json;
using Attune.Weights;

namespace Attune.Schedulers;

/// <summary>How a class takes rescale_betas_zero_snr.</summary>
internal enum ZeroSnr
{
    /// <summary>It has no such option.</summary>
    Unknown,

    /// <summary>The last abar becomes 0.</summary>
    Exact,

    /// <summary>The last abar becomes 2^-24, so that its sigma is finite.</summary>
    Floored,
}

/// <summary>
/// The products of (1 - beta) of a training schedule, one for each timestep, in the single precision in which diffusers holds them: near t
/// = 0 its rounding shows in every value derived from 1 - abar.
/// </summary>
internal sealed class AlphaBars
{
    private readonly float[] _bars;

    private AlphaBars(float[] bars)
    {
        _bars = bars;
        Sigmas = new float[bars.Length];
        LogSigmas = new float[bars.Length];
        for (int t = 0; t < bars.Length; t++)
        {
            Sigmas[t] = MathF.Sqrt((1 - bars[t]) / bars[t]);
            LogSigmas[t] = MathF.Log(Sigmas[t]);
        }
    }

    /// <summary>The number of timesteps.</summary>
    public int Count => _bars.Length;

    /// <summary>sqrt((1 - abar) / abar) for each timestep, rising.</summary>
    public float[] Sigmas { get; }

    /// <summary>The logarithms of <see cref="Sigmas"/>.</summary>
    public float[] LogSigmas { get; }

    public float this[int timestep] => _bars[timestep];

    /// <summary>Reads a configuration; the last three parameters are the defaults of the class.</summary>
    /// <param name="config">What the checkpoint states.</param>
    /// <param name="zeroSnr">What the class makes of rescale_betas_zero_snr.</param>
    /// <param name="start">The default of beta_start.</param>
    /// <param name="end">The default of beta_end.</param>
    /// <param name="schedule">The default of beta_schedule.</param>
    public static AlphaBars Read(ModelConfig config, ZeroSnr zeroSnr, double start = 0.0001, double end = 0.02, string schedule = "linear")
    {
        int count = config.Int("num_train_timesteps", 1000);
        if (count < 2 || count > 1_000_000)
            throw new CheckpointException($"'{config.Path}': num_train_timesteps is {count}, expected 2 to 1000000.");
        float[] betas = Betas(config, count, start, end, schedule);
        int wrong = Array.FindIndex(betas, beta => !(beta > 0 && beta < 1));
        if (wrong >= 0)
        {
            throw new CheckpointException(FormattableString.Invariant(
                $"'{config.Path}': beta {wrong} of {count}, from beta_start, beta_end and beta_schedule or trained_betas, is ")
                    + FormattableString.Invariant($"{betas[wrong]}, expected between 0 and 1."));
        }
        bool rescales = zeroSnr != ZeroSnr.Unknown && config.Bool("rescale_betas_zero_snr", false);
        if (rescales)
            RescaleToZeroSnr(betas);
        float[] bars = Products(betas);
        if (rescales && zeroSnr == ZeroSnr.Floored)
            bars[^1] = 1f / (1 << 24);
        return new AlphaBars(bars);
    }

    /// <summary>The timestep at which the schedule has a noise level: between two timesteps, linear in the logarithm.</summary>
    public double TimestepOf(double sigma)
    {
        double log = Math.Log(Math.Max(sigma, 1e-10));
        int low = 0;
        for (int t = 0; t < Count && LogSigmas[t] <= log; t++)
            low = t;
        low = Math.Min(low, Count - 2);
        double weight = Math.Clamp((LogSigmas[low] - log) / ((double)LogSigmas[low] - LogSigmas[low + 1]), 0, 1);
        return ((1 - weight) * low) + (weight * (low + 1));
    }

    /// <summary>The noise level at a timestep, which need not be whole; constant beyond the ends.</summary>
    public double SigmaAt(double timestep)
    {
        int low = (int)Math.Clamp(Math.Floor(timestep), 0, Count - 1);
        int high = Math.Min(low + 1, Count - 1);
        return Sigmas[low] + ((Math.Clamp(timestep, 0, Count - 1) - low) * ((double)Sigmas[high] - Sigmas[low]));
    }

    private static float[] Betas(ModelConfig config, int count, double start, double end, string schedule)
    {
        if (config.Find("trained_betas") is { } trained)
        {
            return trained.ValueKind == JsonValueKind.Array
                && trained.GetArrayLength() == count && trained.EnumerateArray().All(beta => beta.ValueKind == JsonValueKind.Number)
                ? [.. trained.EnumerateArray().Select(beta => (float)beta.GetDouble())]
                : throw new CheckpointException(
                    $"'{config.Path}': trained_betas must be a list of {count} numbers, as num_train_timesteps says.");
        }
        start = config.Double("beta_start", start);
        end = config.Double("beta_end", end);
        schedule = config.String("beta_schedule", schedule);
        switch (schedule)
        {
            case "linear":
                return Linear((float)start, (float)end, count);
            case "scaled_linear":
                return Array.ConvertAll(Linear((float)Math.Sqrt(start), (float)Math.Sqrt(end), count), root => root * root);
            case "squaredcos_cap_v2":
                return FromAlphaBar(count, t => Math.Pow(Math.Cos((t + 0.008) / 1.008 * Math.PI / 2), 2));
            case "exp":
                return FromAlphaBar(count, t => Math.Exp(-12 * t));
            case "laplace":
                return FromAlphaBar(count, Laplace);
            case "sigmoid":
                return Array.ConvertAll(Linear(-6, 6, count), x => (1 / (1 + MathF.Exp(-x)) * (float)(end - start)) + (float)start);
            default:
                throw new CheckpointException(
                    $"'{config.Path}': beta_schedule is '{schedule}', expected linear, scaled_linear, squaredcos_cap_v2, exp, laplace or "
                        + $"sigmoid.");
        }
    }

    private static double Laplace(double t)
    {
        double snr = Math.Exp(-0.5 * Math.CopySign(1, 0.5 - t) * Math.Log(1 - (2 * Math.Abs(0.5 - t)) + 1e-6));
        return Math.Sqrt(snr / (1 + snr));
    }

    /// <summary>
    /// Evenly spaced as torch.linspace spaces single-precision numbers: from both ends to the middle, with fused products.
    /// </summary>
    private static float[] Linear(float start, float end, int count)
    {
        var values = new float[count];
        float step = count == 1 ? 0 : (end - start) / (count - 1);
        for (int i = 0; i < count; i++)
            values[i] = i < count / 2 || count == 1 ? MathF.FusedMultiplyAdd(step, i, start)
                : MathF.FusedMultiplyAdd(-step, count - i - 1, end);
        return values;
    }

    private static float[] FromAlphaBar(int count, Func<double, double> bar)
    {
        var betas = new float[count];
        for (int i = 0; i < count; i++)
            betas[i] = (float)Math.Min(1 - (bar((i + 1) / (double)count) / bar(i / (double)count)), 0.999);
        return betas;
    }

    /// <summary>Lin et al., arXiv 2305.08891, algorithm 1: the last timestep is pure noise.</summary>
    private static void RescaleToZeroSnr(float[] betas)
    {
        float[] roots = Array.ConvertAll(Products(betas), MathF.Sqrt);
        float first = roots[0];
        float last = roots[^1];
        float factor = first / (first - last);
        float previous = 1;
        for (int t = 0; t < roots.Length; t++)
        {
            float root = (roots[t] - last) * factor;
            float bar = root * root;
            betas[t] = 1 - (bar / previous);
            previous = bar;
        }
    }

    private static float[] Products(float[] betas)
    {
        var bars = new float[betas.Length];
        double product = 1;
        for (int t = 0; t < betas.Length; t++)
        {
            product *= 1f - betas[t];
            bars[t] = (float)product;
        }
        return bars;
    }
}
