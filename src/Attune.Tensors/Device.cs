namespace Attune.Tensors;

/// <summary>
/// The primitives that models are made of. Every operation writes into tensors that the caller provides; <see cref="TensorOperations"/> has
/// the forms that allocate. Inputs may be strided views; an output may be one where a method says so. No primitive keeps a reference.
/// </summary>
public abstract partial class Device
{
    /// <summary>A short name for reports.</summary>
    public abstract string Name { get; }

    /// <summary>The name with what matters about it: versions, precision.</summary>
    public virtual string Description => Name;

    /// <summary>How convolutions are computed.</summary>
    public virtual ConvolutionOptions Convolution { get; } = ConvolutionOptions.FromEnvironment();

    /// <summary>
    /// The elements of a tensor of this device for the host: the memory itself where the host can reach it, else a copy that is given back
    /// when the view is disposed.
    /// </summary>
    /// <param name="tensor">A tensor or view of this device.</param>
    /// <param name="access">Whether the host reads or writes.</param>
    /// <exception cref="ObjectDisposedException">The tensor is disposed.</exception>
    protected internal virtual HostView Map(Tensor tensor, HostAccess access)
    {
        ArgumentNullException.ThrowIfNull(tensor);
        ObjectDisposedException.ThrowIf(tensor.IsDisposed, tensor);
        return new HostView(tensor);
    }

    /// <summary>output = activation(x weight^T + bias).</summary>
    /// <param name="x">[..., in].</param>
    /// <param name="weight">[out, in].</param>
    /// <param name="bias">[out], or null.</param>
    /// <param name="activation">Applied to each element of the result.</param>
    /// <param name="output">[..., out]; its rows may be strided.</param>
    public abstract void Linear(Tensor x, PreparedWeight weight, PreparedWeight? bias, Activation activation, Tensor output);

    /// <summary>A two-dimensional convolution over images with channels last.</summary>
    /// <param name="x">[batch, height, width, in].</param>
    /// <param name="weight">[out, in, kernel height, kernel width], as PyTorch stores it.</param>
    /// <param name="bias">[out], or null.</param>
    /// <param name="geometry">Stride and zero padding.</param>
    /// <param name="output">[batch, output height, output width, out].</param>
    public abstract void Conv2d(Tensor x, PreparedWeight weight, PreparedWeight? bias, Conv2dGeometry geometry, Tensor output);

    /// <summary>output = residual + x weight^T + bias.</summary>
    /// <param name="residual">As the output, which may be this tensor.</param>
    /// <param name="x">[..., in].</param>
    /// <param name="weight">[out, in].</param>
    /// <param name="bias">[out], or null.</param>
    /// <param name="output">[..., out]; its rows may be strided.</param>
    public virtual void AddLinear(Tensor residual, Tensor x, PreparedWeight weight, PreparedWeight? bias, Tensor output)
    {
        using var product = TensorScope.Detach(Tensor.Empty(output.Shape, this));
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
        using var product = TensorScope.Detach(Tensor.Empty(output.Shape, this));
        Conv2d(x, weight, bias, geometry, product);
        Binary(BinaryOperation.Add, residual, product, output);
    }

    /// <summary>Partial attention; see <see cref="AttentionArguments"/>.</summary>
    public abstract void Attention(in AttentionArguments arguments);

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
    public abstract void EntmaxAttention(in AttentionArguments arguments, float alpha, Tensor? dense, Tensor? support);

    /// <summary>
    /// Merges two partials over disjoint keys: O = (e^l1 O1 + e^l2 O2) / (e^l1 + e^l2), l = log(e^l1 + e^l2). The output may be one of the
    /// inputs.
    /// </summary>
    /// <param name="output1">[batch, queries, heads, channels].</param>
    /// <param name="logSumExp1">[batch, queries, heads].</param>
    /// <param name="output2">The second partial's output.</param>
    /// <param name="logSumExp2">The second partial's log-sum-exp.</param>
    /// <param name="output">Where the merged output goes.</param>
    /// <param name="logSumExp">Where the merged log-sum-exp goes, or null.</param>
    public abstract void MergeAttention(
        Tensor output1, Tensor logSumExp1, Tensor output2, Tensor logSumExp2, Tensor output, Tensor? logSumExp);

    /// <summary>Group normalisation over images with channels last, then an activation.</summary>
    /// <param name="x">[batch, ..., channels].</param>
    /// <param name="groups">How many groups of neighbouring channels; divides the channels.</param>
    /// <param name="weight">[channels], or null for 1.</param>
    /// <param name="bias">[channels], or null for 0.</param>
    /// <param name="epsilon">Added to the variance.</param>
    /// <param name="activation">Applied to the result.</param>
    /// <param name="output">As x; may be x.</param>
    public abstract void GroupNorm(
        Tensor x, int groups, PreparedWeight? weight, PreparedWeight? bias, float epsilon, Activation activation, Tensor output);

    /// <summary>Layer normalisation over the innermost axis.</summary>
    /// <param name="x">[..., channels].</param>
    /// <param name="weight">[channels], or null for 1.</param>
    /// <param name="bias">[channels], or null for 0.</param>
    /// <param name="epsilon">Added to the variance.</param>
    /// <param name="output">As x; may be x; its rows may be strided.</param>
    public abstract void LayerNorm(Tensor x, PreparedWeight? weight, PreparedWeight? bias, float epsilon, Tensor output);

