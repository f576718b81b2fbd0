using Attune.Tensors;
using Attune.Weights;

namespace Attune.Verification;

/// <summary>
/// Safetensors files of which some tensors are codes and scales: the weights that they mean, and no others. <c>shapes</c> are what a model
/// would expect; <c>quantization_config</c> informs.
/// </summary>
internal sealed class QuantisedCase : CaseKind
{
    public override string Kind => "quantised";

    public override IReadOnlyCollection<string> Arguments { get; } =
        ["not_weights", "shapes", "quantization_config", "exact", "nan", "positive_infinity", "negative_infinity"];

    public override void Run(GoldenCase golden, Comparison results)
    {
        using var source = WeightSource.Open(golden.Checkpoint);
        string[] differing = [.. source.Names.Except(golden.Outputs.Keys), .. golden.Outputs.Keys.Except(source.Names)];
        results.Require(differing.Length == 0, $"{string.Join(", ", differing)} should not be a weight, or is none");
        string[] parts = [.. (golden.Texts("not_weights") ?? []).Where(name => source.Describe(name) != null)];
        results.Require(parts.Length == 0, $"{string.Join(", ", parts)} should not be a weight");
        foreach (string name in golden.Outputs.Keys.Where(name => source.Describe(name) != null))
        {
            using var scope = new TensorScope();
            using var weight = source.Find(name, ShapeOf(golden, name))!;
            var values = weight.ToTensor(golden.Device);
            CheckSpecial(golden, results, "nan", values, float.IsNaN);
            CheckSpecial(golden, results, "positive_infinity", values, float.IsPositiveInfinity);
            CheckSpecial(golden, results, "negative_infinity", values, float.IsNegativeInfinity);
            results.Check(name, values, exact: golden.Flag("exact", false));
        }
    }

    private static Shape? ShapeOf(GoldenCase golden, string name) =>
        golden.Arguments.TryGetProperty("shapes", out var shapes) && shapes.TryGetProperty(name, out var shape)
            ? Shape.Create([.. shape.EnumerateArray().Select(extent => extent.GetInt32())]) : null;

    /// <summary>Where the reference, which has no such numbers, holds 0: checks that such are there, and puts 0 in their place.</summary>
    private static void CheckSpecial(GoldenCase golden, Comparison results, string key, Tensor values, Func<float, bool> isSpecial)
    {
        if (!golden.Arguments.TryGetProperty(key, out var positions))
            return;
        using var view = values.Write();
        foreach (int position in positions.EnumerateArray().Select(position => position.GetInt32()))
        {
            results.Require(isSpecial(view.Span[position]), $"{key}: element {position} is {view.Span[position]}");
            view.Span[position] = 0;
        }
    }
}
