using Attune.Tensors;
using Attune.Weights;

namespace Attune.Schedulers;

/// <summary>
/// Heun steps of Karras et al. (arXiv 2206.00364, algorithm 2), as HeunDiscreteScheduler of diffusers: two evaluations a step but for the
/// last, 2 n - 1 in all.
/// </summary>
public sealed class HeunDiscreteScheduler : SigmaScheduler
{
    private readonly CleanLimits _limits;

    internal HeunDiscreteScheduler(ModelConfig config)
        : base(config, ZeroSnr.Unknown, SigmaSpacing.Read(config), betaStart: 0.00085, betaEnd: 0.012) =>
            _limits = CleanLimits.Clips(config, missing: false);

    /// <inheritdoc/>
    public override int Order => 2;

    /// <inheritdoc/>
    public override bool AcceptsTimesteps => true;

    private protected override ISchedulerRun Start(SchedulerRequest request)
    {
        SecondOrder.CheckBegin(request, ClassName);
        var (timesteps, sigmas) = Schedule(request);
        return new Run(this, Single(SecondOrder.Doubled(timesteps)), Single([.. SecondOrder.Doubled(sigmas), 0]), request.BeginIndex);
    }

    private sealed class Run(
        HeunDiscreteScheduler owner, float[] timesteps, float[] sigmas, int begin) : SigmaRun(owner, timesteps, sigmas, begin,
        owner._limits)
    {
        private readonly TensorHistory _latents = new(1);
        private readonly TensorHistory _derivative = new(1);

        protected override bool KeepsHistory => true;

        protected override Tensor Advance(int index, Tensor prediction, Tensor latents, Noise noise, StepDetails? details)
        {
            var derivative = Derivative(Clean(index), Sigma(index), prediction, latents, details);
            if (index % 2 == 1)
            {
                double half = (Sigma(index) - Sigma(index - 1)) / 2;
                return Mix.Of((1, _latents[0]), (half, _derivative[0]), (half, derivative));
            }
            _latents.Push(latents);
            _derivative.Push(derivative);
            return Mix.Of((1, latents), (Sigma(index + 1) - Sigma(index), derivative));
        }

        protected override void Release()
        {
            _latents.Dispose();
            _derivative.Dispose();
        }
    }
}

/// <summary>
/// Lists of schedulers with two evaluations a step: entries 2 k are at the step, 2 k + 1 at its correction; the last step has no
/// correction.
/// </summary>
internal static class SecondOrder
{
    /// <summary>All values but the first twice.</summary>
    public static T[] Doubled<T>(T[] values) => [values[0], .. values[1..].SelectMany(value => new[] { value, value })];

    public static void CheckBegin(SchedulerRequest request, string scheduler)
    {
        if (request.BeginIndex % 2 != 0)
            throw new ArgumentException(
                $"BeginIndex is {request.BeginIndex}, expected an even number: {scheduler} evaluates twice a step.", nameof(request));
    }
}
