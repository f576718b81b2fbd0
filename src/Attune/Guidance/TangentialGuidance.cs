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
        return Samples.Combine(positive, negative, pair =>
        {
            // With the Gram matrix G = [[cc, cu], [cu, uu]] and its first unit eigenvector (x, y), the first right singular vector is (x c
            // + y u) / sqrt(l), and the part of u along it y (x c + y u), for G (x, y) = l (x, y).
            double cc = Samples.Dot(pair.A, pair.A);
            double cu = Samples.Dot(pair.A, pair.B);
            double uu = Samples.Dot(pair.B, pair.B);
            double half = 0.5 * Math.Atan2(2 * cu, cc - uu);
            var (y, x) = Math.SinCos(half);
            return (Scale + (1 - Scale) * x * y, (1 - Scale) * y * y);
        });
    }
}
