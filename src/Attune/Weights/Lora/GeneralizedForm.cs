using Attune.Tensors;

namespace Attune.Weights.Lora;

/// <summary>
/// GLoRA (Chavan et al., arXiv 2306.07967, as LyCORIS has it): W + s alpha / rank (W a1 a2 + b1 b2), with a1 [in, rank], a2 [rank, in],
/// b1 [out, rank], b2 [rank, in]. Old files have both pairs exchanged, which the extents tell.
/// </summary>
internal sealed class GeneralizedForm : AdapterForm
{
    private readonly (TensorEntry Left, TensorEntry Right) _inner, _outer;
    private readonly double _scale;

    private GeneralizedForm((TensorEntry, TensorEntry) inner, (TensorEntry, TensorEntry) outer, double scale) =>
        (_inner, _outer, _scale) = (inner, outer, scale);

    public static AdapterForm? Read(LayerReader layer)
    {
        if (!layer.Has("a1") || !layer.Has("a2") || !layer.Has("b1") || !layer.Has("b2"))
            return null;
        var (a1, a2) = layer.Take("a1", "a2")!.Value;
        var (b1, b2) = layer.Take("b1", "b2")!.Value;
        foreach (var tensor in new[] { a1, a2, b1, b2 })
        {
            if (tensor.Dimensions.Count < 2 || tensor.Count == 0)
                throw layer.Wrong($"{tensor.Name} is {tensor.Extents}, expected a matrix");
        }
        bool Fits(TensorEntry left, TensorEntry right) => Width(left) == right.Dimensions[0];
        bool Narrow(TensorEntry left, TensorEntry right) => Width(left) <= left.Dimensions[0] && Fits(left, right);
        var (inner, outer) = Narrow(a1, a2) && Narrow(b1, b2) ? ((a1, a2), (b1, b2))
            : Fits(a2, a1) && Fits(b2, b1) ? ((a2, a1), (b2, b1))
            : throw layer.Wrong(
                $"its factors are {a1.Extents}, {a2.Extents}, {b1.Extents} and {b2.Extents}, expected [in, rank], [rank, in], "
                    + $"[out, rank] and [rank, in]");
        return new GeneralizedForm(inner, outer, layer.ScaleOf(Width(inner.Item1)));
    }

    public override string? Misfit(Shape shape, int rows)
    {
        int inputs = shape.Rank > 1 ? shape[1] : 1;
        return MisfitOfProduct(
            $"{_outer.Left.Name} {_outer.Left.Extents} and {_outer.Right.Name} {_outer.Right.Extents}", _outer.Left.Dimensions[0],
            Width(_outer.Right), shape, rows)
            ?? (_inner.Left.Dimensions[0] == inputs && Width(_inner.Right) == inputs ? null
                : $"{_inner.Left.Name} {_inner.Left.Extents} and {_inner.Right.Name} {_inner.Right.Extents} are not for {inputs} inputs");
    }

    public override void Apply(AdapterTarget target)
    {
        using var scope = new TensorScope();
        float scale = (float)(target.Strength * _scale);
        var rows = target.Rows;
        int inputs = target.Shape[1];
        int kernel = rows.Shape[1] / inputs;

        // The product acts on the inputs at every position of the kernel, which is the innermost axis.
        using var left = LowRankProduct.Prepare(target.Matrix(_inner.Left).Permute(1, 0));
        using var right = LowRankProduct.Prepare(target.Matrix(_inner.Right).Permute(1, 0));
        var positions = rows.Contiguous().Reshape(rows.Shape[0], inputs, kernel).Permute(0, 2, 1).Contiguous();
        var product = positions.Linear(left).Linear(right).Permute(0, 2, 1).Contiguous().Reshape(rows.Shape[0], rows.Shape[1]);
        TensorOperations.Combine(1, rows, scale, product, into: rows);
        LowRankProduct.AddTo(rows, target.Matrix(_outer.Right), target.OwnRows(_outer.Left), scale);
    }

    private static long Width(TensorEntry tensor) => tensor.Count / tensor.Dimensions[0];
}
