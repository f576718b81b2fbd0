using Attune.Tensors;
using Attune.Weights;

namespace Attune.Schedulers;

/// <summary>
/// Consistency sampling along the path of flow matching, as FlowMatchLCMScheduler of diffusers: each step goes to the clean sample and adds
/// new noise of the next level. Noise is drawn in the last step too, where its factor is 0. Sampling at growing scales (scale_factors) is
/// not supported.
/// </summary>
public sealed class FlowMatchLCMScheduler : FlowMatchScheduler
{
    internal FlowMatchLCMScheduler(ModelConfig config)
        : base(config)
    {
        if (config.Has("scale_factors"))
            throw new CheckpointException($"'{config.Path}': scale_factors is not supported.");
    }

    /// <inheritdoc/>
    public override bool AcceptsSigmas => true;

    internal override bool IsForFewSteps => true;

    private protected override ISchedulerRun Start(SchedulerRequest request)
    {
        var (timesteps, sigmas) = Schedule(request);
        return new Run(this, timesteps, sigmas, request.BeginIndex);
    }

    private sealed class Run(
        FlowMatchScheduler owner, float[] timesteps, float[] sigmas, int begin) : FlowRun(owner, timesteps, sigmas, begin)
    {
        protected override Tensor Advance(int index, Tensor prediction, Tensor latents, Noise noise, StepDetails? details)
        {
            Note(details, index, prediction, latents);
            return Renoised(index, prediction, latents, noise.Draw());
        }
    }
}
