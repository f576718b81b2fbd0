using Attune.Attention;
using Attune.Layers;
using Attune.Prompts;
using Attune.Tensors;

namespace Attune.Models;

/// <summary>
/// The texts of the prompts of one pass, as cross-attention reads them. What a layer makes of a text depends on the prompt alone: it is
/// computed once for each prompt, and put together once for a request.
/// </summary>
/// <param name="attention">Says which layers read the negative text.</param>
/// <param name="memo">Keeps what is put together; null keeps nothing.</param>
/// <param name="positive">The prompt.</param>
/// <param name="negative">The negative prompt, or null.</param>
/// <param name="rowsOf">The rows of a prompt that layers project, [1 or batch, rows, channels]; null for its text.</param>
/// <param name="valuesOf">The rows that become values, where they are others than those that become keys.</param>
internal sealed class PromptTexts(
    IAttention attention, Memo? memo, Conditioning positive, Conditioning? negative, Func<Conditioning, Tensor>? rowsOf = null,
    Func<Conditioning, Tensor>? valuesOf = null)
{
    /// <summary>The keys and values of a layer.</summary>
    /// <param name="site">The layer.</param>
    /// <param name="k">Makes the keys.</param>
    /// <param name="v">Makes the values.</param>
    public TextKeys For(AttentionSite site, IRowLayer k, IRowLayer v)
    {
        var read = attention.ReadsNegativeText(site) ? negative : null;
        var (keys, values) = (Of(k, read, Rows), Of(v, read, valuesOf ?? Rows));
        int rows = Rows(positive).Shape[1];
        return new TextKeys(
            keys, values, TokenLayout.Of((TokenKind.NegativeText, keys.Shape[1] - rows), (TokenKind.Text, rows)));
    }

    private Tensor Of(IRowLayer layer, Conditioning? read, Func<Conditioning, Tensor> rowsFor)
    {
        Tensor Alone(Conditioning prompt)
        {
            var rows = rowsFor(prompt);
            return prompt.Once(layer, () => layer.Apply(rows));
        }

        if (read == null)
            return Alone(positive);
        Tensor Join()
        {
            var (first, second) = (Alone(read), Alone(positive));
            int batch = Math.Max(first.Shape[0], second.Shape[0]);
            return TensorOperations.Concatenate(1, first.Expand(0, batch), second.Expand(0, batch));
        }
        return memo == null ? Join() : memo.Once((layer, positive, read), Join);
    }

    private Tensor Rows(Conditioning prompt) => rowsOf == null ? prompt.Text : rowsOf(prompt);
}
