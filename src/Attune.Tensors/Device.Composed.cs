namespace Attune.Tensors;

/// <content>
/// Operations that are composed of the primitives: what a device has that says nothing of them. They are exact where they only put
/// primitives one after the other; each test that compares them with the kernels of the CPU states how near they are otherwise.
/// </content>
public abstract partial class Device
{
    /// <summary>How often an interval is halved: float32 has 24 bits.</summary>
    private const int Halvings = 32;

    /// <summary>The smallest normal float32.</summary>
    private const float Tiny = 1.17549435e-38f;

    /// <summary>output = residual + x weight^T + bias.</summary>
    /// <param name="residual">As the output, which may be this tensor.</param>
    /// <param name="x">[..., in].</param>
    /// <param name="weight">[out, in].</param>
    /// <param name="bias">[out], or null.</param>
    /// <param name="output">[..., out]; its rows may be strided.</param>
    public virtual void AddLinear(Tensor residual, Tensor x, PreparedWeight weight, PreparedWeight? bias, Tensor output)
    {
        using var product = TensorScope.Detach(Tensor.Empty(this, output.Shape));
        Linear(x, weight, bias, Activation.None, product);
        Binary(BinaryOperation.Add, residual, product, output);
    }

    /// <summary>output = residual + the convolution of x; see <see cref="Conv2d"/>.</summary>
    /// <param name="residual">As the output, which may be this tensor.</param>
    /// <param name="x">[batch, height, width, in].</param>
    /// <param name="weight">[out, in, kernel height, kernel width].</param>
    /// <param name="bias">[out], or null.</param>
    /// <param name="geometry">Stride and zero padding.</param>
    /// <param name="output">[batch, output height, output width, out].</param>
    public virtual void AddConv2d(
        Tensor residual, Tensor x, PreparedWeight weight, PreparedWeight? bias, Conv2dGeometry geometry, Tensor output)
    {
        using var product = TensorScope.Detach(Tensor.Empty(this, output.Shape));
        Conv2d(x, weight, bias, geometry, product);
        Binary(BinaryOperation.Add, residual, product, output);
    }

    /// <summary>Sets every element of a tensor or view.</summary>
    public virtual void Fill(Tensor tensor, float value)
    {
        using var view = Map(tensor, HostAccess.Write);
        view.Fill(value);
    }

    /// <summary>output = multiplier x + addend; the output may be x.</summary>
    public virtual void Affine(Tensor x, float multiplier, float addend, Tensor output)
    {
        using var scope = new TensorScope();
        Binary(BinaryOperation.Multiply, x, Number(multiplier), output);
        if (addend != 0)
            Binary(BinaryOperation.Add, output, Number(addend), output);
    }

    /// <summary>Each element, no less than a minimum and no more than a maximum; the output may be x.</summary>
    public virtual void Clamp(Tensor x, float minimum, float maximum, Tensor output)
    {
        using var scope = new TensorScope();
        Binary(BinaryOperation.Maximum, x, Number(minimum), output);
        Binary(BinaryOperation.Minimum, output, Number(maximum), output);
    }

    /// <summary>
    /// output = numerator / denominator, or a number of its own where the denominator is 0, for denominators that are not negative. For
    /// numbers of rows (<see cref="RowNorms"/>): denominators below 1e-38 count as 0 in part, and quotients are no larger than float32
    /// can hold.
    /// </summary>
    /// <param name="numerator">Any shape.</param>
    /// <param name="denominator">As the numerator; 0 or more.</param>
    /// <param name="otherwise">The result where the denominator is 0.</param>
    /// <param name="output">As the numerator.</param>
    public virtual void Ratio(Tensor numerator, Tensor denominator, float otherwise, Tensor output)
    {
        using var scope = new TensorScope();
        var quotient = numerator.Divide(denominator.Maximum(Number(Tiny))).Clamp(float.MinValue, float.MaxValue);
        var counts = denominator.Affine(1 / Tiny).Clamp(0, 1);
        Binary(BinaryOperation.Add, quotient.Multiply(counts), counts.Affine(-otherwise, otherwise), output);
    }

    /// <summary>output = x (1 + scale) + shift; the output may be x.</summary>
    /// <param name="x">[batch, tokens, channels].</param>
    /// <param name="scale">[batch or 1, channels].</param>
    /// <param name="shift">[batch or 1, channels].</param>
    /// <param name="output">As x.</param>
    public virtual void Modulate(Tensor x, Tensor scale, Tensor shift, Tensor output)
    {
        using var scope = new TensorScope();
        Binary(BinaryOperation.Multiply, x, PerItem(scale.Affine(1, 1)), output);
        Binary(BinaryOperation.Add, output, PerItem(shift), output);
    }

