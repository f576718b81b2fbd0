using Attune.Tensors;

namespace Attune.Guidance;

/// <summary>
/// Classifier-free guidance (Ho and Salimans, arXiv 2207.12598): u + scale (c - u), where u is the prediction for the negative prompt and c
/// the one for the prompt. Costs a second pass. For models with an embedded guidance scale this is "true CFG".
/// </summary>
[GuidanceName("cfg")]
public sealed record ClassifierFreeGuidance : GuidanceRule, IPredictionRule
{
    /// <summary>The scale: 0 or more; 1 is off. Default 4.</summary>
    [GuidanceParameter("scale", "guidance_scale", "true_cfg_scale", Range = "[0, inf)")]
    public float Scale { get; init; } = 4;

    /// <inheritdoc/>
    public PredictionStage Stage => PredictionStage.Contrast;

    /// <inheritdoc/>
    public override PassKinds Needs => PassKinds.Negative;

    /// <inheritdoc/>
    public override bool IsNeutral => Scale == 1;

    /// <inheritdoc/>
    public override GuidanceRule AsNeutral() => this with { Scale = 1 };

    /// <inheritdoc/>
    public Tensor Apply(Tensor guided, PredictionFacts facts)
    {
        ArgumentNullException.ThrowIfNull(facts);
        return TensorOperations.Combine(Scale, guided, 1 - Scale, facts.Negative!);
    }
}
