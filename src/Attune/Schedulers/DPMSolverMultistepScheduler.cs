using Attune.Tensors;
using Attune.Weights;

namespace Attune.Schedulers;

/// <summary>
/// Multistep DPM-Solver and DPM-Solver++ (Lu et al., arXiv 2206.00927, 2211.01095), deterministic or stochastic, of orders 1 to 3, for
/// diffusion and flow matching (Sana), as DPMSolverMultistepScheduler of diffusers.
/// </summary>
public sealed class DPMSolverMultistepScheduler : SolverScheduler
{
    private readonly DpmSettings _settings;
    private readonly bool _lu;
    private readonly bool _rounds;
    private readonly int _last;

    internal DPMSolverMultistepScheduler(ModelConfig config)
        : base(config, ZeroSnr.Floored)
    {
        _settings = DpmSettings.Read(config, SolverOrder, lowersFinalOrder: true);
        if (_settings.Algorithm == DpmAlgorithm.StochasticNoise && SolverOrder == 3)
            throw new CheckpointException($"'{config.Path}': sde-dpmsolver has no order 3.");
        _lu = config.Bool("use_lu_lambdas", false);
        _rounds = config.String("beta_schedule", "linear") != "squaredcos_cap_v2";
        _last = Unclipped(config.Double("lambda_min_clipped", double.NegativeInfinity));
    }

    /// <inheritdoc/>
    public override bool AcceptsTimesteps => true;

    private protected override ISchedulerRun Start(SchedulerRequest request)
    {
        if (request.Timesteps != null && (_lu || !Spacing.FollowsTimesteps))
            throw new ArgumentException($"{ClassName} takes no Timesteps when its configuration spaces sigmas.", nameof(request));
        double[] timesteps;
        double[] sigmas;
        if (!Spacing.FollowsTimesteps)
        {
            sigmas = Spacing.Space(Bars.Sigmas[^1], Bars.Sigmas[0], request.Steps!.Value);
            timesteps = TimestepsOf(sigmas, rounded: _rounds && Spacing.Kind == SigmaSpacingKind.Karras);
        }
        else if (_lu)
        {
            sigmas = Array.ConvertAll(Even.Linspace(Bars.LogSigmas[^1], Bars.LogSigmas[0], request.Steps!.Value), Math.Exp);
            timesteps = TimestepsOf(sigmas, _rounds);
        }
        else if (IsFlow && request.Timesteps == null)
        {
            sigmas = FlowSigmas(request);
            timesteps = Array.ConvertAll(sigmas, sigma => sigma * Bars.Count);
        }
        else
        {
            if (IsFlow)
                throw new ArgumentException($"{ClassName} takes no Timesteps for flow matching.", nameof(request));
            timesteps = request.Timesteps is { } given ? Falling(given) : Spaced(request.Steps!.Value, _last);
            sigmas = Array.ConvertAll(timesteps, Bars.SigmaAt);
        }
        return new DpmMultistepRun(
            ClassName, Whole(timesteps), Single(sigmas, _settings.EndsAtZero ? 0 : Bars.Sigmas[0]), request.BeginIndex, Space, Limits,
            _settings);
    }
}

/// <summary>The multistep solver: differences over the steps before.</summary>
internal sealed class DpmMultistepRun(
    string scheduler, float[] timesteps, float[] sigmas, int begin, SolverSpace space, CleanLimits limits, DpmSettings settings)
    : SolverRun(scheduler, timesteps, sigmas, begin, space, limits)
{
    private readonly TensorHistory _values = new(settings.Order);

    protected override Tensor Advance(int index, Tensor prediction, Tensor latents, Noise noise, StepDetails? details)
    {
        _values.Push(Convert(index, prediction, latents, settings.ExtrapolatesClean, details));
        var (s, t) = (Point(index), Point(index + 1));
        var weights = DpmWeights.Between(settings.Algorithm, s, t);
        var drawn = settings.IsStochastic ? noise.Draw() : latents;
        int left = Timesteps.Count - index;
        bool lowers = settings.LowersFinalOrder && Timesteps.Count < 15;
        int order = left == 1 && (settings.EndsWithEuler || lowers || settings.EndsAtZero) ? 1
            : Math.Min(_values.Count, left == 2 && lowers ? 2 : 3);

        // A step between equal levels, where the lowest level is repeated at the end, goes nowhere; its differences would be 0 / 0.
        if (s == t)
            order = 1;
        if (order == 1)
            return Mix.Of((weights.Latents, latents), (weights.Value, _values[0]), (weights.Noise, drawn));

        // D1 = (m0 - m1) / r0, over the last step in units of this one.
        double h = t.Lambda - s.Lambda;
        double r0 = (s.Lambda - Point(index - 1).Lambda) / h;
        if (order == 2)
        {
            double first = (settings.IsHeun ? weights.First : weights.Value / 2) / r0;
            return Mix.Of((weights.Latents, latents), (weights.Value + first, _values[0]), (-first, _values[1]), (weights.Noise, drawn));
        }

        // With d0 = (m0 - m1) / r0 and d1 = (m1 - m2) / r1: D2 = (d0 - d1) / (r0 + r1), D1 = d0 + r0 D2.
        double r1 = (Point(index - 1).Lambda - Point(index - 2).Lambda) / h;
        double second = ((weights.First * r0) + weights.Second) / (r0 + r1);
        double ofD0 = (weights.First + second) / r0;
        double ofD1 = -second / r1;
        return Mix.Of(
            (weights.Latents, latents), (weights.Value + ofD0, _values[0]), (ofD1 - ofD0, _values[1]), (-ofD1, _values[2]),
            (weights.Noise, drawn));
    }

    protected override void Release() => _values.Dispose();
}
