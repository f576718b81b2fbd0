using Attune.Tensors;

namespace Attune.Guidance;

/// <summary>
/// Perp-Neg (Armandpour et al., arXiv 2304.04968): only the part of the negative prompt's direction that is perpendicular to the prompt's
/// is taken away, so that what both share is kept: e + scale (p - negative_scale (n - &lt;n, p&gt; / |p|^2 p)), where e is the prediction
/// for the empty prompt, p that for the prompt less e, n that for the negative prompt less e. Costs two more passes.
/// </summary>
public sealed record PerpendicularNegativeGuidance : ContrastRule
{
    private static readonly RuleForm TextForm = new RuleForm<PerpendicularNegativeGuidance>("perp-neg")
        .Number("scale", rule => rule.Scale, (rule, x) => rule with { Scale = x }, "[0, inf)", neutral: 1)
        .Number("negative_scale", rule => rule.NegativeScale, (rule, x) => rule with { NegativeScale = x }, "[0, inf)", neutral: 0);

    /// <inheritdoc/>
    public override RuleForm Form => TextForm;

    /// <summary>The scale of the whole: 0 or more. Default 8.</summary>
    public float Scale { get; init; } = 8;

    /// <summary>The weight of the negative prompt, 0 or more. Default 1.</summary>
    public float NegativeScale { get; init; } = 1;

    /// <inheritdoc/>
    public override PassKinds Needs => PassKinds.Negative | PassKinds.Empty;

    /// <inheritdoc/>
    protected override Tensor Combine(Tensor positive, Tensor negative, PredictionFacts facts)
    {
        using var scope = new TensorScope();
        var p = positive.Subtract(facts.Empty!);
        var n = negative.Subtract(facts.Empty!);
        var direction = TensorOperations.Combine(1, p, -NegativeScale, n);
        direction.PerSample().AddRows(n.PerSample().RowShares(p.PerSample()).Affine(NegativeScale), p.PerSample());

        // From the prompt's prediction, not from the empty one's: where the direction is p itself, the prediction stays as it is.
        return scope.Keep(positive.Add(TensorOperations.Combine(Scale, direction, -1, p)));
    }
}
