using Attune.Tensors;

namespace Attune.Attention;

/// <summary>The output of some queries over some keys, and its log-sum-exp, with which it merges with others.</summary>
public sealed class AttentionPartial : IDisposable
{
    internal AttentionPartial(Tensor output, Tensor logSumExp) => (Output, LogSumExp) = (output, logSumExp);

    /// <summary>[batch, queries, heads, channels].</summary>
    public Tensor Output { get; }

    /// <summary>[batch, queries, heads], natural logarithm; minus infinity where no key counts.</summary>
    public Tensor LogSumExp { get; }

    /// <inheritdoc/>
    public void Dispose()
    {
        Output.Dispose();
        LogSumExp.Dispose();
    }
}

/// <summary>
/// A rule that reads <see cref="AttentionFacts.TextSparse"/>: with its alpha known from the start, the logits over the text are computed
/// once for dense and sparse.
/// </summary>
public interface ISparseTextReader
{
    /// <summary>The alpha that the rule asks for.</summary>
    float Entmax { get; }
}

/// <summary>
/// What guidance rules read of one attention call: plain attention outputs of the latent rows over parts of the keys, each computed at most
/// once and only when asked for. The latents' partial over the latents is shared by the prompt and the negative prompt, unless they stand
/// elsewhere beside the negative text (<see cref="AttentionCall.BesideNegative"/>); where references alone do, all but theirs is. Facts
/// stay plain whatever rules do. All results are
/// [batch, latent rows, heads, channels] unless stated; rows are the latents, then the references, in packing order. They are owned by the
/// facts, are only read, and may be the same tensor: in cross-attention, where the keys hold no latents, the latents' output is that over
/// the text.
/// </summary>
public sealed class AttentionFacts : IDisposable
{
    private static readonly TokenKind[] GuidedKinds = [TokenKind.Latent, TokenKind.Reference];
    private readonly bool _mixed;
    private Tensor? _query;
    private Tensor? _key;
    private (Tensor Query, Tensor Key)? _besideNegative;
    private AttentionPartial? _overLatents;
    private AttentionPartial? _overStaying;
    private AttentionPartial? _overText;
    private AttentionPartial? _overNegativeText;
    private AttentionPartial? _latents;
    private AttentionPartial? _negativeLatents;
    private Tensor? _textMass;
    private Dictionary<float, (Tensor Output, Tensor Support)>? _sparse;

    /// <summary>The facts about a call; nothing is computed yet. The tensors of the call must live as long.</summary>
    /// <exception cref="ArgumentException">Latents and references do not follow each other in the packed queries.</exception>
    public AttentionFacts(AttentionCall call)
    {
        ArgumentNullException.ThrowIfNull(call);
        Call = call;
        (Start, Length) = OneRun(call.Queries, GuidedKinds, "Latents and references must follow each other in the packed queries.");
        _mixed = call.Keys.Contains(TokenKind.Latent) || call.Keys.Contains(TokenKind.Reference);
    }

    /// <summary>The call that the facts are about.</summary>
    public AttentionCall Call { get; }

    /// <summary>Where the guided rows (latents and references) begin among the queries.</summary>
    public int Start { get; }

    /// <summary>How many rows are guided.</summary>
    public int Length { get; }

    /// <summary>Z+: the latents over the prompt's text and the latents.</summary>
    public Tensor Latents => LatentsPartial.Output;

    /// <summary>
    /// Z-: the latents over the negative text and the latents; where negative latents exist, the output of those rows over the negative
    /// text and the negative latents.
    /// </summary>
    /// <exception cref="InvalidOperationException">The call has no negative text.</exception>
    public Tensor NegativeLatents => (_negativeLatents ??= ComputeNegativeLatents()).Output;

    /// <summary>Whether the call has negative text.</summary>
    public bool HasNegativeText => Call.Keys.Contains(TokenKind.NegativeText);

    /// <summary>The latents over the prompt's text alone.</summary>
    public Tensor TextDense => OverText.Output;

    /// <summary>
    /// [batch, latent rows, heads]: the share of a row's attention that the prompt's text gets; 1 in cross-attention, 0 where no text
    /// counts.
    /// </summary>
    public Tensor TextMass => _textMass ??= ComputeTextMass();

