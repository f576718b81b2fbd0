using Attune.Layers;
using Attune.Tensors;

namespace Attune.Attention;

/// <summary>
/// Tokens on their way through a transformer, packed into one sequence, and the bookkeeping that goes with them: which rows are of which
/// kind, where they stand, and who still reads them. Blocks take rows from <see cref="Norm(Branch)"/>, hand queries, keys and values to
/// <see cref="Attend"/> and add what comes out with <see cref="AddGated"/>. All rows give keys and values; those that nobody reads later
/// (<see cref="Begin"/>) end in the block's attention, so that what a block does behind it runs over the live rows alone.
/// docs/decisions/012-token-stream.md has the families.
/// </summary>
internal sealed class TokenStream : IDisposable
{
    /// <summary>Kernels want whole groups of channels.</summary>
    private const int MarkChannels = 8;

    private readonly IAttention _attention;
    private readonly int _headChannels;
    private readonly float _epsilon;
    private readonly RotaryAxes? _axes;
    private readonly List<(TokenSpan Span, TokenIds Ids, TokenIds? BesideNegative)> _spans = [];
    private readonly List<PrefixPart> _prefix = [];
    private Tensor _rows;
    private readonly bool _marks;
    private Prefixed? _prefixed;
    private RotaryEmbedding? _rotary;
    private RotaryEmbedding? _besideNegative;
    private Tensor? _marked;
    private TokenKind[] _ending = [];

    /// <summary>Packs the parts one after the other.</summary>
    /// <param name="attention">How the rows attend to each other.</param>
    /// <param name="headChannels">The channels of a head; the logits are divided by their square root.</param>
    /// <param name="epsilon">Of the layer norms.</param>
    /// <param name="rotary">Turns queries and keys by their positions; null where the model has no rotary embedding.</param>
    /// <param name="parts">
    /// In the family's order: [negative text, text, latents, references] or [latents, references, text, negative text], so that the rows
    /// that live on are always one run.
    /// </param>
    /// <exception cref="ArgumentException">A part has not one position for each row, or the parts do not fit each other.</exception>
    public TokenStream(IAttention attention, int headChannels, float epsilon, RotaryAxes? rotary, params ReadOnlySpan<TokenPart> parts)
    {
        (_attention, _headChannels, _epsilon, _axes) = (attention, headChannels, epsilon, rotary);
        int batch = 1;
        int at = 0;
        foreach (var part in parts)
        {
            var (rows, ids) = (part.Rows.Shape, part.Ids);
            if (rows.Rank != 3 || rows[2] != parts[0].Rows.Shape[2] || ids.Count != rows[1]
                || (part.BesideNegative is { } others && others.Count != rows[1]))
            {
                throw new ArgumentException(
                    $"{part.Kind} rows {rows} with {ids.Count} positions do not fit {parts[0].Rows.Shape}.", nameof(parts));
            }
            _spans.Add((new TokenSpan(part.Kind, at, rows[1], part.Grid), ids, part.BesideNegative));
            at += rows[1];
            batch = Math.Max(batch, rows[0]);
        }
        var first = parts[0].Rows;
        using var scope = new TensorScope();
        _rows = TensorScope.Detach(first.Like([batch, at, first.Shape[2]]));
        for (int i = 0; i < parts.Length; i++)
            parts[i].Rows.Expand(0, batch).CopyTo(Rows(_spans[i].Span));
        foreach (var part in parts)
            _marks |= part.Marked != null;
        if (_marks)
        {
            float[] marks = new float[at * MarkChannels];
            for (int i = 0; i < parts.Length; i++)
            {
                for (int row = 0; row < (parts[i].Marked ?? 0); row++)
                    marks[(_spans[i].Span.Start + row) * MarkChannels] = 1;
            }
            _marked = TensorScope.Detach(Tensor.From(first.Device, marks, [at, MarkChannels]));
        }
        Layout = null!;
        Describe();
    }

    /// <summary>What the rows are that are in the stream now.</summary>
    public TokenLayout Layout { get; private set; }

    /// <summary>
    /// Rows that are not in the stream, whose keys and values its rows read in every block (<see cref="WithPrefix"/>): texts, whose keys
    /// stand before those of the stream's rows, and references, whose keys stand behind them.
    /// </summary>
    public IReadOnlyList<PrefixPart> Prefix
    {
        init => _prefix.AddRange(value);
    }

