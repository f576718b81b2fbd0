using Attune.Tensors;
using Attune.TextEncoders.Clip;
using Attune.Tokenizers;

namespace Attune.Prompts;

/// <summary>A CLIP text encoder with its tokenizer.</summary>
internal sealed class ClipStage(Tokenizer tokenizer, ClipTextModel model) : IDisposable
{
    public ClipTextModel Model => model;

    /// <summary>The ids of a prompt: one row, or with <paramref name="pieces"/> as many as the prompt needs.</summary>
    /// <param name="prompt">The text.</param>
    /// <param name="length">The length of a row; null is the encoder's.</param>
    /// <param name="pieces">Whether a long prompt is cut into rows rather than cut off.</param>
    /// <param name="warning">Receives what was cut off.</param>
    /// <exception cref="ArgumentException">The encoder does not take so many tokens.</exception>
    public List<int[]> Tokenize(string prompt, int? length, bool pieces, Action<string>? warning = null)
    {
        int row = length ?? model.MaxLength;
        if (row > model.MaxLength)
            throw new ArgumentException(
                $"MaxSequenceLength is {row}; the CLIP text encoder takes {model.MaxLength} tokens at "
                    + $"most{(pieces ? "" : ", longer prompts with LongPrompts")}.");
        if (!pieces)
            return [PromptTokens.Of(tokenizer, prompt, row, warning)];

        // A row of the empty text is a start, an end, and pads.
        int[] empty = Tokenize("", row, pieces: false)[0];
        int[] ids = tokenizer.Encode(prompt, new TokenizerOptions { AddSpecialTokens = false }).Ids;
        int room = row - 2;
        if (room < 1)
            throw new ArgumentException($"MaxSequenceLength is {row}; pieces of a prompt need 3 tokens or more.");
        var rows = new List<int[]>();
        for (int at = 0; at == 0 || at < ids.Length; at += room)
        {
            int count = Math.Min(room, ids.Length - at);
            int[] piece = [empty[0], .. ids.AsSpan(at, count), empty[1], .. empty.AsSpan(Math.Min(2, empty.Length))];
            rows.Add(piece[..row]);
        }
        return rows;
    }

    /// <summary>Adds rows of the empty text.</summary>
    public void Pad(List<int[]> rows, int count)
    {
        while (rows.Count < count)
            rows.Add(Tokenize("", rows[0].Length, pieces: false)[0]);
    }

    /// <summary>
    /// The hidden state before the last <paramref name="skip"/> layers, of all rows one after the other: [1, rows of tokens, channels];
    /// after the final layer norm if asked for.
    /// </summary>
    /// <exception cref="ArgumentException">There are not so many layers.</exception>
    public (Tensor Text, Tensor? Pooled) Encode(List<int[]> rows, int skip, bool normalised, bool pooled, CancellationToken cancellation)
    {
        if (skip >= model.Layers)
            throw new ArgumentException($"ClipSkip leaves out {skip} layers of the CLIP text encoder, which has {model.Layers}.");
        bool last = normalised && skip == 0;
        using var scope = new TensorScope();
        var output = model.Encode(rows, last ? null : [-1 - skip], last, pooled, cancellation);
        var text = last ? output.LastHiddenState! : normalised ? model.FinalLayerNorm(output.HiddenStates[0]) : output.HiddenStates[0];
        var first = pooled ? (output.TextEmbeds ?? output.PooledOutput)!.Slice(0, 0, 1) : null;
        return (scope.Keep(text.Reshape(1, -1, model.Channels)), first == null ? null : scope.Keep(first));
    }

    public void Dispose() => model.Dispose();
}
