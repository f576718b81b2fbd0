using Attune.Tensors;
using Attune.Weights;

namespace Attune.Schedulers;

/// <summary>
/// Euler steps along the straight path of flow matching (Lipman et al., arXiv 2210.02747; Esser et al., arXiv 2403.03206), as FlowMatchEulerDiscreteScheduler of diffusers:
/// x' = x + (sigma' - sigma) v. Sigmas are shifted towards noise by a constant, or by mu, which depends on the size of the image.
/// </summary>
public sealed class FlowMatchEulerDiscreteScheduler : Scheduler
{
    private readonly int _trainTimesteps;
    private readonly double _shift;
    private readonly bool _dynamic;
    private readonly bool _exponential;
    private readonly double? _terminal;
    private readonly double _baseShift;
    private readonly double _maxShift;
    private readonly int _baseLength;
    private readonly int _maxLength;

    internal FlowMatchEulerDiscreteScheduler(ModelConfig config)
        : base(config)
    {
        _trainTimesteps = config.Int("num_train_timesteps", 1000);
        _shift = config.Double("shift", 1);
        _dynamic = config.Bool("use_dynamic_shifting", false);
        _terminal = config.OptionalDouble("shift_terminal");
        _baseShift = config.Double("base_shift", 0.5);
        _maxShift = config.Double("max_shift", 1.15);
        _baseLength = config.Int("base_image_seq_len", 256);
        _maxLength = config.Int("max_image_seq_len", 4096);
        _exponential = config.String("time_shift_type", "exponential") switch
        {
            "exponential" => true,
            "linear" => false,
            string other => throw new CheckpointException($"'{config.Path}': time_shift_type is '{other}', expected exponential or linear."),
        };
        foreach (string option in new[] { "use_karras_sigmas", "use_exponential_sigmas", "use_beta_sigmas", "invert_sigmas", "stochastic_sampling" })
        {
            if (config.Bool(option, false))
                throw new CheckpointException($"'{config.Path}': {option} is not supported.");
        }
    }

    /// <summary>Linear in the number of tokens, through base_shift and max_shift; not clamped beyond them.</summary>
    public override double? ShiftFor(int tokens)
    {
        double slope = (_maxShift - _baseShift) / (_maxLength - _baseLength);
        return tokens * slope + (_baseShift - slope * _baseLength);
    }

    /// <inheritdoc/>
    public override bool AcceptsSigmas => true;

    private protected override bool RoundsStrengthUp => true;

    private protected override ISchedulerRun Start(SchedulerRequest request)
    {
        if (_dynamic && request.Mu == null)
            throw new ArgumentException("This scheduler shifts by the size of the image: Mu is missing.", nameof(request));
        double[] sigmas = request.Sigmas is { } given ? [.. given] : Spaced(request.Steps!.Value);

        // The reference computes with float32 arrays from here on.
        var shifted = new float[sigmas.Length + 1];
        for (int i = 0; i < sigmas.Length; i++)
            shifted[i] = _dynamic ? DynamicShift((float)sigmas[i], request.Mu!.Value) : StaticShift((float)sigmas[i]);
        if (_terminal is { } terminal && terminal != 0)
        {
            // Stretched so that the last sigma before zero is the terminal one.
            double factor = (1 - (double)shifted[^2]) / (1 - terminal);
            for (int i = 0; i < sigmas.Length; i++)
                shifted[i] = (float)(1 - (1 - (double)shifted[i]) / factor);
        }
        var timesteps = new float[sigmas.Length];
        for (int i = 0; i < timesteps.Length; i++)
            timesteps[i] = shifted[i] * _trainTimesteps;
        return new Run(ClassName, timesteps, shifted, request.BeginIndex);
    }

    /// <summary>
    /// Evenly spaced timesteps. With a static shift the reference takes the lower end after its constructor has shifted it, so it is shifted twice.
    /// </summary>
    private double[] Spaced(int steps)
    {
        float lowest = 1f / _trainTimesteps;
        double highest = _dynamic ? 1 : StaticShift(1f);
        double lower = _dynamic ? lowest : StaticShift(lowest);
        double start = highest * _trainTimesteps;
        double end = lower * _trainTimesteps;
        return [.. Enumerable.Range(0, steps).Select(i => (steps == 1 ? start : start + i * ((end - start) / (steps - 1))) / _trainTimesteps)];
    }

    private float StaticShift(float sigma) => (float)(_shift * sigma / (1 + (_shift - 1) * sigma));

    private float DynamicShift(float sigma, double mu)
    {
        double factor = _exponential ? Math.Exp(mu) : mu;
        return (float)(factor / (factor + (1.0 / sigma - 1)));
    }

    private sealed class Run(string name, float[] timesteps, float[] sigmas, int begin) : SchedulerRun(name, timesteps, sigmas, begin)
    {
        protected override Tensor Advance(int index, Tensor prediction, Tensor latents, Noise noise, StepDetails? details) =>
            TensorOperations.Combine(1, latents, Sigmas[index + 1] - Sigmas[index], prediction);

        protected override CleanRule Clean(int index) => new(1, -Sigmas[index]);

        protected override (double Signal, double Level) NoiseScales(int index) => (1.0 - Sigmas[index], Sigmas[index]);
    }
}
