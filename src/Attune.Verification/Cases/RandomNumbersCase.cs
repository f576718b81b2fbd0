using Attune.Tensors;

namespace Attune.Verification;

/// <summary>PyTorch's normal numbers from a seed, in one draw or several.</summary>
internal sealed class RandomNumbersCase : CaseKind
{
    public override string Kind => "randn";

    public override IReadOnlyCollection<string> Arguments { get; } = ["seed", "shape", "draws"];

    public override void Run(GoldenCase golden, Comparison results)
    {
        var shape = Shape.Create([.. golden.Arguments.GetProperty("shape").EnumerateArray().Select(axis => axis.GetInt32())]);
        var random = new TorchRandom(unchecked((ulong)golden.Arguments.GetProperty("seed").GetInt64()));
        var draws = Enumerable.Range(0, golden.Int("draws", 1)).Select(_ =>
        {
            var draw = Tensor.Empty(golden.Device, shape);
            random.Normal(draw);
            return draw;
        }).ToArray();
        results.Check("values", draws.Length == 1 ? draws[0] : TensorOperations.Concatenate(0, draws));
    }
}
