using Attune.Tensors;

namespace Attune.Attention;

/// <summary>Tokens of one kind with which a <see cref="TokenStream"/> begins.</summary>
/// <param name="Kind">What they are.</param>
/// <param name="Rows">[batch or 1, rows, width]: copied into the stream.</param>
/// <param name="Ids">Their positions, one for each row.</param>
/// <param name="Grid">How image patches lie, in row-major order; rows beyond them are pads.</param>
internal readonly record struct TokenPart(TokenKind Kind, Tensor Rows, TokenIds Ids, LatentGrid? Grid = null)
{
    /// <summary>
    /// How many of the rows, from the first, are marked: logits between marked rows are larger by 1. Null where the family knows no marks.
    /// </summary>
    public int? Marked { get; init; }

    /// <summary>
    /// The positions of the same rows as the negative text sees them, one for each row, where they depend on the text beside; null for
    /// <see cref="Ids"/>.
    /// </summary>
    public TokenIds? BesideNegative { get; init; }
}

/// <summary>
/// Keys and values of rows that are not in a <see cref="TokenStream"/>: what was made of them earlier is all that its rows read of them.
/// </summary>
/// <param name="Kind">What they are.</param>
/// <param name="Made">[2 * blocks, rows, heads * channels]: the keys of a block, before the rotary embedding, then its values.</param>
/// <param name="Start">The first of the rows that are meant.</param>
/// <param name="Ids">Their positions, one for each row.</param>
internal readonly record struct PrefixPart(TokenKind Kind, Tensor Made, int Start, TokenIds Ids)
{
    /// <summary>Their positions as the negative text sees them; null for <see cref="Ids"/>.</summary>
    public TokenIds? BesideNegative { get; init; }

    /// <summary>[1, rows, heads * channels] of a block's keys (2 * block) or values (2 * block + 1): a view.</summary>
    public Tensor Of(int place) => Made.Slice(0, place, 1).Slice(1, Start, Ids.Count);
}

/// <summary>The positions of tokens on the axes of a rotary embedding, as whole numbers; they may be negative.</summary>
internal sealed class TokenIds
{
    private readonly int[] _positions;

    private TokenIds(int[] positions, int axes) => (_positions, Axes) = (positions, axes);

    /// <summary>The number of axes.</summary>
    public int Axes { get; }

    /// <summary>The number of tokens.</summary>
    public int Count => _positions.Length / Axes;

    /// <summary>The position of a token on an axis.</summary>
    public int this[int token, int axis] => _positions[token * Axes + axis];

    /// <summary>The positions of all tokens.</summary>
    public IEnumerable<int[]> All() => _positions.Chunk(Axes);

    /// <summary>Tokens that all stand at one position.</summary>
    public static TokenIds Same(int count, params ReadOnlySpan<int> position)
    {
        var positions = new int[count * position.Length];
        for (int token = 0; token < count; token++)
            position.CopyTo(positions.AsSpan(token * position.Length));
        return new TokenIds(positions, position.Length);
    }

    /// <summary>The patches of pictures, row by row: (time, row, column), and 0 on further axes.</summary>
    public static TokenIds Of(LatentGrid grid, int time = 0, int axes = 3)
    {
        int[] positions = new int[axes * grid.Count];
        for (int i = 0; i < grid.Count; i++)
        {
            var token = positions.AsSpan(axes * i, axes);
            (token[0], token[1], token[2]) = (time, i / grid.Width % grid.Height, i % grid.Width);
        }
        return new TokenIds(positions, axes);
    }

    /// <summary>The patches of a video, frame by frame and row by row: (frame, row, column).</summary>
    /// <param name="grid">How they lie.</param>
    /// <param name="first">The number of the first frame.</param>
    public static TokenIds OfFrames(LatentGrid grid, int first = 0)
    {
        int[] positions = new int[3 * grid.Count];
        for (int i = 0; i < grid.Count; i++)
        {
            var token = positions.AsSpan(3 * i, 3);
            (token[0], token[1], token[2]) = (first + i / grid.Width / grid.Height, i / grid.Width % grid.Height, i % grid.Width);
        }
        return new TokenIds(positions, 3);
    }

    /// <summary>The patches of a picture, row by row: (time, row, column), rows and columns counted from its middle.</summary>
    public static TokenIds Centred(LatentGrid grid, int time = 0)
    {
        int[] positions = new int[3 * grid.Count];
        for (int i = 0; i < grid.Count; i++)
        {
            var (row, column) = (i / grid.Width % grid.Height, i % grid.Width);
            positions[3 * i] = time;
            positions[3 * i + 1] = row - (grid.Height - grid.Height / 2);
            positions[3 * i + 2] = column - (grid.Width - grid.Width / 2);
        }
        return new TokenIds(positions, 3);
    }

    /// <summary>Tokens one after the other on all axes.</summary>
    public static TokenIds Diagonal(int count, int axes, int first)
    {
        int[] positions = new int[axes * count];
        for (int i = 0; i < positions.Length; i++)
            positions[i] = first + i / axes;
        return new TokenIds(positions, axes);
    }

    /// <summary>Tokens one after the other on one axis, and at 0 on the others.</summary>
    public static TokenIds Along(int count, int axes, int axis, int first = 0)
    {
        int[] positions = new int[axes * count];
        for (int i = 0; i < count; i++)
            positions[axes * i + axis] = first + i;
        return new TokenIds(positions, axes);
    }

    /// <summary>The same tokens, moved along one axis.</summary>
    public TokenIds Moved(int axis, int by)
    {
        if (by == 0)
            return this;
        int[] moved = [.. _positions];
        for (int i = axis; i < moved.Length; i += Axes)
            moved[i] += by;
        return new TokenIds(moved, Axes);
    }

    /// <summary>These tokens, then others on the same axes.</summary>
    public TokenIds Then(TokenIds others) => new([.. _positions, .. others._positions], Axes);
}
