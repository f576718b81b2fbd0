using Attune.Tensors;

namespace Attune.Verification;

/// <summary>Entmax along the last axis.</summary>
internal sealed class EntmaxCase : CaseKind
{
    public override string Kind => "entmax";

    public override IReadOnlyCollection<string> Arguments { get; } = ["alphas"];

    protected override IReadOnlyCollection<string> Inputs { get; } = ["logits"];

    public override void Run(GoldenCase golden, Comparison results)
    {
        var logits = golden.Input("logits");
        foreach (var alpha in golden.Arguments.GetProperty("alphas").EnumerateArray())
            results.Check($"entmax-{alpha.GetRawText()}", logits.Entmax(alpha.GetSingle()));
    }
}
