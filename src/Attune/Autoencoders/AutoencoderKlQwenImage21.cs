using Attune.Layers;
using Attune.Tensors;
using Attune.Weights;

namespace Attune.Autoencoders;

/// <summary>
/// The autoencoder of Qwen-Image-2.1 (AutoencoderKLQwenImage21 of diffusers): that of Wan 2.2 for single frames, with convolutions over
/// pictures. Beside every level of resnets runs a shortcut that averages or repeats pixels, and which still counts frames. Pictures may
/// have an alpha channel. Channels are last.
/// </summary>
public sealed class AutoencoderKlQwenImage21 : IDisposable
{
    private readonly Checkpoint _checkpoint;
    private readonly QwenImage21CoderConfig _config;
    private readonly QwenImage21Encoder _encoder;
    private readonly QwenImage21Decoder _decoder;
    private readonly Linear _quantConv;
    private readonly Linear _postQuantConv;

    private AutoencoderKlQwenImage21(Checkpoint checkpoint, QwenImage21CoderConfig config)
    {
        var root = checkpoint.Root;
        (_checkpoint, _config) = (checkpoint, config);
        _encoder = new QwenImage21Encoder(root.At("encoder"), config);
        _decoder = new QwenImage21Decoder(root.At("decoder"), config);
        _quantConv = new Linear(root.At("quant_conv"), 2 * LatentChannels, 2 * LatentChannels);
        _postQuantConv = new Linear(root.At("post_quant_conv"), LatentChannels, LatentChannels);
        checkpoint.RequireAllUsed();
    }

    /// <summary>The channels of latents.</summary>
    public int LatentChannels => _config.LatentChannels;

    /// <summary>The channels of pictures: 3, or 4 with alpha.</summary>
    public int ImageChannels => _config.ImageChannels;

    /// <summary>How many pixels, in each direction, a latent stands for: 16 in the released model.</summary>
    public int PixelsPerLatent => 1 << (_config.Multipliers.Length - 1);

    /// <summary>Bytes that decoding takes for each pixel at its peak.</summary>
    internal long DecodingBytesPerPixel => _config.DecodingBytesPerPixel;

    /// <summary>Loads the folder of a component: config.json and its weights, which stay mapped.</summary>
    /// <param name="folder">The folder.</param>
    /// <param name="device">What computes.</param>
    /// <exception cref="CheckpointException">A file is missing or malformed, or does not fit the architecture.</exception>
    public static AutoencoderKlQwenImage21 Load(string folder, Device device) => Load(ComponentSource.Folder(folder, device));

    /// <summary>Builds the component from a source: a folder, or one with LoRA or renamed weights.</summary>
    /// <param name="source">Where it comes from.</param>
    /// <exception cref="CheckpointException">A file is missing or malformed, or does not fit the architecture.</exception>
    public static AutoencoderKlQwenImage21 Load(ComponentSource source) =>
        source.Build((checkpoint, config) => new AutoencoderKlQwenImage21(checkpoint, QwenImage21CoderConfig.Read(config)));

    /// <summary>Encodes pictures.</summary>
    /// <param name="image">[batch, height, width, <see cref="ImageChannels"/>], values in [-1, 1]; height and width multiples of
    /// <see cref="PixelsPerLatent"/>.</param>
    /// <param name="watch">Receives what submodules give, by the checkpoint's names, to find a fault; null watches nothing.</param>
    /// <param name="cancellation">Checked before every block.</param>
    /// <returns>The distribution of the latents, before <see cref="Normalize"/>; its tensors belong to the current scope.</returns>
    /// <exception cref="ArgumentException">The pictures have a wrong shape.</exception>
    /// <exception cref="OperationCanceledException">Cancelled.</exception>
    public DiagonalGaussian Encode(Tensor image, Action<string, Tensor>? watch = null, CancellationToken cancellation = default)
    {
        ArgumentNullException.ThrowIfNull(image);
        var s = image.Shape;
        if (s.Rank != 4 || s[3] != ImageChannels || s[1] % PixelsPerLatent != 0 || s[2] % PixelsPerLatent != 0)
        {
            throw new ArgumentException(
                $"The autoencoder encodes pictures [batch, height, width, {ImageChannels}] whose sides are multiples of {PixelsPerLatent}, "
                    + $"not {s}.",
                nameof(image));
        }
        return new DiagonalGaussian(Moments(image, watch, cancellation));
    }

