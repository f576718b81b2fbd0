using Attune.Tensors;

namespace Attune.Guidance;

/// <summary>
/// Magnitude-aware mitigation for boosted guidance, MAMBO-G (arXiv 2508.03442): the larger the difference of the predictions is beside the
/// negative one, the less it is amplified: u + w (c - u) with w = 1 + (scale - 1) exp(-alpha |c - u| / |u|), for each sample.
/// </summary>
[GuidanceName("mambo-g")]
public sealed record MagnitudeAwareGuidance : GuidanceRule, IPredictionRule
{
    /// <summary>The scale where the predictions agree: 0 or more; 1 is off. Default 10.</summary>
    [GuidanceParameter("scale", Range = "[0, inf)")]
    public float Scale { get; init; } = 10;

    /// <summary>How fast the scale falls with the difference, 0 or more; 0 is plain CFG. Default 8.</summary>
    [GuidanceParameter("alpha", Range = "[0, inf)")]
    public float Alpha { get; init; } = 8;

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
        ArgumentNullException.ThrowIfNull(guided);
        ArgumentNullException.ThrowIfNull(facts);
        return Samples.Combine(guided, facts.Negative!, pair =>
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
