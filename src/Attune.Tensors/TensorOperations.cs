using System.Globalization;
using System.Runtime.CompilerServices;

namespace Attune.Tensors;

/// <summary>
/// The operations of <see cref="Device"/> in the form that allocates its result, which belongs to the current <see cref="TensorScope"/>.
/// A parameter <c>into</c> names a tensor, or a view into a larger one, to write to instead; it is returned.
/// </summary>
public static class TensorOperations
{
    /// <summary>activation(x weight^T + bias); x is [..., in], weight [out, in], the result [..., out].</summary>
    /// <exception cref="ArgumentException">The shapes do not fit.</exception>
    public static Tensor Linear(
        this Tensor x, PreparedWeight weight, PreparedWeight? bias = null, Activation activation = Activation.None, Tensor? into = null)
    {
        Require(
            weight.Shape.Rank == 2 && x.Shape.Rank >= 1 && x.Shape[^1] == weight.Shape[1],
            $"{weight.Name}: a linear layer {weight.Shape} cannot take {x.Shape}.");
        Require(
            bias == null || bias.Count == weight.Shape[0], $"{bias?.Name}: the bias {bias?.Shape} does not fit the weight {weight.Shape}.");
        var output = Target(into, x.Shape.With(^1, weight.Shape[0]), x);
        if (weight is LowRankWeight sum)
            sum.Linear(x, bias, activation, output);
        else
            x.Device.Linear(x, weight, bias, activation, output);
        return output;
    }

    /// <summary>
    /// A convolution of [batch, height, width, in] with [out, in, kernel, kernel]; the result is [batch, height', width', out].
    /// </summary>
    /// <exception cref="ArgumentException">The shapes do not fit.</exception>
    public static Tensor Conv2d(this Tensor x, PreparedWeight weight, PreparedWeight? bias, Conv2dGeometry geometry, Tensor? into = null)
    {
        Require(
            x.Shape.Rank == 4 && weight.Shape.Rank == 4 && x.Shape[3] == weight.Shape[1],
            $"{weight.Name}: a convolution {weight.Shape} cannot take {x.Shape} (channels last).");
        Require(
            bias == null || bias.Count == weight.Shape[0], $"{bias?.Name}: the bias {bias?.Shape} does not fit the weight {weight.Shape}.");
        var (height, width) = geometry.OutputSize(x.Shape[1], x.Shape[2], weight.Shape[2], weight.Shape[3]);
        Require(height > 0 && width > 0, $"{weight.Name}: an image of {x.Shape} is smaller than the kernel {weight.Shape}.");
        var output = Target(into, [x.Shape[0], height, width, weight.Shape[0]], x);
        if (weight is LowRankWeight sum)
            sum.Conv2d(x, bias, geometry, output);
        else
            x.Device.Conv2d(x, weight, bias, geometry, output);
        return output;
    }

    /// <summary>
    /// residual + x weight^T + bias; x is [..., in], weight [out, in], residual and result [..., out]. The result may go into the residual.
    /// </summary>
    /// <exception cref="ArgumentException">The shapes do not fit.</exception>
    public static Tensor AddLinear(this Tensor residual, Tensor x, PreparedWeight weight, PreparedWeight? bias = null, Tensor? into = null)
    {
        Require(
            weight.Shape.Rank == 2 && x.Shape.Rank >= 1 && x.Shape[^1] == weight.Shape[1],
            $"{weight.Name}: a linear layer {weight.Shape} cannot take {x.Shape}.");
        Require(
            bias == null || bias.Count == weight.Shape[0], $"{bias?.Name}: the bias {bias?.Shape} does not fit the weight {weight.Shape}.");
        Require(
            residual.Shape == x.Shape.With(^1, weight.Shape[0]),
            $"{weight.Name}: a linear layer {weight.Shape} of {x.Shape} cannot be added to {residual.Shape}.");
        var output = Target(into, residual.Shape, residual);
        if (weight is LowRankWeight)
        {
            using var scope = new TensorScope();
            residual.Add(x.Linear(weight, bias), output);
        }
        else
        {
            x.Device.AddLinear(residual, x, weight, bias, output);
        }
        return output;
    }

