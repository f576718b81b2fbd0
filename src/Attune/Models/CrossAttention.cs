using Attune.Attention;
using Attune.Layers;
using Attune.Tensors;
using Attune.Weights;

namespace Attune.Models;

/// <summary>
/// Attention of the rows of a stream to the prompts' texts, which are no rows of it. Where queries and keys are normalised, it is over all
/// heads together.
/// </summary>
/// <param name="at">The block's <c>attn2</c>.</param>
/// <param name="width">Channels of a row, and of a row of text.</param>
/// <param name="headChannels">Channels of a head.</param>
/// <param name="bias">Whether the projections to queries, keys and values have biases.</param>
/// <param name="normEpsilon">Of the norms of queries and keys; null where there are none.</param>
internal sealed class CrossAttention(WeightCursor at, int width, int headChannels, bool bias, float? normEpsilon = null)
{
    private readonly HeadProjection _q = Projection(at, "q", width, bias, normEpsilon);
    private readonly HeadProjection _k = Projection(at, "k", width, bias, normEpsilon);
    private readonly Linear _v = new(at.At("to_v"), width, width, bias);
    private readonly Linear _out = new(at.At("to_out.0"), width, width);

    /// <summary>The layer that rules know.</summary>
    public AttentionSite Site { get; } = new(at.Path, AttentionKind.Cross);

    /// <summary>What rows find in the texts.</summary>
    /// <param name="x">The stream.</param>
    /// <param name="rows">Those that ask: all of the stream, as the layer reads them.</param>
    /// <param name="texts">The texts of the pass.</param>
    /// <param name="beside">What the queries, [batch, rows, width], find elsewhere, which is added; null for nothing.</param>
    public StreamRows Apply(TokenStream x, StreamRows rows, PromptTexts texts, Func<Tensor, Tensor>? beside = null) =>
        x.Output(Site, () =>
        {
            var queries = _q.Apply(rows);
            var found = x.AttendText(Site, queries, texts.For(Site, _k, _v), headChannels);
            return _out.Apply(beside == null ? found : found.With(found.Tensor.Add(beside(queries.Tensor))));
        }, rows);

    private static HeadProjection Projection(WeightCursor at, string name, int width, bool bias, float? normEpsilon) => new(
        new Linear(at.At("to_" + name), width, width, bias), width,
        normEpsilon is { } epsilon ? new RmsNorm(at.At("norm_" + name), width, epsilon) : null);
}
