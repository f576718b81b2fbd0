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
/// What guidance rules read of one attention call: plain attention outputs of the latent rows over parts of the keys, each computed at most once and only when
/// asked for. The latents' partial over the latents is shared by the prompt and the negative prompt. Facts stay plain whatever rules do.
/// All results are [batch, latent rows, heads, channels] unless stated; rows are the latents, then the references, in packing order. They are owned by the facts.
/// </summary>
public sealed class AttentionFacts : IDisposable
{
    private static readonly TokenKind[] GuidedKinds = [TokenKind.Latent, TokenKind.Reference];
    private readonly Lazy<Tensor> _query;
    private readonly Lazy<Tensor> _key;
    private readonly Lazy<AttentionPartial> _overLatents;
    private readonly Lazy<AttentionPartial> _overText;
    private readonly Lazy<AttentionPartial> _latents;
    private readonly Lazy<AttentionPartial> _negativeLatents;
    private readonly Lazy<Tensor> _textMass;

    internal AttentionFacts(AttentionCall call)
    {
        Call = call;
        _query = new(() => Rotated(call.Query, call.QueryRotary), isThreadSafe: false);
        _key = new(() => Rotated(call.Key, call.KeyRotary), isThreadSafe: false);
        (Start, Length) = LatentRows(call.Queries);
        _overLatents = new(() => Attend(Start, Length, GuidedKinds), isThreadSafe: false);
        _overText = new(() => Attend(Start, Length, [TokenKind.Text]), isThreadSafe: false);
        _latents = new(() => NeedsParts ? Merge(_overLatents.Value, _overText.Value) : Attend(Start, Length, [TokenKind.Text, .. GuidedKinds]), isThreadSafe: false);
        _negativeLatents = new(ComputeNegativeLatents, isThreadSafe: false);
        _textMass = new(ComputeTextMass, isThreadSafe: false);
    }

    /// <summary>The call that the facts are about.</summary>
    public AttentionCall Call { get; }

    /// <summary>Where the guided rows (latents and references) begin among the queries.</summary>
    public int Start { get; }

    /// <summary>How many rows are guided.</summary>
    public int Length { get; }

    /// <summary>Z+: the latents over the prompt's text and the latents.</summary>
    public Tensor Latents => _latents.Value.Output;

    /// <summary>
    /// Z-: the latents over the negative text and the latents; where negative latents exist, the output of those rows over the negative text
    /// and the negative latents.
    /// </summary>
    /// <exception cref="InvalidOperationException">The call has no negative text.</exception>
    public Tensor NegativeLatents => _negativeLatents.Value.Output;

    /// <summary>Whether the call has negative text.</summary>
    public bool HasNegativeText => Call.Keys.Contains(TokenKind.NegativeText);

    /// <summary>The latents over the prompt's text alone.</summary>
    public Tensor TextDense => _overText.Value.Output;

    /// <summary>[batch, latent rows, heads]: the share of a row's attention that the prompt's text gets; 1 in cross-attention.</summary>
    public Tensor TextMass => _textMass.Value;

    /// <summary>[batch, query tokens, heads, channels]: all queries after the rotary embedding.</summary>
    public Tensor Query => _query.Value;

    /// <summary>All keys after the rotary embedding.</summary>
    public Tensor Key => _key.Value;

    /// <summary>Whether a rule needs more than <see cref="Latents"/>, so that these are put together from parts that serve the other facts too.</summary>
    internal bool NeedsParts { get; init; }

    /// <summary>
    /// The latent rows when each of them sees, of the latents, itself alone, and the prompt's text where the keys hold it: the values themselves in self-attention. A tensor of the current scope.
    /// </summary>
    public Tensor LatentsOverThemselves()
    {
        using var scope = new TensorScope();
        var query = Query.Slice(1, Start, Length);
        var (first, _) = LatentRows(Call.Keys);
        var (keys, values) = (Key.Slice(1, first, Length), Call.Value.Slice(1, first, Length));
        var (batch, heads, group) = (query.Shape[0], query.Shape[2], query.Shape[2] / keys.Shape[2]);
        var output = Tensor.Empty(query.Shape, query.Device);
        var logSumExp = Tensor.Empty(query.Shape.Take(..3), query.Device);
        Workers.For(batch * Length, index =>
        {
            var (item, row) = (index / Length, index % Length);
            int keyItem = keys.Shape[0] == 1 ? 0 : item;
            for (int head = 0; head < heads; head++)
            {
                values.Row(keyItem, row, head / group).CopyTo(output.Row(item, row, head));
                logSumExp.Row(item, row)[head] = Call.Scale * System.Numerics.Tensors.TensorPrimitives.Dot(query.Row(item, row, head), keys.Row(keyItem, row, head / group));
            }
        });
        if (Call.Keys.Contains(TokenKind.Text))
            output.Device.MergeAttention(output, logSumExp, _overText.Value.Output, _overText.Value.LogSumExp, output, null);
        return scope.Keep(output);
    }

