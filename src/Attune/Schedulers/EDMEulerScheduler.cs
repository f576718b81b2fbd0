using Attune.Tensors;
using Attune.Weights;

namespace Attune.Schedulers;

/// <summary>
/// Euler steps in the formulation of Karras et al. (arXiv 2206.00364, table 1), as EDMEulerScheduler of diffusers (Playground v2.5): the
/// model's input and output are scaled by the noise level and the data's deviation sigma_data, timesteps are log(sigma) / 4.
/// </summary>
public sealed class EDMEulerScheduler : Scheduler
{
    private readonly EdmScale _scale;

    internal EDMEulerScheduler(ModelConfig config)
        : base(config) => _scale = new EdmScale(config);

    /// <inheritdoc/>
    public override NoiseKind? Noise => NoiseKind.Edm;

    private protected override ISchedulerRun Start(SchedulerRequest request)
    {
        float[] sigmas = _scale.Sigmas(request.Steps!.Value);
        return new Run(this, EdmScale.Timesteps(sigmas), sigmas, request);
    }

    private sealed class Run(
        EDMEulerScheduler owner, float[] timesteps, float[] sigmas, SchedulerRequest request) : SchedulerRun(owner.ClassName, timesteps,
        sigmas, request.BeginIndex)
    {
        public override float InitialNoiseSigma => owner._scale.InitialNoise;

        protected override CleanRule Clean(int index) => owner._scale.ToClean(Sigma(index));

        protected override (double Signal, double Level) NoiseScales(int index) => (1, Sigma(index));

        protected override double InputScale(int index) => owner._scale.Input(Sigma(index));

        protected override Tensor Advance(int index, Tensor prediction, Tensor latents, Noise noise, StepDetails? details)
        {
            double sigma = Sigma(index);
            double churn = Churn.Of(request, sigma, Sigmas.Count);
            double raised = sigma * (churn + 1);
            if (churn > 0)
                latents = Mix.Of((1, latents), (request.SNoise * Math.Sqrt((raised * raised) - (sigma * sigma)), noise.Draw()));
            var rule = owner._scale.ToClean(raised);
            if (details != null)
                details.CleanSample = Mix.Of((rule.Latents, latents), (rule.Prediction, prediction));
            double step = (Sigma(index + 1) / raised) - 1;
            return Mix.Of((1 + (step * (1 - rule.Latents)), latents), (-step * rule.Prediction, prediction));
        }
    }
}

/// <summary>The noise levels and scalings that the EDM schedulers share.</summary>
internal sealed class EdmScale
{
    private readonly double _min;
    private readonly double _max;
    private readonly double _data;
    private readonly double _rho;
    private readonly bool _exponential;
    private readonly bool _endsAtZero;
    private readonly double _sign;

    public EdmScale(ModelConfig config)
    {
        _min = config.Positive("sigma_min", 0.002);
        _max = config.Positive("sigma_max", 80);
        _data = config.Positive("sigma_data", 0.5);
        _rho = config.Positive("rho", 7);
        _exponential = Scheduler.Choice(config, "sigma_schedule", "karras", "exponential");
        _endsAtZero = !Scheduler.Choice(config, "final_sigmas_type", "zero", "sigma_min");
        _sign = Predictions.Read(config, Prediction.Epsilon, Prediction.Velocity) == Prediction.Epsilon ? 1 : -1;
    }

    public float InitialNoise => (float)Math.Sqrt((_max * _max) + 1);

    /// <summary>Whether the last step ends without noise.</summary>
    public bool EndsAtZero => _endsAtZero;

    public float[] Sigmas(int steps)
    {
        double[] levels = _exponential ? SigmaSpacing.Exponential(_max, _min, steps) : SigmaSpacing.Karras(_max, _min, steps, _rho);
        return [.. levels.Select(level => (float)level), _endsAtZero ? 0 : (float)_min];
    }

    public static float[] Timesteps(float[] sigmas) => [.. sigmas[..^1].Select(sigma => 0.25f * MathF.Log(sigma))];

    public double Input(double sigma) => 1 / Math.Sqrt((sigma * sigma) + (_data * _data));

    public CleanRule ToClean(double sigma)
    {
        double total = (sigma * sigma) + (_data * _data);
        return new CleanRule(_data * _data / total, _sign * sigma * _data / Math.Sqrt(total));
    }
}
