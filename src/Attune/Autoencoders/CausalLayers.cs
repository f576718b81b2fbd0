using Attune.Layers;
using Attune.Tensors;
using Attune.Weights;

namespace Attune.Autoencoders;

/// <summary>
/// What the layers of a causal autoencoder keep of the pieces of a video that they have seen: the frames that the next piece looks back to.
/// One for each way through the coders.
/// </summary>
internal sealed class FrameCache : IDisposable
{
    private readonly Dictionary<object, Tensor> _frames = [];

    /// <summary>How many pieces came before the one that is on its way.</summary>
    public int Piece { get; private set; }

    /// <summary>Whether another piece follows; what nobody will look back to is not kept.</summary>
    public bool More { get; private set; }

    /// <summary>Begins a piece.</summary>
    /// <param name="piece">Its number, from 0.</param>
    /// <param name="count">How many there are.</param>
    public void Begin(int piece, int count) => (Piece, More) = (piece, piece < count - 1);

    /// <summary>The frames that a layer kept, [batch, frames, height, width, channels], or null.</summary>
    public Tensor? Of(object layer) => _frames.GetValueOrDefault(layer);

    /// <summary>Keeps the last frames of a layer's input.</summary>
    /// <param name="layer">The layer.</param>
    /// <param name="x">Its input, [batch, frames, height, width, channels].</param>
    /// <param name="count">How many frames it looks back to.</param>
    public void Keep(object layer, Tensor x, int count)
    {
        if (!More || count == 0)
            return;
        using var scope = new TensorScope();
        var earlier = Of(layer);
        int known = earlier?.Shape[1] ?? 0;
        int fresh = Math.Min(count, x.Shape[1]);
        int old = Math.Min(count - fresh, known);
        var last = x.Slice(1, x.Shape[1] - fresh, fresh);
        var kept = old == 0 ? last.Clone() : TensorOperations.Concatenate(1, earlier!.Slice(1, known - old, old), last);
        _frames[layer] = TensorScope.Detach(kept);
        earlier?.Dispose();
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        foreach (var frames in _frames.Values)
            frames.Dispose();
        _frames.Clear();
    }
}

/// <summary>A convolution over videos that looks back in time only, across the pieces of a video.</summary>
internal sealed class CausalConv3d(WeightCursor at, int inputs, int outputs, int frames, int kernel)
{
    private readonly PreparedWeight _weight = at.Get("weight", [outputs, inputs, frames, kernel, kernel], WeightRole.Convolution);
    private readonly PreparedWeight _bias = at.Get("bias", [outputs], WeightRole.Vector);
    private readonly Conv2dGeometry _geometry = Conv2dGeometry.Same(kernel / 2);

    /// <summary>[batch, frames, height, width, inputs] to [batch, frames, height, width, outputs].</summary>
    public Tensor Apply(Tensor x, FrameCache cache)
    {
        var result = x.CausalConv3d(_weight, _bias, _geometry, earlier: cache.Of(this));
        cache.Keep(this, x, frames - 1);
        return result;
    }

    /// <summary>Every second frame, without padding in time: of 1 + 2 n frames, n. The first of them is of the piece before.</summary>
    public Tensor Halve(Tensor x, FrameCache cache)
    {
        using var scope = new TensorScope();
        if (cache.Piece == 0)
        {
            cache.Keep(this, x, 1);
            return scope.Keep(x.View());
        }
        var earlier = TensorOperations.Concatenate(1, cache.Of(this)!, x.Slice(1, 0, 1));
        var result = scope.Keep(x.Slice(1, 1, x.Shape[1] - 1).CausalConv3d(_weight, _bias, _geometry, frameStride: 2, earlier: earlier));
        cache.Keep(this, x, 1);
        return result;
    }
}

/// <summary>Normalises each pixel to length sqrt(channels), times a weight.</summary>
internal sealed class CausalNorm(WeightCursor at, int channels, bool images = false)
{
    /// <summary>Only keeps zeros from becoming NaN; the reference bounds the length by 1e-12.</summary>
    private const float Epsilon = 1e-24f;

    private readonly PreparedWeight _gamma =
        at.Get("gamma", images ? [channels, 1, 1] : [channels, 1, 1, 1], WeightRole.Vector);

    /// <summary>Any shape with the channels last.</summary>
    public Tensor Apply(Tensor x, Tensor? into = null) => x.RmsNorm(_gamma, Epsilon, into);
}

/// <summary>Two norms, activations and convolutions, beside a shortcut.</summary>
internal sealed class CausalResnet(WeightCursor at, int inputs, int outputs)
{
    private readonly CausalNorm _norm1 = new(at.At("norm1"), inputs);
    private readonly CausalConv3d _conv1 = new(at.At("conv1"), inputs, outputs, 3, 3);
    private readonly CausalNorm _norm2 = new(at.At("norm2"), outputs);
    private readonly CausalConv3d _conv2 = new(at.At("conv2"), outputs, outputs, 3, 3);
    private readonly CausalConv3d? _shortcut = inputs == outputs ? null : new(at.At("conv_shortcut"), inputs, outputs, 1, 1);

