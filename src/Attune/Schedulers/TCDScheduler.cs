using Attune.Tensors;
using Attune.Weights;

namespace Attune.Schedulers;

/// <summary>
/// Trajectory consistency distillation (Zheng et al., arXiv 2402.19159), as TCDScheduler of diffusers. <see cref="SchedulerRequest.Eta"/>
/// (gamma in the paper, 0.3) says how far a step goes beyond the next timestep before noise brings it back; 0 is deterministic.
/// </summary>
public sealed class TCDScheduler : Scheduler
{
    private readonly AlphaBars _bars;
    private readonly ConsistencySpacing _spacing;
    private readonly Prediction _prediction;
    private readonly double _finalBar;

    internal TCDScheduler(ModelConfig config)
        : base(config)
    {
        _bars = AlphaBars.Read(config, ZeroSnr.Exact, 0.00085, 0.012, "scaled_linear");
        _spacing = ConsistencySpacing.Read(config);
        _prediction = Predictions.Read(config);
        _finalBar = config.Bool("set_alpha_to_one", true) ? 1 : _bars[0];
    }

    /// <inheritdoc/>
    public override bool AcceptsTimesteps => true;

    private protected override bool AcceptsEta => true;

    internal override bool IsForFewSteps => true;

    private protected override int MaxSteps => _bars.Count;

    private protected override ISchedulerRun Start(SchedulerRequest request)
    {
        float eta = request.Eta ?? 0.3f;
        return new Run(this, _spacing.Space(request, overrideSpansAll: true), eta, request.BeginIndex);
    }

    private sealed class Run(TCDScheduler owner, double[] timesteps, float eta, int begin)
        : AlphaBarRun(owner.ClassName, timesteps, owner._bars, owner._finalBar, owner._prediction, CleanLimits.None, begin)
    {
        protected override Tensor Advance(int index, Tensor prediction, Tensor latents, Noise noise, StepDetails? details)
        {
            bool last = index == Timesteps.Count - 1;
            int next = last ? 0 : At(index + 1);
            double target = Bar((int)MathF.Floor((1 - eta) * next));
            var rule = Clean(index);
            var (ofLatents, ofPrediction) = NoiseRule(index);
            double signal = Math.Sqrt(target);
            double level = Math.Sqrt(1 - target);
            var noised = Mix.Of(
                ((signal * rule.Latents) + (level * ofLatents), latents),
                ((signal * rule.Prediction) + (level * ofPrediction), prediction));
            if (details != null)
                (details.CleanSample, details.NoisedSample) = (CleanSample(index, prediction, latents), noised);
            if (eta == 0 || last)
                return details == null ? noised : noised.Clone();
            double ratio = Bar(next) / target;
            return Mix.Of((Math.Sqrt(ratio), noised), (Math.Sqrt(1 - ratio), noise.Draw()));
        }
    }
}