    /// <summary>
    /// residual + the convolution of x [batch, height, width, in] with [out, in, kernel, kernel]. The result may go into the residual.
    /// </summary>
    /// <exception cref="ArgumentException">The shapes do not fit.</exception>
    public static Tensor AddConv2d(
        this Tensor residual, Tensor x, PreparedWeight weight, PreparedWeight? bias, Conv2dGeometry geometry, Tensor? into = null)
    {
        Require(
            x.Shape.Rank == 4 && weight.Shape.Rank == 4 && x.Shape[3] == weight.Shape[1],
            $"{weight.Name}: a convolution {weight.Shape} cannot take {x.Shape} (channels last).");
        Require(
            bias == null || bias.Count == weight.Shape[0], $"{bias?.Name}: the bias {bias?.Shape} does not fit the weight {weight.Shape}.");
        var (height, width) = geometry.OutputSize(x.Shape[1], x.Shape[2], weight.Shape[2], weight.Shape[3]);
        Require(
            residual.Shape == [x.Shape[0], height, width, weight.Shape[0]],
            $"{weight.Name}: a convolution {weight.Shape} of {x.Shape} cannot be added to {residual.Shape}.");
        var output = Target(into, residual.Shape, residual);
        if (weight is LowRankWeight)
        {
            using var scope = new TensorScope();
            residual.Add(x.Conv2d(weight, bias, geometry), output);
        }
        else
        {
            x.Device.AddConv2d(residual, x, weight, bias, geometry, output);
        }
        return output;
    }

    /// <summary>
    /// A convolution of [batch, frames, height, width, in] with [out, in, kernel frames, kernel height, kernel width] that looks back in
    /// time only; the result is [batch, (frames - 1) / stride + 1, height', width', out]. See <see cref="Device.CausalConv3d"/>.
    /// </summary>
    /// <param name="x">[batch, frames, height, width, in].</param>
    /// <param name="weight">[out, in, kernel frames, kernel height, kernel width].</param>
    /// <param name="bias">[out], or null.</param>
    /// <param name="geometry">Stride and zero padding in space.</param>
    /// <param name="frameStride">The distance in frames between neighbouring outputs, from 1.</param>
    /// <param name="earlier">[batch, any frames, height, width, in]: what precedes x, of which the last frames count; or null. Before it
    /// are zeros.</param>
    /// <param name="into">Where the result goes, or null.</param>
    /// <exception cref="ArgumentException">The shapes do not fit, or the stride is below 1.</exception>
    public static Tensor CausalConv3d(
        this Tensor x, PreparedWeight weight, PreparedWeight? bias, Conv2dGeometry geometry, int frameStride = 1, Tensor? earlier = null,
        Tensor? into = null)
    {
        Require(
            x.Shape.Rank == 5 && weight.Shape.Rank == 5 && x.Shape[4] == weight.Shape[1] && weight.Shape[2] > 0,
            $"{weight.Name}: a causal convolution {weight.Shape} cannot take {x.Shape} (channels last).");
        Require(
            bias == null || bias.Count == weight.Shape[0], $"{bias?.Name}: the bias {bias?.Shape} does not fit the weight {weight.Shape}.");
        Require(frameStride >= 1, $"{weight.Name}: the stride in frames is {frameStride}, expected at least 1.");
        Require(x.Shape[1] > 0, $"{weight.Name}: a video of {x.Shape} has no frames.");
        Require(
            earlier == null || (earlier.Shape.Rank == 5 && earlier.Shape.With(1, x.Shape[1]) == x.Shape),
            $"{weight.Name}: frames {earlier?.Shape} cannot precede {x.Shape}.");
        var (height, width) = geometry.OutputSize(x.Shape[2], x.Shape[3], weight.Shape[3], weight.Shape[4]);
        Require(height > 0 && width > 0, $"{weight.Name}: frames of {x.Shape} are smaller than the kernel {weight.Shape}.");
        var output = Target(into, [x.Shape[0], (x.Shape[1] - 1) / frameStride + 1, height, width, weight.Shape[0]], x);
        x.Device.CausalConv3d(x, weight, bias, geometry, frameStride, earlier, output);
        return output;
    }