    /// <summary>[batch, frames, height, width, inputs] to the same with other channels.</summary>
    public Tensor Apply(Tensor x, FrameCache cache)
    {
        using var scope = new TensorScope();
        var y = _norm1.Apply(x);
        y = y.Then(_conv1.Apply(y.Activate(Activation.Silu, into: y), cache));
        _norm2.Apply(y, into: y);
        y = y.Then(_conv2.Apply(y.Activate(Activation.Silu, into: y), cache));
        var shortcut = _shortcut?.Apply(x, cache) ?? x;
        return scope.Keep(y.Add(shortcut, into: y));
    }
}

/// <summary>Attention of one head over the pixels of each frame.</summary>
internal sealed class CausalAttention(WeightCursor at, int channels)
{
    private readonly CausalNorm _norm = new(at.At("norm"), channels, images: true);
    private readonly Linear _toQkv = new(at.At("to_qkv"), channels, 3 * channels);
    private readonly Linear _proj = new(at.At("proj"), channels, channels);

    /// <summary>Updates [batch, frames, height, width, channels] in place.</summary>
    public void AddTo(Tensor x)
    {
        using var scope = new TensorScope();
        var s = x.Shape;
        var pixels = _norm.Apply(x).Reshape(s[0] * s[1], s[2] * s[3], 1, channels);
        var (q, k, v) = (
            _toQkv.Apply(pixels, 0, channels), _toQkv.Apply(pixels, channels, channels), _toQkv.Apply(pixels, 2 * channels, channels));
        _proj.AddTo(x, q.Attention(k, v, 1 / MathF.Sqrt(channels)).Reshape(s), into: x);
    }
}

/// <summary>A residual block, attention, a residual block.</summary>
internal sealed class CausalMidBlock(WeightCursor at, int channels)
{
    private readonly CausalResnet _first = new(at.At("resnets", 0), channels, channels);
    private readonly CausalAttention _attention = new(at.At("attentions", 0), channels);
    private readonly CausalResnet _second = new(at.At("resnets", 1), channels, channels);

    public Tensor Apply(Tensor x, FrameCache cache)
    {
        x = x.Then(_first.Apply(x, cache));
        _attention.AddTo(x);
        return x.Then(_second.Apply(x, cache));
    }
}

/// <summary>Halves height and width, and the number of frames where it says so.</summary>
internal sealed class CausalDownsample(WeightCursor at, int channels, bool frames)
{
    /// <summary>One row below and one column on the right.</summary>
    private static readonly Conv2dGeometry Halving = new(Stride: 2, Top: 0, Left: 0, Bottom: 1, Right: 1);

    private readonly Conv2d _conv = new(at.At("resample.1"), channels, channels, kernel: 3, Halving);
    private readonly CausalConv3d? _timeConv = frames ? new(at.At("time_conv"), channels, channels, 3, 1) : null;

    public Tensor Apply(Tensor x, FrameCache cache)
    {
        using var scope = new TensorScope();
        var s = x.Shape;
        var images = _conv.Apply(x.Reshape(s[0] * s[1], s[2], s[3], s[4]));
        var halved = images.Reshape(s[0], s[1], images.Shape[1], images.Shape[2], s[4]);
        return scope.Keep(_timeConv == null ? halved : _timeConv.Halve(halved, cache));
    }
}

/// <summary>
/// Doubles height and width, and the number of frames where it says so, but for the first frame of a video, which stays one. Halves the
/// channels.
/// </summary>
internal sealed class CausalUpsample(WeightCursor at, int channels, bool frames)
{
    private readonly CausalConv3d? _timeConv = frames ? new(at.At("time_conv"), channels, 2 * channels, 3, 1) : null;
    private readonly Conv2d _conv = new(at.At("resample.1"), channels, channels / 2, kernel: 3);

    public Tensor Apply(Tensor x, FrameCache cache)
    {
        using var scope = new TensorScope();
        if (_timeConv != null && cache.Piece > 0)
        {
            // Each frame becomes two: the first half of the channels is the first of them.
            var y = _timeConv.Apply(x, cache);
            x = y.Reshape(y.Shape[0], y.Shape[1], y.Shape[2], y.Shape[3], 2, channels).Permute(0, 1, 4, 2, 3, 5)
                .Reshape(y.Shape[0], 2 * y.Shape[1], y.Shape[2], y.Shape[3], channels);
        }
        var s = x.Shape;
        var images = x.Reshape(s[0] * s[1], s[2], s[3], s[4]).ResizeNearest(2 * s[2], 2 * s[3]);
        images = images.Then(_conv.Apply(images));
        return scope.Keep(images.Reshape(s[0], s[1], 2 * s[2], 2 * s[3], channels / 2));
    }
}