    /// <summary>[batch, query tokens, heads, channels]: all queries after the rotary embedding.</summary>
    public Tensor Query => _query ??= Rotated(Call.Query, Call.QueryRotary);

    /// <summary>[batch or 1, key tokens, key heads, channels]: all keys after the rotary embedding.</summary>
    public Tensor Key => _key ??= Rotated(Call.Key, Call.KeyRotary);

    /// <summary>
    /// Whether a rule needs more than <see cref="Latents"/>, so that these are put together from parts that serve the other facts too.
    /// </summary>
    internal bool NeedsParts { get; init; }

    /// <summary>
    /// The alpha that <see cref="TextSparse"/> will be asked for, where it is known: then the logits over the text are computed once for
    /// both outputs.
    /// </summary>
    internal float? ExpectedEntmax { get; init; }

    /// <summary><see cref="Latents"/> with their log-sum-exp.</summary>
    internal AttentionPartial LatentsPartial => _latents ??= !_mixed ? OverText
        : NeedsParts ? Merge(OverLatents, OverText)
        : Attend(Start, Length, [TokenKind.Text, .. GuidedKinds]);

    /// <summary>The latents over the negative text alone.</summary>
    /// <exception cref="InvalidOperationException">The call has no negative text.</exception>
    internal AttentionPartial OverNegativeText => _overNegativeText ??= AttendNegativeText();

    /// <summary>Queries and keys where they stand beside the negative text.</summary>
    private (Tensor Query, Tensor Key) BesideNegative => Call.BesideNegative is not { } rotary ? (Query, Key)
        : _besideNegative ??= (Rotated(Call.Query, rotary.Query), Rotated(Call.Key, rotary.Key));

    private AttentionPartial OverLatents => _overLatents ??= ReferencesMove ? OverReferencesToo() : Attend(Start, Length, GuidedKinds);

    /// <summary>Whether references alone stand elsewhere beside the negative text.</summary>
    private bool ReferencesMove => Call is { BesideNegative: not null, LatentsStay: true } && HasNegativeText;

    /// <summary>The latents over those keys among them that stand alike beside both texts.</summary>
    private AttentionPartial OverStaying => _overStaying ??= Attend(Start, Length, [TokenKind.Latent]);

    private AttentionPartial OverText
    {
        get
        {
            if (_overText == null && ExpectedEntmax is { } alpha)
                _ = Sparse(alpha);
            return _overText ??= Attend(Start, Length, [TokenKind.Text]);
        }
    }

    /// <summary>
    /// The latents over the prompt's text alone, with alpha-entmax weights of the same logits in the place of softmax
    /// (<see cref="Device.Entmax"/>).
    /// </summary>
    /// <param name="alpha">1 or more; 1 is <see cref="TextDense"/>, 2 sparsemax.</param>
    /// <exception cref="ArgumentOutOfRangeException">alpha is below 1 or not finite.</exception>
    /// <exception cref="ArgumentException">The prompt's text is not one run of keys.</exception>
    public Tensor TextSparse(float alpha) => alpha == 1 ? TextDense : Sparse(alpha).Output;

    /// <summary>
    /// [batch, latent rows, heads]: how many tokens of the prompt's text have a weight above 0 in <see cref="TextSparse"/>.
    /// </summary>
    /// <inheritdoc cref="TextSparse"/>
    public Tensor SupportSize(float alpha) => Sparse(alpha).Support;

