using Attune.Tensors;

namespace Attune.Guidance;

/// <summary>
/// What prediction rules read of a step: the single passes, where the run stands, and what the predictions mean for the clean sample.
/// Predictions and latents have the form of the model, [batch, ..., channels]: [batch, height, width, channels] of a UNet, packed tokens of
/// a transformer.
/// </summary>
public sealed class PredictionFacts
{
    private readonly Dictionary<GuidanceRule, Tensor> _perturbed = new(ReferenceEqualityComparer.Instance);
    private readonly GuidanceState? _state;

    /// <summary>Facts of a step.</summary>
    /// <param name="point">Where the run stands.</param>
    /// <param name="latents">The latents that the step began with.</param>
    /// <param name="positive">The prediction for the prompt, with attention-space rules.</param>
    /// <param name="state">What rules remember in this run; null for a single step.</param>
    public PredictionFacts(StepPoint point, Tensor latents, Tensor positive, GuidanceState? state = null) =>
        (Point, Latents, Positive, _state) = (point, latents, positive, state);

    /// <summary>Where the run stands.</summary>
    public StepPoint Point { get; }

    /// <summary>
    /// Which of the networks that share the noise levels made the predictions, from 0 (<c>Denoiser.ExpertOf</c>); 0 for nearly all models.
    /// </summary>
    public int Expert { get; init; }

    /// <summary>The latents that the step began with.</summary>
    public Tensor Latents { get; }

    /// <summary>The prediction for the prompt, with attention-space rules.</summary>
    public Tensor Positive { get; }

    /// <summary>The plain prediction for the negative prompt, when a rule needs it (<see cref="PassKinds.Negative"/>).</summary>
    public Tensor? Negative { get; init; }

    /// <summary>The plain prediction for the empty prompt, when a rule needs it (<see cref="PassKinds.Empty"/>).</summary>
    public Tensor? Empty { get; init; }

    /// <summary>
    /// What a prediction says of the clean sample: the conversion of the scheduler; by default the prediction is the clean sample.
    /// </summary>
    public Func<Tensor, Tensor> ToCleanSample { get; init; } = prediction => prediction;

    /// <summary>The prediction that means a clean sample.</summary>
    public Func<Tensor, Tensor> FromCleanSample { get; init; } = clean => clean;

    /// <summary>The prediction of the pass in which a rule took something away.</summary>
    /// <exception cref="InvalidOperationException">The rule asked for no such pass (<see cref="PassKinds.Perturbed"/>).</exception>
    public Tensor Perturbed(GuidanceRule rule)
    {
        ArgumentNullException.ThrowIfNull(rule);
        return _perturbed.TryGetValue(rule, out var prediction) ? prediction
            : throw new InvalidOperationException(
                $"{rule.Form.Name}: there is no perturbed pass of this rule in step {Point.Index}.");
    }

    /// <summary>What a rule remembers during the run, made when it is first asked for. Disposed with the run.</summary>
    /// <exception cref="InvalidOperationException">The facts belong to no run.</exception>
    public T State<T>(GuidanceRule rule, Func<T> make)
        where T : class
    {
        ArgumentNullException.ThrowIfNull(rule);
        return (_state ?? throw new InvalidOperationException($"{rule.Form.Name} remembers earlier steps; these facts belong to no run."))
            .Get(rule, make);
    }

    /// <summary>Adds the prediction of a rule's own pass.</summary>
    public void SetPerturbed(GuidanceRule rule, Tensor prediction) => _perturbed[rule] = prediction;
}

/// <summary>What rules remember during one run. Not thread-safe: a run does one step at a time.</summary>
public sealed class GuidanceState : IDisposable
{
    private readonly Dictionary<GuidanceRule, object> _values = new(ReferenceEqualityComparer.Instance);

    /// <inheritdoc/>
    public void Dispose()
    {
        foreach (var value in _values.Values)
            (value as IDisposable)?.Dispose();
        _values.Clear();
    }

    internal T Get<T>(GuidanceRule rule, Func<T> make)
        where T : class
    {
        if (!_values.TryGetValue(rule, out object? value))
            _values[rule] = value = make();
        return (T)value;
    }
}
