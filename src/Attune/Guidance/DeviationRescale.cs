using Attune.Tensors;

namespace Attune.Guidance;

/// <summary>
/// Guidance rescale (Lin et al., "Common diffusion noise schedules and sample steps are flawed", arXiv 2305.08891, section 3.4): the guided
/// prediction g is brought to the standard deviation of the prompt's prediction c, against overexposure: share (g std(c) / std(g)) + (1 -
/// share) g, for each sample, with Bessel's correction.
/// </summary>
public sealed record DeviationRescale : GuidanceRule, IPredictionRule
{
    private static readonly RuleForm TextForm = new RuleForm<DeviationRescale>("rescale")
        .Number("share", rule => rule.Share, (rule, x) => rule with { Share = x }, "[0, 1]", neutral: 0, also: ["guidance_rescale"]);

    /// <inheritdoc/>
    public override RuleForm Form => TextForm;

    /// <summary>
    /// The share of the rescaled prediction, 0 to 1; 0 is off. Default 0.7 (the paper). diffusers calls it <c>guidance_rescale</c>.
    /// </summary>
    public float Share { get; init; } = 0.7f;

    /// <inheritdoc/>
    public PredictionStage Stage => PredictionStage.Normalisation;

    /// <inheritdoc/>
    public Tensor Apply(Tensor guided, PredictionFacts facts)
    {
        ArgumentNullException.ThrowIfNull(guided);
        ArgumentNullException.ThrowIfNull(facts);
        using var scope = new TensorScope();
        var (g, c) = (guided.PerSample(), facts.Positive.PerSample());
        var factor = Deviations(c).Ratio(Deviations(g), 1).Affine(Share, 1 - Share);
        return scope.Keep(g.Multiply(factor).Reshape(guided.Shape));
    }

    /// <summary>The deviation of each row from its mean, times a number that is the same for all: only ratios are of use.</summary>
    private static Tensor Deviations(Tensor rows)
    {
        var ones = Tensor.Full(rows.Device, rows.Shape, 1);
        return rows.Subtract(rows.RowDots(ones).Affine(1f / rows.Shape[1])).RowNorms();
    }
}