    /// <summary>Whether the negative text is there, in the stream or before it.</summary>
    public bool HasNegativeText =>
        Layout.Contains(TokenKind.NegativeText) || _prefix.Any(part => part.Kind == TokenKind.NegativeText);

    /// <summary>The rows of a kind, [batch, rows, width]: a view.</summary>
    public Tensor RowsOf(TokenKind kind) => Rows(Layout.Spans.Single(span => span.Kind == kind));

    /// <summary>All rows as they are: a view, which is read before anything is added.</summary>
    public StreamRows All => new(_rows.View(), Layout, 0, this);

    /// <summary>
    /// The rows, each kind normalised (without weights), scaled and shifted by vectors of its own.
    /// </summary>
    public StreamRows Norm(Branch by)
    {
        var normed = _rows.Like(_rows.Shape);
        foreach (var span in Layout.Spans)
            LayerNorm(Rows(span), span.Kind, by, normed.Slice(1, span.Start, span.Length));
        return new StreamRows(normed, Layout, 0, this);
    }

    /// <summary>
    /// The rows, normalised with the weights of a layer, each kind scaled, and shifted where the model does, by vectors of its own; null
    /// leaves them.
    /// </summary>
    public StreamRows Norm(RmsNorm norm, Branch? by)
    {
        var normed = norm.Apply(_rows);
        foreach (var span in Layout.Spans)
        {
            if (by is { } branch)
            {
                var rows = normed.Slice(1, span.Start, span.Length);
                if (branch.Shift(span.Kind) is { } shift)
                    rows.Modulate(branch.Scale(span.Kind), shift, rows);
                else
                    rows.AddGated(branch.Scale(span.Kind), rows, rows);
            }
        }
        return new StreamRows(normed, Layout, 0, this);
    }

    /// <summary>The rows of one kind, normalised, scaled and shifted.</summary>
    public StreamRows NormOf(TokenKind kind, Branch by)
    {
        var (start, layout) = Layout.Only(other => other == kind);
        return new StreamRows(LayerNorm(RowsOf(kind), kind, by, null), layout, start, this);
    }

    private Tensor LayerNorm(Tensor rows, TokenKind kind, Branch by, Tensor? into)
    {
        if (by.Shift(kind) is { } shift)
            return rows.ModulatedLayerNorm(by.Scale(kind), shift, _epsilon, into);
        var normed = rows.LayerNorm(null, null, _epsilon, into);
        return normed.AddGated(by.Scale(kind), normed, normed);
    }

    /// <summary>Keys or values of all rows, and of those before the stream.</summary>
    /// <param name="layer">Makes those of the rows.</param>
    /// <param name="rows">All rows of the stream.</param>
    /// <param name="place">Which of <see cref="PrefixPart.Made"/> the others have: 2 * block for keys, 2 * block + 1 for values.</param>
    /// <returns>[batch, prefix and rows, heads * channels].</returns>
    public StreamRows WithPrefix(IRowLayer layer, StreamRows rows, int place)
    {
        if (_prefix.Count == 0)
            return layer.Apply(rows);
        using var scope = new TensorScope();
        var (batch, count) = (rows.Tensor.Shape[0], rows.Layout.Length);
        var all = rows.Tensor.Like([batch, Keys.Layout.Length, layer.Outputs]);
        int at = 0;
        void Copy(bool behind)
        {
            foreach (var part in _prefix.Where(part => IsBehind(part) == behind))
            {
                part.Of(place).Expand(0, batch).CopyTo(all.Slice(1, at, part.Ids.Count));
                at += part.Ids.Count;
            }
        }

        Copy(behind: false);
        layer.Apply(rows.Tensor, into: all.Slice(1, at, count));
        at += count;
        Copy(behind: true);
        return new StreamRows(scope.Keep(all), Keys.Layout, 0, this);
    }

