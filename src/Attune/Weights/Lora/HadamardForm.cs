using Attune.Tensors;

namespace Attune.Weights.Lora;

/// <summary>
/// LoHa (Hyeon-Woo et al., "FedPara", arXiv 2108.06098, as LyCORIS has it): W + s alpha / rank (a1 b1) o (a2 b2), element by element. With
/// cores (Tucker) each factor is the sum over a, b of t[a, b, kernel] w_a[a, out] w_b[b, in].
/// </summary>
internal sealed class HadamardForm : AdapterForm
{
    private readonly (TensorEntry A, TensorEntry B, TensorEntry? Core)[] _factors;
    private readonly double _scale;

    private HadamardForm((TensorEntry A, TensorEntry B, TensorEntry? Core)[] factors, double scale) =>
        (_factors, _scale) = (factors, scale);

    public static AdapterForm? Read(LayerReader layer)
    {
        if (!layer.Has("hada_w1_a") || !layer.Has("hada_w1_b") || !layer.Has("hada_w2_a") || !layer.Has("hada_w2_b"))
            return null;
        var factors = new (TensorEntry A, TensorEntry B, TensorEntry? Core)[2];
        for (int i = 0; i < factors.Length; i++)
        {
            var (a, b) = layer.Take($"hada_w{i + 1}_a", $"hada_w{i + 1}_b")!.Value;
            factors[i] = (a, b, layer.Take($"hada_t{i + 1}"));
            TuckerProduct.Check(layer, a, b, factors[i].Core);
        }
        return new HadamardForm(factors, layer.ScaleOf(factors[0].B.Dimensions[0]));
    }

    public override string? Misfit(Shape shape, int rows) =>
        _factors.Select(
            factor => MisfitOfProduct(
                $"{factor.A.Name} {factor.A.Extents} and {factor.B.Name} {factor.B.Extents}",
                TuckerProduct.RowsOf(factor.A, factor.Core), TuckerProduct.ColumnsOf(factor.B, factor.Core), shape, rows))
            .FirstOrDefault(misfit => misfit != null);

    public override void Apply(AdapterTarget target)
    {
        using var scope = new TensorScope();
        var (first, second) = (Factor(target, 0), Factor(target, 1));
        using var before = target.Rows.Read();
        using var after = target.Rows.Write();
        using var left = first.Read();
        using var right = second.Read();
        float scale = (float)(target.Strength * _scale);
        for (int row = 0; row < target.Rows.Shape[0]; row++)
        {
            ReadOnlySpan<float> w = before.Row(row), a = left.Row(row), b = right.Row(row);
            var sum = after.Row(row);
            for (int i = 0; i < sum.Length; i++)
                sum[i] = w[i] + scale * (a[i] * b[i]);
        }
    }

    private Tensor Factor(AdapterTarget target, int number)
    {
        var (a, b, core) = _factors[number];
        return TuckerProduct.Rows(
            target.Read(a), target.Read(b), core == null ? null : target.Read(core), target.First, target.Rows.Shape[0]);
    }
}

/// <summary>
/// Products of two factors, or of two with a core between them: then the factors are transposed, [rank, out] and [rank, in], and the core
/// is [rank, rank, kernel, kernel].
/// </summary>
internal static class TuckerProduct
{
    /// <exception cref="CheckpointException">The extents do not make a product.</exception>
    public static void Check(LayerReader layer, TensorEntry a, TensorEntry b, TensorEntry? core)
    {
        if (a.Dimensions.Count != 2 || b.Dimensions.Count < 2 || a.Count == 0 || b.Count == 0)
            throw layer.Wrong($"its factors are {a.Extents} and {b.Extents}, expected matrices");
        if (core == null && a.Dimensions[1] != b.Dimensions[0])
            throw layer.Wrong($"its factors are {a.Extents} and {b.Extents}, expected [out, rank] and [rank, in]");
        if (core != null
            && (core.Dimensions.Count < 2 || core.Count == 0 || b.Dimensions.Count != 2
                || core.Dimensions[0] != a.Dimensions[0] || core.Dimensions[1] != b.Dimensions[0]))
            throw layer.Wrong(
                $"{core.Name} is {core.Extents} between {a.Extents} and {b.Extents}, expected [rank, rank, kernel, kernel] between "
                    + $"[rank, out] and [rank, in]");
    }

    public static long RowsOf(TensorEntry a, TensorEntry? core) => a.Dimensions[core == null ? 0 : 1];

    public static long ColumnsOf(TensorEntry b, TensorEntry? core) =>
        core == null ? b.Count / b.Dimensions[0] : b.Dimensions[1] * (core.Count / core.Dimensions[0] / core.Dimensions[1]);

    /// <summary>Some rows of the product, as a matrix.</summary>
    public static Tensor Rows(StoredWeight a, StoredWeight b, StoredWeight? core, int first, int count)
    {
        var right = LowRankProduct.Matrix(b).ToTensor(Devices.Managed);
        Tensor left;
        if (core == null)
        {
            left = a.Rows(first, count).ToTensor(Devices.Managed);
        }
        else
        {
            right = LowRankProduct.WithCore(core, right);
            left = a.ToTensor(Devices.Managed).Permute(1, 0).Slice(0, first, count).Contiguous();
        }
        using var transposed = LowRankProduct.Prepare(right.Permute(1, 0));
        return left.Linear(transposed);
    }
}
