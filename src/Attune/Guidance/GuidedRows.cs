using Attune.Tensors;

namespace Attune.Guidance;

/// <summary>
/// What a row is, for <see cref="TensorOperations.RowNorms"/> and its like: views that belong to the current scope. A head's row is that of
/// [batch, tokens, heads, channels] itself.
/// </summary>
internal static class GuidedRows
{
    /// <summary>A row for each token, over all heads: [batch, tokens, heads, channels] as [batch, tokens, heads channels].</summary>
    public static Tensor PerToken(this Tensor x) => x.Reshape(x.Shape[0], x.Shape[1], x.Shape[2] * x.Shape[3]);

    /// <summary>A row for each sample: [batch, ...] as [batch, elements].</summary>
    public static Tensor PerSample(this Tensor x) => x.Reshape(x.Shape[0], -1);

    /// <summary>A number for each row of heads: [batch, tokens, heads] as [batch, tokens, heads, 1].</summary>
    public static Tensor PerHead(this Tensor numbers) => numbers.Reshape(numbers.Shape[0], numbers.Shape[1], numbers.Shape[2], 1);
}
