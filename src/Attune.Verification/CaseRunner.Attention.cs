using Attune.Attention;
using Attune.Guidance;
using Attune.Tensors;

namespace Attune.Verification;

/// <summary>The attention seam, its rules and entmax alone.</summary>
internal static partial class CaseRunner
{
    private static void RunEntmax(GoldenCase golden, CaseResults results)
    {
        var logits = golden.Input("logits");
        foreach (var alpha in golden.Arguments.GetProperty("alphas").EnumerateArray())
            results.Check($"entmax-{alpha.GetRawText()}", logits.Entmax(alpha.GetSingle()));
    }

    private static void RunAttention(GoldenCase golden, CaseResults results)
    {
        var (query, key, value) = (golden.Input("query"), golden.Input("key"), golden.Input("value"));
        float scale = (float)golden.OptionalDouble("scale")!.Value;
        if (golden.Class == "plain")
        {
            bool causal = golden.Arguments.TryGetProperty("causal", out var flag) && flag.GetBoolean();
            var mask = new AttentionMask
            {
                Keys = golden.HasInput("mask") ? golden.Input("mask") : null,
                Bias = golden.HasInput("bias") ? golden.Input("bias") : null,
                Causal = causal,
            };
            var logSumExp = Tensor.Empty(query.Shape.Take(..3));
            results.Check("output", query.Attention(key, value, scale, mask, null, logSumExp));
            results.Check("log_sum_exp", logSumExp);
            return;
        }

        var (queries, keys, kind) = golden.Class switch
        {
            "cross" => (TokenLayout.Of((TokenKind.Latent, query.Shape[1])), CrossKeys(golden, ref key, ref value), AttentionKind.Cross),
            "joint" => (Spans(golden), Spans(golden), AttentionKind.Joint),
            "self" => (Grid(golden), Grid(golden), AttentionKind.Self),
            _ => throw new UnsupportedCaseException($"attention class {golden.Class}"),
        };
        var call = new AttentionCall(query, key, value, scale, queries, keys, new AttentionSite("verify", kind));
        var guidance = new GuidanceSchedule(Rules(golden)).At(0, 1);
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

    private static TokenLayout Grid(GoldenCase golden)
    {
        var grid = golden.Arguments.GetProperty("grid");
        var (height, width) = (grid[0].GetInt32(), grid[1].GetInt32());
        return new TokenLayout(new TokenSpan(TokenKind.Latent, 0, height * width, new LatentGrid(1, height, width)));
    }
}
