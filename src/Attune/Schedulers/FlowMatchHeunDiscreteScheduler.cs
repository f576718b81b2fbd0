using Attune.Tensors;
using Attune.Weights;

namespace Attune.Schedulers;

/// <summary>
/// Heun steps along the path of flow matching, as FlowMatchHeunDiscreteScheduler of diffusers: 2 n - 1 evaluations. The reference knows a
/// static shift alone; here use_dynamic_shifting of a checkpoint (FLUX.1-dev) is obeyed too.
/// </summary>
public sealed class FlowMatchHeunDiscreteScheduler : FlowMatchScheduler
{
    internal FlowMatchHeunDiscreteScheduler(ModelConfig config)
        : base(config, isPlain: true)
    {
    }

    /// <inheritdoc/>
    public override int Order => 2;

    private protected override ISchedulerRun Start(SchedulerRequest request)
    {
        SecondOrder.CheckBegin(request, ClassName);
        var (timesteps, sigmas) = Schedule(request);
        return new Run(this, SecondOrder.Doubled(timesteps), [.. SecondOrder.Doubled(sigmas[..^1]), 0], request);
    }

    private sealed class Run(FlowMatchHeunDiscreteScheduler owner, float[] timesteps, float[] sigmas, SchedulerRequest request)
        : FlowRun(owner, timesteps, sigmas, request.BeginIndex)
    {
        private readonly TensorHistory _latents = new(1);
        private readonly TensorHistory _derivative = new(1);

        protected override bool KeepsHistory => true;

        protected override Tensor Advance(int index, Tensor prediction, Tensor latents, Noise noise, StepDetails? details)
        {
            int first = index - (index % 2);
            double sigma = Sigma(first);
            double churn = Churn.Of(request, sigma, Sigmas.Count);
            double raised = sigma * (churn + 1);
            if (churn > 0)
                latents = Mix.Of((1, latents), (request.SNoise * Math.Sqrt((raised * raised) - (sigma * sigma)), noise.Draw()));
            Note(details, index, prediction, latents);
            double length = Sigma(first + 1) - raised;
            if (index != first)
                return Mix.Of((1, _latents[0]), (length / 2, _derivative[0]), (length / 2, prediction));
            var derivative = Mix.Of((sigma / raised, prediction));
            _latents.Push(latents);
            _derivative.Push(derivative);
            return Mix.Of((1, latents), (length, derivative));
        }

        protected override void Release()
        {
            _latents.Dispose();
            _derivative.Dispose();
        }
    }
}
