using Attune.Tensors;
using Attune.TextEncoders.Clip;
using Attune.Tokenizers;

namespace Attune.Prompts;

/// <summary>The ids of a prompt: one row, or as many as a long prompt needs.</summary>
/// <param name="Ids">The rows, of one length.</param>
/// <param name="Weights">The weights of all ids, or null where all are 1.</param>
/// <param name="Weighting">What weights do.</param>
internal sealed record ClipRows(
    List<int[]> Ids, List<float[]>? Weights = null, PromptWeighting Weighting = PromptWeighting.None)
{
    /// <summary>The ids of a row.</summary>
    public int Length => Ids[0].Length;
}

/// <summary>A CLIP text encoder with its tokenizer.</summary>
internal sealed class ClipStage(Tokenizer tokenizer, ClipTextModel model) : IDisposable
{
    public ClipTextModel Model => model;

    /// <summary>The ids of a prompt.</summary>
    /// <param name="prompt">The text.</param>
    /// <param name="length">The length of a row; null is the encoder's.</param>
    /// <param name="settings">Whether a long prompt is cut into rows rather than cut off, and how weights are read; null for
    /// neither.</param>
    /// <param name="warning">Receives what was cut off.</param>
    /// <exception cref="ArgumentException">The encoder does not take so many tokens.</exception>
    public ClipRows Tokenize(string prompt, int? length, PromptSettings? settings = null, Action<string>? warning = null)
    {
        int row = length ?? model.MaxLength;
        bool pieces = settings?.LongPrompts ?? false;
        if (row > model.MaxLength)
            throw new ArgumentException(
                $"MaxSequenceLength is {row}; the CLIP text encoder takes {model.MaxLength} tokens at "
                    + $"most{(pieces ? "" : ", longer prompts with LongPrompts")}.");
        var weighting = settings?.Weights ?? PromptWeighting.None;
        if (weighting == PromptWeighting.None && !pieces)
            return new ClipRows([PromptTokens.Of(tokenizer, prompt, row, warning)]);
        int room = row - 2;
        if (room < 1)
            throw new ArgumentException($"MaxSequenceLength is {row}; pieces of a prompt need 3 tokens or more.");
        var (ids, weights) = (new List<int[]>(), new List<float[]>());
        foreach (var piece in Pieces(prompt, weighting, room, pieces))
        {
            if (ids.Count == 1 && !pieces)
            {
                PromptTokens.WarnOfCut(tokenizer, [.. piece.Select(token => token.Id)], row, warning);
                break;
            }

            // A row of the empty text is a start, an end, and pads.
            int[] empty = Empty(row);
            ids.Add([.. new[] { empty[0] }.Concat(piece.Select(token => token.Id)).Append(empty[1]).Concat(empty.Skip(2)).Take(row)]);
            weights.Add(
                [.. piece.Select(token => token.Weight).Prepend(1).Concat(Enumerable.Repeat(1f, row)).Take(row)]);
        }
        return new ClipRows(ids, weights.TrueForAll(all => Array.TrueForAll(all, weight => weight == 1)) ? null : weights, weighting);
    }

    /// <summary>Adds rows of the empty text.</summary>
    public void Pad(ClipRows rows, int count)
    {
        while (rows.Ids.Count < count)
        {
            rows.Ids.Add(Empty(rows.Length));
            rows.Weights?.Add([.. Enumerable.Repeat(1f, rows.Length)]);
        }
    }

