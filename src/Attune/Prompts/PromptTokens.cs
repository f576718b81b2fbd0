using Attune.Tokenizers;

namespace Attune.Prompts;

/// <summary>Prompts as tokens of one length.</summary>
internal static class PromptTokens
{
    /// <summary>How many of the tokens that are left out a warning shows.</summary>
    private const int Shown = 16;

    /// <summary>The ids of a prompt, padded or cut to a length.</summary>
    /// <param name="tokenizer">The tokenizer.</param>
    /// <param name="prompt">The text.</param>
    /// <param name="length">The number of ids.</param>
    /// <param name="warning">Receives what was cut off; null to leave that out.</param>
    public static int[] Of(Tokenizer tokenizer, string prompt, int length, Action<string>? warning) =>
        Padded(tokenizer, prompt, length, warning).Ids;

    /// <summary>The ids of a rendered chat, which holds its special tokens, padded or cut to a length, and which of them count.</summary>
    /// <param name="tokenizer">The tokenizer.</param>
    /// <param name="text">The chat.</param>
    /// <param name="length">The number of ids.</param>
    /// <param name="side">Where pads stand.</param>
    /// <param name="warning">Receives what was cut off; null to leave that out.</param>
    public static TokenSequence Masked(Tokenizer tokenizer, string text, int length, TokenSide side, Action<string>? warning) =>
        Encode(tokenizer, text, new TokenizerOptions { AddSpecialTokens = false, PaddingSide = side }, length, warning);

    /// <summary>The ids of a prompt, padded or cut to a length, and which of them count.</summary>
    /// <inheritdoc cref="Of"/>
    public static TokenSequence Padded(Tokenizer tokenizer, string prompt, int length, Action<string>? warning) =>
        Encode(tokenizer, prompt, new TokenizerOptions(), length, warning);

    /// <summary>The ids of a rendered chat, at most so many, without pads.</summary>
    /// <param name="tokenizer">The tokenizer.</param>
    /// <param name="text">The chat.</param>
    /// <param name="length">The most ids.</param>
    /// <param name="warning">Receives what was cut off; null to leave that out.</param>
    public static int[] Upto(Tokenizer tokenizer, string text, int length, Action<string>? warning) =>
        Encode(tokenizer, text, new TokenizerOptions { AddSpecialTokens = false }, length, warning, TokenPadding.None).Ids;

    /// <summary>The ids of a prompt with its special tokens, at most so many, without pads.</summary>
    /// <inheritdoc cref="Upto"/>
    public static int[] Unpadded(Tokenizer tokenizer, string text, int length, Action<string>? warning) =>
        Encode(tokenizer, text, new TokenizerOptions(), length, warning, TokenPadding.None).Ids;

    private static TokenSequence Encode(
        Tokenizer tokenizer, string text, TokenizerOptions options, int length, Action<string>? warning,
        TokenPadding padding = TokenPadding.MaxLength)
    {
        var tokens = tokenizer.Encode(text, options with { MaxLength = length, Padding = padding, Truncation = true });
        WarnOfCut(tokenizer, tokens.Cut, length, warning);
        return tokens;
    }

    /// <summary>Says what was cut off.</summary>
    /// <param name="tokenizer">The tokenizer.</param>
    /// <param name="cut">The ids that were cut off.</param>
    /// <param name="length">How many are left.</param>
    /// <param name="warning">Receives the sentence; null to leave it out.</param>
    public static void WarnOfCut(Tokenizer tokenizer, IReadOnlyList<int> cut, int length, Action<string>? warning)
    {
        if (cut.Count == 0 || warning == null)
            return;
        string text = tokenizer.Decode([.. cut.Take(Shown)]).Trim();
        warning(
            cut.Count <= Shown ? $"A prompt is cut to {length} tokens; what was left out: '{text}'."
                : $"A prompt is cut to {length} tokens; {cut.Count} were left out, from '{text} ...' on.");
    }
}
