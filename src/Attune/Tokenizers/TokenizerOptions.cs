namespace Attune.Tokenizers;

/// <summary>Whether sequences are filled up with pad tokens.</summary>
public enum TokenPadding
{
    /// <summary>They keep their length.</summary>
    None,

    /// <summary>To <see cref="TokenizerOptions.MaxLength"/>.</summary>
    MaxLength,

    /// <summary>To the longest of the batch.</summary>
    Longest,
}

/// <summary>A side of a sequence.</summary>
public enum TokenSide
{
    /// <summary>The end.</summary>
    Right,

    /// <summary>The beginning.</summary>
    Left,
}

/// <summary>How a text is turned into ids.</summary>
public sealed record TokenizerOptions
{
    /// <summary>
    /// The largest number of tokens, special ones included, and the length that is padded to; null is the tokenizer's own.
    /// </summary>
    public int? MaxLength { get; init; }

    /// <summary>Whether to pad.</summary>
    public TokenPadding Padding { get; init; } = TokenPadding.None;

    /// <summary>Where to pad; null is the tokenizer's own side.</summary>
    public TokenSide? PaddingSide { get; init; }

    /// <summary>Whether to cut longer texts. The special tokens that frame a sequence are kept.</summary>
    public bool Truncation { get; init; }

    /// <summary>Whether to add the special tokens that frame a sequence.</summary>
    public bool AddSpecialTokens { get; init; } = true;
}

/// <summary>A text as token ids.</summary>
/// <param name="Ids">The ids.</param>
/// <param name="Mask">For each id 1, or 0 where it is padding.</param>
public sealed record TokenSequence(int[] Ids, int[] Mask)
{
    /// <summary>The ids that truncation left out, in the order of the text.</summary>
    public IReadOnlyList<int> Cut { get; init; } = [];
}
