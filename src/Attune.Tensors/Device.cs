namespace Attune.Tensors;

/// <summary>
/// The primitives that models are made of. Every operation writes into tensors that the caller provides; <see cref="TensorOperations"/> has
/// the forms that allocate. Inputs may be strided views; an output may be one where a method says so. No primitive keeps a reference.
/// A device has to have what is abstract; everything else is composed of that, and is overridden where a kernel of its own pays.
/// </summary>
public abstract partial class Device
{
    /// <summary>A short name for reports.</summary>
    public abstract string Name { get; }

    /// <summary>The name with what matters about it: versions, precision.</summary>
    public virtual string Description => Name;

    /// <summary>Bytes that tensors and weights take in memory of the device's own, now; 0 for devices that compute in the host's.</summary>
    public virtual long LiveBytes => 0;

    /// <summary>The largest value of <see cref="LiveBytes"/> since the start or <see cref="ResetPeak"/>.</summary>
    public virtual long PeakBytes => 0;

    /// <summary>Starts a new measurement of <see cref="PeakBytes"/>.</summary>
    public virtual void ResetPeak()
    {
    }

    /// <summary>New storage of undefined content, which no tensor uses yet.</summary>
    /// <param name="elements">Room for how many, 0 or more.</param>
    /// <param name="precision">What they are held in. Devices hold float32, and may refuse others.</param>
    /// <exception cref="NotSupportedException">The device has no tensors of this precision.</exception>
    protected internal abstract Storage Allocate(long elements, Precision precision);

    /// <summary>
    /// The elements of a tensor of this device for the host: the memory itself where the host can reach it, else a copy that is given back
    /// when the view is disposed.
    /// </summary>
    /// <param name="tensor">A tensor or view of this device.</param>
    /// <param name="access">Whether the host reads or writes.</param>
    /// <exception cref="ObjectDisposedException">The tensor is disposed.</exception>
    protected internal abstract HostView Map(Tensor tensor, HostAccess access);

    /// <summary>
    /// Begins a stretch of work on this thread, such as the encoding of prompts, whose weights are not needed again soon: at its end, when
    /// the result is disposed on the same thread, a device with memory of its own gives up what it holds of them.
    /// </summary>
    /// <returns>What ends the stretch, or null where there is nothing to give up.</returns>
    public virtual IDisposable? Passing() => null;

    /// <summary>What a tensor of this device lies in: for kernels.</summary>
    /// <exception cref="ObjectDisposedException">The tensor is disposed.</exception>
    /// <exception cref="InvalidOperationException">The tensor lies on another device.</exception>
    protected Storage StorageOf(Tensor tensor)
    {
        ArgumentNullException.ThrowIfNull(tensor);
        return tensor.Storage.Device == this ? tensor.Storage
            : throw new InvalidOperationException(
                $"The tensor {tensor.Shape} lies on '{tensor.Storage.Device.Name}': no kernel of '{Name}' can run on it.");
    }

    /// <summary>Where in its storage a tensor's first element lies, counted in elements; <see cref="Tensor.Stride"/> leads on.</summary>
    protected static long OffsetOf(Tensor tensor) => (tensor ?? throw new ArgumentNullException(nameof(tensor))).Offset;

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

    /// <summary>Partial attention; see <see cref="AttentionArguments"/>.</summary>
    public abstract void Attention(in AttentionArguments arguments);

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

    /// <summary>
    /// Begins the group norm of an image that comes in pieces. A device that has it promises more: that a convolution of a band of rows
    /// which names its whole (<see cref="Conv2dGeometry.Whole"/>) gives the bits that the convolution of the whole image has there, where
    /// the band begins at a multiple of 4 rows, and that linear layers of any rows from 16 on give the same bits for each.
    /// </summary>
    /// <param name="pixels">How many the image has.</param>
    /// <param name="channels">Of a pixel.</param>
    /// <param name="groups">How many groups of neighbouring channels; divides the channels.</param>
    /// <returns>Null where the device sees images as a whole only.</returns>
    public virtual GroupMoments? BeginGroupNorm(long pixels, int channels, int groups) => null;

    /// <summary>Layer normalisation over the innermost axis.</summary>
    /// <param name="x">[..., channels].</param>
    /// <param name="weight">[channels], or null for 1.</param>
    /// <param name="bias">[channels], or null for 0.</param>
    /// <param name="epsilon">Added to the variance.</param>
    /// <param name="output">As x; may be x; its rows may be strided.</param>
    public abstract void LayerNorm(Tensor x, PreparedWeight? weight, PreparedWeight? bias, float epsilon, Tensor output);

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

    /// <summary>output = a x + b y for tensors of one shape; the output may be x or y.</summary>
    public abstract void Combine(float a, Tensor x, float b, Tensor y, Tensor output);

    /// <summary>
    /// The p-norms of rows: |x|, or |x + push (x - y)| where there is a y. A row is the innermost axis, so that the shape of a view says
    /// what is normed: the channels of a token, of a head, or a whole sample.
    /// </summary>
    /// <param name="x">[..., columns].</param>
    /// <param name="push">How far each row is pushed away from that of y.</param>
    /// <param name="y">As x, or null.</param>
    /// <param name="p">1, the sum of magnitudes, or 2, the Euclidean norm.</param>
    /// <param name="output">[..., 1].</param>
    public abstract void RowNorms(Tensor x, float push, Tensor? y, int p, Tensor output);

    /// <summary>
    /// The scalar products of the rows of two tensors, or these over a number for each row: with the norms of y, how far each row of x
    /// reaches along that of y. A product over a number is right wherever float32 holds it, though it may not hold the product itself.
    /// </summary>
    /// <param name="x">[..., columns].</param>
    /// <param name="y">As x.</param>
    /// <param name="over">[..., 1], not negative, or null for 1. Where it is 0, so is the result.</param>
    /// <param name="output">[..., 1].</param>
    public abstract void RowDots(Tensor x, Tensor y, Tensor? over, Tensor output);

    /// <summary>into += a x + b (x - y), with numbers a and b for each row. Where both are 0, nothing changes.</summary>
    /// <param name="into">[..., columns]; its rows may be strided.</param>
    /// <param name="a">[..., 1], or null for 0.</param>
    /// <param name="x">As into.</param>
    /// <param name="b">[..., 1], or null for 0.</param>
    /// <param name="y">As into; null where there is no b.</param>
    public abstract void AddRows(Tensor into, Tensor? a, Tensor x, Tensor? b, Tensor? y);

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
    /// <summary>
    /// Where the output is a band of rows of larger images: how many these are, and how high; else null. Which algorithm is the fastest,
    /// and with it the last bits, then goes by the images.
    /// </summary>
    public (int Images, int Height)? Whole { get; init; }

    /// <summary>The same padding on all sides.</summary>
    public static Conv2dGeometry Same(int padding, int stride = 1) => new(stride, padding, padding, padding, padding);

    /// <summary>The output's extent for an input's and a kernel's.</summary>
    public (int Height, int Width) OutputSize(int height, int width, int kernelHeight, int kernelWidth) =>
        ((height + Top + Bottom - kernelHeight) / Stride + 1, (width + Left + Right - kernelWidth) / Stride + 1);
}
