using System.Globalization;
using System.Text.Json;
using Attune.Layers;
using Attune.Tensors;
using Attune.Weights;

namespace Attune.Autoencoders;

/// <summary>
/// The deep-compression autoencoder of Sana (AutoencoderDC of diffusers; Chen et al., arXiv 2410.10733): 32 pixels to a latent, residual
/// blocks where maps are large and linear attention where they are small, and shortcuts without weights around every change of size.
/// Latents are not a distribution. Images and latents have their channels last.
/// </summary>
public sealed class AutoencoderDC : IDisposable
{
    private readonly Checkpoint _checkpoint;
    private readonly DcConfig _config;
    private readonly DcEncoder _encoder;
    private readonly DcDecoder _decoder;

    private AutoencoderDC(Checkpoint checkpoint, DcConfig config)
    {
        (_checkpoint, _config) = (checkpoint, config);
        _encoder = new DcEncoder(checkpoint.Root.At("encoder"), config);
        _decoder = new DcDecoder(checkpoint.Root.At("decoder"), config);
        checkpoint.RequireAllUsed();
    }

    /// <summary>The channels of latents.</summary>
    public int LatentChannels => _config.LatentChannels;

    /// <summary>How many pixels, in each direction, a latent stands for: 32 in all known models.</summary>
    public int PixelsPerLatent => 1 << (_config.Encoder.Length - 1);

    /// <summary>What latents are multiplied with before a denoiser sees them.</summary>
    public float ScalingFactor => _config.ScalingFactor;

    /// <summary>Bytes that decoding takes for each pixel at its peak.</summary>
    internal long DecodingBytesPerPixel => _config.DecodingBytesPerPixel;

    /// <summary>Loads the folder of a component: config.json and its weights, which stay mapped.</summary>
    /// <param name="folder">The folder.</param>
    /// <param name="device">What computes.</param>
    /// <exception cref="CheckpointException">A file is missing or malformed, or does not fit the architecture.</exception>
    public static AutoencoderDC Load(string folder, Device device) => Load(ComponentSource.Folder(folder, device));

    /// <summary>Builds the component from a source: a folder, or one with renamed weights.</summary>
    /// <param name="source">Where it comes from.</param>
    /// <exception cref="CheckpointException">A file is missing or malformed, or does not fit the architecture.</exception>
    public static AutoencoderDC Load(ComponentSource source) =>
        source.Build((checkpoint, config) => new AutoencoderDC(checkpoint, DcConfig.Read(config)));

    /// <summary>Encodes images.</summary>
    /// <param name="image">[batch, height, width, 3], values in [-1, 1]; sides are multiples of <see cref="PixelsPerLatent"/>.</param>
    /// <param name="watch">Receives what submodules give, by the checkpoint's names, to find a fault; null watches nothing.</param>
    /// <param name="cancellation">Checked before every level.</param>
    /// <returns>Latents before the scaling factor, [batch, height / 32, width / 32, channels]; a tensor of the current scope.</returns>
    /// <exception cref="ArgumentException">The image has a wrong shape.</exception>
    /// <exception cref="OperationCanceledException">Cancelled.</exception>
    public Tensor Encode(Tensor image, Action<string, Tensor>? watch = null, CancellationToken cancellation = default)
    {
        ArgumentNullException.ThrowIfNull(image);
        if (image.Shape is not { Rank: 4 } s || s[3] != _config.InChannels || s[1] % PixelsPerLatent != 0 || s[2] % PixelsPerLatent != 0
            || s.Count == 0)
        {
            throw new ArgumentException(
                $"The autoencoder encodes images [batch, height, width, {_config.InChannels}] whose sides are multiples of "
                    + $"{PixelsPerLatent}, not {image.Shape}.",
                nameof(image));
        }
        using var scope = new TensorScope();
        return scope.Keep(_encoder.Apply(image, watch, cancellation));
    }

