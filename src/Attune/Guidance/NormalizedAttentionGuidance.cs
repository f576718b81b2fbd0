using System.Numerics;
using System.Runtime.InteropServices;
using Attune.Attention;
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

/// <summary>
/// Normalized Attention Guidance (Chen et al., arXiv 2505.21179, equations 7 to 10). The attention output of the prompt is extrapolated away from that of
/// the negative prompt, its norm bounded by tau times the original, and blended:
/// Z~ = Z+ + phi (Z+ - Z-); R = |Z~| / |Z+| for each token, over all heads; Z^ = min(R, tau) / R Z~; result = alpha Z^ + (1 - alpha) Z+.
/// </summary>
[GuidanceName("nag")]
public sealed record NormalizedAttentionGuidance : GuidanceRule, IAttentionCorrection
{
    /// <summary>phi, the extrapolation: 0 or more; 0 is off. The authors' code calls phi + 1 <c>nag_scale</c>. Default 4 (the paper, FLUX).</summary>
    [GuidanceParameter("scale", "phi")]
    public float Scale { get; init; } = 4;

    /// <summary>The bound of the norm's growth: 1 or more. Default 2.5.</summary>
    [GuidanceParameter("tau")]
    public float Tau { get; init; } = 2.5f;

    /// <summary>The share of the guided output, 0 to 1; 0 is off. Default 0.25 (the paper, FLUX).</summary>
    [GuidanceParameter("alpha")]
    public float Alpha { get; init; } = 0.25f;

    /// <summary>The p of the norm: 1 as in the paper, or 2 as in the authors' FLUX file.</summary>
    [GuidanceParameter("norm")]
    public int Norm { get; init; } = 1;

    /// <summary>Whether single-stream blocks share the latents. Only models that modulate with a pooled embedding differ.</summary>
    [GuidanceParameter("latents")]
    public LatentSharing Latents { get; init; } = LatentSharing.Shared;

    /// <inheritdoc/>
    public override bool ReadsNegativeText => true;

    /// <inheritdoc/>
    public override bool ForksLatents => Latents == LatentSharing.Forked;

    /// <inheritdoc/>
    public override bool IsNeutral => Scale == 0 || Alpha == 0;

    /// <inheritdoc/>
    public override GuidanceRule AsNeutral() => this with { Scale = 0 };

    /// <inheritdoc/>
    public override void Validate()
    {
        Require("scale", Scale, 0);
        Require("tau", Tau, 1);
        Require("alpha", Alpha, 0, 1);
        Require("norm", Norm, 1, 2);
    }

    /// <inheritdoc/>
    public void AddTo(Tensor output, AttentionFacts facts)
    {
        ArgumentNullException.ThrowIfNull(output);
        ArgumentNullException.ThrowIfNull(facts);
        var (positive, negative) = (facts.Latents, facts.NegativeLatents);
        var (batch, tokens) = (output.Shape[0], output.Shape[1]);
        int width = output.Shape[2] * output.Shape[3];
        using var scope = new TensorScope();
        var (target, plus, minus) = (output.Reshape(batch, tokens, width), positive.Reshape(batch, tokens, width), negative.Reshape(batch, tokens, width));
        Workers.For(batch * tokens, index =>
        {
            int item = index / tokens;
            int token = index % tokens;
            AddToToken(target.Row(item, token), plus.Row(item, token), minus.Row(item, token));
        });
    }

    /// <summary>Adds alpha (Z^ - Z+) for one token, as alpha ((c - 1) Z+ + c phi (Z+ - Z-)) with c = min(R, tau) / R: exactly 0 where guidance is.</summary>
    private void AddToToken(Span<float> output, ReadOnlySpan<float> positive, ReadOnlySpan<float> negative)
    {
        var (plain, extrapolated) = Norms(positive, negative);

        // No division unless the norm is bounded, so a token of zeros stays one.
        double factor = extrapolated > Tau * plain ? Tau * plain / extrapolated : 1;
        float keep = (float)(Alpha * (factor - 1));
        float push = (float)(Alpha * factor * Scale);
        var sums = MemoryMarshal.Cast<float, Vector<float>>(output);
        var plus = MemoryMarshal.Cast<float, Vector<float>>(positive);
        var minus = MemoryMarshal.Cast<float, Vector<float>>(negative);
        for (int i = 0; i < sums.Length; i++)
            sums[i] += keep * plus[i] + push * (plus[i] - minus[i]);
        for (int i = sums.Length * Vector<float>.Count; i < output.Length; i++)
            output[i] += keep * positive[i] + push * (positive[i] - negative[i]);
    }

    /// <summary>|Z+| and |Z~| of one token; squares of numbers up to 1e19 and sums of any token fit into the lanes' range.</summary>
    private (double Plain, double Extrapolated) Norms(ReadOnlySpan<float> positive, ReadOnlySpan<float> negative)
    {
        var plus = MemoryMarshal.Cast<float, Vector<float>>(positive);
        var minus = MemoryMarshal.Cast<float, Vector<float>>(negative);
        Vector<float> plain = default;
        Vector<float> extrapolated = default;
        bool squares = Norm == 2;
        for (int i = 0; i < plus.Length; i++)
        {
            var z = plus[i] + Scale * (plus[i] - minus[i]);
            plain += squares ? plus[i] * plus[i] : Vector.Abs(plus[i]);
            extrapolated += squares ? z * z : Vector.Abs(z);
        }
        double p = Vector.Sum(plain);
        double e = Vector.Sum(extrapolated);
        for (int i = plus.Length * Vector<float>.Count; i < positive.Length; i++)
        {
            double z = positive[i] + Scale * (positive[i] - negative[i]);
            p += squares ? (double)positive[i] * positive[i] : Math.Abs(positive[i]);
            e += squares ? z * z : Math.Abs(z);
        }
        return squares ? (Math.Sqrt(p), Math.Sqrt(e)) : (p, e);
    }
}