    /// <summary>
    /// One part of a causal convolution: images convolved with weight[:, :, frame], for callers that add up the parts by themselves.
    /// </summary>
    /// <param name="x">[batch, height, width, in].</param>
    /// <param name="weight">[out, in, kernel frames, kernel height, kernel width], a weight of a causal convolution.</param>
    /// <param name="frame">Which of the kernel's frames, from 0.</param>
    /// <param name="bias">[out], or null.</param>
    /// <param name="geometry">Stride and zero padding in space.</param>
    /// <param name="sum">What the part is added to, in place; null for nothing.</param>
    /// <returns>[batch, height', width', out]: the sum, or a tensor of its own.</returns>
    /// <exception cref="ArgumentException">The shapes do not fit, or the weight is of another role.</exception>
    public static Tensor Conv2dOfFrame(
        this Tensor x, PreparedWeight weight, int frame, PreparedWeight? bias, Conv2dGeometry geometry, Tensor? sum = null)
    {
        if (weight is not FrameKernels kernels || frame < 0 || frame >= weight.Shape[2])
            throw new ArgumentException($"{weight.Name} {weight.Shape} has no frame {frame} of a causal convolution.", nameof(weight));
        var part = kernels.At(frame);
        return sum == null ? x.Conv2d(part, bias, geometry) : sum.AddConv2d(x, part, bias, geometry, into: sum);
    }

    /// <summary>A convolution of each channel alone; see <see cref="Device.DepthwiseConv2d"/>.</summary>
    /// <returns>[batch, height, width, channels].</returns>
    /// <exception cref="ArgumentException">The shapes do not fit, or a side of the kernel is even.</exception>
    public static Tensor DepthwiseConv2d(this Tensor x, Tensor kernel, Tensor? bias = null)
    {
        ArgumentNullException.ThrowIfNull(kernel);
        Require(
            x.Shape.Rank == 4 && kernel.Shape is { Rank: 3 } k && k[0] % 2 == 1 && k[1] % 2 == 1 && k[2] == x.Shape[3],
            $"A kernel {kernel.Shape} does not go over each channel of {x.Shape} (channels last).");
        Require(bias == null || bias.Shape == [x.Shape[3]], $"The bias {bias?.Shape} does not fit {x.Shape}.");
        var output = Tensor.Empty(x.Device, x.Shape);
        x.Device.DepthwiseConv2d(x, kernel, bias, output);
        return output;
    }

    /// <summary>Linear attention; see <see cref="Device.LinearAttention"/>.</summary>
    /// <returns>[batch, tokens, heads, channels].</returns>
    /// <exception cref="ArgumentException">The shapes do not fit.</exception>
    public static Tensor LinearAttention(this Tensor query, Tensor key, Tensor value, float epsilon)
    {
        ArgumentNullException.ThrowIfNull(key);
        ArgumentNullException.ThrowIfNull(value);
        Require(
            query.Shape.Rank == 4 && key.Shape == query.Shape && value.Shape == query.Shape,
            $"Linear attention takes [batch, tokens, heads, channels], not queries {query.Shape}, keys {key.Shape}, values {value.Shape}.");
        var output = Tensor.Empty(query.Device, query.Shape);
        query.Device.LinearAttention(query, key, value, epsilon, output);
        return output;
    }

    /// <summary>Attention of queries over one span of keys; see <see cref="AttentionArguments"/>.</summary>
    /// <returns>[batch, queries, heads, channels].</returns>
    /// <exception cref="ArgumentException">The shapes do not fit.</exception>
    public static Tensor Attention(
        this Tensor query, Tensor key, Tensor value, float scale, AttentionMask? mask = null, Tensor? into = null, Tensor? logSumExp = null)
    {
        RequireAttention(query, key, value, mask, logSumExp);
        var output = Target(into, query.Shape, query);
        if (HasWholeGroups(query))
        {
            query.Device.Attention(new AttentionArguments(query, key, value, scale, output, logSumExp, mask));
            return output;
        }
        using var scope = new TensorScope();
        WithoutZeros(WithZeros(query).Attention(WithZeros(key), WithZeros(value), scale, mask, null, logSumExp), output);
        return output;
    }