    /// <summary>Some queries over the keys of some kinds.</summary>
    /// <param name="start">The first query.</param>
    /// <param name="length">The number of queries.</param>
    /// <param name="kinds">The kinds of keys that count.</param>
    /// <param name="into">Where the output goes; null allocates.</param>
    /// <returns>The partial; the caller disposes it.</returns>
    internal AttentionPartial Attend(int start, int length, ReadOnlySpan<TokenKind> kinds, Tensor? into = null)
    {
        var runs = Call.Keys.Runs(kinds);
        if (runs.Count == 0)
            runs.Add((0, 0));
        using var scope = new TensorScope();
        var query = Query.Slice(1, start, length);
        var output = into?.View() ?? Tensor.Empty(query.Shape, query.Device);
        var logSumExp = Tensor.Empty(query.Shape.Take(..3), query.Device);
        for (int i = 0; i < runs.Count; i++)
        {
            var (first, count) = runs[i];
            var part = i == 0 ? output : Tensor.Empty(query.Shape, query.Device);
            var sums = i == 0 ? logSumExp : Tensor.Empty(logSumExp.Shape, query.Device);
            query.Attention(Key.Slice(1, first, count), Call.Value.Slice(1, first, count), Call.Scale, MaskOf(start, length, first, count), part, sums);
            if (i > 0)
                query.Device.MergeAttention(output, logSumExp, part, sums, output, logSumExp);
        }
        return new AttentionPartial(TensorScope.Detach(output), TensorScope.Detach(logSumExp));
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        Release(_overLatents);
        Release(_overText);
        Release(_latents);
        Release(_negativeLatents);
        Release(_textMass);
        if (Call.QueryRotary != null)
            Release(_query);
        if (Call.KeyRotary != null)
            Release(_key);
    }

    private static void Release<T>(Lazy<T> value)
        where T : IDisposable
    {
        if (value.IsValueCreated)
            value.Value.Dispose();
    }

    private static Tensor Rotated(Tensor x, RotaryEmbedding? rotary) => rotary == null ? x : TensorScope.Detach(x.Rotate(rotary));

    private static (int Start, int Length) LatentRows(TokenLayout queries)
    {
        var runs = queries.Runs(GuidedKinds);
        return runs.Count switch
        {
            0 => (0, 0),
            1 => runs[0],
            _ => throw new ArgumentException("Latents and references must follow each other in the packed queries.", nameof(queries)),
        };
    }

    private AttentionPartial ComputeNegativeLatents()
    {
        if (!HasNegativeText)
            throw new InvalidOperationException($"{Call.Site.Path}: a rule needs the negative prompt, but the call has no negative text.");
        var mirrored = Call.Queries.Runs(TokenKind.NegativeLatent);
        if (mirrored.Count > 0)
            return Attend(mirrored[0].Start, mirrored[0].Length, [TokenKind.NegativeText, TokenKind.NegativeLatent]);
        using var negative = Attend(Start, Length, [TokenKind.NegativeText]);
        return Merge(_overLatents.Value, negative);
    }

    private static AttentionPartial Merge(AttentionPartial first, AttentionPartial second)
    {
        var output = TensorScope.Detach(Tensor.Empty(first.Output.Shape, first.Output.Device));
        var logSumExp = TensorScope.Detach(Tensor.Empty(first.LogSumExp.Shape, first.Output.Device));
        output.Device.MergeAttention(first.Output, first.LogSumExp, second.Output, second.LogSumExp, output, logSumExp);
        return new AttentionPartial(output, logSumExp);
    }

    private Tensor ComputeTextMass()
    {
        var (text, all) = (_overText.Value.LogSumExp, _latents.Value.LogSumExp);
        var mass = TensorScope.Detach(Tensor.Empty(text.Shape, text.Device));
        var part = text.Span;
        var whole = all.Span;
        var result = mass.Span;
        for (int i = 0; i < result.Length; i++)
            result[i] = float.IsNegativeInfinity(part[i]) ? 0 : MathF.Exp(part[i] - whole[i]);
        return mass;
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
