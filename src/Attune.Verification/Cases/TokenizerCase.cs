using Attune.Tokenizers;

namespace Attune.Verification;

/// <summary>Token ids of texts: a list of texts and ids without padding, or a batch that is padded and cut.</summary>
internal sealed class TokenizerCase : CaseKind
{
    public override string Kind => "tokenizer";

    /// <summary>The last one tells what the texts were made of.</summary>
    public override IReadOnlyCollection<string> Arguments { get; } =
        ["texts", "special_tokens", "padding", "max_length", "truncation", "padding_side", "prompts", "added"];

    public override void Run(GoldenCase golden, Comparison results)
    {
        var tokenizer = Supported(() => Tokenizer.Load(golden.Checkpoint, golden.Class));
        if (golden.Arguments.TryGetProperty("added", out var added))
        {
            tokenizer = tokenizer.With([.. added.EnumerateObject().Select(token => token.Name)]);
            foreach (var token in added.EnumerateObject())
                results.Require(tokenizer.IdOf(token.Name) == token.Value.GetInt32(), $"{token.Name} has another id");
        }
        var plain = new TokenizerOptions { AddSpecialTokens = golden.Flag("special_tokens", true) };
        if (!golden.Arguments.TryGetProperty("texts", out var texts))
        {
            foreach (var row in golden.Beside("strings").EnumerateArray())
            {
                string text = row.GetProperty("text").GetString()!;
                int[] expected = [.. row.GetProperty("ids").EnumerateArray().Select(id => id.GetInt32())];
                int[] ids = tokenizer.Encode(text, plain).Ids;
                results.Require(
                    ids.AsSpan().SequenceEqual(expected),
                    $"'{text}' is [{string.Join(' ', ids)}], expected [{string.Join(' ', expected)}]");
            }
            return;
        }
        var options = plain with
        {
            MaxLength = golden.Int("max_length", 0),
            Padding = golden.OptionalText("padding") switch
            {
                "max_length" => TokenPadding.MaxLength,
                "longest" => TokenPadding.Longest,
                null => TokenPadding.None,
                var other => throw new UnsupportedCaseException($"padding {other}"),
            },
            PaddingSide = golden.OptionalText("padding_side") switch
            {
                "left" => TokenSide.Left,
                "right" => TokenSide.Right,
                null => null,
                var other => throw new UnsupportedCaseException($"padding_side {other}"),
            },
            Truncation = golden.Flag("truncation", false),
        };
        var rows = tokenizer.EncodeBatch([.. texts.EnumerateArray().Select(text => text.GetString()!)], options);
        results.CheckIntegers("input_ids", [.. rows.SelectMany(row => row.Ids.Select(id => (long)id))]);
        results.CheckIntegers("attention_mask", [.. rows.SelectMany(row => row.Mask.Select(id => (long)id))]);
    }
}