    /// <summary>Decodes latents.</summary>
    /// <param name="latents">[batch, height, width, <see cref="LatentChannels"/>], as <see cref="Denormalize"/> gives them.</param>
    /// <param name="watch">Receives what submodules give, by the checkpoint's names, to find a fault; null watches nothing.</param>
    /// <param name="cancellation">Checked before every block.</param>
    /// <returns>Pictures [batch, height, width, <see cref="ImageChannels"/>], clamped to [-1, 1]; a tensor of the current scope.</returns>
    /// <exception cref="ArgumentException">The latents have a wrong shape.</exception>
    /// <exception cref="OperationCanceledException">Cancelled.</exception>
    public Tensor Decode(Tensor latents, Action<string, Tensor>? watch = null, CancellationToken cancellation = default)
    {
        ArgumentNullException.ThrowIfNull(latents);
        if (latents.Shape.Rank != 4 || latents.Shape[3] != LatentChannels)
        {
            throw new ArgumentException(
                $"The autoencoder decodes latents [batch, height, width, {LatentChannels}], not {latents.Shape}.", nameof(latents));
        }
        using var scope = new TensorScope();
        var image = _decoder.Apply(_postQuantConv.Apply(latents), watch, cancellation);
        watch?.Invoke("decoder", image);
        return scope.Keep(image.Clamp(-1, 1, into: image));
    }

    /// <summary>Latents as a denoiser sees them: (x - mean) / deviation, for each channel.</summary>
    /// <param name="latents">[..., channels].</param>
    /// <returns>As the latents; a tensor of the current scope.</returns>
    public Tensor Normalize(Tensor latents)
    {
        ArgumentNullException.ThrowIfNull(latents);
        return _config.Statistics.Normalize(latents);
    }

    /// <summary>The inverse of <see cref="Normalize"/>.</summary>
    /// <param name="latents">[..., channels].</param>
    /// <returns>As the latents; a tensor of the current scope.</returns>
    public Tensor Denormalize(Tensor latents)
    {
        ArgumentNullException.ThrowIfNull(latents);
        return _config.Statistics.Denormalize(latents);
    }

    /// <inheritdoc/>
    public void Dispose() => _checkpoint.Dispose();

    private Tensor Moments(Tensor image, Action<string, Tensor>? watch, CancellationToken cancellation)
    {
        using var scope = new TensorScope();
        return scope.Keep(_quantConv.Apply(_encoder.Apply(image, watch, cancellation)));
    }
}

/// <summary>What config.json states.</summary>
internal sealed record QwenImage21CoderConfig
{
    public required int EncoderChannels { get; init; }

    public required int DecoderChannels { get; init; }

    public required int LatentChannels { get; init; }

    public required int ImageChannels { get; init; }

    public required int[] Multipliers { get; init; }

    public required int ResnetsPerLevel { get; init; }

    /// <summary>For all levels but the last: whether a video's frames would be halved there, which the shortcuts count.</summary>
    public required bool[] HalvesFrames { get; init; }

    public required ChannelStatistics Statistics { get; init; }

    /// <summary>
    /// Bytes that decoding takes for each pixel: three maps of a residual block at full size, or the enlarged map of the level below beside
    /// what the convolution gives; float32.
    /// </summary>
    public long DecodingBytesPerPixel => sizeof(float) * (long)DecoderChannels * Math.Max(3 * Multipliers[0], 2 * Multipliers[1]);

    public static QwenImage21CoderConfig Read(ModelConfig json)
    {
        if (!json.Bool("is_residual", true))
            throw new CheckpointException($"'{json.Path}': is_residual is false; autoencoders without shortcuts are not supported.");
        if (json.Find("attn_scales") is { } scales && scales.GetArrayLength() > 0)
            throw new CheckpointException($"'{json.Path}': attn_scales is not empty; attention in other places is not supported.");
        if (json.Has("patch_size"))
            throw new CheckpointException($"'{json.Path}': patch_size is set; pictures in patches are not supported.");
        int channels = json.Size("z_dim", 64);
        int image = json.Size("in_channels", 4);
        int[] multipliers = json.Sizes("dim_mult", 1, 2, 4, 8, 8);
        bool[] frames = CausalConfig.ReadHalvings(json, multipliers, false, true, true, true);
        var statistics = ChannelStatistics.Read(json, channels);
        if (json.Size("out_channels", 4) != image || image is not (3 or 4))
        {
            throw new CheckpointException(
                $"'{json.Path}': in_channels {image} and out_channels {json.Size("out_channels", 4)}; expected 3 or 4 twice.");
        }
        int width = json.Size("base_dim", 96);
        return new QwenImage21CoderConfig
        {
            EncoderChannels = width,
            DecoderChannels = json.Size("decoder_base_dim", width),
            LatentChannels = channels,
            ImageChannels = image,
            Multipliers = multipliers,
            ResnetsPerLevel = json.Layers("num_res_blocks", 2),
            HalvesFrames = frames,
            Statistics = statistics,
        };
    }
}

