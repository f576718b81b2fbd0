using Attune.Attention;
using Attune.Latents;
using Attune.Tensors;

namespace Attune.Models.QwenImage21;

/// <summary>A run of rows before the picture: text, or one reference.</summary>
/// <param name="Start">Text: the first row of the text encoder's. A reference: its number.</param>
/// <param name="IsText">Whether it is text.</param>
/// <param name="Ids">The positions of its rows, (frame, row, column).</param>
internal readonly record struct PrefixSegment(int Start, bool IsText, TokenIds Ids);

/// <summary>
/// Where the rows before a picture stand: text goes on along all three axes at once; a reference stands at one frame, its rows and columns
/// counted from its middle, and the text behind it goes on after as many frames as it has rows or columns.
/// </summary>
internal sealed class QwenImage21Layout
{
    /// <summary>The latents of a reference for which one row of the text encoder stands.</summary>
    private const int LatentsPerSlot = 4;

    public QwenImage21Layout(QwenImage21Conditioning prompt, IReadOnlyList<ReferenceLatents> references)
    {
        var segments = new List<PrefixSegment>();
        int rows = prompt.Text.Shape[1];
        for (int row = 0, reference = 0; row < rows;)
        {
            if (row < prompt.Slots.Count && prompt.Slots[row])
            {
                var grid = reference < references.Count ? references[reference].Grid : default;
                int slots = grid.Count / LatentsPerSlot;
                if (slots == 0 || !Enumerable.Range(row, slots).All(slot => slot < prompt.Slots.Count && prompt.Slots[slot]))
                {
                    throw new ArgumentException(
                        $"The rows that stand for references do not fit the {references.Count} references that are given.", nameof(prompt));
                }
                segments.Add(new PrefixSegment(reference++, false, TokenIds.Centred(grid, Frame)));
                Frame += Math.Max(grid.Height, grid.Width);
                row += slots;
                continue;
            }
            int end = row;
            while (end < rows && !(end < prompt.Slots.Count && prompt.Slots[end]))
                end++;
            segments.Add(new PrefixSegment(row, true, TokenIds.Diagonal(end - row, 3, Frame)));
            Frame += end - row;
            row = end;
        }
        if (segments.Count(segment => !segment.IsText) != references.Count)
        {
            throw new ArgumentException(
                $"The prompt was encoded for {segments.Count(segment => !segment.IsText)} references, not {references.Count}.",
                nameof(prompt));
        }
        Segments = segments;
        Frame += prompt.Positions - rows;
        TextRows = segments.Where(segment => segment.IsText).Sum(segment => segment.Ids.Count);
    }

    /// <summary>The runs, in order.</summary>
    public IReadOnlyList<PrefixSegment> Segments { get; }

    /// <summary>The frame at which the picture stands behind them.</summary>
    public int Frame { get; }

    /// <summary>The rows of text.</summary>
    public int TextRows { get; }

    /// <summary>All rows.</summary>
    public int Rows => Segments.Sum(segment => segment.Ids.Count);

    /// <summary>The positions of the text or of the references alone, in order.</summary>
    public TokenIds? IdsOf(bool text) => Segments.Where(segment => segment.IsText == text).Select(segment => segment.Ids)
        .Aggregate((TokenIds?)null, (all, ids) => all?.Then(ids) ?? ids);

    /// <summary>The positions of all rows, in order.</summary>
    public TokenIds Ids => Segments.Select(segment => segment.Ids).Aggregate((all, ids) => all.Then(ids));

    /// <summary>Where a segment's rows go where text comes first, and references behind it.</summary>
    public IEnumerable<(int From, int To, int Count)> TextFirst()
    {
        var (from, text, other) = (0, 0, TextRows);
        foreach (var segment in Segments)
        {
            int count = segment.Ids.Count;
            yield return (from, segment.IsText ? text : other, count);
            from += count;
            if (segment.IsText)
                text += count;
            else
                other += count;
        }
    }
}

/// <summary>
/// The attention of the rows before a picture to each other: text sees what is before it, a reference all of itself too. Keeps keys and
/// values of all layers, text first.
/// </summary>
/// <param name="layout">What the rows are.</param>
/// <param name="made">[2 * blocks, rows, width]: receives them.</param>
internal sealed class PrefixRecorder(QwenImage21Layout layout, Tensor made) : IAttention
{
    private int _blocks;

    /// <inheritdoc/>
    public Tensor Attend(AttentionCall call)
    {
        Keep(call.Key, call.Value);
        using var scope = new TensorScope();
        var (query, key) = (call.Query.Rotate(call.QueryRotary!), call.Key.Rotate(call.KeyRotary!));
        var output = query.Like(query.Shape);
        int at = 0;
        foreach (var segment in layout.Segments)
        {
            int count = segment.Ids.Count;
            query.Slice(1, at, count).Attention(
                key.Slice(1, 0, at + count), call.Value.Slice(1, 0, at + count), call.Scale,
                new AttentionMask { Causal = segment.IsText }, output.Slice(1, at, count));
            at += count;
        }
        return scope.Keep(output);
    }

    /// <summary>Keeps keys and values of the next block, [1, rows, ..].</summary>
    public void Keep(Tensor key, Tensor value)
    {
        using var scope = new TensorScope();
        foreach (var (tensor, place) in new[] { (key, 2 * _blocks), (value, 2 * _blocks + 1) })
        {
            var rows = tensor.Reshape(1, layout.Rows, made.Shape[2]);
            foreach (var (from, to, count) in layout.TextFirst())
                rows.Slice(1, from, count).CopyTo(made.Slice(0, place, 1).Slice(1, to, count));
        }
        _blocks++;
    }
}
