using Attune.Attention;
using Attune.Tensors;

namespace Attune.Guidance;

/// <summary>
/// A rule that pushes away from a pass for the prompt in which it takes something away: guided + weight (positive - perturbed). What it
/// takes away it says as a base of attention (<see cref="IAttentionBase"/>) or as a block policy (<see cref="IBlockPolicy"/>). Works
/// without a negative prompt. Costs a second pass.
/// </summary>
public abstract record PerturbingRule : GuidanceRule, IPredictionRule
{
    /// <inheritdoc/>
    public PredictionStage Stage => PredictionStage.Term;

    /// <inheritdoc/>
    public override PassKinds Needs => PassKinds.Perturbed;

    /// <summary>What the difference of the two passes is multiplied with.</summary>
    protected abstract float Weight { get; }

    /// <inheritdoc/>
    public Tensor Apply(Tensor guided, PredictionFacts facts)
    {
        ArgumentNullException.ThrowIfNull(guided);
        ArgumentNullException.ThrowIfNull(facts);
        using var scope = new TensorScope();
        var difference = facts.Positive.Subtract(facts.Perturbed(this));
        return scope.Keep(TensorOperations.Combine(1, guided, Weight, difference));
    }
}
