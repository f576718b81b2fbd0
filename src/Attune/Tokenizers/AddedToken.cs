using System.Globalization;
using System.Text;

namespace Attune.Tokenizers;

/// <summary>A token that is cut out of the text before the model sees it.</summary>
internal sealed record AddedToken(string Content, int Id = -1)
{
    /// <summary>Further ids that follow it where it is written exactly so: names that stand for several vectors.</summary>
    public IReadOnlyList<int> Rest { get; init; } = [];

    /// <summary>Whether decoding leaves it out.</summary>
    public bool Special { get; init; }

    /// <summary>Whether it is looked for in the normalised text.</summary>
    public bool Normalized { get; init; }

    /// <summary>Whether it is found only where no word goes on.</summary>
    public bool SingleWord { get; init; }

    /// <summary>Whether it takes the white space on its left.</summary>
    public bool StripsLeft { get; init; }

    /// <summary>Whether it takes the white space on its right.</summary>
    public bool StripsRight { get; init; }
}

/// <summary>Finds added tokens in a text: the leftmost first, of those the longest.</summary>
internal sealed class AddedTokenSplitter
{
    private readonly List<AddedToken> _tokens = [];
    private readonly TextTrie _trie;

    public AddedTokenSplitter(IEnumerable<(string Pattern, AddedToken Token)> tokens)
    {
        var patterns = new Dictionary<string, int>(StringComparer.Ordinal);
        foreach (var (pattern, token) in tokens)
        {
            if (pattern.Length > 0 && patterns.TryAdd(pattern, _tokens.Count))
                _tokens.Add(token);
        }
        _trie = new TextTrie(patterns);
    }

    /// <summary>The pieces of the text in order, each with its token or, between tokens, without.</summary>
    public IEnumerable<(TextPiece Piece, AddedToken? Token)> Split(TextPiece piece)
    {
        string text = piece.Text;
        int done = 0;
        for (int at = 0; _tokens.Count > 0 && at < text.Length;)
        {
            var (length, index) = _trie.LongestPrefix(text.AsSpan(at));
            if (length == 0)
            {
                at++;
                continue;
            }
            int start = at;
            int end = at += length;
            var token = _tokens[index];
            if (token.SingleWord && (EndsWithWord(text.AsSpan(0, start)) || BeginsWithWord(text.AsSpan(end))))
                continue;
            while (token.StripsLeft && start > done && char.IsWhiteSpace(text[start - 1]))
                start--;
            while (token.StripsRight && end < text.Length && char.IsWhiteSpace(text[end]))
                end++;
            if (done < start)
                yield return (piece.Slice(done, start), null);
            yield return (piece.Slice(start, end), token);
            done = end;
        }
        if (done < text.Length)
            yield return (piece.Slice(done, text.Length), null);
    }

    private static bool EndsWithWord(ReadOnlySpan<char> text) =>
        !text.IsEmpty && Rune.DecodeLastFromUtf16(text, out var rune, out _) == 0 && IsWord(rune);

    private static bool BeginsWithWord(ReadOnlySpan<char> text) =>
        !text.IsEmpty && Rune.DecodeFromUtf16(text, out var rune, out _) == 0 && IsWord(rune);

    private static bool IsWord(Rune rune) =>
        rune.Value is 0x200C or 0x200D || Rune.GetUnicodeCategory(rune) is <= UnicodeCategory.DecimalDigitNumber
        or UnicodeCategory.LetterNumber or UnicodeCategory.ConnectorPunctuation;
}