    /// <summary>
    /// The latent rows when each of them sees, of the latents, itself alone, and the prompt's text where the keys hold it: the values
    /// themselves in self-attention. A tensor of the current scope.
    /// </summary>
    public Tensor LatentsOverThemselves()
    {
        using var scope = new TensorScope();
        var query = Query.Slice(1, Start, Length);
        var (first, _) = OneRun(Call.Keys, GuidedKinds, "Latents and references must follow each other in the packed keys.");
        var (keys, values) = (Key.Slice(1, first, Length), Call.Value.Slice(1, first, Length));

        // Heads of the queries, [key heads, group], stand beside those of the keys, [key heads, 1].
        var (batch, keyHeads, channels) = (query.Shape[0], keys.Shape[2], query.Shape[3]);
        int group = query.Shape[2] / keyHeads;
        Tensor Grouped(Tensor x) => x.Reshape(x.Shape[0], Length, keyHeads, 1, channels).Expand(0, batch).Expand(3, group);
        var output = query.Like(query.Shape);
        Grouped(values).CopyTo(output.Reshape(batch, Length, keyHeads, group, channels));
        var logSumExp = query.Reshape(batch, Length, keyHeads, group, channels).RowDots(Grouped(keys)).Affine(Call.Scale)
            .Reshape(batch, Length, query.Shape[2]);
        if (Call.Keys.Contains(TokenKind.Text))
            output.Device.MergeAttention(output, logSumExp, OverText.Output, OverText.LogSumExp, output, null);
        return scope.Keep(output);
    }

    /// <summary>Some queries over the keys of some kinds.</summary>
    /// <param name="start">The first query.</param>
    /// <param name="length">The number of queries.</param>
    /// <param name="kinds">The kinds of keys that count.</param>
    /// <param name="into">Where the output goes; null allocates.</param>
    /// <param name="besideNegative">Whether all stand where they are beside the negative text.</param>
    /// <returns>The partial; the caller disposes it.</returns>
    internal AttentionPartial Attend(
        int start, int length, ReadOnlySpan<TokenKind> kinds, Tensor? into = null, bool besideNegative = false)
    {
        // Where the latents stay, few keys are turned anew, each run when it is its turn.
        bool anew = besideNegative && Call.LatentsStay && Call.BesideNegative != null;
        var (queries, keys) = besideNegative && !anew ? BesideNegative : (Query, Key);
        var runs = Call.Keys.Runs(kinds);
        if (runs.Count == 0)
            runs.Add((0, 0));
        using var scope = new TensorScope();
        var query = queries.Slice(1, start, length);
        var output = into?.View() ?? query.Like(query.Shape);
        var logSumExp = query.Like(query.Shape.Take(..3));
        for (int i = 0; i < runs.Count; i++)
        {
            var (first, count) = runs[i];
            var part = i == 0 ? output : query.Like(query.Shape);
            var sums = i == 0 ? logSumExp : query.Like(logSumExp.Shape);
            var mask = MaskOf(start, length, first, count);
            var key = anew ? Call.Key.Slice(1, first, count).Rotate(Call.BesideNegative!.Value.Key.Slice(first, count))
                : keys.Slice(1, first, count);
            query.Attention(key, Call.Value.Slice(1, first, count), Call.Scale, mask, part, sums);
            if (i > 0)
                query.Device.MergeAttention(output, logSumExp, part, sums, output, logSumExp);
        }
        return new AttentionPartial(TensorScope.Detach(output), TensorScope.Detach(logSumExp));
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        _overLatents?.Dispose();
        _overStaying?.Dispose();
        _overText?.Dispose();
        _overNegativeText?.Dispose();
        _latents?.Dispose();
        _negativeLatents?.Dispose();
        _textMass?.Dispose();
        if (_sparse != null)
        {
            foreach (var (output, support) in _sparse.Values)
            {
                output.Dispose();
                support.Dispose();
            }
        }
        _besideNegative?.Query.Dispose();
        _besideNegative?.Key.Dispose();
        if (Call.QueryRotary != null)
            _query?.Dispose();
        if (Call.KeyRotary != null)
            _key?.Dispose();
    }

    private static Tensor Rotated(Tensor x, RotaryEmbedding? rotary) => rotary == null ? x : TensorScope.Detach(x.Rotate(rotary));

    private static (int Start, int Length) OneRun(TokenLayout layout, ReadOnlySpan<TokenKind> kinds, string otherwise)
    {
        var runs = layout.Runs(kinds);
        return runs.Count switch
        {
            0 => (0, 0),
            1 => runs[0],
            _ => throw new ArgumentException(otherwise),
        };
    }

    private AttentionPartial AttendNegativeText() => HasNegativeText
        ? Attend(Start, Length, [TokenKind.NegativeText], besideNegative: true)
        : throw new InvalidOperationException($"{Call.Site.Path}: a rule needs the negative prompt, but the call has no negative text.");

