using Attune.Attention;
using Attune.Tensors;

namespace Attune.Guidance;

/// <summary>
/// Skip-layer guidance (Stability AI, for Stable Diffusion 3.5; the idea of Spatiotemporal Skip Guidance, arXiv 2411.18664): away from a
/// pass for the prompt that leaves out whole blocks: + scale (c - c_skipped). Costs a second pass in the steps in which it acts.
/// </summary>
public sealed record SkipLayerGuidance : PerturbingRule, IBlockPolicy
{
    private static readonly RuleForm TextForm = new RuleForm<SkipLayerGuidance>("slg", "skip-layers")
        .Number("scale", rule => rule.Scale, (rule, x) => rule with { Scale = x }, "[0, inf)", neutral: 0,
            also: ["skip_layer_guidance_scale"])
        .Number("start", rule => rule.Start, (rule, x) => rule with { Start = x }, "[0, 1]", also: ["skip_layer_guidance_start"])
        .Number("stop", rule => rule.Stop, (rule, x) => rule with { Stop = x }, "[0, 1]", also: ["skip_layer_guidance_stop"]);

    /// <summary>Blocks 7 to 9, the usual choice for Stable Diffusion 3.5 medium; other models need their own.</summary>
    public SkipLayerGuidance() => Layers = LayerSelector.Of("7-9");

    /// <inheritdoc/>
    public override RuleForm Form => TextForm;

    /// <summary>The scale: 0 or more; 0 is off. Default 2.8.</summary>
    public float Scale { get; init; } = 2.8f;

    /// <summary>
    /// The part of the run after which the rule acts, 0 to 1: step i of n when n start &lt; i, so never in the first step. Default 0.01.
    /// </summary>
    public float Start { get; init; } = 0.01f;

    /// <summary>The part of the run before which the rule acts, 0 to 1: step i of n when i &lt; n stop. Default 0.2.</summary>
    public float Stop { get; init; } = 0.2f;

    /// <inheritdoc/>
    public override bool ActsIn(StepPoint point) =>
        base.ActsIn(point) && point.Index > point.Count * AsWritten(Start) && point.Index < point.Count * AsWritten(Stop);

    /// <inheritdoc/>
    protected override float Weight => Scale;

    /// <inheritdoc/>
    public BlockDecision Before(BlockPoint at, Tensor latents) => Layers.Contains(at.Path) ? BlockDecision.Skip : BlockDecision.Run;

    /// <summary>
    /// The number that a float states: 0.2f is a little more than 0.2, of which 10 steps are 2 exactly, as in the reference. Decimals round
    /// to it.
    /// </summary>
    private static double AsWritten(float value) => (double)(decimal)value;
}
