using Attune.Tensors;

namespace Attune.Guidance;

/// <summary>
/// Classifier-free guidance (Ho and Salimans, arXiv 2207.12598): u + scale (c - u), where u is the prediction for the negative prompt and c
/// the one for the prompt. Costs a second pass. For models with an embedded guidance scale this is "true CFG". Models with an expert for
/// high and one for low noise may have a scale for each.
/// </summary>
public sealed record ClassifierFreeGuidance : ContrastRule
{
    private static readonly RuleForm TextForm = new RuleForm<ClassifierFreeGuidance>("cfg")
        .Number("scale", rule => rule.Scale, (rule, x) => rule with { Scale = x }, "[0, inf)", neutral: 1,
            also: ["guidance_scale", "true_cfg_scale"])
        .Optional("scale_2", rule => rule.Scale2, (rule, x) => rule with { Scale2 = x }, "[0, inf)", missing: "scale",
            also: ["guidance_scale_2"]);

    /// <inheritdoc/>
    public override RuleForm Form => TextForm;

    /// <summary>The scale: 0 or more; 1 is off. Default 4.</summary>
    public float Scale { get; init; } = 4;

    /// <summary>
    /// The scale in steps of the second of two networks that share the noise levels (the low-noise expert of Wan 2.2), 0 or more; null is
    /// <see cref="Scale"/>. An error for models of one network.
    /// </summary>
    public float? Scale2 { get; init; }

    /// <inheritdoc/>
    protected override Tensor Combine(Tensor positive, Tensor negative, PredictionFacts facts)
    {
        float scale = facts.Expert == 1 ? Scale2 ?? Scale : Scale;
        return TensorOperations.Combine(scale, positive, 1 - scale, negative);
    }
}