/// <summary>Pictures to moments of the latents.</summary>
internal sealed class QwenImage21Encoder
{
    private readonly string _path;
    private readonly Conv2d _convIn;
    private readonly List<QwenImage21DownBlock> _blocks = [];
    private readonly QwenImage21MidBlock _midBlock;
    private readonly CausalNorm _normOut;
    private readonly Conv2d _convOut;

    public QwenImage21Encoder(WeightCursor at, QwenImage21CoderConfig config)
    {
        _path = at.Path;
        int channels = config.EncoderChannels;
        _convIn = new Conv2d(at.At("conv_in"), config.ImageChannels, channels, kernel: 3);
        for (int i = 0; i < config.Multipliers.Length; i++)
        {
            int outputs = config.EncoderChannels * config.Multipliers[i];
            bool? frames = i < config.HalvesFrames.Length ? config.HalvesFrames[i] : null;
            _blocks.Add(new QwenImage21DownBlock(at.At("down_blocks", i), channels, outputs, config.ResnetsPerLevel, frames));
            channels = outputs;
        }
        _midBlock = new QwenImage21MidBlock(at.At("mid_block"), channels);
        _normOut = new CausalNorm(at.At("norm_out"), channels);
        _convOut = new Conv2d(at.At("conv_out"), channels, 2 * config.LatentChannels, kernel: 3);
    }

    public Tensor Apply(Tensor image, Action<string, Tensor>? watch, CancellationToken cancellation)
    {
        var x = _convIn.Apply(image);
        for (int i = 0; i < _blocks.Count; i++)
        {
            cancellation.ThrowIfCancellationRequested();
            x = x.Then(_blocks[i].Apply(x));
            watch?.Invoke(FormattableString.Invariant($"{_path}.down_blocks.{i}"), x);
        }
        x = _midBlock.Apply(x);
        watch?.Invoke(_path + ".mid_block", x);
        return x.Then(_convOut.Apply(_normOut.Apply(x, into: x).Activate(Activation.Silu, into: x)));
    }
}

/// <summary>Latents to pictures.</summary>
internal sealed class QwenImage21Decoder
{
    private readonly string _path;
    private readonly Conv2d _convIn;
    private readonly QwenImage21MidBlock _midBlock;
    private readonly List<QwenImage21UpBlock> _blocks = [];
    private readonly CausalNorm _normOut;
    private readonly Conv2d _convOut;

    public QwenImage21Decoder(WeightCursor at, QwenImage21CoderConfig config)
    {
        _path = at.Path;
        int levels = config.Multipliers.Length;
        int channels = config.DecoderChannels * config.Multipliers[^1];
        _convIn = new Conv2d(at.At("conv_in"), config.LatentChannels, channels, kernel: 3);
        _midBlock = new QwenImage21MidBlock(at.At("mid_block"), channels);
        for (int i = 0; i < levels; i++)
        {
            int outputs = config.DecoderChannels * config.Multipliers[levels - 1 - i];
            bool? frames = i < levels - 1 ? config.HalvesFrames[levels - 2 - i] : null;
            _blocks.Add(new QwenImage21UpBlock(at.At("up_blocks", i), channels, outputs, config.ResnetsPerLevel + 1, frames));
            channels = outputs;
        }
        _normOut = new CausalNorm(at.At("norm_out"), channels);
        _convOut = new Conv2d(at.At("conv_out"), channels, config.ImageChannels, kernel: 3);
    }

    public Tensor Apply(Tensor latents, Action<string, Tensor>? watch, CancellationToken cancellation)
    {
        var x = _midBlock.Apply(_convIn.Apply(latents));
        watch?.Invoke(_path + ".mid_block", x);
        for (int i = 0; i < _blocks.Count; i++)
        {
            cancellation.ThrowIfCancellationRequested();
            x = x.Then(_blocks[i].Apply(x));
            watch?.Invoke(FormattableString.Invariant($"{_path}.up_blocks.{i}"), x);
        }
        return x.Then(_convOut.Apply(_normOut.Apply(x, into: x).Activate(Activation.Silu, into: x)));
    }
}

