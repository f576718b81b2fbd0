using System.Text;
using Attune.Weights;

namespace Attune.Tokenizers;

/// <summary>What becomes of the matches of a splitting pattern.</summary>
internal enum SplitBehavior
{
    Removed,
    Isolated,
    MergedWithPrevious,
    MergedWithNext,
    Contiguous,
}

/// <summary>The pre-tokenizers of tokenizer.json.</summary>
internal static class PreTokenizers
{
    /// <summary>What ByteLevel splits by unless it is told not to.</summary>
    private const string Gpt2 = @"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+";

    private const string Signs = @"[!-/:-@\[-`{-~]|\p{P}";

    public static void None(TextPiece piece, List<TextPiece> words)
    {
        if (piece.Text.Length > 0)
            words.Add(piece);
    }

    public static PreTokenizer Sequence(params PreTokenizer[] parts) => (piece, words) =>
    {
        var current = new List<TextPiece> { piece };
        foreach (var part in parts)
        {
            var next = new List<TextPiece>();
            foreach (var word in current)
                part(word, next);
            current = next;
        }
        words.AddRange(current);
    };

    /// <summary>Splits at the matches of a pattern, or with <paramref name="invert"/> at what lies between them.</summary>
    public static PreTokenizer Split(TextPattern pattern, SplitBehavior behavior, bool invert) => (piece, words) =>
    {
        // The whole text as pieces that are delimiters or not.
        var pieces = new List<(int Start, int End, bool Delimiter)>();
        int done = 0;
        foreach (var (start, end) in pattern.Find(piece.Text))
        {
            if (done < start)
                pieces.Add((done, start, invert));
            pieces.Add((start, end, !invert));
            done = end;
        }
        if (done < piece.Text.Length)
            pieces.Add((done, piece.Text.Length, invert));

        int begin = 0;
        for (int i = 0; i < pieces.Count; i++)
        {
            // A piece ends a word unless it is joined with the next one.
            bool delimiter = pieces[i].Delimiter;
            bool joined = i + 1 < pieces.Count && behavior switch
            {
                SplitBehavior.MergedWithPrevious => !delimiter && pieces[i + 1].Delimiter,
                SplitBehavior.MergedWithNext => delimiter && !pieces[i + 1].Delimiter,
                SplitBehavior.Contiguous => delimiter == pieces[i + 1].Delimiter,
                _ => false,
            };
            if (joined)
                continue;
            if (behavior != SplitBehavior.Removed || !delimiter)
                words.Add(piece.Slice(begin, pieces[i].End));
            begin = pieces[i].End;
        }
    };

    /// <summary>Bytes as visible symbols, after a split into words, numbers and the rest.</summary>
    public static PreTokenizer ByteLevel(bool addPrefixSpace, bool split)
    {
        PreTokenizer divide = split ? Split(TextPattern.Regex("", Gpt2), SplitBehavior.Isolated, false) : None;
        return (piece, words) =>
        {
            if (addPrefixSpace && !piece.Text.StartsWith(' '))
                piece = piece with { Text = " " + piece.Text };
            int first = words.Count;
            divide(piece, words);
            for (int i = first; i < words.Count; i++)
                words[i] = words[i] with { Text = ByteSymbols.Encode(words[i].Text) };
        };
    }

    /// <summary>SentencePiece's treatment of spaces: each becomes a mark, one is put in front, and words begin with it.</summary>
    public static PreTokenizer Metaspace(string mark, bool prepend, bool onlyAtStart, bool split)
    {
        PreTokenizer divide = split ? Split(TextPattern.Literal(mark), SplitBehavior.MergedWithNext, false) : None;
        return (piece, words) =>
        {
            string text = piece.Text.Replace(" ", mark, StringComparison.Ordinal);
            if (prepend && (!onlyAtStart || piece.AtStart) && !text.StartsWith(mark, StringComparison.Ordinal))
                text = mark + text;
            divide(piece with { Text = text }, words);
        };
    }

    /// <summary>Words between white space, each sign of punctuation alone.</summary>
    public static PreTokenizer Bert { get; } = Sequence(
        Split(TextPattern.Regex("", @"\s"), SplitBehavior.Removed, false),
        Split(TextPattern.Regex("", Signs), SplitBehavior.Isolated, false));

    /// <summary>Reads the entry "pre_tokenizer" of tokenizer.json.</summary>
    /// <exception cref="CheckpointException">The entry is malformed or of a type that is not supported.</exception>
    public static PreTokenizer Read(JsonPart? entry)
    {
        if (entry is not { } part)
            return None;
        switch (part.Type)
        {
            case "Sequence":
                return Sequence([.. part["pretokenizers"].Items().Select(inner => Read(inner))]);
            case "Split":
                return Split(TextPattern.Read(part["pattern"]), Behavior(part["behavior"]), part.Find("invert")?.Bool() ?? false);
            case "ByteLevel":
                return ByteLevel(part.Find("add_prefix_space")?.Bool() ?? true, part.Find("use_regex")?.Bool() ?? true);
            case "Metaspace":
                // Older files say only whether a space is put in front; newer ones where.
                bool prepend = part.Find("add_prefix_space")?.Bool() ?? true;
                string scheme = part.Find("prepend_scheme")?.OneOf("always", "first", "never") ?? "always";
                return Metaspace(Mark(part), prepend && scheme != "never", scheme == "first", part.Find("split")?.Bool() ?? true);
            case "WhitespaceSplit":
                return Split(TextPattern.Regex(part.File, @"\s"), SplitBehavior.Removed, false);
            case "Whitespace":
                return Split(TextPattern.Regex(part.File, @"\w+|[^\w\s]+"), SplitBehavior.Removed, true);
            case "BertPreTokenizer":
                return Bert;
            case "Digits":
                bool single = part.Find("individual_digits")?.Bool() ?? false;
                return Split(TextPattern.Regex(part.File, @"\p{N}"), single ? SplitBehavior.Isolated : SplitBehavior.Contiguous, false);
            case "Punctuation":
                return Split(
                    TextPattern.Regex(part.File, Signs),
                    part.Find("behavior") is { } behavior ? Behavior(behavior) : SplitBehavior.Isolated, false);
            default:
                throw part.Unsupported(
                    "Sequence, Split, ByteLevel, Metaspace, WhitespaceSplit, Whitespace, BertPreTokenizer, Digits or Punctuation");
        }
    }

    /// <summary>The one character that stands for a space in a Metaspace entry.</summary>
    public static string Mark(JsonPart metaspace)
    {
        string mark = metaspace["replacement"].String();
        return Rune.TryGetRuneAt(mark.Length == 0 ? "\uD800" : mark, 0, out var rune) && rune.Utf16SequenceLength == mark.Length
            ? mark : throw metaspace["replacement"].Wrong("one character");
    }

    private static SplitBehavior Behavior(JsonPart part) =>
        part.OneOf("Removed", "Isolated", "MergedWithPrevious", "MergedWithNext", "Contiguous") switch
    {
        "Removed" => SplitBehavior.Removed,
        "Isolated" => SplitBehavior.Isolated,
        "MergedWithPrevious" => SplitBehavior.MergedWithPrevious,
        "MergedWithNext" => SplitBehavior.MergedWithNext,
        _ => SplitBehavior.Contiguous,
    };
}
