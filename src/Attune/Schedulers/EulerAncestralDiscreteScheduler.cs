using Attune.Tensors;
using Attune.Weights;

namespace Attune.Schedulers;

/// <summary>
/// Euler steps that go below the next noise level and return to it with new noise, as EulerAncestralDiscreteScheduler of diffusers. Noise
/// is drawn in every step, the last one too, where its factor is 0.
/// </summary>
public sealed class EulerAncestralDiscreteScheduler : SigmaScheduler
{
    internal EulerAncestralDiscreteScheduler(ModelConfig config)
        : base(config, ZeroSnr.Floored, SigmaSpacing.None)
    {
    }

    private protected override ISchedulerRun Start(SchedulerRequest request)
    {
        var (timesteps, sigmas) = Schedule(request);
        return new Run(this, Single(timesteps), Single([.. sigmas, 0]), request.BeginIndex);
    }

    private sealed class Run(
        EulerAncestralDiscreteScheduler owner, float[] timesteps, float[] sigmas, int begin) : SigmaRun(owner, timesteps, sigmas, begin)
    {
        protected override Tensor Advance(int index, Tensor prediction, Tensor latents, Noise noise, StepDetails? details)
        {
            double from = Sigma(index);
            var (down, up) = Ancestral.Split(from, Sigma(index + 1));
            var derivative = Derivative(Clean(index), from, prediction, latents, details);
            return Mix.Of((1, latents), (down - from, derivative), (up, noise.Draw()));
        }
    }
}

/// <summary>Ancestral steps: down to a lower noise level than the next, and up to it with new noise.</summary>
internal static class Ancestral
{
    public static (double Down, double Up) Split(double from, double to)
    {
        double up = Math.Min(to, Math.Sqrt(to * to * ((from * from) - (to * to)) / (from * from)));
        return (Math.Sqrt((to * to) - (up * up)), up);
    }
}
