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
        var (batch, rows, heads) = (output.Shape[0], output.Shape[1], output.Shape[2]);
        for (int i = 0; i < batch * rows * heads; i++)
        {
            var (item, row, head) = (i / heads / rows, i / heads % rows, i % heads);
            var sum = output.Row(item, row, head);
            var positive = facts.Latents.Row(item, row, head);
            var negative = facts.NegativeLatents.Row(item, row, head);
            double square = 0, along = 0;
            for (int c = 0; c < sum.Length; c++)
                (square, along) = (square + positive[c] * positive[c], along + positive[c] * negative[c]);
            float share = square > 0 ? (float)(along / square) : 0;
            for (int c = 0; c < sum.Length; c++)
                sum[c] -= Scale * (negative[c] - share * positive[c]);
        }
    }
}