    /// <summary>
    /// Layer normalisation without parameters, then a modulation per batch item: normalised (1 + scale) + shift, as in adaptive layer norm.
    /// </summary>
    /// <param name="x">[batch, tokens, channels].</param>
    /// <param name="scale">[batch or 1, channels].</param>
    /// <param name="shift">[batch or 1, channels].</param>
    /// <param name="epsilon">Added to the variance.</param>
    /// <param name="output">As x; its rows may be strided.</param>
    public abstract void ModulatedLayerNorm(Tensor x, Tensor scale, Tensor shift, float epsilon, Tensor output);

    /// <summary>Root-mean-square normalisation over the innermost axis.</summary>
    /// <param name="x">[..., channels].</param>
    /// <param name="weight">[channels], or null for 1.</param>
    /// <param name="epsilon">Added to the mean square.</param>
    /// <param name="output">As x; may be x; its rows may be strided.</param>
    public abstract void RmsNorm(Tensor x, PreparedWeight? weight, float epsilon, Tensor output);

    /// <summary>An elementwise nonlinearity; the output may be x.</summary>
    public abstract void Activate(Tensor x, Activation activation, Tensor output);

    /// <summary>Softmax over the innermost axis; the output may be x. A row of minus infinities becomes zeros.</summary>
    public abstract void Softmax(Tensor x, Tensor output);

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
    public abstract void Entmax(Tensor x, float alpha, Tensor output);

    /// <summary>Rotates pairs of channels by the angles of a table.</summary>
    /// <param name="x">[batch, tokens, heads, channels].</param>
    /// <param name="rotary">The table; its tokens are those of x.</param>
    /// <param name="output">As x; may be x.</param>
    public abstract void Rotate(Tensor x, RotaryEmbedding rotary, Tensor output);

    /// <summary>Enlarges images with channels last by repeating the nearest pixel: source = floor(target * in / out).</summary>
    /// <param name="x">[batch, height, width, channels].</param>
    /// <param name="output">[batch, new height, new width, channels].</param>
    public abstract void ResizeNearest(Tensor x, Tensor output);

    /// <summary>Copies rows of a table.</summary>
    /// <param name="table">[vocabulary, channels].</param>
    /// <param name="ids">Row numbers.</param>
    /// <param name="output">[ids, channels].</param>
    /// <exception cref="ArgumentOutOfRangeException">An id is outside of the table.</exception>
    public abstract void Embed(PreparedWeight table, ReadOnlySpan<int> ids, Tensor output);

    /// <summary>
    /// An elementwise operation with NumPy's broadcasting. The output has the broadcast shape and may be one of the inputs.
    /// </summary>
    public abstract void Binary(BinaryOperation operation, Tensor a, Tensor b, Tensor output);

    /// <summary>output = multiplier x + addend; the output may be x.</summary>
    public abstract void Affine(Tensor x, float multiplier, float addend, Tensor output);

    /// <summary>Each element, no less than a minimum and no more than a maximum; the output may be x.</summary>
    public abstract void Clamp(Tensor x, float minimum, float maximum, Tensor output);

    /// <summary>output = a x + b y for tensors of one shape; the output may be x or y.</summary>
    public abstract void Combine(float a, Tensor x, float b, Tensor y, Tensor output);

    /// <summary>output = x (1 + scale) + shift; the output may be x.</summary>
    /// <param name="x">[batch, tokens, channels].</param>
    /// <param name="scale">[batch or 1, channels].</param>
    /// <param name="shift">[batch or 1, channels].</param>
    /// <param name="output">As x.</param>
    public abstract void Modulate(Tensor x, Tensor scale, Tensor shift, Tensor output);

    /// <summary>output = residual + gate update; the output may be the residual.</summary>
    /// <param name="residual">[batch, tokens, channels].</param>
    /// <param name="gate">[batch or 1, channels].</param>
    /// <param name="update">[batch, tokens, channels].</param>
    /// <param name="output">As the residual.</param>
    public abstract void AddGated(Tensor residual, Tensor gate, Tensor update, Tensor output);

    /// <summary>Copies elements between tensors of one shape and any strides.</summary>
    public abstract void Copy(Tensor source, Tensor destination);

    /// <summary>Copies with the axes in another order: axis i of the output is axis <paramref name="axes"/>[i] of x.</summary>
    public abstract void Permute(Tensor x, ReadOnlySpan<int> axes, Tensor output);
}

/// <summary>Stride and zero padding of a convolution, in pixels.</summary>
/// <param name="Stride">The distance between neighbouring windows, on both axes.</param>
/// <param name="Top">Rows of zeros above.</param>
/// <param name="Left">Columns of zeros on the left.</param>
/// <param name="Bottom">Rows of zeros below.</param>
/// <param name="Right">Columns of zeros on the right.</param>
public readonly record struct Conv2dGeometry(int Stride, int Top, int Left, int Bottom, int Right)
{
    /// <summary>The same padding on all sides.</summary>
    public static Conv2dGeometry Same(int padding, int stride = 1) => new(stride, padding, padding, padding, padding);

    /// <summary>The output's extent for an input's and a kernel's.</summary>
    public (int Height, int Width) OutputSize(int height, int width, int kernelHeight, int kernelWidth) =>
        ((height + Top + Bottom - kernelHeight) / Stride + 1, (width + Left + Right - kernelWidth) / Stride + 1);
}
