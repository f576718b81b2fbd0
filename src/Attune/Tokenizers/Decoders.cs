using System.Text;
using Attune.Weights;

namespace Attune.Tokenizers;

/// <summary>The decoders of tokenizer.json.</summary>
internal static class Decoders
{
    /// <summary>One step: tokens to tokens; at the end they are joined.</summary>
    private delegate List<string> Step(List<string> tokens);

    /// <summary>What BERT's decoder puts right, in this order.</summary>
    private static readonly (string From, string To)[] Cleanups =
    [
        (" .", "."), (" ?", "?"), (" !", "!"), (" ,", ","), (" ' ", "'"), (" n't", "n't"), (" 'm", "'m"), (" do not", " don't"),
        (" 's", "'s"), (" 've", "'ve"), (" 're", "'re"),
    ];

    public static string Plain(IReadOnlyList<string> tokens) => string.Join(' ', tokens);

    public static string ByteLevel(IReadOnlyList<string> tokens) => ByteSymbols.Decode(string.Concat(tokens));

    /// <summary>Byte-level tokens of which some end a word (CLIP).</summary>
    public static Decoder ByteLevel(string wordEnd) => tokens => ByteLevel(tokens).Replace(wordEnd, " ", StringComparison.Ordinal).Trim();

    public static Decoder Metaspace(string mark, bool prepended) => tokens => string.Concat(Unmark([.. tokens], mark, prepended));

    /// <summary>Words with spaces between them, and tokens inside of words joined to what stands before.</summary>
    /// <param name="prefix">Of tokens inside of words.</param>
    /// <param name="cleanup">Whether spaces before punctuation go.</param>
    public static Decoder WordPiece(string prefix, bool cleanup) => tokens => string.Concat(JoinWords([.. tokens], prefix, cleanup));

    /// <summary>Reads the entry "decoder" of tokenizer.json.</summary>
    /// <exception cref="CheckpointException">The entry is malformed or of a type that is not supported.</exception>
    public static Decoder Read(JsonPart? entry)
    {
        if (entry is not { } part)
            return Plain;
        var step = ReadStep(part);
        return tokens => string.Concat(step([.. tokens]));
    }

    private static Step ReadStep(JsonPart part)
    {
        switch (part.Type)
        {
            case "Sequence":
                Step[] steps = [.. part["decoders"].Items().Select(ReadStep)];
                return tokens => steps.Aggregate(tokens, (current, step) => step(current));
            case "ByteLevel":
                return tokens => [ByteLevel(tokens)];
            case "Metaspace":
                string mark = PreTokenizers.Mark(part);
                bool prepended = part.Find("add_prefix_space")?.Bool() != false && part.Find("prepend_scheme")?.String() != "never";
                return tokens => Unmark(tokens, mark, prepended);
            case "WordPiece":
                string inner = part.Find("prefix")?.String() ?? "##";
                bool cleanup = part.Find("cleanup")?.Bool() ?? true;
                return tokens => JoinWords(tokens, inner, cleanup);
            case "Replace":
                var pattern = TextPattern.Read(part["pattern"]);
                string content = part["content"].String();
                return tokens => [.. tokens.Select(token => pattern.Replace(token, content))];
            case "Fuse":
                return tokens => [string.Concat(tokens)];
            case "ByteFallback":
                return JoinBytes;
            case "Strip":
                string strip = part["content"].String();
                (int start, int stop) = (part["start"].Id(), part["stop"].Id());
                return tokens => [.. tokens.Select(token => Strip(token, strip, start, stop))];
            case "BPEDecoder":
                string suffix = part.Find("suffix")?.String() ?? "</w>";
                return tokens => [.. tokens.Select((token, i) => suffix.Length == 0 ? token
                    : token.Replace(suffix, i == tokens.Count - 1 ? "" : " ", StringComparison.Ordinal))];
            default:
                throw part.Unsupported("Sequence, ByteLevel, Metaspace, WordPiece, Replace, Fuse, ByteFallback, Strip or BPEDecoder");
        }
    }

    private static List<string> JoinWords(List<string> tokens, string prefix, bool cleanup) => [.. tokens.Select((token, i) =>
    {
        string text = i == 0 ? token : token.StartsWith(prefix, StringComparison.Ordinal) ? token[prefix.Length..] : " " + token;
        return cleanup ? Cleanups.Aggregate(text, (current, pair) => current.Replace(pair.From, pair.To, StringComparison.Ordinal)) : text;
    })];

    private static List<string> Unmark(List<string> tokens, string mark, bool prepended) => [.. tokens.Select((token, i) =>
        (i == 0 && prepended && token.StartsWith(mark, StringComparison.Ordinal) ? token[mark.Length..] : token)
            .Replace(mark, " ", StringComparison.Ordinal))];

    /// <summary>Runs of tokens such as &lt;0xE2&gt; become the text of these bytes, or a U+FFFD for each when they are no UTF-8.</summary>
    private static List<string> JoinBytes(List<string> tokens)
    {
        var result = new List<string>();
        var bytes = new List<byte>();
        void Flush()
        {
            try
            {
                result.Add(new UTF8Encoding(false, true).GetString([.. bytes]));
            }
            catch (DecoderFallbackException)
            {
                result.AddRange(Enumerable.Repeat("\uFFFD", bytes.Count));
            }
            bytes.Clear();
        }

        foreach (string token in tokens)
        {
            if (token.Length == 6 && token.StartsWith("<0x", StringComparison.Ordinal) && token[5] == '>'
                && byte.TryParse(token.AsSpan(3, 2), System.Globalization.NumberStyles.AllowHexSpecifier, null, out byte value))
            {
                bytes.Add(value);
                continue;
            }
            if (bytes.Count > 0)
                Flush();
            result.Add(token);
        }
        if (bytes.Count > 0)
            Flush();
        return result;
    }

    private static string Strip(string token, string content, int start, int stop)
    {
        if (content.Length == 0)
            return token;
        for (; start > 0 && token.StartsWith(content, StringComparison.Ordinal); start--)
            token = token[content.Length..];
        for (; stop > 0 && token.EndsWith(content, StringComparison.Ordinal); stop--)
            token = token[..^content.Length];
        return token;
    }
}