    /// <summary>
    /// What a layer's attention gives, behind its output projection where it has one of its own: computed, or what a step cache has of an
    /// earlier step.
    /// </summary>
    /// <param name="site">Which layer.</param>
    /// <param name="compute">Computes it.</param>
    /// <param name="rows">Those that it is for; null for all that live on.</param>
    public StreamRows Output(AttentionSite site, Func<StreamRows> compute, StreamRows? rows = null)
    {
        if (_attention.Outputs is not { } outputs)
            return compute();
        if (outputs.Recall(site) is { } known)
        {
            EndRows();
            return rows?.With(known) ?? new StreamRows(known, Layout, 0, this);
        }
        var computed = compute();
        outputs.Keep(site, computed.Tensor);
        return computed;
    }

    /// <summary>
    /// The attention of a layer, after which the stream holds the rows alone that live on.
    /// </summary>
    /// <param name="site">Which layer.</param>
    /// <param name="q">[batch, query rows, heads * channels], made from <see cref="StreamRows.Queries"/>.</param>
    /// <param name="k">[batch, rows, key heads * channels] of all rows; key heads divide heads.</param>
    /// <param name="v">As k.</param>
    /// <returns>[batch, live rows, heads * channels].</returns>
    public StreamRows Attend(AttentionSite site, StreamRows q, StreamRows k, StreamRows v)
    {
        var keys = _prefix.Count == 0 ? _rotary : Keys.Rotary;
        var besideNegative = _prefix.Count == 0 ? _besideNegative : Keys.BesideNegative;
        var attended = _marks ? AttendMarked(site, q, k, v)
            : _attention.Attend(new AttentionCall(
                Heads(q), Heads(k), Heads(v), 1 / MathF.Sqrt(_headChannels), q.Layout, k.Layout, site,
                _rotary?.Slice(q.First, q.Layout.Length), keys)
            {
                BesideNegative = besideNegative == null ? null
                    : ((_besideNegative ?? _rotary!).Slice(q.First, q.Layout.Length), besideNegative),
                LatentsStay = _besideNegative == null,
            });
        var result = q.With(attended.Reshape(q.Tensor.Shape)).Live;
        EndRows();
        return result;
    }

    /// <summary>
    /// The same where rows are marked: each head has further channels, of which the first is 1 in the queries and sqrt(channels) in the
    /// keys of marked rows, so that the scaled product of both is 1. They are not turned.
    /// </summary>
    private Tensor AttendMarked(AttentionSite site, StreamRows q, StreamRows k, StreamRows v)
    {
        using var scope = new TensorScope();
        float root = MathF.Sqrt(_headChannels);
        var rotary = _rotary == null ? null : Unturned(_rotary);
        var attended = _attention.Attend(new AttentionCall(
            Marked(q, 1), Marked(k, root), Marked(v, 0), 1 / root, q.Layout, k.Layout, site,
            rotary?.Slice(q.First, q.Layout.Length), rotary));
        return scope.Keep(attended.Slice(3, 0, _headChannels).Clone());
    }

    private Tensor Marked(StreamRows rows, float mark)
    {
        var heads = Heads(rows);
        var (batch, count, number) = (heads.Shape[0], rows.Layout.Length, heads.Shape[2]);
        var wide = heads.Like(heads.Shape.With(3, _headChannels + MarkChannels));
        heads.CopyTo(wide.Slice(3, 0, _headChannels));
        var marks = _marked!.Slice(0, rows.First, count).Affine(mark).Reshape(1, count, 1, MarkChannels);
        marks.Expand(0, batch).Expand(2, number).CopyTo(wide.Slice(3, _headChannels, MarkChannels));
        return wide;
    }

    private static RotaryEmbedding Unturned(RotaryEmbedding rotary)
    {
        Shape more = rotary.Cosine.Shape.With(1, MarkChannels / 2);
        return new RotaryEmbedding(
            TensorOperations.Concatenate(1, rotary.Cosine, Tensor.Full(rotary.Cosine.Device, more, 1)),
            TensorOperations.Concatenate(1, rotary.Sine, Tensor.Zeros(rotary.Sine.Device, more)), rotary.Pairing);
    }

