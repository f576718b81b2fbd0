using System.Numerics.Tensors;
using Attune.Tensors;
using Tensor = Attune.Tensors.Tensor;

namespace Attune.Weights.Lora;

/// <summary>
/// LoKr (Yeh et al., "LyCORIS", arXiv 2309.14859): W + s scale w1 x w2, a Kronecker product: D[p ok + q, u in + v] = w1[p, u] w2[q, v],
/// with the kernel of a convolution in w2. Either may be a product of factors itself; scale is alpha / rank of those of w2, else of w1, and
/// 1 where both are whole.
/// </summary>
internal sealed class KroneckerForm : AdapterForm
{
    private readonly (TensorEntry A, TensorEntry? B, TensorEntry? Core) _outer, _inner;
    private readonly double _scale;

    private KroneckerForm(
        (TensorEntry A, TensorEntry? B, TensorEntry? Core) outer, (TensorEntry A, TensorEntry? B, TensorEntry? Core) inner, double scale) =>
        (_outer, _inner, _scale) = (outer, inner, scale);

    /// <summary>Whether neither factor is a product: then alpha does not count.</summary>
    public bool IsWhole => _outer.B == null && _inner.B == null;

    public static AdapterForm? Read(LayerReader layer)
    {
        bool Complete(string name) => layer.Has(name) || (layer.Has(name + "_a") && layer.Has(name + "_b"));
        if (!Complete("lokr_w1") || !Complete("lokr_w2"))
            return null;
        var (outer, inner) = (Factor(layer, "lokr_w1", null), Factor(layer, "lokr_w2", "lokr_t2"));
        return new KroneckerForm(
            outer, inner, (inner.B ?? outer.B) is { } factor ? layer.ScaleOf(factor.Dimensions[0]) : 1);
    }

    public override string? Misfit(Shape shape, int rows) =>
        MisfitOfProduct(
            $"{_outer.A.Name} {_outer.A.Extents} and {_inner.A.Name} {_inner.A.Extents}", RowsOf(_outer) * RowsOf(_inner),
            ColumnsOf(_outer) * ColumnsOf(_inner), shape, rows);

    public override void Apply(AdapterTarget target)
    {
        using var scope = new TensorScope();
        var (outer, inner) = (Matrix(target, _outer), Matrix(target, _inner));
        using var before = target.Rows.Read();
        using var after = target.Rows.Write();
        using var left = outer.Read();
        using var right = inner.Read();
        float scale = (float)(target.Strength * _scale);
        var (height, width) = (inner.Shape[0], inner.Shape[1]);
        for (int row = 0; row < target.Rows.Shape[0]; row++)
        {
            var factors = left.Row((target.First + row) / height);
            var values = right.Row((target.First + row) % height);
            for (int u = 0; u < factors.Length; u++)
            {
                var (start, end) = (u * width, (u + 1) * width);
                TensorPrimitives.MultiplyAdd(values, scale * factors[u], before.Row(row)[start..end], after.Row(row)[start..end]);
            }
        }
    }

    private static (TensorEntry A, TensorEntry? B, TensorEntry? Core) Factor(LayerReader layer, string name, string? coreName)
    {
        if (layer.Take(name) is { } whole)
        {
            return whole.Dimensions.Count >= 2 && whole.Count > 0 ? (whole, null, null)
                : throw layer.Wrong($"{whole.Name} is {whole.Extents}, expected a matrix");
        }
        var (a, b) = layer.Take(name + "_a", name + "_b")!.Value;
        var core = coreName == null ? null : layer.Take(coreName);
        TuckerProduct.Check(layer, a, b, core);
        return (a, b, core);
    }

    private static long RowsOf((TensorEntry A, TensorEntry? B, TensorEntry? Core) factor) =>
        factor.B == null ? factor.A.Dimensions[0] : TuckerProduct.RowsOf(factor.A, factor.Core);

    private static long ColumnsOf((TensorEntry A, TensorEntry? B, TensorEntry? Core) factor) =>
        factor.B is { } b ? TuckerProduct.ColumnsOf(b, factor.Core) : factor.A.Count / factor.A.Dimensions[0];

    private static Tensor Matrix(AdapterTarget target, (TensorEntry A, TensorEntry? B, TensorEntry? Core) factor) =>
        factor.B is not { } b ? target.Matrix(factor.A)
            : TuckerProduct.Rows(
                target.Read(factor.A), target.Read(b), factor.Core is { } core ? target.Read(core) : null, 0, (int)RowsOf(factor));
}