    /// <summary>Decodes latents.</summary>
    /// <param name="latents">[batch, height, width, channels], as <see cref="Denormalize"/> gives them.</param>
    /// <param name="watch">Receives what submodules give, by the checkpoint's names, to find a fault; null watches nothing.</param>
    /// <param name="cancellation">Checked before every level.</param>
    /// <returns>Images [batch, 32 height, 32 width, 3] with values around [-1, 1], not clamped; a tensor of the current scope.</returns>
    /// <exception cref="ArgumentException">The latents have a wrong shape.</exception>
    /// <exception cref="OperationCanceledException">Cancelled.</exception>
    public Tensor Decode(Tensor latents, Action<string, Tensor>? watch = null, CancellationToken cancellation = default)
    {
        ArgumentNullException.ThrowIfNull(latents);
        if (latents.Shape is not { Rank: 4 } s || s[3] != LatentChannels || s.Count == 0)
        {
            throw new ArgumentException(
                $"The autoencoder decodes latents [batch, height, width, {LatentChannels}], not {latents.Shape}.", nameof(latents));
        }
        using var scope = new TensorScope();
        return scope.Keep(_decoder.Apply(latents, watch, cancellation));
    }

    /// <summary>Latents of this autoencoder to those of a denoiser.</summary>
    /// <param name="latents">[batch, height, width, channels].</param>
    /// <returns>As the latents; a tensor of the current scope.</returns>
    public Tensor Normalize(Tensor latents) => latents.Affine(ScalingFactor);

    /// <summary>The inverse of <see cref="Normalize"/>.</summary>
    /// <param name="latents">[batch, height, width, channels].</param>
    /// <returns>As the latents; a tensor of the current scope.</returns>
    public Tensor Denormalize(Tensor latents) => latents.Affine(1 / ScalingFactor);

    /// <inheritdoc/>
    public void Dispose() => _checkpoint.Dispose();
}

/// <summary>From large maps to small ones; the last convolution has a shortcut of averaged channels.</summary>
internal sealed class DcEncoder
{
    private readonly DcConfig _config;
    private readonly IDcLayer _convIn;
    private readonly (string Path, IDcLayer[] Layers)[] _downBlocks;
    private readonly Conv2d _convOut;

    public DcEncoder(WeightCursor at, DcConfig config)
    {
        var levels = config.Encoder;
        bool unshuffles = config.Downsamples == DcResampling.Pixels;
        _config = config;
        _convIn = levels[0].Layers > 0 ? new DcConvolution(at.At("conv_in"), config.InChannels, levels[0].Channels)
            : new DcDownBlock(at.At("conv_in"), config.InChannels, levels[1].Channels, unshuffles, shortcut: false);
        _downBlocks = new (string, IDcLayer[])[levels.Length];
        for (int i = 0; i < levels.Length; i++)
        {
            var level = at.At("down_blocks", i);
            var kind = levels[i];
            List<IDcLayer> layers = [.. Enumerable.Range(0, kind.Layers).Select(j => kind.Block(Numbered(level, j), config))];
            if (i < levels.Length - 1 && layers.Count > 0)
            {
                layers.Add(new DcDownBlock(
                    Numbered(level, layers.Count), levels[i].Channels, levels[i + 1].Channels, unshuffles, shortcut: true));
            }
            _downBlocks[i] = (level.Path, [.. layers]);
        }
        _convOut = new Conv2d(at.At("conv_out"), levels[^1].Channels, config.LatentChannels, kernel: 3);
    }

    public Tensor Apply(Tensor image, Action<string, Tensor>? watch, CancellationToken cancellation)
    {
        var x = _convIn.Apply(image);
        foreach (var (path, layers) in _downBlocks)
        {
            cancellation.ThrowIfCancellationRequested();
            foreach (var layer in layers)
                x = x.Then(layer.Apply(x));
            watch?.Invoke(path, x);
        }
        if (!_config.OutShortcut)
            return _convOut.Apply(x);
        var shortcut = DcShortcuts.Mean(x, _config.LatentChannels);
        return _convOut.AddTo(shortcut, x, into: shortcut);
    }

    private static WeightCursor Numbered(WeightCursor at, int index) => at.At(index.ToString(CultureInfo.InvariantCulture));
}

