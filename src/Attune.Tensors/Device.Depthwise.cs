namespace Attune.Tensors;

public abstract partial class Device
{
    /// <summary>
    /// A convolution of each channel alone over images with channels last, with stride 1 and zeros around, so that the size stays.
    /// </summary>
    /// <param name="x">[batch, height, width, channels].</param>
    /// <param name="kernel">[kernel height, kernel width, channels], both odd.</param>
    /// <param name="bias">[channels], or null.</param>
    /// <param name="output">As x, but another tensor.</param>
    public virtual void DepthwiseConv2d(Tensor x, Tensor kernel, Tensor? bias, Tensor output)
    {
        var (height, width, channels) = (x.Shape[1], x.Shape[2], x.Shape[3]);
        Fill(output, 0);
        if (bias != null)
            Binary(BinaryOperation.Add, output, bias, output);
        for (int ky = 0; ky < kernel.Shape[0]; ky++)
        {
            for (int kx = 0; kx < kernel.Shape[1]; kx++)
            {
                using var scope = new TensorScope();
                var (down, right) = (ky - kernel.Shape[0] / 2, kx - kernel.Shape[1] / 2);
                var (rows, columns) = (height - Math.Abs(down), width - Math.Abs(right));
                if (rows <= 0 || columns <= 0)
                    continue;
                Tensor Window(Tensor map, int top, int left) => map.Slice(1, Math.Max(top, 0), rows).Slice(2, Math.Max(left, 0), columns);
                var reached = Window(output, -down, -right);
                var tap = kernel.Slice(0, ky, 1).Slice(1, kx, 1).Reshape(channels);
                Binary(BinaryOperation.Add, reached, Window(x, down, right).Multiply(tap), reached);
            }
        }
    }

    /// <summary>
    /// Linear attention, whose cost grows with the number of tokens and not with its square: for each head, output = Q (K^T V) / (Q sum(K)
    /// + epsilon), where queries and keys are features that are not negative.
    /// </summary>
    /// <param name="query">[batch, tokens, heads, channels].</param>
    /// <param name="key">As the queries.</param>
    /// <param name="value">As the queries.</param>
    /// <param name="epsilon">Added to the divisor.</param>
    /// <param name="output">As the queries, but another tensor; its rows may be strided.</param>
    public virtual void LinearAttention(Tensor query, Tensor key, Tensor value, float epsilon, Tensor output)
    {
        var (tokens, channels) = (query.Shape[1], query.Shape[3]);
        using var scope = new TensorScope();
        var (queries, keys, values) = (query.Permute(0, 2, 1, 3), key.Permute(0, 2, 3, 1), value.Permute(0, 2, 3, 1));

        // [batch, heads, tokens, 1]: what queries find of a number that each token has.
        Tensor Found(Tensor numbers)
        {
            var sums = keys.RowDots(numbers.Expand(2, channels)).Reshape(keys.Shape[0], keys.Shape[1], 1, channels);
            return queries.RowDots(sums.Expand(2, tokens));
        }

        var divisor = Found(Tensor.Full(this, keys.Shape.With(2, 1), 1)).Affine(1, epsilon);
        for (int channel = 0; channel < channels; channel++)
        {
            using var part = new TensorScope();
            Found(values.Slice(2, channel, 1)).Divide(divisor).Permute(0, 2, 1, 3).CopyTo(output.Slice(3, channel, 1));
        }
    }
}
