using Attune.Tensors;

namespace Attune.Weights.Lora;

/// <summary>
/// LoRA (Hu et al., arXiv 2106.09685): W + s alpha / rank up down; for convolutions also with a core of all kernel positions between two
/// factors of 1 x 1 (LoCon's Tucker form).
/// </summary>
internal sealed class LowRankForm : AdapterForm
{
    private LowRankForm(TensorEntry down, TensorEntry up, TensorEntry? mid) => (Down, Up, Mid) = (down, up, mid);

    /// <summary>[rank, in] or [rank, in, kernel, kernel].</summary>
    public TensorEntry Down { get; }

    /// <summary>[out, rank] or [out, rank, 1, 1].</summary>
    public TensorEntry Up { get; }

    /// <summary>[rank, rank, kernel, kernel], or null.</summary>
    public TensorEntry? Mid { get; }

    /// <summary>alpha / rank. Without an alpha anywhere it is 1.</summary>
    public double Scale { get; set; } = 1;

    /// <summary>The inner extent of the product.</summary>
    public long Rank => Down.Dimensions[0];

    /// <summary>The columns of the product.</summary>
    public long Columns => Down.Count / Rank * (Mid is { } mid ? mid.Count / (mid.Dimensions[0] * mid.Dimensions[1]) : 1);

    public static AdapterForm? Read(LayerReader layer)
    {
        if (layer.Take("down", "up") is not var (down, up))
            return null;
        var mid = layer.Take("mid");
        if (down.Dimensions.Count < 2
            || up.Dimensions.Count < 2 || down.Count == 0 || up.Count == 0 || up.Dimensions[1] != down.Dimensions[0] && mid == null)
            throw layer.Wrong($"its factors are {down.Extents} and {up.Extents}, expected [rank, in, ...] and [out, rank, ...]");
        if (up.Dimensions.Skip(2).Any(extent => extent != 1))
            throw layer.Wrong($"{up.Name} is {up.Extents}, expected a kernel of 1 x 1");
        if (mid != null
            && (
                mid.Dimensions.Count < 2
                    || mid.Count == 0 || mid.Dimensions[0] != up.Dimensions[1] || mid.Dimensions[1] != down.Dimensions[0]
                    || down.Dimensions.Skip(2).Any(extent => extent != 1)))
            throw layer.Wrong(
                $"{mid.Name} is {mid.Extents} between {down.Extents} and {up.Extents}, expected [rank, rank, kernel, kernel]");
        var form = new LowRankForm(down, up, mid);
        if (layer.Alpha is { } alpha)
            form.Scale = layer.Finite(alpha / form.Rank);
        return form;
    }

    public override string? Misfit(Shape shape, int rows) =>
        MisfitOfProduct($"{Up.Name} {Up.Extents} and {Down.Name} {Down.Extents}", Up.Dimensions[0], Columns, shape, rows);

    public override void Apply(AdapterTarget target)
    {
        using var scope = new TensorScope();
        var down = target.Matrix(Down);
        if (Mid is { } mid)
            down = LowRankProduct.WithCore(target.Read(mid), down);
        LowRankProduct.AddTo(target.Rows, down, target.OwnRows(Up), (float)(target.Strength * Scale));
    }
}
