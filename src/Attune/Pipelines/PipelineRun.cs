using System.Diagnostics;
using Attune.Attention;
using Attune.Autoencoders;
using Attune.Guidance;
using Attune.Models;
using Attune.Schedulers;
using Attune.Tensors;

namespace Attune.Pipelines;

/// <summary>The state of one request: conditionings, latents, and what the last step computed. A pipeline derives its own.</summary>
internal abstract class PipelineRun(GenerationRequest request, ISchedulerRun schedule) : IDisposable
{
    private Tensor? _latents;
    private Tensor? _before;
    private Tensor? _stepNoise;
    private int _step;
    private Tensor? _prediction;
    private Tensor? _positivePrediction;
    private Tensor? _negativePrediction;
    private Tensor? _emptyPrediction;
    private readonly Dictionary<GuidanceRule, Tensor> _perturbedPredictions = new(ReferenceEqualityComparer.Instance);
    private readonly GuidanceState _guidanceState = new();

    public GenerationRequest Request { get; } = request;

    /// <summary>The noise levels; owned by the run.</summary>
    public ISchedulerRun Schedule { get; } = schedule;

    /// <summary>The number of evaluations of the denoiser.</summary>
    public int Steps => Schedule.Steps;

    /// <summary>The generator of the request's seed, from which the initial noise was drawn; stochastic schedulers draw on.</summary>
    public required TorchRandom Random { get; init; }

    /// <summary>The embeddings of the prompt.</summary>
    public required Conditioning Positive { get; init; }

    /// <summary>The embeddings of the negative prompt, when a rule needs them.</summary>
    public required Conditioning? Negative { get; init; }

    /// <summary>The embeddings of the empty prompt, when a rule needs them.</summary>
    public Conditioning? Empty { get; init; }

    /// <summary>The noise as drawn, [count, height, width, channels].</summary>
    public required Tensor Noise { get; init; }

    /// <summary>The clean latents of the initial image, [count, height, width, channels], if there is one.</summary>
    public Tensor? ImageLatents { get; init; }

    /// <summary>The latents with which the run begins.</summary>
    public Tensor StartLatents { get; private init; } = null!;

    public required Tensor Latents
    {
        get => _latents!;
        init => (_latents, StartLatents) = (value, TensorScope.Detach(value.View()));
    }

    /// <summary>How long the steps took that are done, without the encoding of prompts.</summary>
    public TimeSpan Denoising { get; private set; }

    /// <summary>What the scheduler drew in the last step.</summary>
    public Tensor? StepNoise => _stepNoise;

    public Tensor? Prediction => _prediction;

    public Tensor? PositivePrediction => _positivePrediction;

    public Tensor? NegativePrediction => _negativePrediction;

    public Tensor? EmptyPrediction => _emptyPrediction;

    public IReadOnlyDictionary<GuidanceRule, Tensor> PerturbedPredictions => _perturbedPredictions;

    /// <summary>One forward pass of the denoiser; the result belongs to the current scope.</summary>
    protected abstract Tensor Predict(
        int step, Conditioning positive, Conditioning? negative, Steering steering, CancellationToken cancellation);

    /// <summary>
    /// Standard normal noise in the form of the latents, drawn as the reference draws it: in that form, unless a model says otherwise.
    /// Owned by the current scope.
    /// </summary>
    protected virtual Tensor DrawStepNoise()
    {
        var noise = Tensor.Empty(Latents.Shape);
        Random.Normal(noise.Span);
        return noise;
    }

    /// <summary>Latents from the denoiser's form to [count, height, width, channels].</summary>
    protected virtual Tensor Unpack(Tensor latents) => latents;

    /// <summary>Unpacked latents to images [count, height, width, 3] around [-1, 1].</summary>
    protected abstract Tensor DecodeLatents(Tensor latents, CancellationToken cancellation);

    /// <summary>The images of the latents, [count, height, width, 3] from 0 to 1; the caller disposes it.</summary>
    public Tensor Decode(CancellationToken cancellation)
    {
        using var scope = new TensorScope();
        return TensorScope.Detach(DecodeLatents(Unpack(Latents), cancellation).Affine(0.5f, 0.5f).Clamp(0, 1));
    }

