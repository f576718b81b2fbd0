namespace Attune.Attention;

/// <summary>What a token of a packed sequence stands for.</summary>
public enum TokenKind
{
    /// <summary>Text of the negative prompt.</summary>
    NegativeText,

    /// <summary>Text of the prompt.</summary>
    Text,

    /// <summary>A patch of the image or video that is being made.</summary>
    Latent,

    /// <summary>The twin of a latent token, modulated with the negative pooled embedding; row i mirrors latent row i.</summary>
    NegativeLatent,

    /// <summary>A patch of a reference image.</summary>
    Reference,
}

/// <summary>How tokens of pictures or videos lie: frame by frame, in each frame row by row.</summary>
/// <param name="Frames">The number of frames; 1 for pictures.</param>
/// <param name="Height">Rows of a frame.</param>
/// <param name="Width">Columns of a frame.</param>
public readonly record struct LatentGrid(int Frames, int Height, int Width)
{
    /// <summary>The number of tokens.</summary>
    public int Count => Frames * Height * Width;
}

/// <summary>A run of tokens of one kind in a packed sequence.</summary>
public readonly record struct TokenSpan(TokenKind Kind, int Start, int Length, LatentGrid? Grid = null)
{
    /// <summary>The position after the last token.</summary>
    public int End => Start + Length;
}

/// <summary>
/// Says which token of a packed sequence is which. Who attends to whom follows from it: latents and references see text, latents and
/// references; text sees the same; negative text sees itself and the negative latents where there are any, else the latents and references;
/// negative latents see negative text and themselves.
/// </summary>
public sealed class TokenLayout
{
    /// <summary>Makes a layout of spans, which must follow each other without gaps from position 0.</summary>
    /// <exception cref="ArgumentException">The spans overlap or leave gaps, or negative latents do not mirror the latents.</exception>
    public TokenLayout(params IReadOnlyList<TokenSpan> spans)
    {
        ArgumentNullException.ThrowIfNull(spans);
        int at = 0;
        foreach (var span in spans)
        {
            if (span.Start != at || span.Length < 0)
                throw new ArgumentException($"The span {span} does not begin at {at}, where the one before it ends.", nameof(spans));
            at = span.End;
        }
        Spans = [.. spans.Where(span => span.Length > 0)];
        Length = at;
        if (Contains(TokenKind.NegativeLatent)
            && CountOf(TokenKind.NegativeLatent) != CountOf(TokenKind.Latent) + CountOf(TokenKind.Reference))
            throw new ArgumentException("Negative latents mirror the latents one to one.", nameof(spans));
    }

    /// <summary>The spans that hold tokens, in order.</summary>
    public IReadOnlyList<TokenSpan> Spans { get; }

    /// <summary>The number of tokens.</summary>
    public int Length { get; }

    /// <summary>A layout of spans of the given kinds and lengths, one after the other; those of length 0 are left out.</summary>
    public static TokenLayout Of(params ReadOnlySpan<(TokenKind Kind, int Length)> parts)
    {
        var spans = new List<TokenSpan>(parts.Length);
        int at = 0;
        foreach (var (kind, length) in parts)
        {
            spans.Add(new TokenSpan(kind, at, length));
            at += length;
        }
        return new TokenLayout(spans);
    }

    /// <summary>Whether any token is of this kind.</summary>
    public bool Contains(TokenKind kind) => Spans.Any(span => span.Kind == kind);

    /// <summary>The number of tokens of this kind.</summary>
    public int CountOf(TokenKind kind) => Spans.Where(span => span.Kind == kind).Sum(span => span.Length);

    /// <summary>The tokens of the wanted kinds, which must follow each other: where they begin, and their layout.</summary>
    /// <exception cref="InvalidOperationException">Others stand between them.</exception>
    internal (int Start, TokenLayout Layout) Only(Func<TokenKind, bool> wanted)
    {
        var spans = Spans.Where(span => wanted(span.Kind)).ToArray();
        int start = spans.Length == 0 ? 0 : spans[0].Start;
        if (spans.Length > 0 && spans[^1].End - start != spans.Sum(span => span.Length))
            throw new InvalidOperationException($"Of {string.Join(", ", Spans)} the rows that are still read do not follow each other.");
        return (start, new TokenLayout([.. spans.Select(span => span with { Start = span.Start - start })]));
    }

    /// <summary>The kinds of keys that a query of this kind sees.</summary>
    internal TokenKind[] SeenBy(TokenKind query) => query switch
    {
        TokenKind.NegativeText or TokenKind.NegativeLatent => Contains(TokenKind.NegativeLatent)
            ? [TokenKind.NegativeText, TokenKind.NegativeLatent]
            : [TokenKind.NegativeText, TokenKind.Latent, TokenKind.Reference],
        _ => [TokenKind.Text, TokenKind.Latent, TokenKind.Reference],
    };

    /// <summary>The tokens of some kinds, neighbours joined: the fewest runs of positions that hold them all.</summary>
    internal List<(int Start, int Length)> Runs(params ReadOnlySpan<TokenKind> kinds)
    {
        var runs = new List<(int Start, int Length)>();
        foreach (var span in Spans)
        {
            if (!kinds.Contains(span.Kind))
                continue;
            if (runs.Count > 0 && runs[^1].Start + runs[^1].Length == span.Start)
                runs[^1] = (runs[^1].Start, runs[^1].Length + span.Length);
            else
                runs.Add((span.Start, span.Length));
        }
        return runs;
    }
}
