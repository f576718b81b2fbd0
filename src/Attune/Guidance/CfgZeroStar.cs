using Attune.Tensors;

namespace Attune.Guidance;

/// <summary>
/// CFG-Zero* (Fan et al., arXiv 2503.18886), for flow matching: the negative prediction u is first scaled to fit the prompt's, a = &lt;c,
/// u&gt; / |u|^2 for each sample, and the first steps, whose predictions do more harm than good, are zero: a u + scale (c - a u).
/// </summary>
public sealed record CfgZeroStar : ContrastRule
{
    private static readonly RuleForm TextForm = new RuleForm<CfgZeroStar>("cfg-zero-star")
        .Number("scale", rule => rule.Scale, (rule, x) => rule with { Scale = x }, "[0, inf)", neutral: 1)
        .Integer("zero_init_steps", rule => rule.ZeroInitSteps, (rule, x) => rule with { ZeroInitSteps = x }, "[0, inf)", neutral: 0);

    /// <inheritdoc/>
    public override RuleForm Form => TextForm;

    /// <summary>The scale: 0 or more. Default 5.</summary>
    public float Scale { get; init; } = 5;

    /// <summary>How many steps at the beginning predict zero, 0 or more. Default 1.</summary>
    public int ZeroInitSteps { get; init; } = 1;

    /// <inheritdoc/>
    protected override Tensor Combine(Tensor positive, Tensor negative, PredictionFacts facts)
    {
        if (facts.Point.Index < ZeroInitSteps)
            return Tensor.Zeros(positive.Device, positive.Shape);
        using var scope = new TensorScope();
        var (c, u) = (positive.PerSample(), negative.PerSample());

        // The reference adds 1e-8 to the square, which also keeps a prediction of zeros finite.
        var fit = c.RowDots(u).Divide(u.RowDots(u).Affine(1, 1e-8f));
        var guided = positive.Affine(Scale);
        guided.PerSample().AddRows(fit.Affine(1 - Scale), u);
        return scope.Keep(guided);
    }
}