    /// <summary>
    /// The images of the clean sample that the last prediction means, [count, height, width, 3] from 0 to 1; the caller disposes it.
    /// </summary>
    public Tensor DecodePreview(AutoencoderTiny? vae, CancellationToken cancellation)
    {
        using var scope = new TensorScope();
        var clean = Unpack(Schedule.ToCleanSample(Prediction!, _step, _before!));
        var image = vae == null ? DecodeLatents(clean, cancellation) : vae.Decode(vae.Denormalize(clean), cancellation);
        return TensorScope.Detach(image.Affine(0.5f, 0.5f).Clamp(0, 1));
    }

    /// <summary>Where the run stands when a step begins.</summary>
    public StepPoint PointOf(int step) => new(step, Steps, Schedule.TimestepOf(step), Schedule.SigmaOf(step));

    /// <summary>Does one step.</summary>
    public void Step(int step, CancellationToken cancellation)
    {
        using var scope = new TensorScope();
        long begun = Stopwatch.GetTimestamp();
        var point = PointOf(step);
        Request.Trace?.Begin(point);
        var guidance = Request.Guidance.At(point, Request.Trace);
        var positive = Predict(step, Positive, guidance.ReadsNegativeText ? Negative : null, guidance.Steering, cancellation);
        Tensor? PredictPlain(PassKinds kind, Conditioning? conditioning) =>
            guidance.Passes.FirstOrDefault(pass => pass.Kind == kind) is { } pass
                ? Predict(step, conditioning!, null, pass.Steering, cancellation)
                : null;
        var facts = new PredictionFacts(point, Latents, positive, _guidanceState)
        {
            Negative = PredictPlain(PassKinds.Negative, Negative),
            Empty = PredictPlain(PassKinds.Empty, Empty),
            ToCleanSample = prediction => Schedule.ToCleanSample(prediction, step, Latents),
            FromCleanSample = clean => Schedule.FromCleanSample(clean, step, Latents),
        };
        foreach (var pass in guidance.Passes.Where(pass => pass.Kind == PassKinds.Perturbed))
            facts.SetPerturbed(pass.Rule!, Predict(step, Positive, null, pass.Steering, cancellation));
        var prediction = guidance.Combine(facts);
        Request.Trace?.Observe(facts, guidance, prediction);
        Replace(ref _stepNoise, null);
        var next = Schedule.Step(prediction, step, Latents, () =>
        {
            var noise = DrawStepNoise();
            Replace(ref _stepNoise, noise.View());
            return noise;
        });
        Replace(ref _prediction, prediction.View());        // it may be one of the passes
        Replace(ref _positivePrediction, positive);
        Replace(ref _negativePrediction, facts.Negative);
        Replace(ref _emptyPrediction, facts.Empty);
        ReplacePerturbed(guidance.Passes.Where(pass => pass.Rule != null).Select(pass => pass.Rule!), facts);
        Replace(ref _before, _latents);
        _latents = TensorScope.Detach(next);
        _step = step;
        Denoising += Stopwatch.GetElapsedTime(begun);
    }

    public virtual void Dispose()
    {
        Schedule.Dispose();
        Positive.Dispose();
        Negative?.Dispose();
        Empty?.Dispose();
        Noise.Dispose();
        ImageLatents?.Dispose();
        StartLatents.Dispose();
        Replace(ref _latents, null);
        Replace(ref _before, null);
        Replace(ref _stepNoise, null);
        Replace(ref _prediction, null);
        Replace(ref _positivePrediction, null);
        Replace(ref _negativePrediction, null);
        Replace(ref _emptyPrediction, null);
        ReplacePerturbed([], null);
        _guidanceState.Dispose();
    }

    private void ReplacePerturbed(IEnumerable<GuidanceRule> rules, PredictionFacts? facts)
    {
        foreach (var old in _perturbedPredictions.Values)
            old.Dispose();
        _perturbedPredictions.Clear();
        foreach (var rule in rules)
            _perturbedPredictions[rule] = TensorScope.Detach(facts!.Perturbed(rule));
    }

    private static void Replace(ref Tensor? field, Tensor? value)
    {
        field?.Dispose();
        field = value == null ? null : TensorScope.Detach(value);
    }
}
