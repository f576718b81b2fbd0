using Attune.Tensors;
using Attune.Weights;

namespace Attune.Schedulers;

/// <summary>
/// Singlestep DPM-Solver and DPM-Solver++ (Lu et al., arXiv 2206.00927, 2211.01095), as DPMSolverSinglestepScheduler of diffusers: groups
/// of 1, 2 or 3 steps, each of which starts anew from the beginning of its group with one more evaluation.
/// </summary>
public sealed class DPMSolverSinglestepScheduler : SolverScheduler
{
    private readonly DpmSettings _settings;
    private readonly int _last;

    internal DPMSolverSinglestepScheduler(ModelConfig config)
        : base(config, ZeroSnr.Unknown)
    {
        _settings = DpmSettings.Read(config, SolverOrder, lowersFinalOrder: false);
        if (_settings.Algorithm == DpmAlgorithm.StochasticNoise)
            throw new CheckpointException(
                $"'{config.Path}': algorithm_type is 'sde-dpmsolver', expected dpmsolver, dpmsolver++ or sde-dpmsolver++.");
        _last = Unclipped(config.Double("lambda_min_clipped", double.NegativeInfinity));
    }

    /// <inheritdoc/>
    public override bool AcceptsTimesteps => true;

    private protected override ISchedulerRun Start(SchedulerRequest request)
    {
        if (request.Timesteps != null && (IsFlow || !Spacing.FollowsTimesteps))
            throw new ArgumentException($"{ClassName} takes no Timesteps when its configuration spaces sigmas.", nameof(request));
        double[] timesteps;
        double[] sigmas;
        if (!Spacing.FollowsTimesteps)
        {
            sigmas = Spacing.Space(Bars.Sigmas[^1], Bars.Sigmas[0], request.Steps!.Value);
            timesteps = TimestepsOf(sigmas, rounded: Spacing.Kind == SigmaSpacingKind.Karras);
        }
        else if (IsFlow)
        {
            sigmas = FlowSigmas(request);
            timesteps = Array.ConvertAll(sigmas, sigma => sigma * Bars.Count);
        }
        else
        {
            timesteps = request.Timesteps is { } given ? Falling(given) : TimestepSpacing.Linspace(request.Steps!.Value, _last);
            sigmas = Array.ConvertAll(timesteps, Bars.SigmaAt);
        }
        return new Run(
            this, Whole(timesteps), Single(sigmas, _settings.EndsAtZero ? 0 : Bars.Sigmas[0]), Orders(sigmas.Length), request.BeginIndex);
    }

    /// <summary>
    /// The order of each step: groups 1 2 3, with lower orders at the end where they do not fit or the configuration asks for them.
    /// </summary>
    private int[] Orders(int steps)
    {
        int top = SolverOrder;
        var orders = new int[steps];
        for (int i = 0; i < steps; i++)
            orders[i] = (i % top) + 1;
        if (_settings.EndsAtZero || (_settings.LowersFinalOrder && steps % top == 0))
            orders[^1] = 1;
        return orders;
    }

    private sealed class Run(DPMSolverSinglestepScheduler owner, float[] timesteps, float[] sigmas, int[] orders, int begin)
        : SolverRun(owner.ClassName, timesteps, sigmas, begin, owner.Space, owner.Limits)
    {
        private readonly TensorHistory _values = new(owner.SolverOrder);
        private readonly TensorHistory _start = new(1);

        protected override Tensor Advance(int index, Tensor prediction, Tensor latents, Noise noise, StepDetails? details)
        {
            var settings = owner._settings;
            _values.Push(Convert(index, prediction, latents, settings.ExtrapolatesClean, details));
            var drawn = settings.IsStochastic ? noise.Draw() : latents;
            int order = Math.Min(orders[index], _values.Count);
            if (order == 1)
                _start.Push(latents);
            var x = _start[0];
            var s = Point(index - order + 1);
            var t = Point(index + 1);
            var weights = DpmWeights.Between(settings.Algorithm, s, t);
            if (order == 1)
                return Mix.Of((weights.Latents, x), (weights.Value, _values[0]), (weights.Noise, drawn));

            double h = t.Lambda - s.Lambda;
            double r0 = (Point(index).Lambda - s.Lambda) / h;
            if (order == 2)
            {
                double first = (settings.IsHeun ? weights.First : weights.Value / 2) / r0;
                return Mix.Of((weights.Latents, x), (weights.Value - first, _values[1]), (first, _values[0]), (weights.Noise, drawn));
            }

            // d1 = (m1 - m2) / r1 and d0 = (m0 - m2) / r0; D1 = (r0 d1 - r1 d0) / (r0 - r1), D2 = 2 (d0 - d1) / (r0 - r1). The midpoint
            // rule takes d0 for D1, and no D2.
            double r1 = (Point(index - 1).Lambda - s.Lambda) / h;
            double ofD0 = settings.IsHeun ? ((weights.First * -r1) + (2 * weights.Second)) / (r0 - r1) : weights.First;
            double ofD1 = settings.IsHeun ? ((weights.First * r0) - (2 * weights.Second)) / (r0 - r1) : 0;
            return Mix.Of(
                (weights.Latents, x), (weights.Value - (ofD0 / r0) - (ofD1 / r1), _values[2]), (ofD1 / r1, _values[1]),
                (ofD0 / r0, _values[0]), (weights.Noise, drawn));
        }

        protected override void Release()
        {
            _values.Dispose();
            _start.Dispose();
        }
    }
}
