using Attune.Attention;
using Attune.Guidance.Diagnostics;
using Attune.Tensors;

namespace Attune.Guidance;

/// <summary>Whether the prompt and the negative prompt share the latents of single-stream blocks.</summary>
public enum LatentSharing
{
    /// <summary>One stream of latents, modulated with the prompt's pooled embedding: the fast default.</summary>
    Shared,

    /// <summary>A second copy modulated with the negative pooled embedding, as in the authors' FLUX code; nearly twice the work.</summary>
    Forked,
}

/// <summary>Which pooled embedding modulates the text of the negative prompt.</summary>
public enum PooledEmbedding
{
    /// <summary>The negative prompt's own.</summary>
    Negative,

    /// <summary>The prompt's, as in the authors' code for Stable Diffusion 3.</summary>
    Positive,
}

/// <summary>
/// Normalized Attention Guidance (Chen et al., arXiv 2505.21179, equations 7 to 10). The attention output of the prompt is extrapolated
/// away from that of the negative prompt, its norm bounded by tau times the original, and blended:
/// Z~ = Z+ + phi (Z+ - Z-); R = |Z~| / |Z+| for each token, over all heads; Z^ = min(R, tau) / R Z~; result = alpha Z^ + (1 - alpha) Z+.
/// </summary>
public sealed record NormalizedAttentionGuidance : GuidanceRule, IAttentionCorrection, IDiagnosedRule
{
    private static readonly RuleForm TextForm = new RuleForm<NormalizedAttentionGuidance>("nag")
        .Number("scale", rule => rule.Scale, (rule, x) => rule with { Scale = x }, "[0, inf)", neutral: 0, also: ["phi"])
        .Number("tau", rule => rule.Tau, (rule, x) => rule with { Tau = x }, "[1, inf)", also: ["nag_tau"])
        .Number("alpha", rule => rule.Alpha, (rule, x) => rule with { Alpha = x }, "[0, 1]", also: ["nag_alpha"])
        .Integer("norm", rule => rule.Norm, (rule, x) => rule with { Norm = x }, "[1, 2]")
        .Choice("latents", rule => rule.Latents, (rule, x) => rule with { Latents = x })
        .Choice("pooled", rule => rule.Pooled, (rule, x) => rule with { Pooled = x }, also: ["negative_pooled"])
        .Alias("nag_scale", "scale", offset: -1)
        .Alias("nag_end", "steps", factor: -1000, offset: 1000, form: "t:{0}-");

    private static readonly Quantity Clipped = Quantity.Share("nag.clipped", "Tokens that tau clips",
        "The share of latent tokens whose norm ratio R exceeds tau, so that the extrapolated output is shortened to tau times the "
            + "original.",
        "tau clips {0} of the tokens");

    private static readonly Quantity Ratio = new("nag.ratio", "Norm ratio R before clipping",
        "R = |Z~| / |Z+| for each latent token, over all heads, in the rule's norm, with Z~ = Z+ + phi (Z+ - Z-). 1: extrapolation "
            + "changes no norm. Not defined where Z+ is 0.",
        "extrapolation makes the output {0} times as long")
    { Minimum = 0 };

    /// <inheritdoc/>
    public override RuleForm Form => TextForm;

    /// <summary>
    /// phi, the extrapolation: 0 or more; 0 is off. The authors' code calls phi + 1 <c>nag_scale</c>. Default 4 (the paper, FLUX).
    /// </summary>
    public float Scale { get; init; } = 4;

    /// <summary>The bound of the norm's growth: 1 or more. Default 2.5.</summary>
    public float Tau { get; init; } = 2.5f;

    /// <summary>The share of the guided output, 0 to 1; 0 is off. Default 0.25 (the paper, FLUX).</summary>
    public float Alpha { get; init; } = 0.25f;

    /// <summary>The p of the norm: 1 as in the paper, or 2 as in the authors' FLUX file.</summary>
    public int Norm { get; init; } = 1;

    /// <summary>Whether single-stream blocks share the latents. Only models that modulate with a pooled embedding differ.</summary>
    public LatentSharing Latents { get; init; } = LatentSharing.Shared;

    /// <summary>
    /// Which pooled embedding modulates the negative text; only models that modulate with a pooled embedding differ (Stable Diffusion 3,
    /// FLUX.1). Default: its own, which is nearer to a pass for the negative prompt.
    /// </summary>
    public PooledEmbedding Pooled { get; init; } = PooledEmbedding.Negative;

    /// <inheritdoc/>
    public override bool ReadsNegativeText => true;

    /// <inheritdoc/>
    public override bool ForksLatents => Latents == LatentSharing.Forked;

    /// <inheritdoc/>
    public override bool UsesPromptPooled => Pooled == PooledEmbedding.Positive;

    /// <inheritdoc/>
    public override bool IsNeutral => base.IsNeutral || Alpha == 0;

    /// <inheritdoc/>
    public void AddTo(Tensor output, AttentionFacts facts)
    {
        ArgumentNullException.ThrowIfNull(output);
        ArgumentNullException.ThrowIfNull(facts);
        using var scope = new TensorScope();
        var (plus, minus) = (facts.Latents.PerToken(), facts.NegativeLatents.PerToken());
        var factor = plus.RowNorms(Norm).Affine(Tau).LimitRatio(plus.RowNorms(Norm, Scale, minus));     // min(R, tau) / R

        // alpha (Z^ - Z+) as alpha ((factor - 1) Z+ + factor phi (Z+ - Z-)): exactly 0 where guidance is.
        output.PerToken().AddRows(factor.Affine(Alpha, -Alpha), plus, factor.Affine(Alpha * Scale), minus);
    }

    /// <inheritdoc/>
    public void Measure(AttentionFacts facts, IMeasurements to)
    {
        ArgumentNullException.ThrowIfNull(facts);
        ArgumentNullException.ThrowIfNull(to);
        using var scope = new TensorScope();
        var (plus, minus) = (facts.Latents.PerToken(), facts.NegativeLatents.PerToken());
        float[] plain = plus.RowNorms(Norm).ToArray();
        double[] ratios = [.. plus.RowNorms(Norm, Scale, minus).ToArray().Zip(plain, (pushed, length) => (double)pushed / length)];
        to.Add(Clipped, (double)ratios.Count(ratio => ratio > Tau) / ratios.Length);
        to.Add(Ratio, ratios);
    }
}
