using Attune.Tensors;

namespace Attune.Guidance;

/// <summary>
/// Tangential damping CFG (Kwon et al., arXiv 2503.18137): of the negative prediction u only the part along the first right singular vector
/// of the two rows [c; u] is kept, u', then u' + scale (c - u'), for each sample.
/// </summary>
public sealed record TangentialGuidance : ContrastRule
{
    private static readonly RuleForm TextForm = new RuleForm<TangentialGuidance>("tcfg")
        .Number("scale", rule => rule.Scale, (rule, x) => rule with { Scale = x }, "[0, inf)", neutral: 1);

    /// <inheritdoc/>
    public override RuleForm Form => TextForm;

    /// <summary>The scale: 0 or more; 1 is off. Default 5.</summary>
    public float Scale { get; init; } = 5;

    /// <inheritdoc/>
    protected override Tensor Combine(Tensor positive, Tensor negative, PredictionFacts facts)
    {
        using var scope = new TensorScope();
        var (c, u) = (positive.PerSample(), negative.PerSample());

        // With the Gram matrix G = [[cc, cu], [cu, uu]] and its first unit eigenvector (x, y), the first right singular vector is (x c + y
        // u) / sqrt(l), and the part of u along it y (x c + y u), for G (x, y) = l (x, y). (x, y) = (cos a, sin a) has
        // tan 2a = 2 cu / (cc - uu), so that x y = sin 2a / 2 and y y = (1 - cos 2a) / 2.
        var across = c.RowDots(u).Affine(2);
        var apart = c.RowDots(c).Subtract(u.RowDots(u));
        var length = TensorOperations.Concatenate(^1, across, apart).RowNorms();
        var (sine, cosine) = (across.Ratio(length, 0), apart.Ratio(length, 1));
        var guided = c.Multiply(sine.Affine((1 - Scale) / 2, Scale));
        guided.AddRows(cosine.Affine((Scale - 1) / 2, (1 - Scale) / 2), u);
        return scope.Keep(guided.Reshape(positive.Shape));
    }
}
