using Attune.Tensors;

namespace Attune.Guidance;

/// <summary>
/// Perp-Neg (Armandpour et al., arXiv 2304.04968): only the part of the negative prompt's direction that is perpendicular to the prompt's
/// is taken away, so that what both share is kept: e + scale (p - negative_scale (n - &lt;n, p&gt; / |p|^2 p)), where e is the prediction
/// for the empty prompt, p that for the prompt less e, n that for the negative prompt less e. Costs two more passes.
/// </summary>
[GuidanceName("perp-neg")]
public sealed record PerpendicularNegativeGuidance : GuidanceRule, IPredictionRule
{
    /// <summary>The scale of the whole: 0 or more. Default 8.</summary>
    [GuidanceParameter("scale", Range = "[0, inf)")]
    public float Scale { get; init; } = 8;

    /// <summary>The weight of the negative prompt, 0 or more. Default 1.</summary>
    [GuidanceParameter("negative_scale", Range = "[0, inf)")]
    public float NegativeScale { get; init; } = 1;

    /// <inheritdoc/>
    public PredictionStage Stage => PredictionStage.Contrast;

    /// <inheritdoc/>
    public override PassKinds Needs => PassKinds.Negative | PassKinds.Empty;

    /// <inheritdoc/>
    public override bool IsNeutral => Scale == 1 && NegativeScale == 0;

    /// <inheritdoc/>
    public override GuidanceRule AsNeutral() => this with { Scale = 1, NegativeScale = 0 };

    /// <inheritdoc/>
    public Tensor Apply(Tensor guided, PredictionFacts facts)
    {
        ArgumentNullException.ThrowIfNull(guided);
        ArgumentNullException.ThrowIfNull(facts);
        using var scope = new TensorScope();
        var positive = guided.Subtract(facts.Empty!);
        var negative = facts.Negative!.Subtract(facts.Empty!);
        var direction = Samples.Combine(positive, negative, pair =>
        {
            double square = Samples.Dot(pair.A, pair.A);
            double along = square > 0 ? Samples.Dot(pair.B, pair.A) / square : 0;
            return (1 + NegativeScale * along, -NegativeScale);
        });

        // From the prompt's prediction, not from the empty one's: where the direction is p itself, the prediction stays as it is.
        return scope.Keep(guided.Add(TensorOperations.Combine(Scale, direction, -1, positive)));
    }
}
