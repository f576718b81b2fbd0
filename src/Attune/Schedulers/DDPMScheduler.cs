using Attune.Tensors;
using Attune.Weights;

namespace Attune.Schedulers;

/// <summary>
/// Denoising diffusion probabilistic models (Ho et al., arXiv 2006.11239; learned variance: Nichol and Dhariwal, arXiv 2102.09672), as
/// DDPMScheduler of diffusers. With a learned variance predictions have twice the channels, in the last axis.
/// </summary>
public sealed class DDPMScheduler : Scheduler
{
    private readonly AlphaBars _bars;
    private readonly TimestepSpacing _spacing;
    private readonly Prediction _prediction;
    private readonly CleanLimits _limits;
    private readonly string _variance;

    internal DDPMScheduler(ModelConfig config)
        : base(config)
    {
        _bars = AlphaBars.Read(config, ZeroSnr.Exact);
        _spacing = TimestepSpacing.Read(config, "leading");
        _prediction = Predictions.Read(config);
        _limits = CleanLimits.Read(config, clips: true);
        _variance = config.String("variance_type", "fixed_small");
        if (_variance is not ("fixed_small" or "fixed_small_log" or "fixed_large" or "fixed_large_log" or "learned" or "learned_range"))
        {
            throw new CheckpointException(
                $"'{config.Path}': variance_type is '{_variance}', expected fixed_small, fixed_small_log, fixed_large, fixed_large_log, "
                    + $"learned or learned_range.");
        }
    }

    /// <inheritdoc/>
    public override bool AcceptsTimesteps => true;

    private protected override int MaxSteps => _bars.Count;

    private protected override ISchedulerRun Start(SchedulerRequest request)
    {
        double[] timesteps = request.Timesteps is { } given ? Falling(given) : _spacing.Space(request.Steps!.Value, whole: true);
        return new Run(this, timesteps, request.BeginIndex);
    }

    private sealed class Run(DDPMScheduler owner, double[] timesteps, int begin)
        : AlphaBarRun(owner.ClassName, timesteps, owner._bars, 1, owner._prediction, owner._limits, begin)
    {
        protected override bool PredictsVariance => owner._variance is "learned" or "learned_range";

        protected override Tensor Advance(int index, Tensor prediction, Tensor latents, Noise noise, StepDetails? details)
        {
            int channels = latents.Shape[^1];
            var mean = PredictsVariance ? prediction.Slice(^1, 0, channels) : prediction;
            double bar = Bar(At(index));
            double next = Bar(index + 1 < Timesteps.Count ? At(index + 1) : -1);
            double alpha = bar / next;
            double beta = 1 - alpha;
            var clean = CleanSample(index, mean, latents);
            if (details != null)
                details.CleanSample = clean;
            var result = Mix.Of((Math.Sqrt(next) * beta / (1 - bar), clean), (Math.Sqrt(alpha) * (1 - next) / (1 - bar), latents));
            if (At(index) == 0)
                return result;
            var drawn = noise.Draw();
            double small = Math.Max((1 - next) / (1 - bar) * beta, 1e-20);
            switch (owner._variance)
            {
                case "fixed_small" or "fixed_small_log":
                    return Mix.Of((1, result), (Math.Sqrt(small), drawn));
                case "fixed_large":
                    return Mix.Of((1, result), (Math.Sqrt(beta), drawn));
                case "fixed_large_log":
                    return Mix.Of((1, result), (Math.Sqrt(Math.Log(beta)), drawn));
                default:
                    AddLearned(result, prediction.Slice(^1, channels, channels), drawn, Math.Log(small), Math.Log(beta));
                    return result;
            }
        }

        private void AddLearned(Tensor result, Tensor predicted, Tensor drawn, double minLog, double maxLog)
        {
            bool range = owner._variance == "learned_range";
            float[] sum = result.ToArray();
            float[] variance = predicted.ToArray();
            float[] normal = drawn.ToArray();
            for (int i = 0; i < sum.Length; i++)
            {
                double part = (variance[i] + 1.0) / 2;
                double deviation = range ? Math.Exp(0.5 * ((part * maxLog) + ((1 - part) * minLog))) : Math.Sqrt(variance[i]);
                sum[i] += (float)(deviation * normal[i]);
            }
            using var view = result.Write();
            sum.CopyTo(view.Span);
        }
    }
}
