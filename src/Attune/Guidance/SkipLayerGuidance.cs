using Attune.Attention;
using Attune.Tensors;

namespace Attune.Guidance;

/// <summary>
/// Skip-layer guidance (Stability AI, for Stable Diffusion 3.5; the idea of Spatiotemporal Skip Guidance, arXiv 2411.18664): away from a
/// pass for the prompt that leaves out whole blocks: + scale (c - c_skipped). Costs a second pass in the steps in which it acts.
/// </summary>
[GuidanceName("slg", "skip-layers")]
public sealed record SkipLayerGuidance : GuidanceRule, IBlockFilter, IPredictionRule
{
    /// <summary>Blocks 7 to 9, the usual choice for Stable Diffusion 3.5 medium; other models need their own.</summary>
    public SkipLayerGuidance() => Layers = LayerSelector.Of("7-9");

    /// <summary>The scale: 0 or more; 0 is off. Default 2.8.</summary>
    [GuidanceParameter("scale", "skip_layer_guidance_scale", Range = "[0, inf)")]
    public float Scale { get; init; } = 2.8f;

    /// <summary>
    /// The part of the run after which the rule acts, 0 to 1: step i of n when n start &lt; i, so never in the first step. Default 0.01.
    /// </summary>
    [GuidanceParameter("start", "skip_layer_guidance_start", Range = "[0, 1]")]
    public float Start { get; init; } = 0.01f;

    /// <summary>The part of the run before which the rule acts, 0 to 1: step i of n when i &lt; n stop. Default 0.2.</summary>
    [GuidanceParameter("stop", "skip_layer_guidance_stop", Range = "[0, 1]")]
    public float Stop { get; init; } = 0.2f;

    /// <inheritdoc/>
    public PredictionStage Stage => PredictionStage.Term;

    /// <inheritdoc/>
    public override PassKinds Needs => PassKinds.Perturbed;

    /// <inheritdoc/>
    public override bool IsNeutral => Scale == 0;

    /// <inheritdoc/>
    public override GuidanceRule AsNeutral() => this with { Scale = 0 };

    /// <inheritdoc/>
    public override bool ActsIn(StepPoint point) =>
        base.ActsIn(point) && point.Index > point.Count * AsWritten(Start) && point.Index < point.Count * AsWritten(Stop);

    /// <inheritdoc/>
    public bool Skips(string path) => Layers.Contains(path);

    /// <inheritdoc/>
    public Tensor Apply(Tensor guided, PredictionFacts facts) => Perturbation.Push(guided, facts, this, Scale);

    /// <summary>
    /// The number that a float states: 0.2f is a little more than 0.2, of which 10 steps are 2 exactly, as in the reference. Decimals round
    /// to it.
    /// </summary>
    private static double AsWritten(float value) => (double)(decimal)value;
}