/// <summary>From small maps to large ones, the file's levels from the last to the first; repeated channels go around the first
/// convolution.</summary>
internal sealed class DcDecoder
{
    private readonly DcConfig _config;
    private readonly Conv2d _convIn;
    private readonly (string Path, IDcLayer[] Layers)[] _upBlocks;
    private readonly DcNorm _normOut;
    private readonly IDcLayer _convOut;

    public DcDecoder(WeightCursor at, DcConfig config)
    {
        var levels = config.Decoder;
        bool interpolates = config.Upsamples == DcResampling.Interpolation;
        _config = config;
        _convIn = new Conv2d(at.At("conv_in"), config.LatentChannels, levels[^1].Channels, kernel: 3);
        _upBlocks = new (string, IDcLayer[])[levels.Length];
        for (int i = 0; i < levels.Length; i++)
        {
            var level = at.At("up_blocks", i);
            WeightCursor Next(int index) => level.At(index.ToString(CultureInfo.InvariantCulture));
            var layers = new List<IDcLayer>();
            if (i < levels.Length - 1 && levels[i].Layers > 0)
                layers.Add(new DcUpBlock(Next(0), levels[i + 1].Channels, levels[i].Channels, interpolates, shortcut: true));
            for (int j = 0; j < levels[i].Layers; j++)
                layers.Add(levels[i].Block(Next(layers.Count), config));
            _upBlocks[i] = (level.Path, [.. layers]);
        }
        int channels = levels[0].Layers > 0 ? levels[0].Channels : levels[1].Channels;
        _normOut = new DcNorm(at.At("norm_out"), channels);
        _convOut = levels[0].Layers > 0 ? new DcConvolution(at.At("conv_out"), channels, config.InChannels)
            : new DcUpBlock(at.At("conv_out"), channels, config.InChannels, interpolates, shortcut: false);
    }

    public Tensor Apply(Tensor latents, Action<string, Tensor>? watch, CancellationToken cancellation)
    {
        var x = _convIn.Apply(latents);
        watch?.Invoke("decoder.conv_in", x);
        if (_config.InShortcut)
        {
            using var repeated = DcShortcuts.Repeated(latents, x.Shape[3]);
            x.Add(repeated, into: x);
        }
        for (int i = _upBlocks.Length - 1; i >= 0; i--)
        {
            cancellation.ThrowIfCancellationRequested();
            foreach (var layer in _upBlocks[i].Layers)
                x = x.Then(layer.Apply(x));
            watch?.Invoke(_upBlocks[i].Path, x);
        }
        x = x.Then(_normOut.Apply(x));
        x.Activate(_config.ConvAct, into: x);
        return x.Then(_convOut.Apply(x));
    }
}

/// <summary>A layer over feature maps.</summary>
internal interface IDcLayer
{
    /// <summary>[batch, height, width, channels] to another map; leaves x as it is.</summary>
    Tensor Apply(Tensor x);
}

/// <summary>A convolution that keeps the size.</summary>
internal sealed class DcConvolution(WeightCursor at, int inputs, int outputs) : IDcLayer
{
    private readonly Conv2d _conv = new(at, inputs, outputs, kernel: 3);

    public Tensor Apply(Tensor x) => _conv.Apply(x);
}

/// <summary>Root-mean-square norm over the channels of a pixel, with weight and bias.</summary>
internal sealed class DcNorm(WeightCursor at, int channels)
{
    private readonly RmsNorm _norm = new(at, channels, epsilon: 1e-5f);
    private readonly PreparedWeight _bias = at.Get("bias", [channels], WeightRole.Table);

    public Tensor Apply(Tensor x, Tensor? into = null)
    {
        var normed = _norm.Apply(x, into);
        using var bias = _bias.Embed([0]);
        return normed.Add(bias, into: normed);
    }
}

/// <summary>Two convolutions and a norm, added to their input.</summary>
internal sealed class DcResBlock(WeightCursor at, int channels, Activation activation) : IDcLayer
{
    private readonly Conv2d _conv1 = new(at.At("conv1"), channels, channels, kernel: 3);
    private readonly Conv2d _conv2 = new(at.At("conv2"), channels, channels, kernel: 3, bias: false);
    private readonly DcNorm _norm = new(at.At("norm"), channels);

