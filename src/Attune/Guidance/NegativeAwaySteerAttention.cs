using Attune.Attention;
using Attune.Tensors;

namespace Attune.Guidance;

/// <summary>
/// Negative-Away Steer Attention, NASA (SNOOPI, Nguyen et al., arXiv 2412.02687): the attention output of the negative prompt is subtracted
/// from that of the prompt, Z+ - scale Z-. Made for one-step UNets and PixArt; in joint attention <see cref="NormalizedAttentionGuidance"/>
/// holds better.
/// </summary>
[GuidanceName("nasa")]
public sealed record NegativeAwaySteerAttention : GuidanceRule, IAttentionCorrection
{
    /// <summary>The share of the negative prompt's output that is subtracted: 0 or more; 0 is off. Default 0.3.</summary>
    [GuidanceParameter("scale", Range = "[0, inf)")]
    public float Scale { get; init; } = 0.3f;

    /// <inheritdoc/>
    public override bool ReadsNegativeText => true;

    /// <inheritdoc/>
    public override bool IsNeutral => Scale == 0;

    /// <inheritdoc/>
    public override GuidanceRule AsNeutral() => this with { Scale = 0 };

    /// <inheritdoc/>
    public void AddTo(Tensor output, AttentionFacts facts)
    {
        ArgumentNullException.ThrowIfNull(output);
        ArgumentNullException.ThrowIfNull(facts);
        TensorOperations.Combine(1, output, -Scale, facts.NegativeLatents, into: output);
    }
}
