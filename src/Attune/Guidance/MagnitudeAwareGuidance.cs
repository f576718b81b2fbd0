using Attune.Tensors;

namespace Attune.Guidance;

/// <summary>
/// Magnitude-aware mitigation for boosted guidance, MAMBO-G (arXiv 2508.03442): the larger the difference of the predictions is beside the
/// negative one, the less it is amplified: u + w (c - u) with w = 1 + (scale - 1) exp(-alpha |c - u| / |u|), for each sample.
/// </summary>
public sealed record MagnitudeAwareGuidance : ContrastRule
{
    private static readonly RuleForm TextForm = new RuleForm<MagnitudeAwareGuidance>("mambo-g")
        .Number("scale", rule => rule.Scale, (rule, x) => rule with { Scale = x }, "[0, inf)", neutral: 1)
        .Number("alpha", rule => rule.Alpha, (rule, x) => rule with { Alpha = x }, "[0, inf)");

    /// <inheritdoc/>
    public override RuleForm Form => TextForm;

    /// <summary>The scale where the predictions agree: 0 or more; 1 is off. Default 10.</summary>
    public float Scale { get; init; } = 10;

    /// <summary>How fast the scale falls with the difference, 0 or more; 0 is plain CFG. Default 8.</summary>
    public float Alpha { get; init; } = 8;

    /// <inheritdoc/>
    protected override Tensor Combine(Tensor positive, Tensor negative, PredictionFacts facts)
    {
        using var scope = new TensorScope();
        var (c, u) = (positive.PerSample(), negative.PerSample());

        // For a negative prediction of zeros the ratio is as good as infinite: no amplification.
        var ratio = c.Subtract(u).RowNorms().Ratio(u.RowNorms(), float.MaxValue);
        var boost = ratio.Affine(-Alpha).Activate(Activation.Exp).Affine(Scale - 1);
        var guided = positive.Clone();
        guided.PerSample().AddRows(null, c, boost, u);      // u + w (c - u) as c + (w - 1) (c - u)
        return scope.Keep(guided);
    }
}
