using Attune.Tensors;

namespace Attune.Layers;

/// <summary>
/// A linear layer that makes the queries, keys or values of an attention layer, and a norm over the channels of each head, where there is
/// one.
/// </summary>
/// <param name="linear">The layer, with heads * channels outputs.</param>
/// <param name="channels">The channels of a head.</param>
/// <param name="norm">The norm over them, or null.</param>
internal sealed class HeadProjection(IRowLayer linear, int channels, RmsNorm? norm = null) : IRowLayer
{
    /// <inheritdoc/>
    public int Outputs => linear.Outputs;

    /// <inheritdoc/>
    public Tensor Apply(Tensor x, Tensor? into = null)
    {
        var rows = linear.Apply(x, into: into);
        if (norm != null)
        {
            using var heads = rows.Reshape(x.Shape[0], x.Shape[1], -1, channels);
            norm.Apply(heads, into: heads);
        }
        return rows;
    }
}
