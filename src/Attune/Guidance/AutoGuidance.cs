using Attune.Attention;
using Attune.Tensors;

namespace Attune.Guidance;

/// <summary>
/// AutoGuidance (Karras et al., arXiv 2406.02507): away from a worse version of the same model, here one that some blocks are left out of:
/// bad + scale (good - bad), which as a term is + (scale - 1) (c - c_bad). Costs a second pass, less the blocks left out.
/// </summary>
[GuidanceName("autoguidance")]
public sealed record AutoGuidance : GuidanceRule, IBlockFilter, IPredictionRule
{
    /// <summary>Blocks 7 to 9 make the worse model, unless others are named.</summary>
    public AutoGuidance() => Layers = LayerSelector.Of("7-9");

    /// <summary>The scale: 0 or more; 1 is off. Default 2.</summary>
    [GuidanceParameter("scale", Range = "[0, inf)")]
    public float Scale { get; init; } = 2;

    /// <inheritdoc/>
    public PredictionStage Stage => PredictionStage.Term;

    /// <inheritdoc/>
    public override PassKinds Needs => PassKinds.Perturbed;

    /// <inheritdoc/>
    public override bool IsNeutral => Scale == 1;

    /// <inheritdoc/>
    public override GuidanceRule AsNeutral() => this with { Scale = 1 };

    /// <inheritdoc/>
    public bool Skips(string path) => Layers.Contains(path);

    /// <inheritdoc/>
    public Tensor Apply(Tensor guided, PredictionFacts facts) => Perturbation.Push(guided, facts, this, Scale - 1);
}
