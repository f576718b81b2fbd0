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
        var result = Tensor.Empty(guided.Shape, guided.Device);
        int width = guided.Shape[^1];
        var from = guided.Span;
        var reference = facts.Positive.Span;
        var to = result.Span;
        for (int at = 0; at < from.Length; at += width)
        {
            double norm = Samples.Norm(from.Slice(at, width));
            double factor = norm > 0 ? Samples.Norm(reference.Slice(at, width)) / norm : 1;
            for (int i = at; i < at + width; i++)
                to[i] = (float)(factor * from[i]);
        }
        return result;
    }
}
