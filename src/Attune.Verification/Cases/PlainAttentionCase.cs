using Attune.Tensors;

namespace Attune.Verification;

/// <summary>Attention without guidance, and the logarithm of its sums.</summary>
internal sealed class PlainAttentionCase : CaseKind
{
    public override string Kind => "attention";

    public override IReadOnlyCollection<string> Arguments { get; } = ["scale", "causal"];

    protected override IReadOnlyCollection<string> Inputs { get; } = ["query", "key", "value", "mask", "bias"];

    public override bool Takes(string? className) => className == "plain";

    public override void Run(GoldenCase golden, Comparison results)
    {
        var query = golden.Input("query");
        var mask = new AttentionMask
        {
            Keys = golden.OptionalInput("mask"),
            Bias = golden.OptionalInput("bias"),
            Causal = golden.Flag("causal", false),
        };
        var logSumExp = query.Like(query.Shape.Take(..3));
        results.Check("output", query.Attention(golden.Input("key"), golden.Input("value"), golden.Single("scale"), mask, null, logSumExp));
        results.Check("log_sum_exp", logSumExp);
    }
}