/// <summary>Two norms, activations and convolutions, beside a shortcut.</summary>
internal sealed class QwenImage21Resnet(WeightCursor at, int inputs, int outputs)
{
    private readonly CausalNorm _norm1 = new(at.At("norm1"), inputs);
    private readonly Conv2d _conv1 = new(at.At("conv1"), inputs, outputs, kernel: 3);
    private readonly CausalNorm _norm2 = new(at.At("norm2"), outputs);
    private readonly Conv2d _conv2 = new(at.At("conv2"), outputs, outputs, kernel: 3);
    private readonly Linear? _shortcut = inputs == outputs ? null : new(at.At("conv_shortcut"), inputs, outputs);

    public Tensor Apply(Tensor x)
    {
        using var scope = new TensorScope();
        var y = _norm1.Apply(x);
        y = y.Then(_conv1.Apply(y.Activate(Activation.Silu, into: y)));
        _norm2.Apply(y, into: y);
        return scope.Keep(_conv2.AddTo(_shortcut?.Apply(x) ?? x, y.Activate(Activation.Silu, into: y)));
    }
}

/// <summary>A residual block, attention, a residual block.</summary>
internal sealed class QwenImage21MidBlock(WeightCursor at, int channels)
{
    private readonly QwenImage21Resnet _first = new(at.At("resnets", 0), channels, channels);
    private readonly CausalAttention _attention = new(at.At("attentions", 0), channels);
    private readonly QwenImage21Resnet _second = new(at.At("resnets", 1), channels, channels);

    public Tensor Apply(Tensor x)
    {
        x = x.Then(_first.Apply(x));
        using (var frames = x.Reshape(x.Shape[0], 1, x.Shape[1], x.Shape[2], channels))
            _attention.AddTo(frames);
        return x.Then(_second.Apply(x));
    }
}

/// <summary>
/// Residual blocks, then half of the size, beside the means of pixels and of frames. A video's only frame has one of zeros before it.
/// </summary>
internal sealed class QwenImage21DownBlock
{
    /// <summary>One row below and one column on the right.</summary>
    private static readonly Conv2dGeometry Halving = new(Stride: 2, Top: 0, Left: 0, Bottom: 1, Right: 1);

    private readonly QwenImage21Resnet[] _resnets;
    private readonly Conv2d? _conv;
    private readonly QwenImage21Means _means;

    /// <summary>Reads the block.</summary>
    /// <param name="at">Where it is.</param>
    /// <param name="inputs">Channels of the input.</param>
    /// <param name="outputs">Channels of the output.</param>
    /// <param name="resnets">The number of residual blocks.</param>
    /// <param name="halvesFrames">Whether a video's frames are halved too; null where the size stays.</param>
    public QwenImage21DownBlock(WeightCursor at, int inputs, int outputs, int resnets, bool? halvesFrames)
    {
        _resnets = [.. Enumerable.Range(0, resnets)
            .Select(i => new QwenImage21Resnet(at.At("resnets", i), i == 0 ? inputs : outputs, outputs))];
        if (halvesFrames != null)
            _conv = new Conv2d(at.At("downsampler.resample.1"), outputs, outputs, kernel: 3, Halving);

        // In the file, and not used: it acts from the second frame of a video on.
        if (halvesFrames == true)
            _ = new Linear(at.At("downsampler.time_conv"), outputs, outputs);
        _means = new QwenImage21Means(at.Path, inputs, outputs, halvesFrames == true ? 2 : 1, size: halvesFrames == null ? 1 : 2);
    }

    public Tensor Apply(Tensor x)
    {
        using var scope = new TensorScope();
        var y = x;
        foreach (var resnet in _resnets)
            y = resnet.Apply(y);
        if (_conv != null)
            y = _conv.Apply(y);
        return scope.Keep(y.Add(_means.Apply(x)));
    }
}

/// <summary>
/// The shortcut of a block that makes pictures smaller: of the products (channel, frame, row, column) of a cell, one channel after the
/// other is the mean of as many as there are for each.
/// </summary>
internal sealed class QwenImage21Means
{
    private readonly int _inputs;
    private readonly int _outputs;
    private readonly int _frames;
    private readonly int _size;
    private readonly int _group;

    public QwenImage21Means(string path, int inputs, int outputs, int frames, int size)
    {
        (_inputs, _outputs, _frames, _size) = (inputs, outputs, frames, size);
        int products = inputs * frames * size * size;
        if (products % outputs != 0)
            throw new CheckpointException($"{path}: means of {products} channels and pixels do not give {outputs} channels.");
        _group = products / outputs;
    }

