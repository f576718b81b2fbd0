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
        return Samples.Combine(positive, negative, pair =>
        {
            double square = 0;
            for (int i = 0; i < pair.A.Length; i++)
                square += ((double)pair.A[i] - pair.B[i]) * ((double)pair.A[i] - pair.B[i]);
            double norm = Samples.Norm(pair.B);
            // infinite for a negative prediction of zeros: no amplification
            double ratio = square == 0 || Alpha == 0 ? 0 : Math.Sqrt(square) / norm;
            double scale = 1 + (Scale - 1) * Math.Exp(-Alpha * ratio);
            return (scale, 1 - scale);
        });
    }
}
