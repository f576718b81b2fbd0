using Attune.Attention;
using Attune.Guidance.Diagnostics;
using Attune.Tensors;

namespace Attune.Guidance;

/// <summary>
/// PLADIS (Kim and Sim, arXiv 2503.07677): the attention over the prompt's text is extrapolated from dense (softmax, d) to sparse
/// (alpha-entmax, s) weights, d + scale (s - d). In joint attention this happens to the text's share m of a row: the correction is m scale
/// (s - d). Needs no negative prompt.
/// </summary>
public sealed record PladisGuidance : GuidanceRule, IAttentionCorrection, ISparseTextReader, IDiagnosedRule
{
    private static readonly RuleForm TextForm = new RuleForm<PladisGuidance>("pladis")
        .Number("scale", rule => rule.Scale, (rule, x) => rule with { Scale = x }, "[0, inf)", neutral: 0, also: ["pladis_scale"])
        .Number("entmax", rule => rule.Entmax, (rule, x) => rule with { Entmax = x }, "[1, inf)");

    /// <inheritdoc/>
    public override RuleForm Form => TextForm;

    /// <summary>The extrapolation: 0 or more; 0 is off, 1 is sparse attention. Default 2; the authors advise 1.5 to 2.</summary>
    public float Scale { get; init; } = 2;

    /// <summary>The alpha of entmax: 1 or more; 1 is softmax (and so changes nothing), 2 sparsemax. Default 1.5.</summary>
    public float Entmax { get; init; } = 1.5f;

    /// <inheritdoc/>
    public override bool IsNeutral => base.IsNeutral || Entmax == 1;

    /// <inheritdoc/>
    public void AddTo(Tensor output, AttentionFacts facts)
    {
        ArgumentNullException.ThrowIfNull(output);
        ArgumentNullException.ThrowIfNull(facts);
        using var scope = new TensorScope();
        output.AddRows(null, facts.TextSparse(Entmax), facts.TextMass.PerHead().Affine(Scale), facts.TextDense);
    }

    /// <inheritdoc/>
    public void Measure(AttentionFacts facts, IMeasurements to)
    {
        ArgumentNullException.ThrowIfNull(facts);
        ArgumentNullException.ThrowIfNull(to);
        HopfieldEnergy.MeasureSparse(facts, Entmax, Scale - 1, to);
    }
}
