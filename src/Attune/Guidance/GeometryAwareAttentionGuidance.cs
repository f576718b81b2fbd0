using System.Runtime.InteropServices;
using System.Runtime.Intrinsics;
using Attune.Attention;
using Attune.Guidance.Diagnostics;
using Attune.Tensors;

namespace Attune.Guidance;

/// <summary>
/// What <see cref="GeometryAwareAttentionGuidance"/> takes for the direction of retrieval where text and latents share one attention.
/// </summary>
public enum GuidanceProjection
{
    /// <summary>The sparse output over the text alone; the change counts with the text's share of the row. The default.</summary>
    Text,

    /// <summary>The output of the whole row with its text part made sparse. In cross-attention the same as <see cref="Text"/>.</summary>
    Row,
}

/// <summary>
/// Geometry-Aware Attention Guidance (Kim, arXiv 2603.02531, equations 12 and 13). The discrepancy r = s - d between sparse (alpha-entmax,
/// s) and dense (softmax, d) attention over the prompt's text is split along s: par = (r s / s s) s, orth = r - par. The parallel part is
/// amplified, the orthogonal one held back, and the length bounded, for each head and row:
/// G = par + zeta orth; result = s + lambda G min(1, eta / |G|).
/// In joint attention this happens to the text's share m of a row: the correction is m (result - d). Needs no negative prompt.
/// With zeta 1 and no bound it is <see cref="PladisGuidance"/> of scale lambda + 1.
/// </summary>
public sealed record GeometryAwareAttentionGuidance : GuidanceRule, IAttentionCorrection, ISparseTextReader, IDiagnosedRule
{
    private static readonly RuleForm TextForm = new RuleForm<GeometryAwareAttentionGuidance>("gag")
        .Number("lambda", rule => rule.Lambda, (rule, x) => rule with { Lambda = x }, "[0, inf)")
        .Number("eta", rule => rule.Eta, (rule, x) => rule with { Eta = x }, "[0, inf]")
        .Number("zeta", rule => rule.Zeta, (rule, x) => rule with { Zeta = x }, "[0, 1]")
        .Number("entmax", rule => rule.Entmax, (rule, x) => rule with { Entmax = x }, "[1, inf)", neutral: 1)
        .Choice("project", rule => rule.Projection, (rule, x) => rule with { Projection = x });

    private static readonly Quantity Gain = new("gag.gain", "Share of the sparse output that points along the discrepancy",
        "c = r s / s s for each latent token and head: the parallel part of the discrepancy r = s - d in units of s (of the whole row's "
            + "sparse output with project=row). With zeta 0 the rule multiplies s by 1 + lambda c where eta " +
        "does not bind. Below 0, sparse attention is the shorter one. Not defined where s is 0 or no text counts.",
        "the parallel part of the discrepancy is {0} times the sparse output");

    private static readonly Quantity Length = new("gag.length", "Length of G before the bound",
        "|G| of G = par + zeta orth for each latent token and head, in units of the attention output; eta bounds it.", "G is {0} long")
    { Minimum = 0 };

    private static readonly Quantity Capped = Quantity.Share("gag.capped", "Rows that eta bounds",
        "The share of latent tokens and heads whose |G| exceeds eta, among those where text counts.", "eta bounds {0} of the rows");

    /// <inheritdoc/>
    public override RuleForm Form => TextForm;

    /// <summary>The amplification: 0 or more; 0 is plain sparse attention. Default 5; 10 is registered for SDXL.</summary>
    public float Lambda { get; init; } = 5;

    /// <summary>The bound of |G|, in units of the attention output: 0 or more; infinity is no bound. Default 15.</summary>
    public float Eta { get; init; } = 15;

    /// <summary>The share of the orthogonal part, 0 to 1. Default 0.</summary>
    public float Zeta { get; init; }

    /// <summary>The alpha of entmax: 1 or more; 1 is softmax (and so changes nothing), 2 sparsemax. Default 1.5.</summary>
    public float Entmax { get; init; } = 1.5f;

    /// <summary>What is projected on in joint attention.</summary>
    public GuidanceProjection Projection { get; init; } = GuidanceProjection.Text;

    /// <inheritdoc/>
    public void AddTo(Tensor output, AttentionFacts facts)
    {
        ArgumentNullException.ThrowIfNull(output);
        ArgumentNullException.ThrowIfNull(facts);
        using var scope = new TensorScope();
        int channels = output.Shape[3];
        var (target, dense, sparse, mass) = (output.Flat(), facts.TextDense.Flat(), facts.TextSparse(Entmax).Flat(), facts.TextMass);
        var whole = Projection == GuidanceProjection.Row ? facts.Latents.Flat() : null;
        GuidedRows.For(target, (item, token) =>
        {
            var sums = target.Row(item, token);
            var d = dense.Row(item, token);
            var s = sparse.Row(item, token);
            var z = whole == null ? default : whole.Row(item, token);
            var share = mass.Row(item, token);
            for (int head = 0; head < share.Length; head++)
            {
                int at = head * channels;
                AddToHead(
                    sums.Slice(at, channels), d.Slice(at, channels), s.Slice(at, channels), whole == null ? default : z.Slice(at, channels),
                    share[head]);
            }
        });
    }