    /// <summary>
    /// Attention with alpha-entmax weights of queries over one span of keys, and with softmax weights if wanted; see
    /// <see cref="Device.EntmaxAttention"/>.
    /// </summary>
    /// <returns>[batch, queries, heads, channels].</returns>
    /// <exception cref="ArgumentException">The shapes do not fit.</exception>
    /// <exception cref="ArgumentOutOfRangeException">alpha is below 1 or not finite.</exception>
    public static Tensor EntmaxAttention(
        this Tensor query, Tensor key, Tensor value, float scale, float alpha, AttentionMask? mask = null, Tensor? into = null,
        Tensor? dense = null, Tensor? logSumExp = null, Tensor? support = null)
    {
        RequireAttention(query, key, value, mask, logSumExp);
        RequireAlpha(alpha);
        Require(dense == null || dense.Shape == query.Shape, $"The dense output {dense?.Shape} does not fit queries {query.Shape}.");
        Require(
            support == null || support.Shape == query.Shape.Take(..3),
            $"The support sizes {support?.Shape} do not fit queries {query.Shape}.");
        var output = Target(into, query.Shape, query);
        if (HasWholeGroups(query))
        {
            query.Device.EntmaxAttention(new AttentionArguments(query, key, value, scale, output, logSumExp, mask), alpha, dense, support);
            return output;
        }
        using var scope = new TensorScope();
        var wide = WithZeros(query);
        var wideDense = dense == null ? null : wide.Like(wide.Shape);
        WithoutZeros(
            wide.EntmaxAttention(WithZeros(key), WithZeros(value), scale, alpha, mask, null, wideDense, logSumExp, support), output);
        if (dense != null)
            WithoutZeros(wideDense!, dense);
        return output;
    }

    /// <summary>Devices take heads of whole groups of 8 channels. Others are filled up: zeros change no product of two rows.</summary>
    private static bool HasWholeGroups(Tensor query) => query.Shape[3] % 8 == 0;

    private static Tensor WithZeros(Tensor x)
    {
        var wide = Tensor.Zeros(x.Device, x.Shape.With(3, (x.Shape[3] + 7) / 8 * 8));
        x.CopyTo(wide.Slice(3, 0, x.Shape[3]));
        return wide;
    }

    private static void WithoutZeros(Tensor wide, Tensor output) => wide.Slice(3, 0, output.Shape[3]).CopyTo(output);

    /// <summary>Group normalisation of [batch, ..., channels], then an activation.</summary>
    /// <exception cref="ArgumentException">The groups do not divide the channels.</exception>
    public static Tensor GroupNorm(
        this Tensor x, int groups, PreparedWeight? weight, PreparedWeight? bias, float epsilon, Activation activation = Activation.None,
        Tensor? into = null)
    {
        Require(groups > 0 && x.Shape[^1] % groups == 0, $"{weight?.Name}: {groups} groups do not divide the {x.Shape[^1]} channels.");
        RequireChannels(x, weight);
        RequireChannels(x, bias);
        var output = Target(into, x.Shape, x);
        x.Device.GroupNorm(x, groups, weight, bias, epsilon, activation, output);
        return output;
    }

    /// <summary>Layer normalisation over the innermost axis.</summary>
    public static Tensor LayerNorm(this Tensor x, PreparedWeight? weight, PreparedWeight? bias, float epsilon, Tensor? into = null)
    {
        RequireChannels(x, weight);
        RequireChannels(x, bias);
        var output = Target(into, x.Shape, x);
        x.Device.LayerNorm(x, weight, bias, epsilon, output);
        return output;
    }

    /// <summary>
    /// Layer normalisation without parameters of [batch, tokens, channels], then (1 + scale) and shift, each [batch or 1, channels].
    /// </summary>
    public static Tensor ModulatedLayerNorm(this Tensor x, Tensor scale, Tensor shift, float epsilon, Tensor? into = null)
    {
        RequireModulation(x, scale);
        RequireModulation(x, shift);
        var output = Target(into, x.Shape, x);
        x.Device.ModulatedLayerNorm(x, scale, shift, epsilon, output);
        return output;
    }

    /// <summary>Root-mean-square normalisation over the innermost axis.</summary>
    public static Tensor RmsNorm(this Tensor x, PreparedWeight? weight, float epsilon, Tensor? into = null)
    {
        RequireChannels(x, weight);
        var output = Target(into, x.Shape, x);
        x.Device.RmsNorm(x, weight, epsilon, output);
        return output;
    }

    /// <summary>An elementwise nonlinearity.</summary>
    public static Tensor Activate(this Tensor x, Activation activation, Tensor? into = null)
    {
        var output = Target(into, x.Shape, x);
        x.Device.Activate(x, activation, output);
        return output;
    }