    public Tensor Apply(Tensor x)
    {
        using var scope = new TensorScope();
        var (batch, height, width) = (x.Shape[0], x.Shape[1] / _size, x.Shape[2] / _size);
        int pixels = batch * height * width;
        var cells = x.Reshape(batch, height, _size, width, _size, _inputs).Permute(0, 1, 3, 5, 2, 4)
            .Reshape(pixels, _inputs, 1, _size * _size);

        // The frame before the only one is zero.
        var products = cells;
        if (_frames == 2)
        {
            products = Tensor.Zeros(x.Device, [pixels, _inputs, 2, _size * _size]);
            cells.CopyTo(products.Slice(2, 1, 1));
        }
        var members = products.Reshape(pixels, _outputs, _group).Permute(2, 0, 1);
        var sum = members.Slice(0, 0, 1).Clone();
        for (int i = 1; i < _group; i++)
            sum.Add(members.Slice(0, i, 1), into: sum);
        return scope.Keep(sum.Affine(1f / _group).Reshape(batch, height, width, _outputs));
    }
}

/// <summary>Residual blocks, then twice the size, beside repeated pixels.</summary>
internal sealed class QwenImage21UpBlock
{
    private readonly QwenImage21Resnet[] _resnets;
    private readonly Conv2d? _conv;
    private readonly QwenImage21Repeats? _repeats;

    /// <summary>Reads the block.</summary>
    /// <param name="at">Where it is.</param>
    /// <param name="inputs">Channels of the input.</param>
    /// <param name="outputs">Channels of the output.</param>
    /// <param name="resnets">The number of residual blocks.</param>
    /// <param name="doublesFrames">Whether a video's frames are doubled too; null where the size stays.</param>
    public QwenImage21UpBlock(WeightCursor at, int inputs, int outputs, int resnets, bool? doublesFrames)
    {
        _resnets = [.. Enumerable.Range(0, resnets)
            .Select(i => new QwenImage21Resnet(at.At("resnets", i), i == 0 ? inputs : outputs, outputs))];
        if (doublesFrames is not { } frames)
            return;
        _conv = new Conv2d(at.At("upsampler.resample.1"), outputs, outputs, kernel: 3);
        _repeats = new QwenImage21Repeats(at.Path, inputs, outputs, frames ? 2 : 1);

        // In the file, and not used: it acts from the second frame of a video on.
        if (frames)
            _ = new Linear(at.At("upsampler.time_conv"), outputs, 2 * outputs);
    }

    public Tensor Apply(Tensor x)
    {
        using var scope = new TensorScope();
        var y = x;
        foreach (var resnet in _resnets)
            y = resnet.Apply(y);
        if (_conv == null)
            return scope.Keep(y);
        y = _conv.Apply(y.ResizeNearest(2 * y.Shape[1], 2 * y.Shape[2]));
        _repeats!.AddTo(y, x);
        return scope.Keep(y);
    }
}

/// <summary>
/// The shortcut of a block that makes pictures larger: each channel is repeated for as many of the products (channel, frame, row, column)
/// of a cell as there are for each. Of two frames the last is kept.
/// </summary>
internal sealed class QwenImage21Repeats
{
    private readonly int _outputs;
    private readonly int _step;
    private readonly int[] _first;

    public QwenImage21Repeats(string path, int inputs, int outputs, int frames)
    {
        int products = 4 * frames;
        int repeats = outputs * products / inputs;
        if (repeats == 0 || outputs * products % inputs != 0 || products % repeats != 0)
        {
            throw new CheckpointException(
                $"{path}: {inputs} channels do not divide into {outputs} channels of {products} pixels and frames.");
        }

        // Output channel o of pixel (i, j) is input channel (o products + 4 (frames - 1) + 2 i + j) / repeats.
        _outputs = outputs;
        _step = products / repeats;
        _first = [.. Enumerable.Range(0, 4).Select(pixel => (4 * (frames - 1) + pixel) / repeats)];
    }

    /// <summary>Adds the enlarged [batch, height, width, inputs] to [batch, 2 height, 2 width, outputs].</summary>
    public void AddTo(Tensor y, Tensor x)
    {
        using var scope = new TensorScope();
        var (batch, height, width) = (x.Shape[0], x.Shape[1], x.Shape[2]);
        var channels = x.Reshape(batch * height * width, _outputs, _step).Permute(2, 0, 1);
        var cells = y.Reshape(batch, height, 2, width, 2, _outputs);
        for (int pixel = 0; pixel < 4; pixel++)
        {
            var cell = cells.Slice(2, pixel / 2, 1).Slice(4, pixel % 2, 1);
            cell.Add(channels.Slice(0, _first[pixel], 1).Reshape(batch, height, 1, width, 1, _outputs), into: cell);
        }
    }
}
