using System.Runtime.InteropServices;
using System.Runtime.Intrinsics;
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
        var (target, positive, negative) = (output.Flat(), facts.Latents.Flat(), facts.NegativeLatents.Flat());
        if (Norm == 2)
            GuidedRows.For(
                target,
                (item, token) => AddToToken<Squares>(target.Row(item, token), positive.Row(item, token), negative.Row(item, token)));
        else
            GuidedRows.For(
                target,
                (item, token) => AddToToken<Magnitudes>(target.Row(item, token), positive.Row(item, token), negative.Row(item, token)));
    }

    /// <inheritdoc/>
    public void Measure(AttentionFacts facts, IMeasurements to)
    {
        ArgumentNullException.ThrowIfNull(facts);
        ArgumentNullException.ThrowIfNull(to);
        using var scope = new TensorScope();
        var (positive, negative) = (facts.Latents.Flat(), facts.NegativeLatents.Flat());
        var ratios = new double[positive.Shape[0] * facts.Length];
        int clipped = 0;
        GuidedRows.For(positive, (item, token) =>
        {
            var (plain, extrapolated) = Norm == 2 ? Norms<Squares>(positive.Row(item, token), negative.Row(item, token))
                : Norms<Magnitudes>(positive.Row(item, token), negative.Row(item, token));
            ratios[item * facts.Length + token] = extrapolated / plain;
            if (extrapolated > Tau * plain)
                Interlocked.Increment(ref clipped);
        });
        to.Add(Clipped, (double)clipped / ratios.Length);
        to.Add(Ratio, ratios);
    }

    /// <summary>
    /// Adds alpha (Z^ - Z+) for one token, as alpha ((c - 1) Z+ + c phi (Z+ - Z-)) with c = min(R, tau) / R: exactly 0 where guidance is.
    /// </summary>
    private void AddToToken<TNorm>(Span<float> output, ReadOnlySpan<float> positive, ReadOnlySpan<float> negative)
        where TNorm : INorm
    {
        var (plain, extrapolated) = Norms<TNorm>(positive, negative);

        // No division unless the norm is bounded, so a token of zeros stays one.
        double factor = extrapolated > Tau * plain ? Tau * plain / extrapolated : 1;
        float keep = (float)(Alpha * (factor - 1));
        float push = (float)(Alpha * factor * Scale);
        var sums = MemoryMarshal.Cast<float, Vector512<float>>(output);
        var plus = MemoryMarshal.Cast<float, Vector512<float>>(positive);
        var minus = MemoryMarshal.Cast<float, Vector512<float>>(negative);
        for (int i = 0; i < sums.Length; i++)
            sums[i] += keep * plus[i] + push * (plus[i] - minus[i]);
        for (int i = sums.Length * Vector512<float>.Count; i < output.Length; i++)
            output[i] += keep * positive[i] + push * (positive[i] - negative[i]);
    }

    /// <summary>|Z+| and |Z~| of one token; squares of numbers up to 1e18 and sums of any token fit into the lanes' range.</summary>
    private (double Plain, double Extrapolated) Norms<TNorm>(ReadOnlySpan<float> positive, ReadOnlySpan<float> negative)
        where TNorm : INorm
    {
        var plus = MemoryMarshal.Cast<float, Vector512<float>>(positive);
        var minus = MemoryMarshal.Cast<float, Vector512<float>>(negative);
        var (p0, p1, e0, e1) = (Vector512<float>.Zero, Vector512<float>.Zero, Vector512<float>.Zero, Vector512<float>.Zero);
        int i = 0;
        for (; i + 1 < plus.Length; i += 2)
        {
            p0 += TNorm.Of(plus[i]);
            p1 += TNorm.Of(plus[i + 1]);
            e0 += TNorm.Of(plus[i] + Scale * (plus[i] - minus[i]));
            e1 += TNorm.Of(plus[i + 1] + Scale * (plus[i + 1] - minus[i + 1]));
        }
        if (i < plus.Length)
        {
            p0 += TNorm.Of(plus[i]);
            e0 += TNorm.Of(plus[i] + Scale * (plus[i] - minus[i]));
        }
        double plain = Vector512.Sum(p0 + p1);
        double extrapolated = Vector512.Sum(e0 + e1);
        for (i = plus.Length * Vector512<float>.Count; i < positive.Length; i++)
        {
            plain += TNorm.Of(positive[i]);
            extrapolated += TNorm.Of(positive[i] + Scale * (positive[i] - negative[i]));
        }
        return (TNorm.Root(plain), TNorm.Root(extrapolated));
    }

    /// <summary>A p-norm: the root of a sum over elements.</summary>
    private interface INorm
    {
        static abstract Vector512<float> Of(Vector512<float> x);

        static abstract double Of(double x);

        static abstract double Root(double sum);
    }

    private readonly struct Magnitudes : INorm
    {
        public static Vector512<float> Of(Vector512<float> x) => Vector512.Abs(x);

        public static double Of(double x) => Math.Abs(x);

        public static double Root(double sum) => sum;
    }

    private readonly struct Squares : INorm
    {
        public static Vector512<float> Of(Vector512<float> x) => x * x;

        public static double Of(double x) => x * x;

        public static double Root(double sum) => Math.Sqrt(sum);
    }
}