    /// <summary>Softmax over the innermost axis.</summary>
    public static Tensor Softmax(this Tensor x, Tensor? into = null)
    {
        var output = Target(into, x.Shape, x);
        x.Device.Softmax(x, output);
        return output;
    }

    /// <summary>alpha-entmax over the innermost axis; see <see cref="Device.Entmax"/>.</summary>
    /// <exception cref="ArgumentOutOfRangeException">alpha is below 1 or not finite.</exception>
    public static Tensor Entmax(this Tensor x, float alpha, Tensor? into = null)
    {
        RequireAlpha(alpha);
        var output = Target(into, x.Shape, x);
        x.Device.Entmax(x, alpha, output);
        return output;
    }

    /// <summary>A rotary embedding of [batch, tokens, heads, channels].</summary>
    public static Tensor Rotate(this Tensor x, RotaryEmbedding rotary, Tensor? into = null)
    {
        Require(
            x.Shape.Rank == 4 && x.Shape[1] == rotary.Tokens && x.Shape[3] == 2 * rotary.Cosine.Shape[1],
            $"A rotary table {rotary.Cosine.Shape} does not fit {x.Shape}.");
        var output = Target(into, x.Shape, x);
        x.Device.Rotate(x, rotary, output);
        return output;
    }

    /// <summary>Enlarges [batch, height, width, channels] to a height and width by repeating the nearest pixel.</summary>
    public static Tensor ResizeNearest(this Tensor x, int height, int width)
    {
        var output = Tensor.Empty(x.Device, [x.Shape[0], height, width, x.Shape[3]]);
        x.Device.ResizeNearest(x, output);
        return output;
    }

    /// <summary>Rows of a table [vocabulary, channels]; the result is [ids, channels].</summary>
    /// <exception cref="ArgumentOutOfRangeException">An id is outside of the table.</exception>
    public static Tensor Embed(this PreparedWeight table, ReadOnlySpan<int> ids)
    {
        var output = Tensor.Empty(table.Device, [ids.Length, table.Shape[1]]);
        table.Device.Embed(table, ids, output);
        return output;
    }

    /// <summary>a + b with broadcasting.</summary>
    public static Tensor Add(this Tensor a, Tensor b, Tensor? into = null) => Apply(BinaryOperation.Add, a, b, into);

    /// <summary>a - b with broadcasting.</summary>
    public static Tensor Subtract(this Tensor a, Tensor b, Tensor? into = null) => Apply(BinaryOperation.Subtract, a, b, into);

    /// <summary>a b with broadcasting.</summary>
    public static Tensor Multiply(this Tensor a, Tensor b, Tensor? into = null) => Apply(BinaryOperation.Multiply, a, b, into);

    /// <summary>a / b with broadcasting.</summary>
    public static Tensor Divide(this Tensor a, Tensor b, Tensor? into = null) => Apply(BinaryOperation.Divide, a, b, into);

    /// <summary>The smaller of a and b, with broadcasting.</summary>
    public static Tensor Minimum(this Tensor a, Tensor b, Tensor? into = null) => Apply(BinaryOperation.Minimum, a, b, into);

    /// <summary>The larger of a and b, with broadcasting.</summary>
    public static Tensor Maximum(this Tensor a, Tensor b, Tensor? into = null) => Apply(BinaryOperation.Maximum, a, b, into);

    /// <summary>multiplier x + addend.</summary>
    public static Tensor Affine(this Tensor x, float multiplier, float addend = 0, Tensor? into = null)
    {
        var output = Target(into, x.Shape, x);
        x.Device.Affine(x, multiplier, addend, output);
        return output;
    }

    /// <summary>Each element, no less than <paramref name="minimum"/> and no more than <paramref name="maximum"/>.</summary>
    public static Tensor Clamp(this Tensor x, float minimum, float maximum, Tensor? into = null)
    {
        var output = Target(into, x.Shape, x);
        x.Device.Clamp(x, minimum, maximum, output);
        return output;
    }

    /// <summary>a x + b y for tensors of one shape.</summary>
    public static Tensor Combine(float a, Tensor x, float b, Tensor y, Tensor? into = null)
    {
        ArgumentNullException.ThrowIfNull(x);
        ArgumentNullException.ThrowIfNull(y);
        Require(x.Shape == y.Shape, $"{x.Shape} and {y.Shape} cannot be combined.");
        var output = Target(into, x.Shape, x);
        x.Device.Combine(a, x, b, y, output);
        return output;
    }