    /// <summary>The attention of rows to themselves alone, after which no row ends.</summary>
    /// <param name="site">Which layer.</param>
    /// <param name="q">[batch, rows, heads * channels].</param>
    /// <param name="k">[batch, rows, key heads * channels] of the same rows; key heads divide heads.</param>
    /// <param name="v">As k.</param>
    /// <returns>As q.</returns>
    public StreamRows AttendAlone(AttentionSite site, StreamRows q, StreamRows k, StreamRows v)
    {
        var rotary = _rotary?.Slice(q.First, q.Layout.Length);
        var attended = _attention.Attend(new AttentionCall(
            Heads(q), Heads(k), Heads(v), 1 / MathF.Sqrt(_headChannels), q.Layout, k.Layout, site, rotary, rotary));
        return q.With(attended.Reshape(q.Tensor.Shape));
    }

    /// <summary>The attention of rows to the prompts' texts, which are no rows of the stream; no row ends.</summary>
    /// <param name="site">Which layer.</param>
    /// <param name="q">[batch, rows, heads * channels]. They are not turned.</param>
    /// <param name="keys">Keys and values.</param>
    /// <param name="headChannels">The channels of a head in this layer.</param>
    /// <returns>As q.</returns>
    public StreamRows AttendText(AttentionSite site, StreamRows q, TextKeys keys, int headChannels)
    {
        Tensor Heads(Tensor rows) => rows.Reshape(rows.Shape[0], rows.Shape[1], -1, headChannels);
        var attended = _attention.Attend(new AttentionCall(
            Heads(q.Tensor), Heads(keys.Key), Heads(keys.Value), 1 / MathF.Sqrt(headChannels), q.Layout, keys.Layout, site));
        return q.With(attended.Reshape(q.Tensor.Shape));
    }

    /// <summary>Adds rows to those of the stream, each kind multiplied by its own gate.</summary>
    /// <param name="by">The gates.</param>
    /// <param name="update">[batch, rows, width] of all rows of some kinds that are in the stream.</param>
    public void AddGated(Branch by, StreamRows update)
    {
        var (start, _) = Layout.Only(update.Layout.Contains);
        foreach (var span in update.Layout.Spans)
        {
            var residual = _rows.Slice(1, start + span.Start, span.Length);
            residual.AddGated(by.Gate(span.Kind), update.Tensor.Slice(1, span.Start, span.Length), residual);
        }
    }

    /// <summary>Adds rows to those of the stream, each kind multiplied by its own gate; null multiplies nothing.</summary>
    /// <inheritdoc cref="AddGated"/>
    public void Add(Branch? by, StreamRows update)
    {
        if (by is { } branch)
        {
            AddGated(branch, update);
            return;
        }
        var (start, layout) = Layout.Only(update.Layout.Contains);
        var rows = _rows.Slice(1, start, layout.Length);
        rows.Add(update.Tensor, into: rows);
    }

    /// <summary>Says which kinds of rows nobody reads after the next attention; they give it keys and values, and end.</summary>
    internal void Begin(params TokenKind[] ending) => _ending = ending;

    /// <summary>Ends the rows that nobody reads any more, if the block's attention has not.</summary>
    internal void EndRows()
    {
        if (_prefix.RemoveAll(part => _ending.Contains(part.Kind)) > 0)
            ForgetKeys();
        if (!Layout.Spans.Any(span => _ending.Contains(span.Kind)))
            return;
        using var scope = new TensorScope();
        var (start, layout) = Layout.Only(Lives);
        Replace(_rows.Slice(1, start, layout.Length));
        Replace(ref _rotary, _rotary?.Slice(start, layout.Length));
        Replace(ref _besideNegative, Lives(TokenKind.NegativeText) ? _besideNegative?.Slice(start, layout.Length) : null);
        if (_marked != null)
        {
            var marks = TensorScope.Detach(_marked.Slice(0, start, layout.Length).Clone());
            _marked.Dispose();
            _marked = marks;
        }
        ForgetKeys();
        _spans.RemoveAll(part => _ending.Contains(part.Span.Kind));
        for (int i = 0; i < _spans.Count; i++)
            _spans[i] = _spans[i] with { Span = _spans[i].Span with { Start = _spans[i].Span.Start - start } };
        Layout = layout;
    }

