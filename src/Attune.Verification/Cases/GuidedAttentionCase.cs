using Attune.Attention;
using Attune.Guidance;
using Attune.Tensors;

namespace Attune.Verification;

/// <summary>The attention seam under guidance rules: cross-attention, joint attention and self-attention.</summary>
internal sealed class GuidedAttentionCase : CaseKind
{
    public override string Kind => "attention";

    public override IReadOnlyCollection<string> Arguments { get; } = ["scale", "guidance", "spans", "grid"];

    protected override IReadOnlyCollection<string> Inputs { get; } = ["query", "key", "value", "negative_key", "negative_value"];

    public override bool Takes(string? className) => className is "cross" or "joint" or "self";

    public override void Run(GoldenCase golden, Comparison results)
    {
        var guidance = new GuidanceSchedule(GuidanceArguments.Rules(golden)).At(0, 1);
        var (query, key, value) = (golden.Input("query"), golden.Input("key"), golden.Input("value"));
        var (queries, keys, kind) = golden.Class switch
        {
            "cross" => (TokenLayout.Of((TokenKind.Latent, query.Shape[1])), CrossKeys(golden, ref key, ref value), AttentionKind.Cross),
            "joint" => (Spans(golden), Spans(golden), AttentionKind.Joint),
            _ => (Latents(golden, query), Latents(golden, key), AttentionKind.Self),
        };
        var call = new AttentionCall(query, key, value, golden.Single("scale"), queries, keys, new AttentionSite("verify", kind));
        var attention = guidance.Passes.FirstOrDefault(pass => pass.Rule != null)?.Steering.Attention ?? guidance.Steering.Attention;
        results.Check("output", attention.Attend(call));
        if (results.Wants("blurred_query"))
            results.Check("blurred_query", guidance.Passes.Select(pass => pass.Rule).OfType<SmoothedEnergyGuidance>().Single().Blur(call));
        if (results.Wants("text_mass"))
        {
            using var facts = new AttentionFacts(call);
            results.Check("text_mass", facts.TextMass);
        }
    }

    private static TokenLayout CrossKeys(GoldenCase golden, ref Tensor key, ref Tensor value)
    {
        int text = key.Shape[1];
        if (!golden.HasInput("negative_key"))
            return TokenLayout.Of((TokenKind.Text, text));
        var negative = golden.Input("negative_key");
        key = TensorOperations.Concatenate(1, negative, key);
        value = TensorOperations.Concatenate(1, golden.Input("negative_value"), value);
        return TokenLayout.Of((TokenKind.NegativeText, negative.Shape[1]), (TokenKind.Text, text));
    }

    private static TokenLayout Spans(GoldenCase golden) => new([.. golden.Arguments.GetProperty("spans").EnumerateArray().Select(span =>
        new TokenSpan(
            Enum.Parse<TokenKind>(span.GetProperty("kind").GetString()!), span.GetProperty("start").GetInt32(),
            span.GetProperty("length").GetInt32()))]);

    /// <summary>Latents, on a grid of [height, width] where the case has one.</summary>
    private static TokenLayout Latents(GoldenCase golden, Tensor rows)
    {
        if (!golden.Arguments.TryGetProperty("grid", out var grid))
            return TokenLayout.Of((TokenKind.Latent, rows.Shape[1]));
        var (height, width) = (grid[0].GetInt32(), grid[1].GetInt32());
        return new TokenLayout(new TokenSpan(TokenKind.Latent, 0, height * width, new LatentGrid(1, height, width)));
    }
}
