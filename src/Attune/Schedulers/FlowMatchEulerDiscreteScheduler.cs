using Attune.Tensors;
using Attune.Weights;

namespace Attune.Schedulers;

/// <summary>
/// Euler steps along the path of flow matching, as FlowMatchEulerDiscreteScheduler of diffusers: x' = x + (sigma' - sigma) v; or, with
/// stochastic_sampling, clean samples with new noise.
/// </summary>
public sealed class FlowMatchEulerDiscreteScheduler : FlowMatchScheduler
{
    private readonly bool _stochastic;

    internal FlowMatchEulerDiscreteScheduler(ModelConfig config)
        : base(config) => _stochastic = config.Bool("stochastic_sampling", false);

    /// <inheritdoc/>
    public override bool AcceptsSigmas => true;

    private protected override ISchedulerRun Start(SchedulerRequest request)
    {
        var (timesteps, sigmas) = Schedule(request);
        return new Run(this, timesteps, sigmas, request.BeginIndex);
    }

    private sealed class Run(
        FlowMatchEulerDiscreteScheduler owner, float[] timesteps, float[] sigmas, int begin) : FlowRun(owner, timesteps, sigmas, begin)
    {
        protected override Tensor Advance(int index, Tensor prediction, Tensor latents, Noise noise, StepDetails? details)
        {
            Note(details, index, prediction, latents);
            return owner._stochastic ? Renoised(index, prediction, latents, noise.Draw())
                : Mix.Of((1, latents), (Sigma(index + 1) - Sigma(index), prediction));
        }
    }
}
