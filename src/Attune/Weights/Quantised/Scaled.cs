using Attune.Tensors;

namespace Attune.Weights.Quantised;

/// <summary>
/// Weights with a scale beside them, whose values are code times scale: ComfyUI's older convention (<c>scale_weight</c>, with a marker for
/// the whole model), files without a marker (<c>weight_scale</c>), and DeepSeek's name (<c>weight_scale_inv</c>). A scale is one number, or
/// one for each row, group of columns or tile. What scales activations is not used here.
/// </summary>
internal static class Scaled
{
    /// <summary>The older marker; its type says what the weights are, which their own types do, too.</summary>
    public const string Marker = "scaled_fp8";

    private static readonly string[] Scales = [".scale_weight", ".weight_scale", ".weight_scale_inv"];
    private static readonly string[] OfActivations = [".scale_input", ".input_scale", "." + Marker];

    /// <summary>The weights, and their parts taken.</summary>
    public static IEnumerable<QuantisedWeight> Read(TensorParts parts)
    {
        parts.Take(Marker);
        foreach (string name in parts.Names)
        {
            if (OfActivations.Any(end => name.EndsWith(end, StringComparison.Ordinal)))
                parts.Take(name);
            if (parts.IsTaken(name) || Scales.FirstOrDefault(end => name.EndsWith(end, StringComparison.Ordinal)) is not { } end)
                continue;
            string layer = name[..^end.Length];
            if (parts.Find(layer + ".weight") is not { } weight)
                continue;        // is reported as what belongs to no weight
            var format = weight.Type == "I8" ? WeightFormat.Int8
                : WeightFormat.Find(weight.Type)
                    ?? throw TensorParts.Wrong(
                        weight, $"is packed ({weight.Type}) in an order that nothing tells ({name} is there, but no {layer}.comfy_quant), "
                            + "which is not supported");
            yield return Of(parts, weight, format, parts.Take(name)!);
        }
    }

    /// <summary>A weight of one tensor and its scale.</summary>
    /// <exception cref="CheckpointException">The scale does not fit.</exception>
    public static QuantisedWeight Of(
        TensorParts parts, TensorEntry weight, WeightFormat format, TensorEntry scale, StoredWeight? columns = null, bool byRows = false)
    {
        var shape = weight.ToShape();
        if (shape.Rank == 0 || shape.Count == 0)
            throw TensorParts.Wrong(weight, $"is {weight.Extents}, expected rows");
        var companions = new Dictionary<string, StoredWeight> {
            [StoredWeight.ScaleCompanion] = parts.Floats(scale, ShapeOf(scale, weight, shape, byRows)) };
        if (columns != null)
            companions[StoredWeight.ColumnsCompanion] = columns;
        var stored = parts.Read(weight, format, shape) with { Companions = companions };
        return new QuantisedWeight(weight with { IsQuantised = true }, (_, _) => stored);
    }

    /// <summary>A scale as kernels see it: one number, [rows, 1], [rows, groups] or [tiles, tiles].</summary>
    private static Shape ShapeOf(TensorEntry scale, TensorEntry weight, Shape shape, bool byRows)
    {
        int rows = shape[0];
        long columns = shape.Count / rows;
        if (scale.Count == 1)
            return [1];
        long[] parts = [.. scale.Dimensions];
        if (parts.Length == 1)
        {
            // Rows, as everybody means them; one tool would take a square matrix by columns.
            if (parts[0] == rows && !(byRows && rows == columns))
                return [rows, 1];
        }
        else if (parts.Length == 2 && scale.Count > 0 && rows % parts[0] == 0 && columns % parts[1] == 0)
        {
            return [(int)parts[0], (int)parts[1]];
        }
        throw TensorParts.Wrong(
            scale, $"is {scale.Extents}, expected one number, or one for each row, group of columns or tile of {weight.Name} "
                + $"{weight.Extents}");
    }
}
