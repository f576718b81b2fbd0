using Attune.Tensors;
using Attune.Weights;

namespace Attune.Schedulers;

/// <summary>
/// What the schedulers of flow matching (Lipman et al., arXiv 2210.02747; Esser et al., arXiv 2403.03206) have in common: latents are (1 -
/// sigma) clean + sigma noise, the model predicts noise - clean. Sigmas are shifted towards noise by a constant, or by mu, which depends on
/// the size of the image.
/// </summary>
public abstract class FlowMatchScheduler : Scheduler
{
    private readonly SigmaSpacing _spacing;
    private readonly int _trainTimesteps;
    private readonly double _shift;
    private readonly bool _dynamic;
    private readonly bool _linear;
    private readonly bool _inverts;
    private readonly double? _terminal;
    private readonly ImageShift _imageShift;

    private protected FlowMatchScheduler(ModelConfig config, bool isPlain = false)
        : base(config)
    {
        _trainTimesteps = config.Length("num_train_timesteps", 1000);
        _shift = config.Positive("shift", 1, 1e6);
        _dynamic = config.Bool("use_dynamic_shifting", false);
        _linear = Choice(config, "time_shift_type", "exponential", "linear");
        _imageShift = new ImageShift(config);
        _spacing = SigmaSpacing.None;
        if (isPlain)
            return;
        _spacing = SigmaSpacing.Read(config);
        _terminal = Terminal(config);
        _inverts = config.Bool("invert_sigmas", false);
    }

    /// <inheritdoc/>
    public override NoiseKind? Noise => NoiseKind.FlowMatching;

    /// <summary>Where shift_terminal stretches the last noise level to: above 0 and below 1; null where it does not.</summary>
    internal static double? Terminal(ModelConfig config) =>
        config.Number("shift_terminal", 0, 0, 0.9999) is var level and not 0 ? level : null;

    private protected override bool RoundsStrengthUp => true;

    /// <summary>Linear in the number of tokens, through base_shift and max_shift; not clamped beyond them.</summary>
    public override double? ShiftFor(int tokens) => _imageShift.At(tokens);

    /// <summary>The sigmas of a request, the last of which is where the last step ends, and the timesteps of all but that one.</summary>
    private protected (float[] Timesteps, float[] Sigmas) Schedule(SchedulerRequest request)
    {
        if (_dynamic && request.Mu == null)
            throw new ArgumentException($"{ClassName} shifts by the size of the image: Mu is missing.", nameof(request));
        double[] levels = request.Sigmas is { } given ? [.. given.Select(sigma => (double)(float)sigma)] : Spaced(request.Steps!.Value);
        for (int i = 0; i < levels.Length; i++)
            levels[i] = _dynamic ? DynamicShift(levels[i], request.Mu!.Value) : StaticShift(levels[i]);
        if (_terminal is { } terminal)
        {
            // Stretched so that the last sigma before zero is the terminal one. A single step has nothing to stretch; the reference divides
            // 0 by 0.
            double factor = (1 - levels[^1]) / (1 - terminal);
            for (int i = 0; i < levels.Length && factor != 0; i++)
                levels[i] = 1 - ((1 - levels[i]) / factor);
        }
        if (!_spacing.FollowsTimesteps)
            levels = _spacing.Space(levels[0], levels[^1], levels.Length);
        var sigmas = new float[levels.Length + 1];
        var timesteps = new float[levels.Length];
        for (int i = 0; i < levels.Length; i++)
        {
            sigmas[i] = _inverts ? 1 - (float)levels[i] : (float)levels[i];
            timesteps[i] = sigmas[i] * _trainTimesteps;
        }
        sigmas[^1] = _inverts ? 1 : 0;
        return (timesteps, sigmas);
    }

    /// <summary>
    /// Evenly spaced timesteps. With a static shift the reference takes the lower end after its constructor has shifted it, so it is
    /// shifted twice.
    /// </summary>
    private double[] Spaced(int steps)
    {
        double lowest = 1f / _trainTimesteps;
        double highest = 1;
        if (!_dynamic)
            (lowest, highest) = ((float)StaticShift(lowest), (float)StaticShift(highest));
        return Array.ConvertAll(
            Even.Linspace(highest * _trainTimesteps, lowest * _trainTimesteps, steps), timestep => timestep / _trainTimesteps);
    }

    private double StaticShift(double sigma) => _shift * sigma / (1 + ((_shift - 1) * sigma));

    private double DynamicShift(double sigma, double mu)
    {
        double factor = _linear ? mu : Math.Exp(mu);
        return factor / (factor + ((1 / sigma) - 1));
    }

    /// <summary>
    /// Steps of this family. With invert_sigmas (Mochi) entries say how much is clean, and the model predicts clean - noise.
    /// </summary>
    private protected abstract class FlowRun(
        FlowMatchScheduler owner, float[] timesteps, float[] sigmas, int begin) : SchedulerRun(owner.ClassName, timesteps, sigmas, begin)
    {
        protected override float Level(int index) => (float)Noisy(index);

        protected override CleanRule Clean(int index) => new(1, owner._inverts ? Noisy(index) : -Noisy(index));

        protected override (double Signal, double Level) NoiseScales(int index) => (1 - Noisy(index), Noisy(index));

        /// <summary>For those who look into the step.</summary>
        protected void Note(StepDetails? details, int index, Tensor prediction, Tensor latents)
        {
            var rule = Clean(index);
            if (details != null)
                details.CleanSample = Mix.Of((rule.Latents, latents), (rule.Prediction, prediction));
        }

        /// <summary>The clean sample with new noise of the next level.</summary>
        protected Tensor Renoised(int index, Tensor prediction, Tensor latents, Tensor noise)
        {
            var rule = Clean(index);
            var (signal, level) = NoiseScales(index + 1);
            return Mix.Of((signal * rule.Latents, latents), (signal * rule.Prediction, prediction), (level, noise));
        }

        private double Noisy(int index) => owner._inverts ? 1 - Sigma(index) : Sigma(index);
    }
}
