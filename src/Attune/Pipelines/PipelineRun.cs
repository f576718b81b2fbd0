using Attune.Attention;
using Attune.Guidance;
using Attune.Models;
using Attune.Tensors;

namespace Attune.Pipelines;

/// <summary>The state of one request: conditionings, latents, and what the last step computed. A pipeline derives its own.</summary>
internal abstract class PipelineRun(GenerationRequest request, int steps) : IDisposable
{
    private Tensor? _latents;
    private Tensor? _prediction;
    private Tensor? _positivePrediction;
    private Tensor? _negativePrediction;

    public GenerationRequest Request { get; } = request;

    public int Steps { get; } = steps;

    /// <summary>The embeddings of the prompt.</summary>
    public required Conditioning Positive { get; init; }

    /// <summary>The embeddings of the negative prompt, when a rule needs them.</summary>
    public required Conditioning? Negative { get; init; }

    /// <summary>The noise as drawn, [count, height, width, channels].</summary>
    public required Tensor Noise { get; init; }

    public required Tensor Latents
    {
        get => _latents!;
        init => _latents = value;
    }

    public abstract IReadOnlyList<float> Timesteps { get; }

    public abstract IReadOnlyList<float> Sigmas { get; }

    public Tensor? Prediction => _prediction;

    public Tensor? PositivePrediction => _positivePrediction;

    public Tensor? NegativePrediction => _negativePrediction;

    /// <summary>One forward pass of the denoiser; the result belongs to the current scope.</summary>
    protected abstract Tensor Predict(int step, Conditioning positive, Conditioning? negative, Steering steering, CancellationToken cancellation);

    /// <summary>The next latents; the result belongs to the current scope.</summary>
    protected abstract Tensor Advance(int step, Tensor prediction);

    /// <summary>The images of the latents, [count, height, width, 3] from 0 to 1; the caller disposes it.</summary>
    public abstract Tensor Decode(CancellationToken cancellation);

    /// <summary>Does one step.</summary>
    public void Step(int step, CancellationToken cancellation)
    {
        using var scope = new TensorScope();
        var guidance = Request.Guidance.At(step, Steps);
        var positive = Predict(step, Positive, guidance.ReadsNegativeText ? Negative : null, guidance.Steering, cancellation);
        var negative = guidance.NeedsNegativePass ? Predict(step, Negative!, null, Steering.Plain, cancellation) : null;
        var prediction = guidance.Combine(new PredictionFacts(Latents, positive, negative));
        var next = Advance(step, prediction);
        Replace(ref _prediction, ReferenceEquals(prediction, positive) ? prediction.View() : prediction);
        Replace(ref _positivePrediction, positive);
        Replace(ref _negativePrediction, negative);
        Replace(ref _latents, next);
    }

    public virtual void Dispose()
    {
        Positive.Dispose();
        Negative?.Dispose();
        Noise.Dispose();
        Replace(ref _latents, null);
        Replace(ref _prediction, null);
        Replace(ref _positivePrediction, null);
        Replace(ref _negativePrediction, null);
    }

    private static void Replace(ref Tensor? field, Tensor? value)
    {
        field?.Dispose();
        field = value == null ? null : TensorScope.Detach(value);
    }
}