    /// <summary>
    /// The p-norms of rows, |x| or, with a y, |x + push (x - y)|: [..., 1] of [..., columns]. See <see cref="Device.RowNorms"/>.
    /// </summary>
    /// <exception cref="ArgumentException">The shapes differ.</exception>
    /// <exception cref="ArgumentOutOfRangeException">p is neither 1 nor 2.</exception>
    public static Tensor RowNorms(this Tensor x, int p = 2, float push = 0, Tensor? y = null)
    {
        Require(y == null || y.Shape == x.Shape, $"Rows of {x.Shape} cannot be pushed away from those of {y?.Shape}.");
        if (p is not (1 or 2))
            throw new ArgumentOutOfRangeException(nameof(p), p, "Norms of rows are 1-norms or 2-norms.");
        var output = x.Like(x.Shape.With(^1, 1));
        x.Device.RowNorms(x, push, y, p, output);
        return output;
    }

    /// <summary>
    /// The scalar products of rows, or these over a number for each row: [..., 1] of two tensors [..., columns]. See
    /// <see cref="Device.RowDots"/>.
    /// </summary>
    /// <exception cref="ArgumentException">The shapes do not fit.</exception>
    public static Tensor RowDots(this Tensor x, Tensor y, Tensor? over = null)
    {
        ArgumentNullException.ThrowIfNull(y);
        Require(x.Shape == y.Shape, $"Rows of {x.Shape} have no products with those of {y.Shape}.");
        var output = x.Like(x.Shape.With(^1, 1));
        Require(over == null || over.Shape == output.Shape, $"Products {output.Shape} cannot be taken over {over?.Shape}.");
        x.Device.RowDots(x, y, over, output);
        return output;
    }

    /// <summary>
    /// How much of the rows of y those of x hold: c of the part c y of x that is parallel to y, x y / |y|^2, and 0 where y is 0: [..., 1]
    /// of two tensors [..., columns].
    /// </summary>
    /// <exception cref="ArgumentException">The shapes differ.</exception>
    public static Tensor RowShares(this Tensor x, Tensor y)
    {
        using var scope = new TensorScope();
        var length = y.RowNorms();
        return scope.Keep(x.RowDots(y, length).Ratio(length, 0));
    }

    /// <summary>
    /// into += a x + b (x - y), with numbers a and b [..., 1] for each row of [..., columns]; null is 0. Returns what was added to.
    /// </summary>
    /// <exception cref="ArgumentException">The shapes do not fit, or there is a b without a y.</exception>
    public static Tensor AddRows(this Tensor into, Tensor? a, Tensor x, Tensor? b = null, Tensor? y = null)
    {
        ArgumentNullException.ThrowIfNull(x);
        Require(x.Shape == into.Shape && (y == null || y.Shape == into.Shape), $"{x.Shape}, {y?.Shape} cannot be added to {into.Shape}.");
        Require(b == null || y != null, $"Rows of {x.Shape} are to be pushed away from nothing.");
        var numbers = into.Shape.With(^1, 1);
        Require(
            (a == null || a.Shape == numbers) && (b == null || b.Shape == numbers),
            $"Factors {a?.Shape}, {b?.Shape} of rows do not fit {into.Shape}, expected {numbers}.");
        into.Device.AddRows(into, a, x, b, y);
        return into;
    }

    /// <summary>numerator / denominator, or a number where the denominator, 0 or more, is 0; see <see cref="Device.Ratio"/>.</summary>
    /// <exception cref="ArgumentException">The shapes differ.</exception>
    public static Tensor Ratio(this Tensor numerator, Tensor denominator, float otherwise)
    {
        ArgumentNullException.ThrowIfNull(denominator);
        Require(numerator.Shape == denominator.Shape, $"{numerator.Shape} cannot be divided by {denominator.Shape} one by one.");
        var output = numerator.Like(numerator.Shape);
        numerator.Device.Ratio(numerator, denominator, otherwise, output);
        return output;
    }

