using Attune.Attention;
using Attune.Guidance;
using Attune.Guidance.Diagnostics;
using Attune.Imaging;
using Attune.Latents;
using Attune.Models;
using Attune.Prompts;
using Attune.Tensors;

namespace Attune.Generation;

/// <summary>
/// Watches a run: derive from it and override what is of interest. It cannot change the result. Tensors that it receives are valid only
/// during the call.
/// </summary>
public abstract class RunObserver
{
    /// <summary>An observer that does nothing.</summary>
    public static RunObserver None { get; } = new Idle();

    /// <summary>Watches the attention layers in the pass for the prompt; null, which costs nothing, for none.</summary>
    public virtual IAttentionProbe? Probe => null;

    /// <summary>
    /// Receives what the denoiser's submodules give in the pass for the prompt (<see cref="DenoiserInput.Watch"/>); null, which costs
    /// nothing, for none.
    /// </summary>
    public virtual Action<string, Tensor>? Watch => null;

    /// <summary>Receives warnings, for example that a prompt was truncated.</summary>
    public virtual void Warn(string message)
    {
    }

    /// <summary>Called once, when prompts are encoded and noise is drawn.</summary>
    public virtual void Begin(RunStart start)
    {
    }

    /// <summary>Called when a step begins.</summary>
    public virtual void BeginStep(StepPoint point)
    {
    }

    /// <summary>Called when a step is done.</summary>
    public virtual void EndStep(StepObservation step)
    {
    }

    private sealed class Idle : RunObserver;
}

/// <summary>What a run begins with.</summary>
/// <param name="Timesteps">The scheduler's timesteps of the steps that are done, and where the last one ends if it says so (SCM).</param>
/// <param name="Sigmas">The noise levels of the whole schedule, one more than its steps.</param>
/// <param name="Positive">The prompt.</param>
/// <param name="Negative">The negative prompt, when a rule needs it.</param>
/// <param name="Noise">The noise as drawn, [count, height / 8, width / 8, latent channels].</param>
/// <param name="ImageLatents">The clean latents of the initial image, shaped as the noise; null without one.</param>
/// <param name="Latents">The latents with which the run begins, in the denoiser's form.</param>
public sealed record RunStart(
    IReadOnlyList<float> Timesteps, IReadOnlyList<float> Sigmas, Conditioning Positive, Conditioning? Negative, Tensor Noise,
    Tensor? ImageLatents, Tensor Latents)
{
    /// <summary>How the tokens of the latents lie.</summary>
    public LatentGrid Grid { get; init; }

    /// <summary>The pictures that the model looks at, encoded; empty for none.</summary>
    public IReadOnlyList<ReferenceLatents> References { get; init; } = [];

    /// <summary>The same pictures, at the size at which all parts of the model see them.</summary>
    public IReadOnlyList<Image> Pictures { get; init; } = [];

    /// <summary>The initial image at the size that is made, [1 or count, height, width, 3], values from 0 to 1; null without one.</summary>
    public Tensor? Initial { get; init; }

    /// <summary>The mask at that size, [1, height, width, 1], 1 where the image is made anew, else 0; null without one.</summary>
    public Tensor? Mask { get; init; }

    /// <summary>
    /// How much of what a step makes stays, in the denoiser's form, [1, ...]; null where nothing is put back after a step.
    /// </summary>
    public Tensor? LatentMask { get; init; }

    /// <summary>What stands beside the latents (<see cref="DenoiserInput.Beside"/>); null for models without such.</summary>
    public Tensor? Beside { get; init; }
}

/// <summary>What a step computed.</summary>
/// <param name="Facts">The latents before the step and the predictions of the single passes.</param>
/// <param name="Guidance">What guidance did in the step.</param>
/// <param name="Prediction">The prediction after all guidance, as the scheduler received it.</param>
/// <param name="Noise">The noise that the scheduler drew, shaped as the latents; null where it drew none.</param>
/// <param name="Latents">The latents after the step, in the denoiser's form.</param>
public sealed record StepObservation(PredictionFacts Facts, StepGuidance Guidance, Tensor Prediction, Tensor? Noise, Tensor Latents)
{
    /// <summary>What the step cache did, for each pass that it watched; empty without one.</summary>
    public IReadOnlyList<CachedPass> Caches { get; init; } = [];
}

/// <summary>What a step cache did in a pass.</summary>
/// <param name="Kind">Which pass; <see cref="PassKinds.None"/> is that for the prompt.</param>
/// <param name="Rule">The rule whose perturbed pass it is; null for the others.</param>
/// <param name="Measure">
/// By how much the pass differed from the last one that was computed, as <see cref="StepCacheChoice"/> measures it; null where there was
/// none.
/// </param>
/// <param name="Computed">Whether the pass computed what the cache leaves out.</param>
public sealed record CachedPass(PassKinds Kind, GuidanceRule? Rule, double? Measure, bool Computed)
{
    /// <summary>
    /// The ratio of what all blocks added to what they added in the step before, where a cache was asked to measure it
    /// (<c>mag:ratios=calibrate</c>); else null.
    /// </summary>
    public double? Magnitude { get; init; }
}

/// <summary>Collects in a trace what guidance does in a run.</summary>
/// <param name="trace">The trace; it takes one run.</param>
/// <param name="warn">Receives warnings, or null.</param>
public sealed class TraceObserver(GuidanceTrace trace, Action<string>? warn = null) : RunObserver
{
    /// <inheritdoc/>
    public override IAttentionProbe Probe => trace;

    /// <inheritdoc/>
    public override void Warn(string message) => warn?.Invoke(message);

    /// <inheritdoc/>
    public override void BeginStep(StepPoint point) => trace.Begin(point);

    /// <inheritdoc/>
    public override void EndStep(StepObservation step)
    {
        ArgumentNullException.ThrowIfNull(step);
        trace.Observe(step.Facts, step.Guidance, step.Prediction);
    }
}

/// <summary>Passes warnings on, and watches nothing else.</summary>
/// <param name="warn">Receives them.</param>
public sealed class WarningObserver(Action<string> warn) : RunObserver
{
    /// <inheritdoc/>
    public override void Warn(string message) => warn(message);
}
