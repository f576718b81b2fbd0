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
    /// <summary>Room for as many frames as a layer looks back to, and how many of them, from the first, are there.</summary>
    private readonly Dictionary<object, (Tensor Frames, int Known)> _frames = [];
    private readonly Dictionary<object, Tensor> _put = [];

    private int _pieces;

    /// <summary>How many pieces came before the one that is on its way.</summary>
    public int Piece { get; private set; }

    /// <summary>Whether other frames follow; what nobody will look back to is not kept.</summary>
    public bool More { get; private set; }

    /// <summary>Begins a piece.</summary>
    /// <param name="piece">Its number, from 0.</param>
    /// <param name="count">How many there are.</param>
    public void Begin(int piece, int count) => (Piece, _pieces, More) = (piece, count, piece < count - 1);

    /// <summary>Says that layers see one frame of the piece after the other from here on.</summary>
    /// <param name="frame">The frame of the piece, from 0.</param>
    /// <param name="frames">How many there are.</param>
    public void BeginFrame(int frame, int frames) => More = Piece < _pieces - 1 || frame < frames - 1;

    /// <summary>The frames that a layer kept, [batch, frames, height, width, channels], or null; may be a tensor of the current
    /// scope.</summary>
    public Tensor? Of(object layer) => !_frames.TryGetValue(layer, out var kept) ? null
        : kept.Known == kept.Frames.Shape[1] ? kept.Frames : kept.Frames.Slice(1, 0, kept.Known);

    /// <summary>
    /// Keeps the last frames of a layer's input. There is room for all from the first one on: what grows would be there twice while it
    /// does, and the peak of decoding.
    /// </summary>
    /// <param name="layer">The layer.</param>
    /// <param name="x">Its input, [batch, frames, height, width, channels].</param>
    /// <param name="count">How many frames it looks back to.</param>
    public void Keep(object layer, Tensor x, int count)
    {
        if (!More || count == 0)
            return;
        using var scope = new TensorScope();
        if (!_frames.TryGetValue(layer, out var kept))
            kept = (TensorScope.Detach(x.Like(x.Shape.With(1, count))), 0);
        int fresh = Math.Min(count, x.Shape[1]);
        int old = Math.Min(count - fresh, kept.Known);

        // Frames move up in place.
        for (int i = 0; i < old && old < kept.Known; i++)
            kept.Frames.Slice(1, kept.Known - old + i, 1).CopyTo(kept.Frames.Slice(1, i, 1));
        x.Slice(1, x.Shape[1] - fresh, fresh).CopyTo(kept.Frames.Slice(1, old, fresh));
        _frames[layer] = (kept.Frames, old + fresh);
    }

    /// <summary>Takes what was put under a key; null for nothing. It is the caller's from here on.</summary>
    public Tensor? Take(object key) => _put.Remove(key, out var tensor) ? tensor : null;

    /// <summary>Puts a tensor under a key that is free; it is the cache's from here on.</summary>
    public void Put(object key, Tensor tensor) => _put.Add(key, TensorScope.Detach(tensor));

    /// <inheritdoc/>
    public void Dispose()
    {
        foreach (var (frames, _) in _frames.Values)
            frames.Dispose();
        foreach (var tensor in _put.Values)
            tensor.Dispose();
        _frames.Clear();
        _put.Clear();
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

/// <summary>
/// A causal convolution to few channels, of single frames: of earlier frames it keeps what they add to later ones, which is less than the
/// frames.
/// </summary>
internal sealed class CausalSums(WeightCursor at, int inputs, int outputs, int frames, int kernel)
{
    private readonly PreparedWeight _weight = at.Get("weight", [outputs, inputs, frames, kernel, kernel], WeightRole.Convolution);
    private readonly PreparedWeight _bias = at.Get("bias", [outputs], WeightRole.Vector);
    private readonly Conv2dGeometry _geometry = Conv2dGeometry.Same(kernel / 2);

    /// <summary>[batch, 1, height, width, inputs] to [batch, 1, height, width, outputs].</summary>
    public Tensor Apply(Tensor x, FrameCache cache)
    {
        using var scope = new TensorScope();
        var s = x.Shape;
        var image = x.Reshape(s[0], s[2], s[3], s[4]);
        var result = image.Conv2dOfFrame(_weight, frames - 1, _bias, _geometry);
        for (int later = 1; later < frames; later++)
        {
            // Sums move up by a frame.
            using var sum = cache.Take((this, later));
            if (later == 1 && sum != null)
                result.Add(sum, into: result);
            if (!cache.More)
                continue;
            using var next = cache.Take((this, later + 1));
            cache.Put((this, later), image.Conv2dOfFrame(_weight, frames - 1 - later, null, _geometry, next).View());
        }
        return scope.Keep(result.Reshape(s[0], 1, s[2], s[3], outputs));
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
/// Doubles height and width, and the number of frames where it says so, but for the first frame of a video, which stays one.
/// </summary>
internal sealed class CausalUpsample(WeightCursor at, int inputs, int outputs, bool frames)
{
    private readonly CausalConv3d? _timeConv = frames ? new(at.At("time_conv"), inputs, 2 * inputs, 3, 1) : null;
    private readonly Conv2d _conv = new(at.At("resample.1"), inputs, outputs, kernel: 3);

    /// <summary>Whether it doubles the number of frames.</summary>
    public bool HasFrames => _timeConv != null;

    /// <summary>The frames, [batch, frames or twice as many, height, width, inputs]. May be another handle to x.</summary>
    public Tensor Double(Tensor x, FrameCache cache)
    {
        if (_timeConv == null || cache.Piece == 0)
            return x.View();
        using var scope = new TensorScope();

        // Each frame becomes two: the first half of the channels is the first of them.
        var y = _timeConv.Apply(x, cache);
        var s = y.Shape;
        return scope.Keep(
            y.Reshape(s[0], s[1], s[2] * s[3], 2, inputs).Permute(0, 1, 3, 2, 4).Reshape(s[0], 2 * s[1], s[2], s[3], inputs));
    }

    /// <summary>Height and width, [batch, frames, 2 height, 2 width, outputs].</summary>
    /// <param name="x">[batch, frames, height, width, inputs].</param>
    /// <param name="ends">Whether nobody needs it any more: it is disposed before the largest maps are there.</param>
    public Tensor Enlarge(Tensor x, bool ends = false)
    {
        using var scope = new TensorScope();
        var s = x.Shape;
        var small = x.Reshape(s[0] * s[1], s[2], s[3], s[4]);
        var images = small.ResizeNearest(2 * s[2], 2 * s[3]);
        small.Dispose();
        if (ends)
            x.Dispose();
        images = images.Then(_conv.Apply(images));
        return scope.Keep(images.Reshape(s[0], s[1], 2 * s[2], 2 * s[3], outputs));
    }
}

/// <summary>
/// Some residual blocks that halve height and width, and the number of frames where they say so, beside a shortcut: the means of groups of
/// the channels that the pixels of a cell have together (Wan 2.2 5B).
/// </summary>
/// <param name="at">The block.</param>
/// <param name="inputs">Channels of what goes in.</param>
/// <param name="outputs">Channels of what comes out.</param>
/// <param name="resnets">The number of residual blocks.</param>
/// <param name="halves">Whether height and width are halved.</param>
/// <param name="frames">Whether the number of frames is, too.</param>
internal sealed class CausalResidualDown(WeightCursor at, int inputs, int outputs, int resnets, bool halves, bool frames)
{
    private readonly CausalResnet[] _resnets = [.. Enumerable.Range(0, resnets)
        .Select(i => new CausalResnet(at.At("resnets", i), i == 0 ? inputs : outputs, outputs))];

    private readonly CausalDownsample? _downsampler = halves ? new(at.At("downsampler"), outputs, frames) : null;

    public Tensor Apply(Tensor x, FrameCache cache)
    {
        using var scope = new TensorScope();
        var y = x.View();
        foreach (var resnet in _resnets)
            y = y.Then(resnet.Apply(y, cache));
        if (_downsampler != null)
            y = y.Then(_downsampler.Apply(y, cache));
        return scope.Keep(y.Add(Means(x)));
    }

    private Tensor Means(Tensor x)
    {
        using var scope = new TensorScope();
        var (time, space) = (frames ? 2 : 1, halves ? 2 : 1);
        int cell = time * space * space;
        int parts = outputs / inputs;       // channels of the result for each of x, each of a part of the cell
        var s = x.Shape;

        // A first frame, which is alone, has one of zeros before it.
        int count = (s[1] + time - 1) / time;
        var sums = Tensor.Zeros(x.Device, [parts, s[0], count, s[2] / space, s[3] / space, inputs]);
        for (int i = 0; i < cell; i++)
        {
            int frame = i / (space * space) - (count * time - s[1]);
            if (frame < 0)
                continue;
            var pixels = x.Slice(1, frame, count, time)
                .Slice(2, i / space % space, s[2] / space, space).Slice(3, i % space, s[3] / space, space);
            var sum = sums.Slice(0, i * parts / cell, 1).Reshape(pixels.Shape);
            sum.Add(pixels, into: sum);
        }
        var means = sums.Affine((float)parts / cell, into: sums);
        return scope.Keep(
            parts == 1 ? means.Reshape(s[0], count, s[2] / space, s[3] / space, outputs)
                : means.Permute(1, 2, 3, 4, 5, 0).Reshape(s[0], count, s[2] / space, s[3] / space, outputs));
    }
}

/// <summary>
/// Some residual blocks that double height and width, and the number of frames where they say so, beside a shortcut: the channels, each as
/// often as the larger video has room for them (Wan 2.2 5B).
/// </summary>
/// <param name="at">The block.</param>
/// <param name="inputs">Channels of what goes in.</param>
/// <param name="outputs">Channels of what comes out.</param>
/// <param name="resnets">The number of residual blocks.</param>
/// <param name="doubles">Whether height and width are doubled; else there is no shortcut.</param>
/// <param name="frames">Whether the number of frames is, too.</param>
internal sealed class CausalResidualUp(WeightCursor at, int inputs, int outputs, int resnets, bool doubles, bool frames)
{
    private readonly CausalResnet[] _resnets = [.. Enumerable.Range(0, resnets)
        .Select(i => new CausalResnet(at.At("resnets", i), i == 0 ? inputs : outputs, outputs))];

    private readonly CausalUpsample? _upsampler = doubles ? new(at.At("upsampler"), outputs, outputs, frames) : null;

    /// <summary>Whether it doubles the number of frames.</summary>
    public bool HasFrames => frames;

    public Tensor Apply(Tensor x, FrameCache cache)
    {
        using var scope = new TensorScope();
        var y = x.View();
        foreach (var resnet in _resnets)
            y = y.Then(resnet.Apply(y, cache));
        if (_upsampler == null)
            return scope.Keep(y);
        y = y.Then(_upsampler.Double(y, cache));
        y = y.Then(_upsampler.Enlarge(y));
        Spread(x, y, first: cache.Piece == 0);
        return scope.Keep(y);
    }

    /// <summary>Adds the channels of x to y; of the first frame of a video, to which nothing precedes, those of its last twin.</summary>
    private void Spread(Tensor x, Tensor y, bool first)
    {
        using var scope = new TensorScope();
        int time = frames ? 2 : 1;
        int cell = 4 * time;
        int parts = inputs / outputs;       // channels of x for each of y, each for a part of the cell
        var s = x.Shape;
        var channels = parts == 1 ? x.Reshape(1, s[0], s[1], s[2], s[3], outputs)
            : x.Reshape(s[0], s[1], s[2], s[3], outputs, parts).Permute(5, 0, 1, 2, 3, 4);
        for (int i = 0; i < cell; i++)
        {
            int frame = i / 4 - (first ? time - 1 : 0);
            if (frame < 0)
                continue;
            var pixels = y.Slice(1, frame, s[1], first ? 1 : time).Slice(2, i / 2 % 2, s[2], 2).Slice(3, i % 2, s[3], 2);
            pixels.Add(channels.Slice(0, i * parts / cell, 1).Reshape(pixels.Shape), into: pixels);
        }
    }
}

/// <summary>Cells of a frame as one pixel with the channels of all: channels in the order (channel, column, row) of a cell.</summary>
internal static class CausalPatches
{
    /// <summary>[batch, frames, height, width, channels] to [batch, frames, height / patch, width / patch, channels patch patch].</summary>
    public static Tensor Pack(Tensor video, int patch)
    {
        if (patch == 1)
            return video.View();
        using var scope = new TensorScope();
        var s = video.Shape;
        var (height, width) = (s[2] / patch, s[3] / patch);
        var cells = video.Contiguous().Reshape(s[0] * s[1], height, patch, width, patch, s[4]).Permute(0, 1, 3, 5, 4, 2);
        return scope.Keep(cells.Reshape(s[0], s[1], height, width, s[4] * patch * patch));
    }

    /// <summary>The inverse of <see cref="Pack"/>.</summary>
    public static Tensor Unpack(Tensor packed, int patch)
    {
        if (patch == 1)
            return packed.View();
        using var scope = new TensorScope();
        var s = packed.Shape;
        int channels = s[4] / (patch * patch);
        var pixels = packed.Reshape(s[0] * s[1], s[2], s[3], channels, patch, patch).Permute(0, 1, 5, 2, 4, 3);
        return scope.Keep(pixels.Reshape(s[0], s[1], s[2] * patch, s[3] * patch, channels));
    }
}