    /// <summary>
    /// min(1, limit / length), 1 where the length is 0: what vectors of some lengths are multiplied with so that they are no longer than
    /// limits.
    /// </summary>
    /// <exception cref="ArgumentException">The shapes differ.</exception>
    public static Tensor LimitRatio(this Tensor limit, Tensor length)
    {
        var ratio = limit.Ratio(length, 1);
        return ratio.Clamp(0, 1, into: ratio);
    }

    /// <summary>min(1, limit / length), 1 where the length is 0; the limit may be infinite.</summary>
    public static Tensor LimitRatio(float limit, Tensor length)
    {
        ArgumentNullException.ThrowIfNull(length);
        using var limits = TensorScope.Detach(Tensor.Full(length.Device, length.Shape, limit));
        return limits.LimitRatio(length);
    }

    /// <summary>x (1 + scale) + shift for x [batch, tokens, channels] and scale, shift [batch or 1, channels].</summary>
    public static Tensor Modulate(this Tensor x, Tensor scale, Tensor shift, Tensor? into = null)
    {
        RequireModulation(x, scale);
        RequireModulation(x, shift);
        var output = Target(into, x.Shape, x);
        x.Device.Modulate(x, scale, shift, output);
        return output;
    }

    /// <summary>residual + gate update for [batch, tokens, channels] and a gate [batch or 1, channels].</summary>
    public static Tensor AddGated(this Tensor residual, Tensor gate, Tensor update, Tensor? into = null)
    {
        RequireModulation(residual, gate);
        Require(residual.Shape == update.Shape, $"An update {update.Shape} does not fit the residual {residual.Shape}.");
        var output = Target(into, residual.Shape, residual);
        residual.Device.AddGated(residual, gate, update, output);
        return output;
    }

    /// <summary>The tensor itself when it is contiguous, else a contiguous copy.</summary>
    public static Tensor Contiguous(this Tensor x) => x.IsContiguous ? x : x.Clone();

    /// <summary>A contiguous copy.</summary>
    public static Tensor Clone(this Tensor x)
    {
        var output = Tensor.Empty(x.Device, x.Shape);
        x.Device.Copy(x, output);
        return output;
    }

    /// <summary>Copies the elements into a tensor or view of the same shape.</summary>
    public static void CopyTo(this Tensor x, Tensor destination)
    {
        ArgumentNullException.ThrowIfNull(destination);
        Require(x.Shape == destination.Shape, $"{x.Shape} cannot be copied to {destination.Shape}.");
        x.Device.Copy(x, destination);
    }

    /// <summary>A copy with the axes in another order: axis i of the result is axis <paramref name="axes"/>[i] of x.</summary>
    public static Tensor Permute(this Tensor x, params ReadOnlySpan<int> axes)
    {
        Require(axes.Length == x.Shape.Rank, $"{axes.Length} axes do not reorder {x.Shape}.");
        Span<int> extents = stackalloc int[axes.Length];
        for (int i = 0; i < axes.Length; i++)
            extents[i] = x.Shape[axes[i]];
        var output = Tensor.Empty(x.Device, Shape.Create(extents));
        x.Device.Permute(x, axes, output);
        return output;
    }

    /// <summary>The tensors one after the other along an axis; all other extents are equal.</summary>
    public static Tensor Concatenate(Index axis, params ReadOnlySpan<Tensor> tensors)
    {
        var first = tensors[0];
        int a = axis.GetOffset(first.Shape.Rank);
        int total = 0;
        foreach (var tensor in tensors)
        {
            Require(
                tensor.Shape.Rank == first.Shape.Rank && tensor.Shape.With(a, 0) == first.Shape.With(a, 0),
                $"{tensor.Shape} cannot stand beside {first.Shape} along axis {a}.");
            total += tensor.Shape[a];
        }
        var output = Tensor.Empty(first.Device, first.Shape.With(a, total));
        int at = 0;
        foreach (var tensor in tensors)
        {
            using var part = output.Slice(a, at, tensor.Shape[a]);
            tensor.CopyTo(part);
            at += tensor.Shape[a];
        }
        return output;
    }

    private static Tensor Apply(BinaryOperation operation, Tensor a, Tensor b, Tensor? into)
    {
        var output = Target(into, Broadcast(a.Shape, b.Shape), a);
        a.Device.Binary(operation, a, b, output);
        return output;
    }