    /// <summary>
    /// The hidden state before the last <paramref name="skip"/> layers, of all rows one after the other: [1, rows of tokens, channels];
    /// after the final layer norm if asked for.
    /// </summary>
    /// <param name="rows">The ids.</param>
    /// <param name="skip">How many layers are left out.</param>
    /// <param name="normalised">Whether the final layer norm acts.</param>
    /// <param name="pooled">Whether the pooled embedding of the first row is asked for, which has no weights.</param>
    /// <param name="cancellation">Stops it.</param>
    /// <returns>The text; the same for values of cross-attention where they are others, else null; the pooled embedding or null.</returns>
    /// <exception cref="ArgumentException">There are not so many layers.</exception>
    public (Tensor Text, Tensor? Values, Tensor? Pooled) Encode(
        ClipRows rows, int skip, bool normalised, bool pooled, CancellationToken cancellation)
    {
        if (skip >= model.Layers)
            throw new ArgumentException($"ClipSkip leaves out {skip} layers of the CLIP text encoder, which has {model.Layers}.");
        bool last = normalised && skip == 0;
        using var scope = new TensorScope();
        Tensor Of(IReadOnlyList<int[]> ids, bool pool, out Tensor? embedding)
        {
            var output = model.Encode(ids, last ? null : [-1 - skip], last, pool, cancellation);
            embedding = output.TextEmbeds ?? output.PooledOutput;
            return last ? output.LastHiddenState! : normalised ? model.FinalLayerNorm(output.HiddenStates[0]) : output.HiddenStates[0];
        }

        Tensor Keep(Tensor text) => scope.Keep(text.Reshape(1, -1, model.Channels));
        var text = Of(rows.Ids, pooled, out var embeddings);
        Tensor? values = null;
        if (rows.Weights is { } weights)
        {
            (text, values) = rows.Weighting is PromptWeighting.A1111 or PromptWeighting.A1111NoNorm
                ? (Scale(text, weights, keepMean: rows.Weighting == PromptWeighting.A1111), null)
                : FromEmpty(text, Of([Empty(rows.Length)], false, out _), weights, rows.Weighting == PromptWeighting.NegPip);
        }
        var first = embeddings == null ? null : scope.Keep(embeddings.Slice(0, 0, 1));
        return (Keep(text), values == null ? null : Keep(values), first);
    }

    public void Dispose() => model.Dispose();

    private int[] Empty(int length) => PromptTokens.Of(tokenizer, "", length, null);

    /// <summary>The tokens of a prompt with their weights, in pieces of at most so many; no more than two where only one is read.
    /// </summary>
    private List<List<(int Id, float Weight)>> Pieces(string prompt, PromptWeighting weighting, int room, bool pieces)
    {
        var all = new List<List<(int, float)>> { new() };
        foreach (var part in WeightedTexts.Parse(prompt, weighting))
        {
            if (part.IsBreak)
            {
                if (!pieces)
                    throw new ArgumentException("The prompt holds BREAK, which begins a new piece; expected LongPrompts with it.");
                all.Add([]);
                continue;
            }

            // Each part is tokenised by itself: a bracket ends a word.
            foreach (int id in tokenizer.Encode(part.Text, new TokenizerOptions { AddSpecialTokens = false }).Ids)
            {
                if (all[^1].Count == room && (pieces || all.Count == 1))
                    all.Add([]);
                all[^1].Add((id, (float)part.Weight));
            }
        }

        // A break at the end begins nothing.
        if (all.Count > 1 && all[^1].Count == 0)
            all.RemoveAt(all.Count - 1);
        return all;
    }

    /// <summary>Hidden states times their weights; then each row of tokens may be brought to the mean that it had.</summary>
    private static Tensor Scale(Tensor text, List<float[]> weights, bool keepMean)
    {
        var scaled = text.Multiply(Factors(text, weights, weight => weight));
        if (!keepMean)
            return scaled;
        float[] ratios = [.. Means(text).Zip(Means(scaled), (before, after) => (float)(before / after))];
        return scaled.Multiply(Tensor.From(text.Device, ratios, [ratios.Length, 1, 1]));
    }

    /// <summary>
    /// Hidden states on the line from those of the empty prompt, at the same position, to the text's; a weight of 1 is the text's. Where
    /// weights below zero only change the sign of values, there are values.
    /// </summary>
    private static (Tensor Text, Tensor? Values) FromEmpty(Tensor text, Tensor empty, List<float[]> weights, bool signsValues)
    {
        Func<float, float> amount = signsValues ? Math.Abs : weight => weight;
        var mixed = text.Multiply(Factors(text, weights, amount)).Add(empty.Multiply(Factors(text, weights, weight => 1 - amount(weight))));
        return (mixed, signsValues ? mixed.Multiply(Factors(text, weights, weight => weight < 0 ? -1 : 1)) : null);
    }

    private static Tensor Factors(Tensor text, List<float[]> weights, Func<float, float> factor) =>
        Tensor.From(text.Device, [.. weights.SelectMany(row => row.Select(factor))], [weights.Count, weights[0].Length, 1]);

    /// <summary>The mean of each row of tokens, over them and all channels.</summary>
    private static double[] Means(Tensor text) =>
        [.. text.ToArray().Chunk(text.Shape[1] * text.Shape[2]).Select(row => row.Average(value => (double)value))];
}