    public Tensor Apply(Tensor x)
    {
        using var scope = new TensorScope();
        var hidden = _conv1.Apply(x);
        hidden.Activate(activation, into: hidden);
        hidden = hidden.Then(_conv2.Apply(hidden));
        _norm.Apply(hidden, into: hidden);
        return scope.Keep(hidden.Add(x, into: hidden));
    }
}

/// <summary>Linear attention at several scales, then a gated convolution, each normed and added to its input.</summary>
internal sealed class DcAttentionBlock(WeightCursor at, int channels, int headChannels, int[] scales) : IDcLayer
{
    private readonly DcAttention _attn = new(at.At("attn"), channels, headChannels, scales);
    private readonly GatedConvolution _convOut = new(at.At("conv_out"), channels, 4 * channels);
    private readonly DcNorm _norm = new(at.At("conv_out.norm"), channels);

    public Tensor Apply(Tensor x)
    {
        using var scope = new TensorScope();
        var attended = _attn.Apply(x);
        var mixed = _convOut.Apply(attended);
        _norm.Apply(mixed, into: mixed);
        return scope.Keep(mixed.Add(attended, into: mixed));
    }
}

/// <summary>
/// Linear attention of pixels to each other (SanaMultiscaleLinearAttention). Queries, keys and values also come smoothed by a convolution
/// of each channel, once for each scale, with heads of their own. The channels of all are cut into heads in the order in which the
/// reference cuts them: a head's queries, keys and values are three neighbouring runs.
/// </summary>
internal sealed class DcAttention(WeightCursor at, int channels, int headChannels, int[] scales)
{
    private const float Epsilon = 1e-15f;

    private readonly Linear[] _projections =
        [.. new[] { "to_q", "to_k", "to_v" }.Select(name => new Linear(at.At(name), channels, channels, bias: false))];

    private readonly (DepthwiseConv2d In, Linear Out)[] _scales =
    [
        .. scales.Select((kernel, i) => (
            new DepthwiseConv2d(at.At("to_qkv_multiscale", i).At("proj_in"), 3 * channels, kernel, bias: false),
            new Linear(at.At("to_qkv_multiscale", i).At("proj_out"), headChannels, 3 * channels, bias: false))),
    ];

    private readonly Linear _out = new(at.At("to_out"), (1 + scales.Length) * channels, channels, bias: false);
    private readonly DcNorm _norm = new(at.At("norm_out"), channels);

    public Tensor Apply(Tensor x)
    {
        using var scope = new TensorScope();
        var (batch, height, width) = (x.Shape[0], x.Shape[1], x.Shape[2]);
        int own = 3 * channels;
        var all = x.Like([batch, height, width, own * (1 + _scales.Length)]);
        var plain = x.Like([batch, height, width, own]);
        for (int i = 0; i < 3; i++)
            _projections[i].Apply(x, into: plain.Slice(3, i * channels, channels));
        plain.CopyTo(all.Slice(3, 0, own));
        for (int i = 0; i < _scales.Length; i++)
        {
            using var smoothed = _scales[i].In.Apply(plain);
            for (int first = 0; first < own; first += headChannels)
            {
                _scales[i].Out.Apply(
                    smoothed.Slice(3, first, headChannels), first, headChannels,
                    into: all.Slice(3, (1 + i) * own + first, headChannels));
            }
        }
        plain.Dispose();
        var heads = all.Reshape(batch, height * width, -1, 3 * headChannels);
        Tensor Part(int i) => heads.Slice(3, i * headChannels, headChannels);
        var attended = Part(0).Activate(Activation.Relu).LinearAttention(Part(1).Activate(Activation.Relu), Part(2), Epsilon);
        all.Dispose();
        var result = _out.Apply(attended.Reshape(batch, height, width, -1));
        _norm.Apply(result, into: result);
        return scope.Keep(result.Add(x, into: result));
    }
}