    private static Shape Broadcast(Shape a, Shape b)
    {
        int rank = Math.Max(a.Rank, b.Rank);
        Span<int> axes = stackalloc int[rank];
        for (int i = 1; i <= rank; i++)
        {
            int x = i <= a.Rank ? a[^i] : 1;
            int y = i <= b.Rank ? b[^i] : 1;
            Require(x == y || x == 1 || y == 1, $"{a} and {b} cannot be broadcast.");
            axes[^i] = x == 1 ? y : x;
        }
        return Shape.Create(axes);
    }

    private static Tensor Target(Tensor? into, Shape shape, Tensor like)
    {
        if (into == null)
            return Tensor.Empty(like.Device, shape);
        Require(into.Shape == shape, $"The result {shape} does not fit into {into.Shape}.");
        return into;
    }

    private static void RequireAttention(Tensor query, Tensor key, Tensor value, AttentionMask? mask, Tensor? logSumExp)
    {
        var q = query.Shape;
        var k = key.Shape;
        Require(
            q.Rank == 4 && k.Rank == 4 && k == value.Shape,
            $"Attention takes [batch, tokens, heads, channels], not queries {q}, keys {k}, values {value.Shape}.");
        Require(q[3] == k[3], $"Queries {q} and keys {k} need the same number of channels.");
        Require(k[2] > 0 && q[2] % k[2] == 0, $"The {k[2]} heads of the keys do not divide the {q[2]} of the queries.");
        Require(k[0] == q[0] || k[0] == 1, $"Keys {k} have another batch than queries {q}.");
        Require(logSumExp == null || logSumExp.Shape == q.Take(..3), $"The log-sum-exp {logSumExp?.Shape} does not fit queries {q}.");
        Require(
            mask?.Keys == null
                || (mask.Keys.Shape.Rank == 2 && mask.Keys.Shape[1] == k[1] && (mask.Keys.Shape[0] == q[0] || mask.Keys.Shape[0] == 1)),
            $"The mask {mask?.Keys?.Shape} does not fit keys {k}.");
        Require(
            mask?.Bias == null
                || (
                    mask.Bias.Shape.Rank == 4
                        && mask.Bias.Shape[2] == q[1] && mask.Bias.Shape[3] == k[1]
                        && (mask.Bias.Shape[0] == q[0] || mask.Bias.Shape[0] == 1)
                        && (mask.Bias.Shape[1] == q[2] || mask.Bias.Shape[1] == 1)),
            $"The bias {mask?.Bias?.Shape} does not fit queries {q} and keys {k}.");
    }

    private static void RequireAlpha(float alpha)
    {
        if (!(alpha >= 1 && float.IsFinite(alpha)))
            throw new ArgumentOutOfRangeException(
                nameof(alpha), FormattableString.Invariant($"The alpha of entmax is {alpha}, expected at least 1."));
    }

    private static void RequireChannels(Tensor x, PreparedWeight? weight) =>
        Require(
            weight == null || weight.Count == x.Shape[^1],
            $"{weight?.Name}: {weight?.Shape} does not fit the {x.Shape[^1]} channels of {x.Shape}.");

    private static void RequireModulation(Tensor x, Tensor vector) =>
        Require(
            x.Shape.Rank == 3
                && vector.Shape.Rank == 2 && vector.Shape[1] == x.Shape[2] && (vector.Shape[0] == x.Shape[0] || vector.Shape[0] == 1),
            $"A modulation {vector.Shape} does not fit {x.Shape}.");

    private static void Require(bool condition, [InterpolatedStringHandlerArgument(nameof(condition))] ref Message message)
    {
        if (!condition)
            throw new ArgumentException(message.Text);
    }

    /// <summary>A message that is only formatted when the condition does not hold.</summary>
    [InterpolatedStringHandler]
    private ref struct Message
    {
        private DefaultInterpolatedStringHandler _text;

        public Message(int literalLength, int formattedCount, bool condition, out bool enabled)
        {
            enabled = !condition;
            _text = condition ? default : new DefaultInterpolatedStringHandler(literalLength, formattedCount, CultureInfo.InvariantCulture);
        }

        public string Text => _text.ToStringAndClear();

        public void AppendLiteral(string value) => _text.AppendLiteral(value);

        public void AppendFormatted<T>(T value) => _text.AppendFormatted(value);
    }
}
