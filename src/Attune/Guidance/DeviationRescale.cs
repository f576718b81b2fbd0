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
        return Samples.Combine(guided, facts.Positive, pair =>
        {
            double deviation = Samples.Deviation(pair.A);
            return (deviation > 0 ? Share * Samples.Deviation(pair.B) / deviation + 1 - Share : 1, 0);
        });
    }
}
