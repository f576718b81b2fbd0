using Attune.Tensors;
using Attune.Weights;

namespace Attune.Schedulers;

/// <summary>
/// Euler steps of Karras et al. (arXiv 2206.00364, algorithm 2 without the correction), as EulerDiscreteScheduler of diffusers: x' = x +
/// (sigma' - sigma) (x - clean) / sigma.
/// </summary>
public sealed class EulerDiscreteScheduler : SigmaScheduler
{
    private readonly bool _logLinear;
    private readonly bool _continuous;
    private readonly bool _endsAtZero;

    internal EulerDiscreteScheduler(ModelConfig config)
        : base(config, ZeroSnr.Floored, SigmaSpacing.Read(config))
    {
        _logLinear = Choice(config, "interpolation_type", "linear", "log_linear");
        _continuous = Choice(config, "timestep_type", "discrete", "continuous") && Prediction == Prediction.Velocity;
        _endsAtZero = !Choice(config, "final_sigmas_type", "zero", "sigma_min");
    }

    /// <inheritdoc/>
    public override bool AcceptsSigmas => true;

    /// <inheritdoc/>
    public override bool AcceptsTimesteps => true;

    private protected override int StepsOf(SchedulerRequest request) => base.StepsOf(request) - (request.Sigmas == null ? 0 : 1);

    private protected override ISchedulerRun Start(SchedulerRequest request)
    {
        double[] timesteps;
        float[] sigmas;
        if (request.Sigmas is { } given)
        {
            if (!Spacing.FollowsTimesteps)
                throw new ArgumentException($"{ClassName} takes no Sigmas when its configuration spaces them.", nameof(request));
            sigmas = Single([.. given]);
            timesteps = [.. sigmas[..^1].Select(sigma => Bars.TimestepOf(sigma))];
        }
        else
        {
            if (_continuous && request.Timesteps != null)
                throw new ArgumentException($"{ClassName} takes no Timesteps when its timesteps are continuous.", nameof(request));
            (timesteps, double[] levels) = Schedule(request);
            if (_logLinear)
                (timesteps, levels) = SpaceLogarithms(timesteps);
            sigmas = Single([.. levels, _endsAtZero ? 0 : Bars.Sigmas[0]]);
        }
        float[] shown = _continuous ? [.. sigmas[..^1].Select(sigma => 0.25f * MathF.Log(sigma))] : Single(timesteps);
        return new Run(this, shown, sigmas, request);
    }

    /// <summary>
    /// interpolation_type log_linear: noise levels over the whole schedule, one more than timesteps, unless the configuration spaces them
    /// too.
    /// </summary>
    private (double[] Timesteps, double[] Sigmas) SpaceLogarithms(double[] timesteps)
    {
        var (highest, lowest) = (Bars.Sigmas[^1], Bars.Sigmas[0]);
        if (Spacing.FollowsTimesteps)
            return (timesteps, SigmaSpacing.Exponential(highest, lowest, timesteps.Length + 1));
        double[] levels = Spacing.Space(highest, lowest, timesteps.Length);
        return (Array.ConvertAll(levels, Bars.TimestepOf), levels);
    }

    private sealed class Run(
        EulerDiscreteScheduler owner, float[] timesteps, float[] sigmas, SchedulerRequest request) : SigmaRun(owner, timesteps, sigmas,
        request.BeginIndex)
    {
        protected override Tensor Advance(int index, Tensor prediction, Tensor latents, Noise noise, StepDetails? details)
        {
            double sigma = Sigma(index);
            double churn = Churn.Of(request, sigma, Sigmas.Count);
            double raised = sigma * (churn + 1);
            if (churn > 0)
                latents = Mix.Of((1, latents), (request.SNoise * Math.Sqrt((raised * raised) - (sigma * sigma)), noise.Draw()));

            // The reference converts velocities at the level before the churn, noise at the level after it.
            var rule = owner.Prediction.ToCleanUnscaled(owner.Prediction == Prediction.Epsilon ? raised : sigma);
            return Mix.Of((1, latents), (Sigma(index + 1) - raised, Derivative(rule, raised, prediction, latents, details)));
        }
    }
}
