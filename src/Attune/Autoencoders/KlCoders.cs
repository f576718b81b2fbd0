using Attune.Layers;
using Attune.Tensors;
using Attune.Weights;

namespace Attune.Autoencoders;

/// <summary>
/// The encoder and decoder of the KL autoencoders of latent diffusion (Encoder and Decoder of diffusers), with the 1 x 1 convolutions at
/// their border. Blocks consume their input: they dispose it as soon as they can, since feature maps are large.
/// </summary>
internal sealed class KlCoders
{
    private readonly KlConfig _config;
    private readonly KlEncoder _encoder;
    private readonly KlDecoder _decoder;
    private readonly Linear? _quantConv;
    private readonly Linear? _postQuantConv;

    public KlCoders(WeightCursor root, KlConfig config)
    {
        _config = config;
        _encoder = new KlEncoder(root.At("encoder"), config);
        _decoder = new KlDecoder(root.At("decoder"), config);
        _quantConv = config.UseQuantConv ? new Linear(root.At("quant_conv"), 2 * config.LatentChannels, 2 * config.LatentChannels) : null;
        _postQuantConv = config.UsePostQuantConv ? new Linear(root.At("post_quant_conv"), config.LatentChannels, config.LatentChannels)
            : null;
    }

    public DiagonalGaussian Encode(Tensor image, CancellationToken cancellation)
    {
        ArgumentNullException.ThrowIfNull(image);
        if (image.Shape.Rank != 4 || image.Shape[3] != _config.InChannels)
            throw new ArgumentException(
                $"The autoencoder encodes images [batch, height, width, {_config.InChannels}], not {image.Shape}.", nameof(image));
        using var scope = new TensorScope();
        var moments = _encoder.Apply(image, cancellation);
        if (_quantConv != null)
            moments = _quantConv.Apply(moments);
        var posterior = new DiagonalGaussian(moments);
        scope.Keep(posterior.Mean);
        scope.Keep(posterior.LogVariance);
        return posterior;
    }

    public Tensor Decode(Tensor latents, CancellationToken cancellation)
    {
        ArgumentNullException.ThrowIfNull(latents);
        if (latents.Shape.Rank != 4 || latents.Shape[3] != _config.LatentChannels)
            throw new ArgumentException(
                $"The autoencoder decodes latents [batch, height, width, {_config.LatentChannels}], not {latents.Shape}.", nameof(latents));
        using var scope = new TensorScope();
        return scope.Keep(_decoder.Apply(_postQuantConv?.Apply(latents) ?? latents, cancellation));
    }
}

/// <summary>Image to moments of the latents: convolution, down blocks that halve the size, middle, norm, convolution.</summary>
internal sealed class KlEncoder
{
    private readonly Conv2d _convIn;
    private readonly KlDownBlock[] _downBlocks;
    private readonly KlMidBlock _midBlock;
    private readonly GroupNorm _convNormOut;
    private readonly Conv2d _convOut;

    public KlEncoder(WeightCursor at, KlConfig config)
    {
        int[] channels = config.EncoderChannels;
        _convIn = new Conv2d(at.At("conv_in"), config.InChannels, channels[0], kernel: 3);
        _downBlocks = [.. channels.Select((outputs, i) =>
            new KlDownBlock(at.At("down_blocks", i), channels[Math.Max(i - 1, 0)], outputs, downsample: i < channels.Length - 1, config))];
        _midBlock = new KlMidBlock(at.At("mid_block"), channels[^1], config);
        _convNormOut = new GroupNorm(at.At("conv_norm_out"), config.NormNumGroups, channels[^1], KlConfig.NormEpsilon);
        _convOut = new Conv2d(at.At("conv_out"), channels[^1], 2 * config.LatentChannels, kernel: 3);
    }

    public Tensor Apply(Tensor image, CancellationToken cancellation)
    {
        var x = _convIn.Apply(image);
        foreach (var block in _downBlocks)
        {
            cancellation.ThrowIfCancellationRequested();
            x = block.Apply(x);
        }
        cancellation.ThrowIfCancellationRequested();
        x = _midBlock.Apply(x);
        return x.Then(_convOut.Apply(_convNormOut.Apply(x, Activation.Silu, into: x)));
    }
}

/// <summary>Latents to image: convolution, middle, up blocks that double the size, norm, convolution.</summary>
internal sealed class KlDecoder
{
    /// <summary>Bytes that stay for reuse between levels: maps of one size hardly serve those of the next, and are large.</summary>
    private const long KeptBetweenLevels = 256 << 20;

    private readonly Conv2d _convIn;
    private readonly KlMidBlock _midBlock;
    private readonly KlUpBlock[] _upBlocks;
    private readonly GroupNorm _convNormOut;
    private readonly Conv2d _convOut;