    private AttentionPartial ComputeNegativeLatents()
    {
        var mirrored = Call.Queries.Runs(TokenKind.NegativeLatent);
        if (mirrored.Count > 0 && HasNegativeText)
            return Attend(mirrored[0].Start, mirrored[0].Length, [TokenKind.NegativeText, TokenKind.NegativeLatent]);
        if (!_mixed)
            return OverNegativeText;
        if (ReferencesMove)
        {
            var moved = Attend(Start, Length, [TokenKind.NegativeText, TokenKind.Reference], besideNegative: true);
            MergeInto(moved, OverStaying);
            return moved;
        }
        if (Call.BesideNegative != null && HasNegativeText)
            return Attend(Start, Length, [TokenKind.NegativeText, .. GuidedKinds], besideNegative: true);
        if (_overNegativeText != null)
            return Merge(OverLatents, _overNegativeText);

        // Nobody else reads the part over the negative text: the merged output takes its place.
        var negative = AttendNegativeText();
        MergeInto(negative, OverLatents);
        return negative;
    }

    private AttentionPartial OverReferencesToo()
    {
        var references = Attend(Start, Length, [TokenKind.Reference]);
        MergeInto(references, OverStaying);
        return references;
    }

    /// <summary>Takes other keys into a partial, whose own output nobody reads.</summary>
    private static void MergeInto(AttentionPartial partial, AttentionPartial other) => partial.Output.Device.MergeAttention(
        other.Output, other.LogSumExp, partial.Output, partial.LogSumExp, partial.Output, partial.LogSumExp);

    private static AttentionPartial Merge(AttentionPartial first, AttentionPartial second)
    {
        var output = TensorScope.Detach(first.Output.Like(first.Output.Shape));
        var logSumExp = TensorScope.Detach(first.LogSumExp.Like(first.LogSumExp.Shape));
        output.Device.MergeAttention(first.Output, first.LogSumExp, second.Output, second.LogSumExp, output, logSumExp);
        return new AttentionPartial(output, logSumExp);
    }

    private (Tensor Output, Tensor Support) Sparse(float alpha)
    {
        _sparse ??= [];
        if (_sparse.TryGetValue(alpha, out var known))
            return known;
        var (first, count) = OneRun(
            Call.Keys, [TokenKind.Text], $"{Call.Site.Path}: the prompt's text must be one run of keys for sparse attention.");
        using var scope = new TensorScope();
        var query = Query.Slice(1, Start, Length);
        var output = query.Like(query.Shape);
        var support = query.Like(query.Shape.Take(..3));
        var dense = _overText == null ? query.Like(query.Shape) : null;
        var logSumExp = _overText == null ? query.Like(support.Shape) : null;
        query.EntmaxAttention(
            Key.Slice(1, first, count), Call.Value.Slice(1, first, count), Call.Scale, alpha, MaskOf(Start, Length, first, count), output,
            dense, logSumExp, support);
        if (dense != null)
            _overText = new AttentionPartial(TensorScope.Detach(dense), TensorScope.Detach(logSumExp!));
        return _sparse[alpha] = (TensorScope.Detach(output), TensorScope.Detach(support));
    }

    private Tensor ComputeTextMass()
    {
        using var scope = new TensorScope();

        // Finite even where no key counts, so that the mass is 0 there. In cross-attention both are the same.
        var all = LatentsPartial.LogSumExp.Clamp(float.MinValue, float.MaxValue);
        return TensorScope.Detach(OverText.LogSumExp.Subtract(all).Activate(Activation.Exp));
    }

    /// <summary>The call's mask, cut to some queries and keys.</summary>
    private AttentionMask? MaskOf(int start, int length, int first, int count)
    {
        if (Call.Mask is not { } mask)
            return null;
        if (mask.Causal)
            throw new NotSupportedException($"{Call.Site.Path}: a causal mask does not go with a packed sequence.");
        return mask with
        {
            Keys = mask.Keys?.Slice(1, first, count),
            Bias = mask.Bias?.Slice(2, start, length).Slice(3, first, count),
        };
    }
}
