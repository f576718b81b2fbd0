using Attune.Tensors;
using Attune.Weights;

namespace Attune.Schedulers;

/// <summary>
/// A point of the path that an exponential integrator follows: latents Alpha clean + Sigma noise. At Sigma 0 lambda is infinite, and
/// formulas take their limits.
/// </summary>
internal readonly record struct SolverPoint(double Alpha, double Sigma)
{
    /// <summary>Half the logarithm of the signal-to-noise ratio, in which the integrators are exact.</summary>
    public double Lambda => Math.Log(Alpha) - Math.Log(Sigma);

    /// <summary>The ratio of noise to signal.</summary>
    public double Rho => Sigma / Alpha;
}

/// <summary>What noise levels mean to an exponential integrator.</summary>
internal abstract class SolverSpace
{
    public virtual float InitialNoise => 1;

    public abstract SolverPoint At(double sigma);

    public abstract CleanRule ToClean(double sigma);

    /// <summary>The noise as a sum of latents and prediction.</summary>
    public abstract (double Latents, double Prediction) ToNoise(double sigma);

    public virtual double Input(double sigma) => 1;
}

/// <summary>Diffusion: sigma is sqrt((1 - abar) / abar), latents keep a variance of 1. Flow: sigma from 0 to 1.</summary>
internal sealed class DiffusionSpace(Prediction prediction, bool isFlow) : SolverSpace
{
    public override SolverPoint At(double sigma)
    {
        if (isFlow)
            return new SolverPoint(1 - sigma, sigma);
        double alpha = 1 / Math.Sqrt((sigma * sigma) + 1);
        return new SolverPoint(alpha, sigma * alpha);
    }

    public override CleanRule ToClean(double sigma)
    {
        var (alpha, level) = At(sigma);
        return prediction == Prediction.Flow ? new CleanRule(1, -sigma) : prediction.ToClean(alpha, level);
    }

    public override (double Latents, double Prediction) ToNoise(double sigma)
    {
        var (alpha, level) = At(sigma);
        return prediction.ToNoise(alpha, level);
    }
}

/// <summary>The formulation of Karras et al.: latents are clean + sigma noise.</summary>
internal sealed class EdmSpace(EdmScale scale) : SolverSpace
{
    public override float InitialNoise => scale.InitialNoise;

    public override SolverPoint At(double sigma) => new(1, sigma);

    public override CleanRule ToClean(double sigma) => scale.ToClean(sigma);

    public override (double Latents, double Prediction) ToNoise(double sigma)
    {
        var clean = scale.ToClean(sigma);
        return ((1 - clean.Latents) / sigma, -clean.Prediction / sigma);
    }

    public override double Input(double sigma) => scale.Input(sigma);
}

/// <summary>Runs of exponential integrators. A derived run says how a step is made of clean samples or of noise predictions.</summary>
internal abstract class SolverRun(string scheduler, float[] timesteps, float[] sigmas, int begin, SolverSpace space, CleanLimits limits)
    : SchedulerRun(scheduler, timesteps, sigmas, begin)
{
    public override float InitialNoiseSigma => space.InitialNoise;

    protected override bool KeepsHistory => true;

    protected SolverPoint Point(int index) => space.At(Sigma(index));

    protected override CleanRule Clean(int index) => space.ToClean(Sigma(index));

    protected override (double Signal, double Level) NoiseScales(int index)
    {
        var point = Point(index);
        return (point.Alpha, point.Sigma);
    }

    protected override double InputScale(int index) => space.Input(Sigma(index));

    /// <summary>What the integrator extrapolates: the clean sample or the noise that a prediction means.</summary>
    protected Tensor Convert(int index, Tensor prediction, Tensor latents, bool toClean, StepDetails? details)
    {
        var rule = Clean(index);
        Tensor? clean = null;
        if (toClean || details != null || !limits.IsNone)
            clean = limits.Apply(Mix.Of((rule.Latents, latents), (rule.Prediction, prediction)));
        if (details != null)
            details.CleanSample = clean;
        if (toClean)
            return clean!;
        if (!limits.IsNone)
        {
            var point = Point(index);
            return Mix.Of((1 / point.Sigma, latents), (-point.Alpha / point.Sigma, clean!));
        }
        var (ofLatents, ofPrediction) = space.ToNoise(Sigma(index));
        return Mix.Of((ofLatents, latents), (ofPrediction, prediction));
    }
}

