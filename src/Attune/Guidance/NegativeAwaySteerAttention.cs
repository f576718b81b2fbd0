using Attune.Attention;
using Attune.Tensors;

namespace Attune.Guidance;

/// <summary>
/// Negative-Away Steer Attention, NASA (SNOOPI, Nguyen et al., arXiv 2412.02687): the attention output of the negative prompt is subtracted
/// from that of the prompt, Z+ - scale Z-. Made for one-step UNets and PixArt; in joint attention <see cref="NormalizedAttentionGuidance"/>
/// holds better.
/// </summary>
public sealed record NegativeAwaySteerAttention : GuidanceRule, IAttentionCorrection
{
    private static readonly RuleForm TextForm = new RuleForm<NegativeAwaySteerAttention>("nasa")
        .Number("scale", rule => rule.Scale, (rule, x) => rule with { Scale = x }, "[0, inf)", neutral: 0);

    /// <inheritdoc/>
    public override RuleForm Form => TextForm;

    /// <summary>The share of the negative prompt's output that is subtracted: 0 or more; 0 is off. Default 0.3.</summary>
    public float Scale { get; init; } = 0.3f;

    /// <inheritdoc/>
    public override bool ReadsNegativeText => true;

    /// <inheritdoc/>
    public void AddTo(Tensor output, AttentionFacts facts)
    {
        ArgumentNullException.ThrowIfNull(output);
        ArgumentNullException.ThrowIfNull(facts);
        TensorOperations.Combine(1, output, -Scale, facts.NegativeLatents, into: output);
    }
}