    public KlDecoder(WeightCursor at, KlConfig config)
    {
        int[] channels = [.. config.DecoderChannels.Reverse()];
        _convIn = new Conv2d(at.At("conv_in"), config.LatentChannels, channels[0], kernel: 3);
        _midBlock = new KlMidBlock(at.At("mid_block"), channels[0], config);
        _upBlocks = [.. channels.Select((outputs, i) =>
            new KlUpBlock(at.At("up_blocks", i), channels[Math.Max(i - 1, 0)], outputs, upsample: i < channels.Length - 1, config))];
        _convNormOut = new GroupNorm(at.At("conv_norm_out"), config.NormNumGroups, channels[^1], KlConfig.NormEpsilon);
        _convOut = new Conv2d(at.At("conv_out"), channels[^1], config.OutChannels, kernel: 3);
    }

    public Tensor Apply(Tensor latents, CancellationToken cancellation)
    {
        cancellation.ThrowIfCancellationRequested();
        var x = _midBlock.Apply(_convIn.Apply(latents));
        foreach (var block in _upBlocks)
        {
            cancellation.ThrowIfCancellationRequested();
            x = block.Apply(x);
            TensorMemory.Trim(KeptBetweenLevels);
        }
        return x.Then(_convOut.Apply(_convNormOut.Apply(x, Activation.Silu, into: x)));
    }
}

/// <summary>Residual blocks, then a convolution that halves height and width (DownEncoderBlock2D).</summary>
internal sealed class KlDownBlock(WeightCursor at, int inputs, int outputs, bool downsample, KlConfig config)
{
    /// <summary>One row below and one column on the right: what the reference pads before its strided convolution.</summary>
    private static readonly Conv2dGeometry Halving = new(Stride: 2, Top: 0, Left: 0, Bottom: 1, Right: 1);

    private readonly ResnetBlock[] _resnets = config.Resnets(at, config.LayersPerBlock, inputs, outputs);
    private readonly Conv2d? _downsampler = downsample ? new(at.At("downsamplers.0.conv"), outputs, outputs, kernel: 3, Halving) : null;

    public Tensor Apply(Tensor x)
    {
        foreach (var resnet in _resnets)
            x = x.Then(resnet.Apply(x));
        return _downsampler == null ? x : x.Then(_downsampler.Apply(x));
    }
}

/// <summary>Residual blocks, then a doubling of height and width and a convolution (UpDecoderBlock2D).</summary>
internal sealed class KlUpBlock(WeightCursor at, int inputs, int outputs, bool upsample, KlConfig config)
{
    private readonly ResnetBlock[] _resnets = config.Resnets(at, config.LayersPerBlock + 1, inputs, outputs);
    private readonly Conv2d? _upsampler = upsample ? new(at.At("upsamplers.0.conv"), outputs, outputs, kernel: 3) : null;

    public Tensor Apply(Tensor x)
    {
        foreach (var resnet in _resnets)
            x = x.Then(resnet.Apply(x));
        if (_upsampler == null)
            return x;
        x = x.Then(x.ResizeNearest(2 * x.Shape[1], 2 * x.Shape[2]));
        return x.Then(_upsampler.Apply(x));
    }
}

/// <summary>Residual block, self-attention over all pixels, residual block (UNetMidBlock2D).</summary>
internal sealed class KlMidBlock(WeightCursor at, int channels, KlConfig config)
{
    private readonly ResnetBlock _first = config.Resnet(at.At("resnets", 0), channels, channels);
    private readonly KlAttention? _attention = config.MidBlockAddAttention ? new(at.At("attentions", 0), channels, config.NormNumGroups)
        : null;
    private readonly ResnetBlock _second = config.Resnet(at.At("resnets", 1), channels, channels);

    public Tensor Apply(Tensor x)
    {
        x = x.Then(_first.Apply(x));
        _attention?.AddTo(x);
        return x.Then(_second.Apply(x));
    }
}

/// <summary>Self-attention of all pixels with one head. Older files name its layers query, key, value and proj_attn.</summary>
internal sealed class KlAttention(WeightCursor at, int channels, int groups)
{
    private readonly GroupNorm _groupNorm = new(at.At("group_norm"), groups, channels, KlConfig.NormEpsilon);
    private readonly Linear _toQ = Read(at, "to_q", "query", channels);
    private readonly Linear _toK = Read(at, "to_k", "key", channels);
    private readonly Linear _toV = Read(at, "to_v", "value", channels);
    private readonly Linear _toOut = Read(at, "to_out.0", "proj_attn", channels);