/// <summary>Half the size: a convolution, beside it neighbouring pixels as channels, averaged to as many as there are to be.</summary>
internal sealed class DcDownBlock(WeightCursor at, int inputs, int outputs, bool unshuffles, bool shortcut) : IDcLayer
{
    private readonly Conv2d _conv = new(
        at.At("conv"), inputs, unshuffles ? outputs / 4 : outputs, kernel: 3, Conv2dGeometry.Same(1, unshuffles ? 1 : 2));

    public Tensor Apply(Tensor x)
    {
        using var scope = new TensorScope();
        var result = _conv.Apply(x);
        if (unshuffles)
            result = result.Then(DcShortcuts.Unshuffle(result));
        if (shortcut)
            result.Add(DcShortcuts.Mean(DcShortcuts.Unshuffle(x), outputs), into: result);
        return scope.Keep(result);
    }
}

/// <summary>Twice the size: a convolution, beside it repeated channels as neighbouring pixels.</summary>
internal sealed class DcUpBlock(WeightCursor at, int inputs, int outputs, bool interpolates, bool shortcut) : IDcLayer
{
    private readonly Conv2d _conv = new(at.At("conv"), inputs, interpolates ? outputs : 4 * outputs, kernel: 3);

    public Tensor Apply(Tensor x)
    {
        using var scope = new TensorScope();
        Tensor result;
        if (interpolates)
        {
            var enlarged = x.ResizeNearest(2 * x.Shape[1], 2 * x.Shape[2]);
            result = enlarged.Then(_conv.Apply(enlarged));
        }
        else
        {
            var wide = _conv.Apply(x);
            result = wide.Then(DcShortcuts.Shuffle(wide));
        }
        if (shortcut)
        {
            var repeated = DcShortcuts.Repeated(x, 4 * outputs);
            result.Add(repeated.Then(DcShortcuts.Shuffle(repeated)), into: result);
        }
        return scope.Keep(result);
    }
}

/// <summary>Changes of size and channels without weights.</summary>
internal static class DcShortcuts
{
    /// <summary>Four pixels as channels (channel, row, column): [b, 2h, 2w, c] to [b, h, w, 4c].</summary>
    public static Tensor Unshuffle(Tensor x)
    {
        var (batch, height, width, channels) = (x.Shape[0], x.Shape[1] / 2, x.Shape[2] / 2, x.Shape[3]);
        return x.Reshape(batch, height, 2, width, 2, channels).Permute(0, 1, 3, 5, 2, 4).Reshape(batch, height, width, 4 * channels);
    }

    /// <summary>The inverse of <see cref="Unshuffle"/>.</summary>
    public static Tensor Shuffle(Tensor x)
    {
        var (batch, height, width, channels) = (x.Shape[0], x.Shape[1], x.Shape[2], x.Shape[3] / 4);
        return x.Reshape(batch, height, width, channels, 2, 2).Permute(0, 1, 4, 2, 5, 3).Reshape(batch, 2 * height, 2 * width, channels);
    }

    /// <summary>Neighbouring channels averaged to a number of them.</summary>
    public static Tensor Mean(Tensor x, int channels)
    {
        using var scope = new TensorScope();
        int group = x.Shape[3] / channels;
        var groups = x.Reshape(x.Shape[0], x.Shape[1], x.Shape[2], channels, group).Permute(4, 0, 1, 2, 3);
        var sum = groups.Slice(0, 0, 1).Clone();
        for (int i = 1; i < group; i++)
            sum.Add(groups.Slice(0, i, 1), into: sum);
        return scope.Keep(sum.Affine(1f / group, into: sum).Reshape(x.Shape.With(3, channels)));
    }

    /// <summary>Each channel repeated, side by side, to a number of channels.</summary>
    public static Tensor Repeated(Tensor x, int channels)
    {
        using var scope = new TensorScope();
        var copies = x.Reshape(1, x.Shape[0], x.Shape[1], x.Shape[2], x.Shape[3]).Expand(0, channels / x.Shape[3]);
        return scope.Keep(copies.Permute(1, 2, 3, 4, 0).Reshape(x.Shape.With(3, channels)));
    }
}

