using Attune.Attention;
using Attune.Tensors;

namespace Attune.Guidance;

/// <summary>
/// Perturbed-Attention Guidance (Ahn et al., arXiv 2403.17377): away from a pass for the prompt in which self-attention maps of some layers
/// are the identity, so that every latent row sees itself alone (in joint attention: the text and itself): + scale (c - c_perturbed). Works
/// without a negative prompt. Costs a second pass.
/// </summary>
[GuidanceName("pag")]
public sealed record PerturbedAttentionGuidance : GuidanceRule, IAttentionBase, IPredictionRule
{
    /// <summary>The scale: 0 or more; 0 is off. Default 3 (the paper).</summary>
    [GuidanceParameter("scale", "pag_scale", Range = "[0, inf)")]
    public float Scale { get; init; } = 3;

    /// <inheritdoc/>
    public PredictionStage Stage => PredictionStage.Term;

    /// <inheritdoc/>
    public override PassKinds Needs => PassKinds.Perturbed;

    /// <inheritdoc/>
    public override bool IsNeutral => Scale == 0;

    /// <inheritdoc/>
    public override GuidanceRule AsNeutral() => this with { Scale = 0 };

    /// <inheritdoc/>
    public override bool ActsAt(AttentionKind kind) => kind is AttentionKind.Self or AttentionKind.Joint;

    /// <inheritdoc/>
    public Tensor Evaluate(AttentionFacts facts)
    {
        ArgumentNullException.ThrowIfNull(facts);
        return facts.LatentsOverThemselves();
    }

    /// <inheritdoc/>
    public Tensor Apply(Tensor guided, PredictionFacts facts) => Perturbation.Push(guided, facts, this, Scale);
}

/// <summary>What the rules with a perturbed pass share.</summary>
internal static class Perturbation
{
    /// <summary>guided + scale (positive - perturbed).</summary>
    public static Tensor Push(Tensor guided, PredictionFacts facts, GuidanceRule rule, float scale)
    {
        ArgumentNullException.ThrowIfNull(guided);
        ArgumentNullException.ThrowIfNull(facts);
        using var scope = new TensorScope();
        var difference = facts.Positive.Subtract(facts.Perturbed(rule));
        return scope.Keep(TensorOperations.Combine(1, guided, scale, difference));
    }
}
