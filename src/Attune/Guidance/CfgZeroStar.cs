using Attune.Tensors;

namespace Attune.Guidance;

/// <summary>
/// CFG-Zero* (Fan et al., arXiv 2503.18886), for flow matching: the negative prediction u is first scaled to fit the prompt's, a = &lt;c,
/// u&gt; / |u|^2 for each sample, and the first steps, whose predictions do more harm than good, are zero: a u + scale (c - a u).
/// </summary>
[GuidanceName("cfg-zero-star")]
public sealed record CfgZeroStar : GuidanceRule, IPredictionRule
{
    /// <summary>The scale: 0 or more. Default 5.</summary>
    [GuidanceParameter("scale", Range = "[0, inf)")]
    public float Scale { get; init; } = 5;

    /// <summary>How many steps at the beginning predict zero, 0 or more. Default 1.</summary>
    [GuidanceParameter("zero_init_steps", Range = "[0, inf)")]
    public int ZeroInitSteps { get; init; } = 1;

    /// <inheritdoc/>
    public PredictionStage Stage => PredictionStage.Contrast;

    /// <inheritdoc/>
    public override PassKinds Needs => PassKinds.Negative;

    /// <inheritdoc/>
    public override bool IsNeutral => Scale == 1 && ZeroInitSteps == 0;

    /// <inheritdoc/>
    public override GuidanceRule AsNeutral() => this with { Scale = 1, ZeroInitSteps = 0 };

    /// <inheritdoc/>
    public Tensor Apply(Tensor guided, PredictionFacts facts)
    {
        ArgumentNullException.ThrowIfNull(guided);
        ArgumentNullException.ThrowIfNull(facts);
        if (facts.Point.Index < ZeroInitSteps)
            return Tensor.Zeros(guided.Shape, guided.Device);
        return Samples.Combine(guided, facts.Negative!, pair =>
        {
            // The reference adds 1e-8 to the square, which also keeps a prediction of zeros finite.
            double fit = Samples.Dot(pair.A, pair.B) / (Samples.Dot(pair.B, pair.B) + 1e-8);
            return (Scale, (1 - Scale) * fit);
        });
    }
}