/// <summary>How the size changes between levels: by a convolution with stride, by interpolation, or by moving pixels to channels.</summary>
internal enum DcResampling
{
    Convolution,
    Interpolation,
    Pixels,
}

/// <summary>One level of a coder.</summary>
/// <param name="Channels">Channels of its maps.</param>
/// <param name="Layers">The number of its blocks.</param>
/// <param name="Attends">Whether they attend; else they are residual blocks.</param>
/// <param name="Scales">The kernels that smooth queries, keys and values of further heads.</param>
/// <param name="Activation">Of residual blocks.</param>
internal sealed record DcLevel(int Channels, int Layers, bool Attends, int[] Scales, Activation Activation)
{
    public IDcLayer Block(WeightCursor at, DcConfig config) => Attends
        ? new DcAttentionBlock(at, Channels, config.AttentionHeadDim, Scales) : new DcResBlock(at, Channels, Activation);
}

/// <summary>The keys of config.json that shape the autoencoder, with the reference's defaults.</summary>
internal sealed record DcConfig
{
    public required int InChannels { get; init; }

    public required int LatentChannels { get; init; }

    public required int AttentionHeadDim { get; init; }

    /// <summary>The levels, from the largest maps to the smallest.</summary>
    public required DcLevel[] Encoder { get; init; }

    /// <inheritdoc cref="Encoder"/>
    public required DcLevel[] Decoder { get; init; }

    public required DcResampling Downsamples { get; init; }

    public required DcResampling Upsamples { get; init; }

    public required bool OutShortcut { get; init; }

    public required bool InShortcut { get; init; }

    public required Activation ConvAct { get; init; }

    public required float ScalingFactor { get; init; }

    /// <summary>
    /// In a residual block at full size, three maps; or before it, where the map of the level below is enlarged, that one beside its
    /// result and itself; float32.
    /// </summary>
    public long DecodingBytesPerPixel
    {
        get
        {
            long first = Decoder[0].Channels;
            long second = Decoder[Math.Min(1, Decoder.Length - 1)].Channels;
            return sizeof(float) * Math.Max(3 * first, first + second + second / 4);
        }
    }

    public static DcConfig Read(ModelConfig json)
    {
        int head = json.Size("attention_head_dim", 32);
        int latents = json.Size("latent_channels", 32);
        RequireEach(json, "decoder_norm_types", "rms_norm", "rms_norm");
        var config = new DcConfig
        {
            InChannels = json.Size("in_channels", 3),
            LatentChannels = latents,
            AttentionHeadDim = head,
            Encoder = Levels(json, "encoder", head, latents, [2, 2, 2, 3, 3, 3]),
            Decoder = Levels(json, "decoder", head, latents, [3, 3, 3, 3, 3, 3]),
            Downsamples = Resampling(json, "downsample_block_type", DcResampling.Convolution, "pixel_unshuffle"),
            Upsamples = Resampling(json, "upsample_block_type", DcResampling.Interpolation, "pixel_shuffle"),
            OutShortcut = json.Bool("encoder_out_shortcut", true),
            InShortcut = json.Bool("decoder_in_shortcut", true),
            ConvAct = json.Activation("decoder_conv_act_fn", "relu"),
            ScalingFactor = (float)json.Positive("scaling_factor", 1),
        };
        if (config.Encoder.Length != config.Decoder.Length)
        {
            throw new CheckpointException(
                $"'{json.Path}': the encoder has {config.Encoder.Length} levels and the decoder {config.Decoder.Length}, "
                    + "expected as many.");
        }
        return config;
    }

