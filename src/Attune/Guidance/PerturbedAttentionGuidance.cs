using Attune.Attention;
using Attune.Tensors;

namespace Attune.Guidance;

/// <summary>
/// Perturbed-Attention Guidance (Ahn et al., arXiv 2403.17377): away from a pass for the prompt in which self-attention maps of some layers
/// are the identity, so that every latent row sees itself alone (in joint attention: the text and itself): + scale (c - c_perturbed). Works
/// without a negative prompt. Costs a second pass.
/// </summary>
public sealed record PerturbedAttentionGuidance : PerturbingRule, IAttentionBase
{
    private static readonly RuleForm TextForm = new RuleForm<PerturbedAttentionGuidance>("pag")
        .Number("scale", rule => rule.Scale, (rule, x) => rule with { Scale = x }, "[0, inf)", neutral: 0, also: ["pag_scale"]);

    /// <inheritdoc/>
    public override RuleForm Form => TextForm;

    /// <summary>The scale: 0 or more; 0 is off. Default 3 (the paper).</summary>
    public float Scale { get; init; } = 3;

    /// <inheritdoc/>
    protected override float Weight => Scale;

    /// <inheritdoc/>
    public override bool ActsAt(AttentionKind kind) => kind is AttentionKind.Self or AttentionKind.Joint;

    /// <inheritdoc/>
    public Tensor Evaluate(AttentionFacts facts)
    {
        ArgumentNullException.ThrowIfNull(facts);
        return facts.LatentsOverThemselves();
    }
}