    /// <inheritdoc/>
    public void Measure(AttentionFacts facts, IMeasurements to)
    {
        ArgumentNullException.ThrowIfNull(facts);
        ArgumentNullException.ThrowIfNull(to);
        var (dense, sparse, mass) = (facts.TextDense, facts.TextSparse(Entmax), facts.TextMass);
        var whole = Projection == GuidanceProjection.Row ? facts.Latents : null;
        int heads = dense.Shape[2];
        double[] gains = new double[dense.Shape[0] * facts.Length * heads];
        double[] lengths = new double[gains.Length];
        using var scope = new TensorScope();
        GuidedRows.For(dense.Flat(), (item, token) =>
        {
            for (int head = 0; head < heads; head++)
            {
                float share = mass.Row(item, token)[head];
                var row = whole == null ? default : whole.Row(item, token, head);
                var (along, square, length) = Products(dense.Row(item, token, head), sparse.Row(item, token, head), row, share);
                int at = (item * facts.Length + token) * heads + head;
                gains[at] = share == 0 ? double.NaN : along / square;
                lengths[at] = share == 0 ? double.NaN : LengthOf(square != 0 ? along / square : 0, square, length);
            }
        });
        to.Add(Gain, gains);
        to.Add(Length, lengths);
        to.Add(Capped, (double)lengths.Count(length => length > Eta) / lengths.Count(length => !double.IsNaN(length)));
        HopfieldEnergy.MeasureSparse(facts, Entmax, Lambda, to);
    }

    /// <summary>
    /// Adds result - d for one head of one row, as a r + b s with two numbers a and b: r, par and orth are never written down. On the full
    /// row, r is the text's share of the discrepancy and s the row with it.
    /// </summary>
    private void AddToHead(Span<float> output, ReadOnlySpan<float> dense, ReadOnlySpan<float> sparse, ReadOnlySpan<float> row, float mass)
    {
        if (mass == 0)
            return;
        bool full = row.Length > 0;
        var inner = Vector256.Create(full ? mass : 1);
        var target = MemoryMarshal.Cast<float, Vector256<float>>(output);
        var d = MemoryMarshal.Cast<float, Vector256<float>>(dense);
        var s = MemoryMarshal.Cast<float, Vector256<float>>(sparse);
        var z = MemoryMarshal.Cast<float, Vector256<float>>(row);
        var (alongSum, squareSum, lengthSum) = (Vector256<float>.Zero, Vector256<float>.Zero, Vector256<float>.Zero);
        for (int i = 0; i < target.Length; i++)
        {
            var r = (s[i] - d[i]) * inner;
            var direction = full ? z[i] + r : s[i];
            alongSum += r * direction;
            squareSum += direction * direction;
            lengthSum += r * r;
        }
        double along = Vector256.Sum(alongSum);
        double square = Vector256.Sum(squareSum);
        double length = Vector256.Sum(lengthSum);
        if (!(square is > 1e-30 and < 1e30 && length < 1e30))
            (along, square, length) = Products(dense, sparse, row, mass);

        // The parts are orthogonal: |G|^2 = |par|^2 + zeta^2 (|r|^2 - |par|^2). Where s is 0 there is no direction, and par is 0.
        double parallel = square != 0 ? along / square : 0;
        double zeta = Zeta;
        double norm = LengthOf(parallel, square, length);
        double gain = Lambda * (norm > Eta ? Eta / norm : 1);
        double outer = full ? 1 : mass;
        var a = Vector256.Create((float)(outer * (1 + gain * zeta)));
        var b = Vector256.Create((float)(outer * gain * parallel * (1 - zeta)));
        for (int i = 0; i < target.Length; i++)
        {
            var r = (s[i] - d[i]) * inner;
            target[i] += a * r + b * (full ? z[i] + r : s[i]);
        }
    }

    /// <summary>|G| of the parallel share, s s and r r.</summary>
    private double LengthOf(double parallel, double square, double length)
    {
        double zeta = Zeta;
        return Math.Sqrt(parallel * parallel * square * (1 - zeta * zeta) + zeta * zeta * length);
    }

    /// <summary>The products r s, s s and r r where float32 cannot hold squares.</summary>
    private static (double Along, double Square, double Length) Products(
        ReadOnlySpan<float> dense, ReadOnlySpan<float> sparse, ReadOnlySpan<float> row, float mass)
    {
        var (along, square, length) = (0.0, 0.0, 0.0);
        for (int i = 0; i < dense.Length; i++)
        {
            double r = ((double)sparse[i] - dense[i]) * (row.Length > 0 ? mass : 1);
            double s = row.Length > 0 ? row[i] + r : sparse[i];
            along += r * s;
            square += s * s;
            length += r * r;
        }
        return (along, square, length);
    }
}
