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
        var (sparse, dense, discrepancy) = Outputs(facts);
        var length = sparse.RowNorms();
        var along = discrepancy.RowDots(sparse, over: length);      // |par|, below 0 where par points against s

        // The parts are orthogonal: |G|^2 = (1 - zeta^2) |par|^2 + zeta^2 |r|^2.
        var parts = Zeta == 0 ? along
            : TensorOperations.Concatenate(^1, along.Affine(MathF.Sqrt(1 - Zeta * Zeta)), discrepancy.RowNorms().Affine(Zeta));
        var gain = TensorOperations.LimitRatio(Eta, parts.RowNorms()).Affine(Lambda);

        // result - d = r + gain (zeta r + (1 - zeta) par)
        var parallel = gain.Multiply(along.Ratio(length, 0)).Affine(1 - Zeta);
        var rest = gain.Affine(Zeta, 1);
        if (Projection == GuidanceProjection.Text)
        {
            var mass = facts.TextMass.PerHead();
            (parallel, rest) = (parallel.Multiply(mass), rest.Multiply(mass));
        }
        output.AddRows(parallel, sparse, rest, dense);
    }

    /// <inheritdoc/>
    public void Measure(AttentionFacts facts, IMeasurements to)
    {
        ArgumentNullException.ThrowIfNull(facts);
        ArgumentNullException.ThrowIfNull(to);
        using var scope = new TensorScope();
        var (sparse, _, discrepancy) = Outputs(facts);
        var (r, s, mass) = (discrepancy.ToArray(), sparse.ToArray(), facts.TextMass.ToArray());
        int channels = sparse.Shape[3];
        double[] gains = new double[mass.Length];
        double[] lengths = new double[mass.Length];
        for (int row = 0; row < mass.Length; row++)
        {
            var (along, square, length) = Products(r.AsSpan(row * channels, channels), s.AsSpan(row * channels, channels));
            double parallel = square != 0 ? along / square : 0;
            double zeta = Zeta;
            gains[row] = mass[row] == 0 ? double.NaN : along / square;
            lengths[row] = mass[row] == 0 ? double.NaN
                : Math.Sqrt(parallel * parallel * square * (1 - zeta * zeta) + zeta * zeta * length);
        }
        to.Add(Gain, gains);
        to.Add(Length, lengths);
        to.Add(Capped, (double)lengths.Count(length => length > Eta) / lengths.Count(length => !double.IsNaN(length)));
        HopfieldEnergy.MeasureSparse(facts, Entmax, Lambda, to);
    }

    /// <summary>
    /// s, d and r = s - d, [batch, latent rows, heads, channels], for the current scope: over the text alone, or the row with its text part
    /// made sparse, the plain row, and the text's share of the discrepancy.
    /// </summary>
    private (Tensor Sparse, Tensor Dense, Tensor Discrepancy) Outputs(AttentionFacts facts)
    {
        var (sparse, dense) = (facts.TextSparse(Entmax), facts.TextDense);
        var discrepancy = sparse.Subtract(dense);
        if (Projection == GuidanceProjection.Text)
            return (sparse, dense, discrepancy);
        discrepancy.Multiply(facts.TextMass.PerHead(), into: discrepancy);
        return (facts.Latents.Add(discrepancy), facts.Latents, discrepancy);
    }

    /// <summary>The products r s, s s and r r.</summary>
    private static (double Along, double Square, double Length) Products(ReadOnlySpan<float> r, ReadOnlySpan<float> s)
    {
        var (along, square, length) = (0.0, 0.0, 0.0);
        for (int i = 0; i < r.Length; i++)
        {
            along += (double)r[i] * s[i];
            square += (double)s[i] * s[i];
            length += (double)r[i] * r[i];
        }
        return (along, square, length);
    }
}
