using Attune.Tensors;
using Attune.Weights;

namespace Attune.Schedulers;

/// <summary>
/// Stochastic DPM-Solver++ steps by way of a midpoint (Lu et al., arXiv 2211.01095; k-diffusion's dpmpp_sde), as DPMSolverSDEScheduler of
/// diffusers: 2 n - 1 evaluations, noise in both of a step. The reference takes its noise from a Brownian tree, whose two values within a
/// step are correlated; here each is what the source of noise gives.
/// </summary>
public sealed class DPMSolverSDEScheduler : SigmaScheduler
{
    internal DPMSolverSDEScheduler(ModelConfig config)
        : base(config, ZeroSnr.Unknown, SigmaSpacing.Read(config, karrasTakesEnds: false), betaStart: 0.00085, betaEnd: 0.012)
    {
    }

    /// <inheritdoc/>
    public override int Order => 2;

    private protected override ISchedulerRun Start(SchedulerRequest request)
    {
        SecondOrder.CheckBegin(request, ClassName);
        var (timesteps, levels) = Schedule(request);
        double[] shown = SecondOrder.Doubled(timesteps);
        for (int i = 1; i < shown.Length; i += 2)
            shown[i] = Bars.TimestepOf(Math.Sqrt(levels[i / 2] * levels[(i / 2) + 1]));
        return new Run(this, Single(shown), Single([.. SecondOrder.Doubled(levels), 0]), request);
    }

    private sealed class Run(
        DPMSolverSDEScheduler owner, float[] timesteps, float[] sigmas, SchedulerRequest request) : SigmaRun(owner, timesteps, sigmas,
        request.BeginIndex)
    {
        private readonly TensorHistory _latents = new(1);

        protected override bool KeepsHistory => true;

        protected override float Level(int index) => (float)(index % 2 == 0 ? Sigma(index) : Middle(index - 1));

        protected override Tensor Advance(int index, Tensor prediction, Tensor latents, Noise noise, StepDetails? details)
        {
            int first = index - (index % 2);
            double from = Sigma(first);
            var rule = Clean(index);
            var clean = Mix.Of((rule.Latents, latents), (rule.Prediction, prediction));
            if (details != null)
                details.CleanSample = clean;
            if (Sigma(first + 1) == 0)
                return details == null ? clean : clean.Clone();
            if (first == index)
                _latents.Push(latents);
            var (down, up) = Ancestral.Split(from, first == index ? Middle(first) : Sigma(first + 1));
            double kept = down / from;
            return Mix.Of((kept, _latents[0]), (1 - kept, clean), (request.SNoise * up, noise.Draw()));
        }

        protected override void Release() => _latents.Dispose();

        private double Middle(int first) => Math.Sqrt(Sigma(first) * Sigma(first + 1));
    }
}
