using Attune.Tensors;
using Attune.Weights;

namespace Attune.Schedulers;

/// <summary>
/// Denoising diffusion implicit models (Song et al., arXiv 2010.02502), as DDIMScheduler of diffusers. <see cref="SchedulerRequest.Eta"/>
/// adds noise.
/// </summary>
public sealed class DDIMScheduler : Scheduler
{
    private readonly AlphaBars _bars;
    private readonly TimestepSpacing _spacing;
    private readonly Prediction _prediction;
    private readonly CleanLimits _limits;
    private readonly double _finalBar;
    private readonly bool _meetsTimesteps;

    internal DDIMScheduler(ModelConfig config)
        : base(config)
    {
        _bars = AlphaBars.Read(config, ZeroSnr.Exact);
        _spacing = TimestepSpacing.Read(config, "leading");
        _prediction = Predictions.Read(config);
        _limits = CleanLimits.Read(config, clips: true);
        _finalBar = config.Bool("set_alpha_to_one", true) ? 1 : _bars[0];
        _meetsTimesteps = config.Bool("meets_timesteps", false);
    }

    private protected override bool AcceptsEta => true;

    private protected override int MaxSteps => _bars.Count;

    private protected override ISchedulerRun Start(SchedulerRequest request)
    {
        float eta = request.Eta ?? 0;
        int steps = request.Steps!.Value;
        return new Run(this, _spacing.Space(steps, whole: true), _bars.Count / steps, eta, request);
    }

    private sealed class Run(DDIMScheduler owner, double[] timesteps, int stride, double eta, SchedulerRequest request)
        : AlphaBarRun(owner.ClassName, timesteps, owner._bars, owner._finalBar, owner._prediction, owner._limits, request.BeginIndex)
    {
        protected override Tensor Advance(int index, Tensor prediction, Tensor latents, Noise noise, StepDetails? details)
        {
            double bar = Bar(At(index));
            double next = Bar(!owner._meetsTimesteps ? At(index) - stride : index + 1 < Timesteps.Count ? At(index + 1) : -1);
            double variance = (1 - next) / (1 - bar) * (1 - (bar / next));
            double deviation = eta * Math.Sqrt(variance);
            double signal = Math.Sqrt(next);
            double direction = Math.Sqrt(1 - next - (deviation * deviation));
            var (noiseOfLatents, noiseOfPrediction) = NoiseRule(index);
            Tensor? clean = null;
            Tensor result;
            if (IsUnlimited)
            {
                var rule = Clean(index);
                if (details != null)
                    clean = CleanSample(index, prediction, latents);
                result = Mix.Of(
                    ((signal * rule.Latents) + (direction * noiseOfLatents), latents),
                    ((signal * rule.Prediction) + (direction * noiseOfPrediction), prediction));
            }
            else
            {
                clean = CleanSample(index, prediction, latents);
                double level = Math.Sqrt(1 - bar);
                result = request.UseClippedModelOutput
                    ? Mix.Of((signal - (direction * Math.Sqrt(bar) / level), clean), (direction / level, latents))
                    : Mix.Of((signal, clean), (direction * noiseOfLatents, latents), (direction * noiseOfPrediction, prediction));
            }
            if (details != null)
                details.CleanSample = clean;
            return eta > 0 ? Mix.Of((1, result), (deviation, noise.Draw())) : result;
        }
    }
}
