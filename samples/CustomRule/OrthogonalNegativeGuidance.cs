using Attune.Attention;
using Attune.Guidance;
using Attune.Tensors;

namespace CustomRule;

/// <summary>Takes away only what Z- has beside Z+: Z+ - scale (Z- - (Z- Z+ / Z+ Z+) Z+), for each head and row.</summary>
public sealed record OrthogonalNegativeGuidance : GuidanceRule, IAttentionCorrection
{
    private static readonly RuleForm TextForm = new RuleForm<OrthogonalNegativeGuidance>("orthogonal")
        .Number("scale", rule => rule.Scale, (rule, x) => rule with { Scale = x }, "[0, inf)", neutral: 0);

    public override RuleForm Form => TextForm;

    public float Scale { get; init; } = 0.5f;

    public override bool ReadsNegativeText => true;

    public void AddTo(Tensor output, AttentionFacts facts)
    {
        using var scope = new TensorScope();
        var (plus, minus) = (facts.Latents, facts.NegativeLatents);        // a row for each head: [batch, latent rows, heads, channels]
        TensorOperations.Combine(1, output, -Scale, minus, into: output);
        output.AddRows(minus.RowShares(plus).Affine(Scale), plus);
    }
}
