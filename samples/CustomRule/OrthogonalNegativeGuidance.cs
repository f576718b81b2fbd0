using Attune.Attention;
using Attune.Guidance;
using Attune.Tensors;

namespace CustomRule;

/// <summary>Takes away only what Z- has beside Z+: Z+ - scale (Z- - (Z- Z+ / Z+ Z+) Z+), for each head and row.</summary>
[GuidanceName("orthogonal")]
public sealed record OrthogonalNegativeGuidance : GuidanceRule, IAttentionCorrection
{
    [GuidanceParameter("scale", Range = "[0, inf)")]
    public float Scale { get; init; } = 0.5f;

    public override bool ReadsNegativeText => true;

    public override bool IsNeutral => Scale == 0;

    public override GuidanceRule AsNeutral() => this with { Scale = 0 };

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