    /// <summary>output = residual + gate update; the output may be the residual.</summary>
    /// <param name="residual">[batch, tokens, channels].</param>
    /// <param name="gate">[batch or 1, channels].</param>
    /// <param name="update">[batch, tokens, channels].</param>
    /// <param name="output">As the residual.</param>
    public virtual void AddGated(Tensor residual, Tensor gate, Tensor update, Tensor output)
    {
        using var scope = new TensorScope();
        Binary(BinaryOperation.Add, residual, update.Multiply(PerItem(gate)), output);
    }

    /// <summary>
    /// Layer normalisation without parameters, then a modulation per batch item: normalised (1 + scale) + shift, as in adaptive layer norm.
    /// </summary>
    /// <param name="x">[batch, tokens, channels].</param>
    /// <param name="scale">[batch or 1, channels].</param>
    /// <param name="shift">[batch or 1, channels].</param>
    /// <param name="epsilon">Added to the variance.</param>
    /// <param name="output">As x; its rows may be strided.</param>
    public virtual void ModulatedLayerNorm(Tensor x, Tensor scale, Tensor shift, float epsilon, Tensor output)
    {
        LayerNorm(x, null, null, epsilon, output);
        Modulate(output, scale, shift, output);
    }

    /// <summary>
    /// Merges two partials over disjoint keys: O = (e^l1 O1 + e^l2 O2) / (e^l1 + e^l2), l = log(e^l1 + e^l2). The output may be one of the
    /// inputs.
    /// </summary>
    /// <param name="output1">[batch, queries, heads, channels]; zeros where no key counts, as <see cref="Attention"/> leaves them.</param>
    /// <param name="logSumExp1">[batch, queries, heads].</param>
    /// <param name="output2">The second partial's output.</param>
    /// <param name="logSumExp2">The second partial's log-sum-exp.</param>
    /// <param name="output">Where the merged output goes.</param>
    /// <param name="logSumExp">Where the merged log-sum-exp goes, or null.</param>
    public virtual void MergeAttention(
        Tensor output1, Tensor logSumExp1, Tensor output2, Tensor logSumExp2, Tensor output, Tensor? logSumExp)
    {
        using var scope = new TensorScope();

        // The centre is finite even where no key counts, so that nothing is infinity less infinity.
        var centre = logSumExp1.Maximum(logSumExp2).Clamp(float.MinValue, float.MaxValue);
        var first = logSumExp1.Subtract(centre).Activate(Activation.Exp);
        var second = logSumExp2.Subtract(centre).Activate(Activation.Exp);
        var sum = first.Add(second);
        Binary(
            BinaryOperation.Add, output1.Multiply(PerRow(first.Ratio(sum, 0))), output2.Multiply(PerRow(second.Ratio(sum, 0))), output);
        if (logSumExp != null)
            Binary(BinaryOperation.Add, centre, sum.Activate(Activation.Log), logSumExp);
    }

    /// <summary>
    /// alpha-entmax over the innermost axis (Peters et al., arXiv 1905.05702): the p of the simplex that maximises p z + (1 - sum p^alpha)
    /// / (alpha (alpha - 1)), which is [(alpha - 1) z - tau]+ ^ (1 / (alpha - 1)). Weights far below the largest are exactly 0. The error
    /// of a weight is below 1e-6, whatever the range and the offset of the logits; for alpha above 2, where weights close to 0 change
    /// without bound faster than their logits, that holds for larger ones. Minus infinity leaves an element out; a row of minus infinities
    /// becomes zeros.
    /// </summary>
    /// <param name="x">[..., logits].</param>
    /// <param name="alpha">1 or more; 1 is softmax, 2 sparsemax. 1.5 and 2 are fast.</param>
    /// <param name="output">As x; may be x; its rows may be strided.</param>
    public virtual void Entmax(Tensor x, float alpha, Tensor output)
    {
        using var scope = new TensorScope();
        var softmax = x.Softmax();
        (alpha == 1 ? softmax : Sparse(softmax, alpha)).CopyTo(output);
    }