    private static DcLevel[] Levels(ModelConfig json, string part, int head, int latents, int[] layersMissing)
    {
        string Key(string name) => $"{part}_{name}";
        int[] channels = json.Sizes(Key("block_out_channels"), 128, 256, 512, 512, 1024, 1024);
        int[] layers = json.LayerLists(Key("layers_per_block"), layersMissing);
        string[] types = PerLevel(json, Key("block_types"), "ResBlock", channels.Length);
        int[][] scales = Scales(json, Key("qkv_multiscales"));
        if (channels.Length < 2 || layers.Length != channels.Length || scales.Length != channels.Length)
        {
            throw new CheckpointException(
                $"'{json.Path}': {Key("block_out_channels")} has {channels.Length} levels, {Key("layers_per_block")} {layers.Length} and "
                    + $"{Key("qkv_multiscales")} {scales.Length}, expected the same number, at least two.");
        }
        var activations = part == "decoder" ? PerLevel(json, "decoder_act_fns", "silu", channels.Length)
            : [.. Enumerable.Repeat("silu", channels.Length)];
        var levels = new DcLevel[channels.Length];
        for (int i = 0; i < levels.Length; i++)
        {
            bool attends = types[i] == "EfficientViTBlock";
            if (!attends && types[i] != "ResBlock")
            {
                throw new CheckpointException(
                    $"'{json.Path}': {Key("block_types")} has '{types[i]}', expected ResBlock or EfficientViTBlock.");
            }
            if (channels[i] % head != 0 && attends)
            {
                throw new CheckpointException(
                    $"'{json.Path}': {Key("block_out_channels")} has {channels[i]} for a level with attention, expected a multiple of "
                        + $"attention_head_dim, {head}.");
            }
            if (i > 0 && (4 * channels[i - 1] % channels[i] != 0 || layers[i] < 1))
            {
                throw new CheckpointException(
                    $"'{json.Path}': {Key("block_out_channels")} goes from {channels[i - 1]} to {channels[i]}, with {layers[i]} of "
                        + $"{Key("layers_per_block")}; expected a divisor of {4 * channels[i - 1]}, and at least one block.");
            }
            var activation = ActivationNames.Parse(json, "decoder_act_fns", activations[i]);
            levels[i] = new DcLevel(channels[i], layers[i], attends, scales[i], activation);
        }
        return channels[^1] % latents == 0 ? levels
            : throw new CheckpointException(
                $"'{json.Path}': {Key("block_out_channels")} ends with {channels[^1]}, expected a multiple of latent_channels, "
                    + $"{latents}.");
    }

    private static DcResampling Resampling(ModelConfig json, string key, DcResampling other, string pixels)
    {
        string stated = json.String(key, pixels);
        string name = other == DcResampling.Convolution ? "Conv" : "interpolate";
        return stated == pixels ? DcResampling.Pixels
            : string.Equals(stated, name, StringComparison.OrdinalIgnoreCase) ? other
            : throw new CheckpointException($"'{json.Path}': {key} is '{stated}', expected {name} or {pixels}.");
    }

    /// <summary>A name for all levels, or a list with one for each.</summary>
    private static string[] PerLevel(ModelConfig json, string key, string missing, int levels)
    {
        string[] names = json.Find(key) is { ValueKind: JsonValueKind.Array } ? json.Strings(key)
            : [.. Enumerable.Repeat(json.String(key, missing), levels)];
        return names.Length == levels ? names
            : throw new CheckpointException($"'{json.Path}': {key} has {names.Length} entries, expected {levels}, one for each level.");
    }

    private static void RequireEach(ModelConfig json, string key, string missing, string expected)
    {
        string[] names = json.Find(key) is { ValueKind: JsonValueKind.Array } ? json.Strings(key) : [json.String(key, missing)];
        if (Array.Find(names, name => name != expected) is { } other)
            throw new CheckpointException($"'{json.Path}': {key} has '{other}', expected {expected}.");
    }

    private static int[][] Scales(ModelConfig json, string key)
    {
        if (json.Find(key) is not { } lists)
            return [[], [], [], [5], [5], [5]];
        CheckpointException Wrong() => new($"'{json.Path}': {key} is {lists.GetRawText()}, expected a list of odd numbers for each level.");
        if (lists.ValueKind != JsonValueKind.Array)
            throw Wrong();
        return
        [
            .. lists.EnumerateArray().Select(list => list.ValueKind != JsonValueKind.Array ? throw Wrong() : list.EnumerateArray()
                .Select(item => item.ValueKind == JsonValueKind.Number && item.TryGetInt32(out int kernel) && kernel > 0 && kernel % 2 == 1
                    ? kernel : throw Wrong())
                .ToArray()),
        ];
    }
}
