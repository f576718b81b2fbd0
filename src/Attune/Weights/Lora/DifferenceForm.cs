using Attune.Tensors;

namespace Attune.Weights.Lora;

/// <summary>A whole difference of a weight: W + s D. LyCORIS calls it so, and for norms <c>w_norm</c>; it has no alpha.</summary>
internal sealed class DifferenceForm(TensorEntry difference) : AdapterForm
{
    public static AdapterForm? Read(LayerReader layer) => layer.Take("diff") is { } difference ? new DifferenceForm(difference) : null;

    public override string? Misfit(Shape shape, int rows) => MisfitOfCount(difference, rows * ColumnsOf(shape));

    public override void Apply(AdapterTarget target) => Add(target, difference, target.Strength);

    /// <summary>rows += scale D.</summary>
    public static void Add(AdapterTarget target, TensorEntry difference, float scale)
    {
        using var scope = new TensorScope();
        var (rows, values) = (target.Rows, target.Rows.Like(target.Rows.Shape));
        using (var view = values.Write())
            target.Read(difference).Widen((long)target.First * rows.Shape[1], view.Span);
        TensorOperations.Combine(1, rows, scale, values, into: rows);
    }
}

/// <summary>A vector that takes the place of a norm's, whatever the scale: Black Forest Labs' control files have some.</summary>
internal sealed class ReplacementForm(TensorEntry replacement) : AdapterForm
{
    public static AdapterForm? Read(LayerReader layer) => layer.Take("scale") is { } vector ? new ReplacementForm(vector) : null;

    public override string? Misfit(Shape shape, int rows) =>
        MisfitOfCount(replacement, rows * ColumnsOf(shape))
            ?? (shape.Rank == 1 ? null : $"{replacement.Name} {replacement.Extents} takes the place of a norm's vector");

    public override void Apply(AdapterTarget target)
    {
        using var values = target.Rows.Write();
        target.Read(replacement).Widen(target.First, values.Span);
    }
}