    /// <summary>
    /// Partial attention with alpha-entmax weights in the place of softmax (see <see cref="Entmax"/>): output = entmax(scale Q K^T + bias)
    /// V. Where softmax is needed too, both come from the same logits. Where no key counts, outputs and support are 0 and the log-sum-exp
    /// is minus infinity.
    /// </summary>
    /// <param name="arguments">As for <see cref="Attention"/>; the log-sum-exp is that of the logits, whatever alpha is.</param>
    /// <param name="alpha">1 or more; 1 is softmax, 2 sparsemax.</param>
    /// <param name="dense">[batch, queries, heads, channels]: where the output with softmax weights goes, or null when it is not
    /// needed.</param>
    /// <param name="support">[batch, queries, heads]: where the number of keys with a weight above 0 goes, or null when it is not
    /// needed.</param>
    public virtual void EntmaxAttention(in AttentionArguments arguments, float alpha, Tensor? dense, Tensor? support)
    {
        using var scope = new TensorScope();
        var (query, key) = (arguments.Query, arguments.Key);
        Attention(arguments with { Output = dense ?? query.Like(query.Shape) });
        if (key.Shape[1] == 0)
        {
            Fill(arguments.Output, 0);
            if (support != null)
                Fill(support, 0);
            return;
        }
        var softmax = SoftmaxWeights(arguments with { LogSumExp = null });
        var weights = alpha == 1 ? softmax : Sparse(softmax, alpha);

        // Softmax of the logarithms of weights that add up to 1 gives the weights back.
        var bias = weights.Activate(Activation.Log).Permute(0, 2, 1, 3);
        Attention(arguments with { Scale = 0, LogSumExp = null, Mask = new AttentionMask { Bias = bias } });
        if (support != null)
            RowNorms(weights.Affine(float.MaxValue).Clamp(0, 1), 0, null, 1, PerRow(support));
    }

    /// <summary>
    /// Weights of entmax from those of softmax, whose logarithms are the logits less the logarithm of the sum of their exponentials. The
    /// threshold is found by bisection.
    /// </summary>
    private static Tensor Sparse(Tensor softmax, float alpha)
    {
        float exponent = 1 / (alpha - 1);
        var logits = softmax.Activate(Activation.Log).Affine(alpha - 1);

        // At the lower end the largest of n logits, which is no less than the mean, has a weight of 1 or more; at 0 none has any.
        float width = (alpha - 1) * MathF.Log(softmax.Shape[^1]) + 1;
        var threshold = Tensor.Full(softmax.Device, softmax.Shape.With(^1, 1), -width);
        for (int i = 0; i < Halvings; i++)
        {
            using var halving = new TensorScope();
            width /= 2;
            var isBelow = Weights(threshold.Affine(1, width)).RowNorms(1).Affine(1e30f, -1e30f).Clamp(0, 1);
            TensorOperations.Combine(1, threshold, width, isBelow, into: threshold);
        }
        var weights = Weights(threshold);
        return weights.Divide(weights.RowNorms(1).Maximum(Tensor.Full(softmax.Device, [1], Tiny)));

        Tensor Weights(Tensor below)
        {
            var powers = logits.Subtract(below).Activate(Activation.Relu);
            return exponent == 1 ? powers : powers.Activate(Activation.Log).Affine(exponent).Activate(Activation.Exp);
        }
    }

    /// <summary>
    /// [batch, queries, heads, keys]: the weights of an attention. With the identity in the place of some values, the output is the
    /// weights of their keys.
    /// </summary>
    private Tensor SoftmaxWeights(in AttentionArguments arguments)
    {
        var (query, key) = (arguments.Query, arguments.Key);
        var (keys, channels) = (key.Shape[1], key.Shape[3]);
        var weights = query.Like(query.Shape.With(^1, keys));
        for (int start = 0; start < keys; start += channels)
        {
            using var scope = new TensorScope();
            int count = Math.Min(channels, keys - start);
            float[] identity = new float[keys * channels];
            for (int i = 0; i < count; i++)
                identity[(start + i) * channels + i] = 1;
            var values = Tensor.From(this, identity, [1, keys, 1, channels]).Expand(0, key.Shape[0]).Expand(2, key.Shape[2]).Clone();
            var part = query.Like(query.Shape);
            Attention(arguments with { Value = values, Output = part });
            part.Slice(3, 0, count).CopyTo(weights.Slice(3, start, count));
        }
        return weights;
    }

    /// <summary>A tensor of one number.</summary>
    private Tensor Number(float value) => Tensor.Full(this, [1], value);

    /// <summary>[batch or 1, channels] as what is broadcast over tokens.</summary>
    private static Tensor PerItem(Tensor vectors) => vectors.Reshape(vectors.Shape[0], 1, vectors.Shape[1]);

    /// <summary>[batch, rows, heads] as one number for each row of channels.</summary>
    private static Tensor PerRow(Tensor numbers) => numbers.Reshape(numbers.Shape[0], numbers.Shape[1], numbers.Shape[2], 1);
}
