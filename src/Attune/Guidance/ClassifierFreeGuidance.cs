using Attune.Tensors;

namespace Attune.Guidance;

/// <summary>
/// Classifier-free guidance (Ho and Salimans, arXiv 2207.12598): u + scale (c - u), where u is the prediction for the negative prompt and c
/// the one for the prompt. Costs a second pass. For models with an embedded guidance scale this is "true CFG".
/// </summary>
public sealed record ClassifierFreeGuidance : ContrastRule
{
    private static readonly RuleForm TextForm = new RuleForm<ClassifierFreeGuidance>("cfg")
        .Number("scale", rule => rule.Scale, (rule, x) => rule with { Scale = x }, "[0, inf)", neutral: 1,
            also: ["guidance_scale", "true_cfg_scale"]);

    /// <inheritdoc/>
    public override RuleForm Form => TextForm;

    /// <summary>The scale: 0 or more; 1 is off. Default 4.</summary>
    public float Scale { get; init; } = 4;

    /// <inheritdoc/>
    protected override Tensor Combine(Tensor positive, Tensor negative, PredictionFacts facts) =>
        TensorOperations.Combine(Scale, positive, 1 - Scale, negative);
}
