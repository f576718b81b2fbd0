using Attune.Layers;
using Attune.Tensors;

namespace Attune.Attention;

/// <summary>
/// A layer for the rows of text and one for the rows of images: the only difference between a double-stream and a single-stream block.
/// </summary>
/// <param name="text">For text and negative text.</param>
/// <param name="image">For latents, their twins and references.</param>
internal sealed class Dual<TLayer>(TLayer text, TLayer image)
{
    /// <summary>The layer for rows of a kind.</summary>
    public TLayer For(TokenKind kind) => kind is TokenKind.Text or TokenKind.NegativeText ? text : image;
}

/// <summary>Layers on the rows of a <see cref="TokenStream"/>.</summary>
internal static class StreamLayers
{
    /// <summary>One layer for all rows.</summary>
    public static StreamRows Apply(this IRowLayer layer, StreamRows x) => x.With(layer.Apply(x.Tensor));

    /// <summary>Each row through the layer of its kind, into one tensor.</summary>
    public static StreamRows Apply<TLayer>(this Dual<TLayer> layers, StreamRows x)
        where TLayer : class, IRowLayer
    {
        using var scope = new TensorScope();
        var spans = x.Layout.Spans;
        var (batch, rows) = (x.Tensor.Shape[0], x.Tensor.Shape[1]);
        var result = x.Tensor.Like([batch, rows, layers.For(spans[0].Kind).Outputs]);
        for (int i = 0; i < spans.Count; i++)
        {
            var layer = layers.For(spans[i].Kind);
            int start = spans[i].Start;
            while (i + 1 < spans.Count && layers.For(spans[i + 1].Kind) == layer)
                i++;
            int length = spans[i].End - start;
            layer.Apply(x.Tensor.Slice(1, start, length), into: result.Slice(1, start, length));
        }
        return x.With(scope.Keep(result));
    }
}
