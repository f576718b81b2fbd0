using Attune.Tensors;

namespace Attune.Guidance;

/// <summary>
/// A rule that combines the predictions for prompt and negative prompt: classifier-free guidance and its forms. Costs a second pass.
/// </summary>
public abstract record ContrastRule : GuidanceRule, IPredictionRule
{
    /// <inheritdoc/>
    public PredictionStage Stage => PredictionStage.Contrast;

    /// <inheritdoc/>
    public override PassKinds Needs => PassKinds.Negative;

    /// <inheritdoc/>
    public Tensor Apply(Tensor guided, PredictionFacts facts)
    {
        ArgumentNullException.ThrowIfNull(guided);
        ArgumentNullException.ThrowIfNull(facts);
        return Combine(guided, facts.Negative!, facts);
    }

    /// <summary>The guided prediction.</summary>
    /// <param name="positive">The prediction for the prompt, [batch, ..., channels]. Must not be written to.</param>
    /// <param name="negative">The prediction for the negative prompt, as the first.</param>
    /// <param name="facts">Where the run stands, and what else a rule asked for.</param>
    /// <returns>A tensor of the current scope, or one of the two itself.</returns>
    protected abstract Tensor Combine(Tensor positive, Tensor negative, PredictionFacts facts);
}
