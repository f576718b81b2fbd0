using System.Numerics.Tensors;
using Attune.Tensors;

namespace Attune.Weights.Lora;

/// <summary>
/// (IA)^3 (Liu et al., arXiv 2205.05638, as LyCORIS has it): W (1 + s m), with a number for each row, or for each input where
/// <c>on_input</c> says so. It has no alpha.
/// </summary>
internal sealed class InfusedForm(TensorEntry factors, bool onInput) : AdapterForm
{
    public static AdapterForm? Read(LayerReader layer)
    {
        if (!layer.Has("weight") || !layer.Has("on_input"))
            return null;
        var factors = layer.Take("weight")!;
        return new InfusedForm(factors, layer.TakeNumber("on_input") != 0);
    }

    public override string? Misfit(Shape shape, int rows) =>
        onInput && shape.Rank < 2 ? $"{factors.Name} {factors.Extents} is for inputs, which a vector has not"
            : MisfitOfCount(factors, onInput ? shape[1] : rows);

    public override void Apply(AdapterTarget target)
    {
        float[] values = target.Numbers(factors);
        using var before = target.Rows.Read();
        using var after = target.Rows.Write();
        for (int row = 0; row < target.Rows.Shape[0]; row++)
        {
            var old = before.Row(row);
            var changed = after.Row(row);
            if (!onInput)
            {
                TensorPrimitives.Multiply(old, 1 + target.Strength * values[target.First + row], changed);
                continue;
            }
            int kernel = old.Length / values.Length;
            for (int i = 0; i < old.Length; i += kernel)
                TensorPrimitives.Multiply(old.Slice(i, kernel), 1 + target.Strength * values[i / kernel], changed.Slice(i, kernel));
        }
    }
}