    /// <summary>
    /// Puts twins behind the latents and references (<see cref="TokenKind.NegativeLatent"/>), which must be the last rows.
    /// </summary>
    internal void Fork()
    {
        using var scope = new TensorScope();
        var guided = _spans.Where(part => part.Span.Kind is TokenKind.Latent or TokenKind.Reference).ToArray();
        if (guided.Length == 0 || guided[^1].Span.End != Layout.Length)
            throw new InvalidOperationException("Latents can only be forked where they are the last rows of the stream.");
        int start = guided[0].Span.Start;
        int moved = Layout.Length - start;
        Replace(TensorOperations.Concatenate(1, _rows, _rows.Slice(1, start, moved)));
        foreach (var (span, ids, others) in guided)
            _spans.Add((new TokenSpan(TokenKind.NegativeLatent, span.Start + moved, span.Length), others ?? ids, null));
        Describe();
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        _rows.Dispose();
        _rotary?.Dispose();
        _besideNegative?.Dispose();
        _marked?.Dispose();
        ForgetKeys();
    }

    /// <summary>Whether rows of a kind are read after this block's attention.</summary>
    internal bool Lives(TokenKind kind) => !_ending.Contains(kind);

    /// <summary>
    /// Whether rows of a kind query in this block's attention. What the twins of the latents give is read in the attention itself.
    /// </summary>
    internal bool Queries(TokenKind kind) => Lives(kind) || kind == TokenKind.NegativeLatent;

    private Tensor Rows(TokenSpan span) => _rows.Slice(1, span.Start, span.Length);

    private Tensor Heads(StreamRows rows) => rows.Tensor.Reshape(rows.Tensor.Shape[0], rows.Layout.Length, -1, _headChannels);

    /// <summary>What the keys are, where there is a prefix: made when it is first asked for, and again when rows have ended.</summary>
    private Prefixed Keys => _prefixed ??= DescribeKeys();

    private static bool IsBehind(PrefixPart part) => part.Kind == TokenKind.Reference;

    private Prefixed DescribeKeys()
    {
        using var scope = new TensorScope();
        var own = _spans.Select(part => (part.Span, part.Ids, part.BesideNegative));
        var parts = _prefix.Where(part => !IsBehind(part)).Select(Described).Concat(own)
            .Concat(_prefix.Where(IsBehind).Select(Described)).ToArray();
        var spans = new List<TokenSpan>();
        foreach (var (span, _, _) in parts)
            spans.Add(span with { Start = spans.Count == 0 ? 0 : spans[^1].End });
        RotaryEmbedding? rotary = null, besideNegative = null;
        if (_axes != null)
        {
            Replace(ref rotary, _axes.Table(_rows.Device, [.. parts.Select(part => part.Ids)]));
            if (HasNegativeText && parts.Any(part => part.BesideNegative != null))
                Replace(ref besideNegative, _axes.Table(_rows.Device, [.. parts.Select(part => part.BesideNegative ?? part.Ids)]));
        }
        return new Prefixed(new TokenLayout(spans), rotary, besideNegative);

        static (TokenSpan Span, TokenIds Ids, TokenIds? BesideNegative) Described(PrefixPart part) =>
            (new TokenSpan(part.Kind, 0, part.Ids.Count), part.Ids, part.BesideNegative);
    }

    private void ForgetKeys()
    {
        _prefixed?.Rotary?.Dispose();
        _prefixed?.BesideNegative?.Dispose();
        _prefixed = null;
    }

    private void Describe()
    {
        Layout = new TokenLayout([.. _spans.Select(part => part.Span)]);
        if (_axes == null)
            return;
        Replace(ref _rotary, _axes.Table(_rows.Device, [.. _spans.Select(part => part.Ids)]));
        if (Layout.Contains(TokenKind.NegativeText) && _spans.Any(part => part.BesideNegative != null))
            Replace(ref _besideNegative, _axes.Table(_rows.Device, [.. _spans.Select(part => part.BesideNegative ?? part.Ids)]));
    }

    private void Replace(Tensor rows)
    {
        _rows.Dispose();
        _rows = TensorScope.Detach(rows);
    }

    private static void Replace(ref RotaryEmbedding? table, RotaryEmbedding? by)
    {
        table?.Dispose();
        table = by;
        if (by != null)
        {
            TensorScope.Detach(by.Cosine);
            TensorScope.Detach(by.Sine);
        }
    }

    /// <summary>The keys of the prefix and of the stream's rows, and what turns them.</summary>
    private sealed record Prefixed(TokenLayout Layout, RotaryEmbedding? Rotary, RotaryEmbedding? BesideNegative);
}
