using Attune.Tensors;

namespace Attune.Schedulers;

/// <summary>
/// Runs of DDIM and its relatives: whole timesteps of a training schedule, latents sqrt(abar) clean + sqrt(1 - abar) noise.
/// </summary>
internal abstract class AlphaBarRun : SchedulerRun
{
    private readonly AlphaBars _bars;
    private readonly Prediction _prediction;
    private readonly CleanLimits _limits;

    protected AlphaBarRun(
        string scheduler, double[] timesteps, AlphaBars bars, double finalBar, Prediction prediction, CleanLimits limits, int begin)
        : base(scheduler, Array.ConvertAll(timesteps, t => (float)t), Levels(timesteps, bars, finalBar), begin)
    {
        (_bars, FinalBar, _prediction, _limits) = (bars, finalBar, prediction, limits);
        foreach (double t in timesteps)
        {
            if (t < 0 || t >= bars.Count)
                throw new ArgumentException(
                    $"{scheduler}: the timestep {t} is outside of the training schedule, 0 to {bars.Count - 1}; do fewer steps, or lower "
                        + $"steps_offset.",
                    nameof(timesteps));
        }
    }

    /// <summary>abar beyond the last timestep.</summary>
    protected double FinalBar { get; }

    /// <summary>The entry's timestep.</summary>
    protected int At(int index) => (int)Timesteps[index];

    /// <summary>abar at a timestep, which may lie beyond the end.</summary>
    protected double Bar(int timestep) => timestep < 0 ? FinalBar : _bars[timestep];

    protected override CleanRule Clean(int index)
    {
        double bar = Bar(At(index));
        return _prediction.ToClean(Math.Sqrt(bar), Math.Sqrt(1 - bar));
    }

    /// <summary>The noise as a sum of latents and prediction.</summary>
    protected (double Latents, double Prediction) NoiseRule(int index)
    {
        double bar = Bar(At(index));
        return _prediction.ToNoise(Math.Sqrt(bar), Math.Sqrt(1 - bar));
    }

    /// <summary>Whether the clean sample is used as it is.</summary>
    protected bool IsUnlimited => _limits.IsNone;

    /// <summary>The clean sample, in range.</summary>
    protected Tensor CleanSample(int index, Tensor prediction, Tensor latents)
    {
        var rule = Clean(index);
        return _limits.Apply(Mix.Of((rule.Latents, latents), (rule.Prediction, prediction)));
    }

    protected override (double Signal, double Level) NoiseScales(int index)
    {
        double bar = Bar(At(index));
        return (Math.Sqrt(bar), Math.Sqrt(1 - bar));
    }

    private static float[] Levels(double[] timesteps, AlphaBars bars, double finalBar) =>
        [.. timesteps.Select(t => t >= 0 && t < bars.Count ? bars.Sigmas[(int)t] : 0), (float)Math.Sqrt((1 - finalBar) / finalBar)];
}
