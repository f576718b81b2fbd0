using Attune.Attention;
using Attune.Tensors;

namespace Attune.Guidance;

/// <summary>
/// AutoGuidance (Karras et al., arXiv 2406.02507): away from a worse version of the same model, here one that some blocks are left out of:
/// bad + scale (good - bad), which as a term is + (scale - 1) (c - c_bad). Costs a second pass, less the blocks left out.
/// </summary>
public sealed record AutoGuidance : PerturbingRule, IBlockPolicy
{
    private static readonly RuleForm TextForm = new RuleForm<AutoGuidance>("autoguidance")
        .Number("scale", rule => rule.Scale, (rule, x) => rule with { Scale = x }, "[0, inf)", neutral: 1);

    /// <summary>Blocks 7 to 9 make the worse model, unless others are named.</summary>
    public AutoGuidance() => Layers = LayerSelector.Of("7-9");

    /// <inheritdoc/>
    public override RuleForm Form => TextForm;

    /// <summary>The scale: 0 or more; 1 is off. Default 2.</summary>
    public float Scale { get; init; } = 2;

    /// <inheritdoc/>
    protected override float Weight => Scale - 1;

    /// <inheritdoc/>
    public BlockDecision Before(BlockPoint at, Tensor latents) => Layers.Contains(at.Path) ? BlockDecision.Skip : BlockDecision.Run;
}
