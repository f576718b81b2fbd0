using Attune.Tensors;
using Attune.Weights;

namespace Attune.Schedulers;

/// <summary>
/// Multistep consistency sampling (Luo et al., arXiv 2310.04378), as LCMScheduler of diffusers: every step jumps to a clean sample and adds
/// new noise, the last one adds none. Also for DMD2 and one-step Hyper-SD with given timesteps.
/// </summary>
public sealed class LCMScheduler : Scheduler
{
    private readonly AlphaBars _bars;
    private readonly ConsistencySpacing _spacing;
    private readonly Prediction _prediction;
    private readonly CleanLimits _limits;
    private readonly double _finalBar;
    private readonly double _scaling;

    internal LCMScheduler(ModelConfig config)
        : base(config)
    {
        _bars = AlphaBars.Read(config, ZeroSnr.Exact, 0.00085, 0.012, "scaled_linear");
        _spacing = ConsistencySpacing.Read(config);
        _prediction = Predictions.Read(config);
        _limits = CleanLimits.Read(config, clips: false);
        _finalBar = config.Bool("set_alpha_to_one", true) ? 1 : _bars[0];
        _scaling = config.Double("timestep_scaling", 10);
    }

    /// <inheritdoc/>
    public override bool AcceptsTimesteps => true;

    internal override bool IsForFewSteps => true;

    private protected override int MaxSteps => _bars.Count;

    private protected override ISchedulerRun Start(SchedulerRequest request) =>
        new Run(this, _spacing.Space(request, overrideSpansAll: false), request.BeginIndex);

    private sealed class Run(LCMScheduler owner, double[] timesteps, int begin)
        : AlphaBarRun(owner.ClassName, timesteps, owner._bars, owner._finalBar, owner._prediction, owner._limits, begin)
    {
        protected override Tensor Advance(int index, Tensor prediction, Tensor latents, Noise noise, StepDetails? details)
        {
            // The boundary condition of consistency models: at t = 0 the function is the identity. The data's deviation is 0.5 in the
            // reference.
            double time = At(index) * owner._scaling;
            double skip = 0.25 / ((time * time) + 0.25);
            double output = time / Math.Sqrt((time * time) + 0.25);
            var clean = CleanSample(index, prediction, latents);
            var denoised = Mix.Of((output, clean), (skip, latents));
            if (details != null)
                (details.CleanSample, details.Denoised) = (clean, denoised);
            if (index == Timesteps.Count - 1)
                return details == null ? denoised : denoised.Clone();
            double next = Bar(At(index + 1));
            return Mix.Of((Math.Sqrt(next), denoised), (Math.Sqrt(1 - next), noise.Draw()));
        }
    }
}
