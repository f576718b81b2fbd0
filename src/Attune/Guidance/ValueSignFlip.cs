using Attune.Attention;
using Attune.Guidance.Diagnostics;
using Attune.Tensors;

namespace Attune.Guidance;

/// <summary>
/// Value Sign Flip, VSF (Guo and Lu, arXiv 2508.10931): for the latents, the negative prompt's keys join the same softmax, with their
/// logits lowered by an offset and their values multiplied by -scale, so that a latent turns away from the negative prompt as far as it
/// attends to it. Nothing else sees those keys. Even with scale 0 they take attention away: the rule is never off. The author advises scale
/// 3.5 and offset 0.1 for SD3.5 Turbo, 6 for FLUX schnell, 1.7 and offset 0.2 for Wan, and says that it does not work on FLUX dev.
/// </summary>
public sealed record ValueSignFlip : GuidanceRule, IAttentionBase, IDiagnosedRule
{
    private static readonly RuleForm TextForm = new RuleForm<ValueSignFlip>("vsf")
        .Number("scale", rule => rule.Scale, (rule, x) => rule with { Scale = x }, "[0, inf)")
        .Number("offset", rule => rule.Offset, (rule, x) => rule with { Offset = x }, "[-100, 100]");

    private static readonly Quantity Flipped = Quantity.Share("vsf.share", "Attention that the flipped values get",
        "The share of a latent token's softmax weights, the negative prompt's keys among them with the offset, that falls on the negative "
            + "prompt, for each token and head. Scale times this share of the negative output is subtracted.",
        "latents give {0} of their attention to the negative prompt");

    /// <inheritdoc/>
    public override RuleForm Form => TextForm;

    /// <summary>What the negative prompt's values are multiplied with, the sign aside: 0 or more. Default 3.5.</summary>
    public float Scale { get; init; } = 3.5f;

    /// <summary>What is subtracted from the negative prompt's logits: -100 to 100. Default 0.1.</summary>
    public float Offset { get; init; } = 0.1f;

    /// <inheritdoc/>
    public override bool ReadsNegativeText => true;

    /// <inheritdoc/>
    public Tensor Evaluate(AttentionFacts facts)
    {
        ArgumentNullException.ThrowIfNull(facts);
        using var scope = new TensorScope();
        var (positive, negative) = (facts.LatentsPartial, facts.OverNegativeText);
        var flipped = negative.Output.Affine(-Scale);
        positive.Output.Device.MergeAttention(
            positive.Output, positive.LogSumExp, flipped, negative.LogSumExp.Affine(1, -Offset), flipped, null);
        return scope.Keep(flipped);
    }

    /// <inheritdoc/>
    public void Measure(AttentionFacts facts, IMeasurements to)
    {
        ArgumentNullException.ThrowIfNull(facts);
        ArgumentNullException.ThrowIfNull(to);
        float[] positive = facts.LatentsPartial.LogSumExp.ToArray();
        float[] negative = facts.OverNegativeText.LogSumExp.ToArray();
        double[] shares = [.. positive.Zip(negative, (plus, minus) => 1 / (1 + Math.Exp((double)plus - (minus - Offset))))];
        to.Add(Flipped, shares);
    }
}
