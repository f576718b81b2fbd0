using Attune.Tensors;

namespace Attune.Schedulers;

/// <summary>
/// How a clean sample follows from the latents and the prediction: x0 = Latents x + Prediction p. All conversions are of this form.
/// </summary>
internal readonly record struct CleanRule(double Latents, double Prediction);

/// <summary>
/// What runs have in common: lists, checks, scopes. Derived classes speak of entries of the list of timesteps (<c>index</c>), callers of
/// the steps that are done. Coefficients are computed in double precision from the single-precision tables of the reference; each step is a
/// sum of few tensors with such coefficients.
/// </summary>
internal abstract class SchedulerRun(string scheduler, float[] timesteps, float[] sigmas, int begin) : ISchedulerRun
{
    private bool _disposed;
    private int _next;

    public IReadOnlyList<float> Timesteps => timesteps;

    public IReadOnlyList<float> Sigmas => sigmas;

    public int Steps => Evaluations - begin;

    public virtual float InitialNoiseSigma => 1;

    /// <summary>The number of entries of the list that are evaluated.</summary>
    protected virtual int Evaluations => timesteps.Length;

    /// <summary>Whether steps read what earlier ones left.</summary>
    protected virtual bool KeepsHistory => false;

    /// <summary>Whether predictions have twice the channels of the latents.</summary>
    protected virtual bool PredictsVariance => false;

    protected string Name => scheduler;

    /// <summary>An entry of <see cref="Sigmas"/>.</summary>
    protected double Sigma(int index) => sigmas[index];

    public int First => begin;

    public float TimestepOf(int step) => timesteps[IndexOf(step)];

    public float SigmaOf(int step) => Level(IndexOf(step));

    public Tensor ScaleInput(Tensor latents, int step)
    {
        ArgumentNullException.ThrowIfNull(latents);
        double factor = InputScale(IndexOf(step));
        return factor == 1 ? latents : latents.Affine((float)factor);
    }

    public Tensor Step(Tensor prediction, int step, Tensor latents, NoiseSource? noise = null, StepDetails? details = null)
    {
        Check(prediction, latents, PredictsVariance);
        int index = IndexOf(step);
        ObjectDisposedException.ThrowIf(_disposed, this);
        if (KeepsHistory && step != _next)
            throw new InvalidOperationException($"{scheduler} builds on the steps before: step {step} was asked for, {_next} comes next.");
        using var scope = new TensorScope();
        var next = Advance(index, prediction, latents, new Noise(scheduler, noise, latents.Shape), details);
        _next = step + 1;
        KeepDetails(scope, details);
        return scope.Keep(ReferenceEquals(next, latents) || ReferenceEquals(next, prediction) ? next.Clone() : next);
    }

    public Tensor ToCleanSample(Tensor prediction, int step, Tensor latents)
    {
        Check(prediction, latents, PredictsVariance);
        var rule = Clean(IndexOf(step));
        using var scope = new TensorScope();
        var mean = PredictsVariance ? prediction.Slice(^1, 0, latents.Shape[^1]) : prediction;
        return scope.Keep(TensorOperations.Combine((float)rule.Latents, latents, (float)rule.Prediction, mean));
    }

    public Tensor FromCleanSample(Tensor clean, int step, Tensor latents)
    {
        Check(clean, latents, false);
        var rule = Clean(IndexOf(step));
        if (rule.Prediction == 0)
            throw new InvalidOperationException($"{scheduler}: at step {step} the clean sample does not depend on the prediction.");
        return TensorOperations.Combine((float)(-rule.Latents / rule.Prediction), latents, (float)(1 / rule.Prediction), clean);
    }

    public Tensor AddNoise(Tensor clean, Tensor noise, int step = 0)
    {
        Check(noise, clean, false);
        var (signal, level) = NoiseScales(IndexOf(step));
        return TensorOperations.Combine((float)signal, clean, (float)level, noise);
    }

    public void Dispose()
    {
        if (_disposed)
            return;
        _disposed = true;
        Release();
    }

    /// <summary>One step. The result may be a temporary or an argument.</summary>
    protected abstract Tensor Advance(int index, Tensor prediction, Tensor latents, Noise noise, StepDetails? details);

    /// <summary>How the clean sample follows from the prediction at an entry.</summary>
    protected abstract CleanRule Clean(int index);

    /// <summary>Noisy latents are Signal x0 + Level noise.</summary>
    protected abstract (double Signal, double Level) NoiseScales(int index);

    /// <summary>See <see cref="SigmaOf"/>.</summary>
    protected virtual float Level(int index) => sigmas[index];

    /// <summary>The factor on the model's input.</summary>
    protected virtual double InputScale(int index) => 1;

    /// <summary>Disposes history.</summary>
    protected virtual void Release()
    {
    }

    private static void KeepDetails(TensorScope scope, StepDetails? details)
    {
        if (details == null)
            return;
        // A detail may be what the step was given; then the caller owns it already.
        foreach (var tensor in (ReadOnlySpan<Tensor?>)[details.CleanSample, details.Denoised, details.NoisedSample])
        {
            if (tensor != null)
                scope.Keep(tensor);
        }
    }

    private int IndexOf(int step)
    {
        if ((uint)step >= (uint)Steps)
            throw new ArgumentOutOfRangeException(nameof(step), $"{scheduler} does the steps 0 to {Steps - 1}, there is no step {step}.");
        return begin + step;
    }

    private void Check(Tensor prediction, Tensor latents, bool doubled)
    {
        ArgumentNullException.ThrowIfNull(prediction);
        ArgumentNullException.ThrowIfNull(latents);
        var expected = doubled ? latents.Shape.With(latents.Shape.Rank - 1, 2 * latents.Shape[^1]) : latents.Shape;
        if (prediction.Shape != expected)
            throw new ArgumentException(
                $"{scheduler}: {prediction.Shape} does not go with latents {latents.Shape}, expected {expected}.", nameof(prediction));
    }

    /// <summary>The noise of one step: drawn when a scheduler asks for it.</summary>
    protected readonly struct Noise(string scheduler, NoiseSource? source, Shape shape)
    {
        public Tensor Draw()
        {
            if (source == null)
                throw new ArgumentException($"{scheduler} draws noise in this step; a source of noise is needed.", nameof(source));
            var drawn = source();
            return drawn.Shape == shape ? drawn
                : throw new ArgumentException($"{scheduler} needs noise {shape}, the source gave {drawn.Shape}.", nameof(source));
        }
    }
}
