using Attune.Tensors;
using Attune.Weights;

namespace Attune.Schedulers;

/// <summary>
/// What the schedulers of Karras et al. (arXiv 2206.00364) for Stable Diffusion have in common: latents are clean + sigma noise, the model
/// gets latents / sqrt(sigma^2 + 1), and noise levels are those of chosen timesteps or lie between the highest and lowest of these by a
/// rule of their own.
/// </summary>
public abstract class SigmaScheduler : Scheduler
{
    private readonly TimestepSpacing _timesteps;
    private readonly bool _roundsKarras;

    private protected SigmaScheduler(
        ModelConfig config, ZeroSnr zeroSnr, SigmaSpacing spacing, double betaStart = 0.0001, double betaEnd = 0.02,
        bool roundsKarras = false)
        : base(config)
    {
        Bars = AlphaBars.Read(config, zeroSnr, betaStart, betaEnd);
        _timesteps = TimestepSpacing.Read(config, "linspace");
        Spacing = spacing;
        Prediction = Predictions.Read(config);
        _roundsKarras = roundsKarras;
    }

    private protected AlphaBars Bars { get; }

    private protected SigmaSpacing Spacing { get; }

    private protected Prediction Prediction { get; }

    private protected override int MaxSteps => Bars.Count;

    /// <summary>The timesteps, and a noise level for each.</summary>
    private protected (double[] Timesteps, double[] Sigmas) Schedule(SchedulerRequest request)
    {
        double[] timesteps;
        if (request.Timesteps is { } given)
        {
            if (!Spacing.FollowsTimesteps)
                throw new ArgumentException($"{ClassName} takes no Timesteps when its configuration spaces sigmas.", nameof(request));
            timesteps = Falling(given);
        }
        else
        {
            timesteps = _timesteps.Space(request.Steps!.Value, whole: false);
        }
        double[] sigmas = Array.ConvertAll(timesteps, Bars.SigmaAt);
        if (Spacing.FollowsTimesteps)
            return (timesteps, sigmas);
        sigmas = Spacing.Space(sigmas[0], sigmas[^1], sigmas.Length);
        timesteps = Array.ConvertAll(sigmas, Bars.TimestepOf);
        return (_roundsKarras && Spacing.Kind == SigmaSpacingKind.Karras ? Array.ConvertAll(timesteps, Math.Round) : timesteps, sigmas);
    }

    /// <summary>sqrt(sigma^2 + 1) for leading timesteps, else sigma: the reference's choice.</summary>
    private protected float InitialNoise(IReadOnlyList<float> sigmas)
    {
        float highest = sigmas.Max();
        return _timesteps.IsLeading ? MathF.Sqrt((highest * highest) + 1) : highest;
    }

    private protected static float[] Single(double[] values) => Array.ConvertAll(values, value => (float)value);

    /// <summary>Steps of this family. A derived run says which noise level an entry has.</summary>
    private protected abstract class SigmaRun(
        SigmaScheduler owner, float[] timesteps, float[] sigmas, int begin, CleanLimits? limits = null)
        : SchedulerRun(owner.ClassName, timesteps, sigmas, begin)
    {
        private readonly CleanLimits _limits = limits ?? CleanLimits.None;

        public override float InitialNoiseSigma => owner.InitialNoise(Sigmas);

        protected override CleanRule Clean(int index) => owner.Prediction.ToCleanUnscaled(Level(index));

        protected override (double Signal, double Level) NoiseScales(int index) => (1, Sigma(index));

        protected override double InputScale(int index)
        {
            double sigma = Level(index);
            return 1 / Math.Sqrt((sigma * sigma) + 1);
        }

        /// <summary>The direction away from the clean sample, (latents - clean) / sigma.</summary>
        protected Tensor Derivative(CleanRule rule, double sigma, Tensor prediction, Tensor latents, StepDetails? details)
        {
            Tensor? clean = null;
            if (details != null || !_limits.IsNone)
                clean = _limits.Apply(Mix.Of((rule.Latents, latents), (rule.Prediction, prediction)));
            if (details != null)
                details.CleanSample = clean;
            return _limits.IsNone ? Mix.Of(((1 - rule.Latents) / sigma, latents), (-rule.Prediction / sigma, prediction))
                : Mix.Of((1 / sigma, latents), (-1 / sigma, clean!));
        }
    }

    /// <summary>
    /// Steps by way of a midpoint: the first evaluation goes from the step's level to the middle one, the second takes the derivative there
    /// for the whole step, and adds noise if the step is ancestral. The last step has no second evaluation.
    /// </summary>
    private protected sealed class MidpointRun : SigmaRun
    {
        private readonly float[] _sigmas;
        private readonly float[] _middles;
        private readonly (double Down, double Up)[]? _ancestral;
        private readonly TensorHistory _latents = new(1);

        public MidpointRun(
            SigmaScheduler owner, double[] timesteps, float[] sigmas, float[] middles, (double Down, double Up)[]? ancestral,
            SchedulerRequest request)
            : base(owner, Interleaved(owner, timesteps, middles), Doubled(sigmas), request.BeginIndex)
        {
            SecondOrder.CheckBegin(request, owner.ClassName);
            (_sigmas, _middles, _ancestral) = (sigmas, middles, ancestral);
        }

        protected override bool KeepsHistory => true;

        protected override float Level(int index) => index % 2 == 0 ? _sigmas[index / 2] : _middles[index / 2];

        protected override Tensor Advance(int index, Tensor prediction, Tensor latents, Noise noise, StepDetails? details)
        {
            int step = index / 2;
            double sigma = _sigmas[step];
            var derivative = Derivative(Clean(index), Level(index), prediction, latents, details);
            if (index % 2 == 0)
            {
                _latents.Push(latents);
                return Mix.Of((1, latents), (_middles[step] - sigma, derivative));
            }
            return _ancestral == null ? Mix.Of((1, _latents[0]), (_sigmas[step + 1] - sigma, derivative))
                : Mix.Of((1, _latents[0]), (_ancestral[step].Down - sigma, derivative), (_ancestral[step].Up, noise.Draw()));
        }

        protected override void Release() => _latents.Dispose();

        private static float[] Interleaved(SigmaScheduler owner, double[] timesteps, float[] middles)
        {
            var list = new float[(2 * timesteps.Length) - 1];
            for (int i = 0; i < list.Length; i++)
                list[i] = (float)(i % 2 == 0 ? timesteps[i / 2] : owner.Bars.TimestepOf(middles[i / 2]));
            return list;
        }

        /// <summary>As diffusers lists them: all but the first twice, and the last once more.</summary>
        private static float[] Doubled(float[] sigmas) =>
            [sigmas[0], .. sigmas[1..].SelectMany(sigma => new[] { sigma, sigma }), sigmas[^1]];
    }
}

/// <summary>The churn of Karras et al., algorithm 2: noise that is added before a step.</summary>
internal static class Churn
{
    /// <summary>By how much the noise level is raised, as a part of it.</summary>
    public static double Of(SchedulerRequest request, double sigma, int levels) =>
        request.STmin <= sigma && sigma <= request.STmax ? Math.Min(request.SChurn / (levels - 1), Math.Sqrt(2) - 1) : 0;
}