    /// <summary>Updates [batch, height, width, channels] in place.</summary>
    public void AddTo(Tensor x)
    {
        using var scope = new TensorScope();
        var pixels = _groupNorm.Apply(x).Reshape(x.Shape[0], -1, 1, channels);
        var attended = _toQ.Apply(pixels).Attention(_toK.Apply(pixels), _toV.Apply(pixels), 1 / MathF.Sqrt(channels));
        _toOut.AddTo(x, attended.Reshape(x.Shape), into: x);
    }

    private static Linear Read(WeightCursor at, string name, string oldName, int channels) =>
        new(at.At(at.Contains(oldName) ? oldName : name), channels, channels);
}

/// <summary>The keys of config.json that shape encoder and decoder.</summary>
internal sealed record KlConfig
{
    /// <summary>All group norms of the autoencoder have this epsilon; no configuration states it.</summary>
    public const float NormEpsilon = 1e-6f;

    public required int InChannels { get; init; }

    public required int OutChannels { get; init; }

    public required int LatentChannels { get; init; }

    /// <summary>Channels per level, from the image to the latents.</summary>
    public required int[] EncoderChannels { get; init; }

    /// <summary>Channels per level, from the image to the latents.</summary>
    public required int[] DecoderChannels { get; init; }

    public required int LayersPerBlock { get; init; }

    public required int NormNumGroups { get; init; }

    public required Activation ActFn { get; init; }

    public required bool MidBlockAddAttention { get; init; }

    public required bool UseQuantConv { get; init; }

    public required bool UsePostQuantConv { get; init; }

    /// <summary>How many pixels, in each direction, a latent stands for.</summary>
    public int PixelsPerLatent => 1 << (EncoderChannels.Length - 1);

    /// <summary>
    /// Bytes that decoding takes for each pixel at its peak: in the first residual block at full size, whose input and its normalised copy
    /// have the channels of the level below, beside a map of its own; float32.
    /// </summary>
    public long DecodingBytesPerPixel =>
        sizeof(float) * (2L * DecoderChannels[Math.Min(1, DecoderChannels.Length - 1)] + DecoderChannels[0]);

    /// <summary>Reads the configuration; the arguments are the defaults in which the reference's classes differ.</summary>
    public static KlConfig Read(ModelConfig config, int[] blockOutChannels, int layersPerBlock, int latentChannels)
    {
        int[] channels = config.Sizes("block_out_channels", blockOutChannels);
        var result = new KlConfig
        {
            InChannels = config.Size("in_channels", 3),
            OutChannels = config.Size("out_channels", 3),
            LatentChannels = config.Size("latent_channels", latentChannels),
            EncoderChannels = channels,
            DecoderChannels = config.Sizes("decoder_block_out_channels", channels),
            LayersPerBlock = config.Layers("layers_per_block", layersPerBlock),
            NormNumGroups = config.Size("norm_num_groups", 32),
            ActFn = config.Activation("act_fn", "silu"),
            MidBlockAddAttention = config.Bool("mid_block_add_attention", true),
            UseQuantConv = config.Bool("use_quant_conv", true),
            UsePostQuantConv = config.Bool("use_post_quant_conv", true),
        };
        RequireBlocks(config, "down_block_types", "DownEncoderBlock2D", channels.Length);
        RequireBlocks(config, "up_block_types", "UpDecoderBlock2D", channels.Length);
        if (channels.Length == 0 || result.DecoderChannels.Length != channels.Length)
            throw new CheckpointException(
                $"'{config.Path}': block_out_channels has {channels.Length} levels and decoder_block_out_channels "
                    + $"{result.DecoderChannels.Length}, expected the same number, at least one.");
        foreach (int width in channels.Concat(result.DecoderChannels))
        {
            if (result.NormNumGroups <= 0 || width % result.NormNumGroups != 0)
                throw new CheckpointException(
                    $"'{config.Path}': norm_num_groups {result.NormNumGroups} does not divide the {width} channels of a block.");
        }
        return result;
    }

    public ResnetBlock Resnet(WeightCursor at, int inputs, int outputs) => new(at, inputs, outputs, NormNumGroups, NormEpsilon, ActFn);

    /// <summary>The residual blocks of a level; the first changes the number of channels.</summary>
    public ResnetBlock[] Resnets(WeightCursor at, int count, int inputs, int outputs) =>
        [.. Enumerable.Range(0, count).Select(i => Resnet(at.At("resnets", i), i == 0 ? inputs : outputs, outputs))];

    private static void RequireBlocks(ModelConfig config, string key, string expected, int count)
    {
        string[] types = config.Strings(key, [.. Enumerable.Repeat(expected, count)]);
        if (types.Length != count || types.Any(type => type != expected))
            throw new CheckpointException($"'{config.Path}': {key} is [{string.Join(", ", types)}], expected {count} times {expected}.");
    }
}
