using Attune.Tensors;

namespace Attune.Guidance;

/// <summary>
/// Norm keeping, as the Qwen-Image pipeline does it: the guided prediction g gets back the norm of the prompt's prediction c at every
/// token: g |c| / |g|, norms over the innermost axis.
/// </summary>
public sealed record NormKeeping : GuidanceRule, IPredictionRule
{
    private static readonly RuleForm TextForm = new RuleForm<NormKeeping>("norm-keeping");

    /// <inheritdoc/>
    public override RuleForm Form => TextForm;

    /// <inheritdoc/>
    public PredictionStage Stage => PredictionStage.Normalisation;

    /// <inheritdoc/>
    public Tensor Apply(Tensor guided, PredictionFacts facts)
    {
        ArgumentNullException.ThrowIfNull(guided);
        ArgumentNullException.ThrowIfNull(facts);
        using var scope = new TensorScope();
        return scope.Keep(guided.Multiply(facts.Positive.RowNorms().Ratio(guided.RowNorms(), 1)));
    }
}