/// <summary>
/// What DPM-Solver, DEIS and UniPC have in common: a schedule of diffusion, or with use_flow_sigmas of flow matching, whose timesteps are
/// whole numbers.
/// </summary>
public abstract class SolverScheduler : Scheduler
{
    private readonly TimestepSpacing _timesteps;
    private readonly double _shift;
    private readonly bool _dynamic;
    private readonly ImageShift _imageShift;
    private readonly Prediction _prediction;

    private protected SolverScheduler(ModelConfig config, ZeroSnr zeroSnr)
        : base(config)
    {
        Bars = AlphaBars.Read(config, zeroSnr);
        _timesteps = TimestepSpacing.Read(config, "linspace");
        Spacing = SigmaSpacing.Read(config);
        IsFlow = config.Bool("use_flow_sigmas", false);
        _shift = config.Positive("flow_shift", 1, 1e6);
        _dynamic = config.Bool("use_dynamic_shifting", false);
        SolverOrder = config.Int("solver_order", 2);
        if (SolverOrder < 1 || SolverOrder > 3)
            throw new CheckpointException($"'{config.Path}': solver_order is {SolverOrder}, expected 1 to 3.");
        Limits = CleanLimits.Read(config, clips: null);
        _imageShift = new ImageShift(config);
        _prediction = Predictions.Read(config, Prediction.Epsilon, Prediction.Sample, Prediction.Velocity, Prediction.Flow);
        Space = new DiffusionSpace(_prediction, IsFlow);
    }

    /// <inheritdoc/>
    public override NoiseKind? Noise => (IsFlow, _prediction == Prediction.Flow) switch
    {
        (true, true) when Spacing.FollowsTimesteps || SpacesFlow => NoiseKind.FlowMatching,
        (false, false) => NoiseKind.Diffusion,
        _ => null,
    };

    /// <inheritdoc/>
    public override double? ShiftFor(int tokens) => _dynamic ? _imageShift.At(tokens) : null;

    /// <summary>Whether the spacing that the configuration chooses gives noise levels of flow matching, rather than of diffusion.</summary>
    private protected virtual bool SpacesFlow => false;

    /// <summary>The order of the solver.</summary>
    private protected int SolverOrder { get; }

    private protected AlphaBars Bars { get; }

    private protected SigmaSpacing Spacing { get; }

    private protected bool IsFlow { get; }

    private protected bool IsDynamic => _dynamic;

    private protected CleanLimits Limits { get; }

    private protected SolverSpace Space { get; }

    private protected override int MaxSteps => Bars.Count;

    /// <summary>n timesteps of the first <paramref name="count"/> of the training schedule, by the configuration's spacing.</summary>
    private protected double[] Spaced(int n, int count) => _timesteps.SpaceWithoutLast(n, count);

    /// <summary>The timesteps of noise levels.</summary>
    private protected double[] TimestepsOf(double[] sigmas, bool rounded) =>
        Array.ConvertAll(sigmas, sigma => rounded ? Math.Round(Bars.TimestepOf(sigma)) : Bars.TimestepOf(sigma));

    /// <summary>A noise level of flow matching, shifted.</summary>
    private protected double Shift(double sigma, SchedulerRequest request)
    {
        double shift = _dynamic && request.Mu is { } mu ? Math.Exp(mu) : _shift;
        return shift * sigma / (1 + ((shift - 1) * sigma));
    }

    /// <summary>Noise levels of flow matching as DPM-Solver and DEIS take them: just below 1, to the lowest but one.</summary>
    private protected double[] FlowSigmas(SchedulerRequest request)
    {
        double[] alphas = Even.Linspace(1, 1.0 / Bars.Count, request.Steps!.Value + 1);
        Array.Reverse(alphas);
        return Array.ConvertAll(alphas[..^1], alpha => Shift(1 - alpha, request));
    }

    /// <summary>The timestep below which the signal-to-noise ratio is as high as lambda_min_clipped asks.</summary>
    private protected int Unclipped(double lambdaMin)
    {
        int clipped = 0;
        for (int t = Bars.Count - 1; t >= 0; t--)
        {
            float bar = Bars[t];
            if (MathF.Log(MathF.Sqrt(bar)) - MathF.Log(MathF.Sqrt(1 - bar)) >= lambdaMin)
                break;
            clipped++;
        }
        return Bars.Count - clipped;
    }

    /// <summary>Timesteps, cut to whole numbers as the reference does.</summary>
    private protected static float[] Whole(double[] timesteps) => Array.ConvertAll(timesteps, timestep => (float)Math.Truncate(timestep));

    private protected static float[] Single(double[] sigmas, double last) => [.. sigmas.Select(sigma => (float)sigma), (float)last];
}
