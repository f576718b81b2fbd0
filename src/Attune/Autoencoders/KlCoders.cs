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
    private readonly Device _device;
    private readonly KlConfig _config;
    private readonly KlEncoder _encoder;
    private readonly KlDecoder _decoder;
    private readonly Linear? _quantConv;
    private readonly Linear? _postQuantConv;

    public KlCoders(WeightCursor root, KlConfig config)
    {
        (_device, _config) = (root.Device, config);
        _encoder = new KlEncoder(root.At("encoder"), config);
        _decoder = new KlDecoder(root.At("decoder"), config);
        _quantConv = config.UseQuantConv ? new Linear(root.At("quant_conv"), 2 * config.LatentChannels, 2 * config.LatentChannels) : null;
        _postQuantConv = config.UsePostQuantConv ? new Linear(root.At("post_quant_conv"), config.LatentChannels, config.LatentChannels)
            : null;
    }

    /// <summary>What is taken for maps that are too large to be held as often as layers like.</summary>
    public BandLimits Limits { get; set; } = new();

    /// <summary>Bytes that decoding so many pictures of a size takes at its peak.</summary>
    public long DecodingBytes(int height, int width, int count) =>
        _config.DecodingBytes(height, width, count, Bands.Has(_device) ? Limits : null);

    /// <summary>Bounds the activations of decoding and encoding; false where the device takes pictures as a whole.</summary>
    public bool LimitMemory(long bytes)
    {
        if (!Bands.Has(_device))
            return false;
        Limits = BandLimits.Of(bytes);
        return true;
    }

    public DiagonalGaussian Encode(Tensor image, CancellationToken cancellation)
    {
        ArgumentNullException.ThrowIfNull(image);
        if (image.Shape.Rank != 4 || image.Shape[3] != _config.InChannels)
            throw new ArgumentException(
                $"The autoencoder encodes images [batch, height, width, {_config.InChannels}], not {image.Shape}.", nameof(image));
        using var scope = new TensorScope();
        var moments = _encoder.Apply(image, Limits, cancellation);
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
        return scope.Keep(_decoder.Apply(_postQuantConv?.Apply(latents) ?? latents, Limits, cancellation));
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
    private readonly int[] _channels;
    private readonly int _moments;
    private readonly int _groups;

    public KlEncoder(WeightCursor at, KlConfig config)
    {
        int[] channels = config.EncoderChannels;
        (_channels, _moments, _groups) = (channels, 2 * config.LatentChannels, config.NormNumGroups);
        _convIn = new Conv2d(at.At("conv_in"), config.InChannels, channels[0], kernel: 3);
        _downBlocks = [.. channels.Select((outputs, i) =>
            new KlDownBlock(at.At("down_blocks", i), channels[Math.Max(i - 1, 0)], outputs, downsample: i < channels.Length - 1, config))];
        _midBlock = new KlMidBlock(at.At("mid_block"), channels[^1], config);
        _convNormOut = new GroupNorm(at.At("conv_norm_out"), config.NormNumGroups, channels[^1], KlConfig.NormEpsilon);
        _convOut = new Conv2d(at.At("conv_out"), channels[^1], 2 * config.LatentChannels, kernel: 3);
    }

    public Tensor Apply(Tensor image, BandLimits limits, CancellationToken cancellation)
    {
        var first = image.Shape.With(3, _channels[0]);
        var (x, level) = Bands.Has(image.Device) && limits.IsLarge(first)
            ? ApplyLarge(image, limits, cancellation)
            : (_convIn.Apply(image), 0);
        if (level > _downBlocks.Length)
            return x;
        foreach (var block in _downBlocks[level..])
        {
            cancellation.ThrowIfCancellationRequested();
            x = block.Apply(x);
        }
        cancellation.ThrowIfCancellationRequested();
        x = _midBlock.Apply(x);
        return x.Then(_convOut.Apply(_convNormOut.Apply(x, Activation.Silu, into: x)));
    }

    /// <summary>The levels whose maps are large, image by image, in bands.</summary>
    /// <returns>The map after them, and the level that follows; where even the middle is large, the moments, and one level more.</returns>
    private (Tensor X, int Level) ApplyLarge(Tensor images, BandLimits limits, CancellationToken cancellation)
    {
        using var bands = new Bands(images.Device, _groups, images.Shape[0], limits, cancellation);
        Tensor? all = null;
        int level = 0;
        for (int i = 0; i < images.Shape[0]; i++)
        {
            using var image = images.Slice(0, i, 1);
            var map = bands.Convolve(_convIn, image, _channels[0]);
            for (level = 0; level < _downBlocks.Length && limits.IsLarge(map.Shape); level++)
                map = _downBlocks[level].Apply(map, bands);
            Tensor values;
            if (level == _downBlocks.Length && limits.IsLarge(map.Shape))
            {
                level++;
                map = _midBlock.Apply(map, bands);
                values = images.Like(map.Shape.With(3, _moments));
                bands.End(map, _convNormOut, _convOut, values);
            }
            else
            {
                values = bands.Whole(map);
            }
            if (images.Shape[0] == 1)
                return (values, level);
            all ??= images.Like(values.Shape.With(0, images.Shape[0]));
            using (var place = all.Slice(0, i, 1))
                values.CopyTo(place);
            values.Dispose();
        }
        return (all!, level);
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
    private readonly int[] _channels;
    private readonly int _outputs;
    private readonly int _groups;

    public KlDecoder(WeightCursor at, KlConfig config)
    {
        int[] channels = [.. config.DecoderChannels.Reverse()];
        (_channels, _outputs, _groups) = (channels, config.OutChannels, config.NormNumGroups);
        _convIn = new Conv2d(at.At("conv_in"), config.LatentChannels, channels[0], kernel: 3);
        _midBlock = new KlMidBlock(at.At("mid_block"), channels[0], config);
        _upBlocks = [.. channels.Select((outputs, i) =>
            new KlUpBlock(at.At("up_blocks", i), channels[Math.Max(i - 1, 0)], outputs, upsample: i < channels.Length - 1, config))];
        _convNormOut = new GroupNorm(at.At("conv_norm_out"), config.NormNumGroups, channels[^1], KlConfig.NormEpsilon);
        _convOut = new Conv2d(at.At("conv_out"), channels[^1], config.OutChannels, kernel: 3);
    }

    public Tensor Apply(Tensor latents, BandLimits limits, CancellationToken cancellation)
    {
        cancellation.ThrowIfCancellationRequested();
        bool has = Bands.Has(latents.Device);
        if (has && limits.IsLarge(latents.Shape.With(3, _channels[0])))
            return ApplyLarge(latents, null, limits, cancellation);
        var x = _midBlock.Apply(_convIn.Apply(latents));
        for (int level = 0; level < _upBlocks.Length; level++)
        {
            cancellation.ThrowIfCancellationRequested();
            if (has && limits.IsLarge(Largest(x.Shape, level)))
                return ApplyLarge(x, level, limits, cancellation);
            x = _upBlocks[level].Apply(x);
            TensorMemory.Trim(KeptBetweenLevels);
        }
        return x.Then(_convOut.Apply(_convNormOut.Apply(x, Activation.Silu, into: x)));
    }

    /// <summary>The largest map of a level: what it ends with, but for the last level, which does not enlarge.</summary>
    private Shape Largest(Shape x, int level) =>
        level == _upBlocks.Length - 1 ? x : x.With(1, 2 * x[1]).With(2, 2 * x[2]).With(3, _channels[level]);

    /// <summary>The levels from the first whose maps are large, image by image, in bands.</summary>
    /// <param name="x">The map before it, which is disposed; the latents where even the middle is large.</param>
    /// <param name="first">The level; null for what comes before all.</param>
    /// <param name="limits">What is taken for them.</param>
    /// <param name="cancellation">Checked before every band.</param>
    private Tensor ApplyLarge(Tensor x, int? first, BandLimits limits, CancellationToken cancellation)
    {
        using var bands = new Bands(x.Device, _groups, x.Shape[0], limits, cancellation);
        var images = Enumerable.Range(0, x.Shape[0]).Select(i => x.Slice(0, i, 1)).ToList();
        int scale = 1 << (_upBlocks.Length - 1 - (first ?? 0));
        var result = x.Like([x.Shape[0], scale * x.Shape[1], scale * x.Shape[2], _outputs]);
        if (first != null)
            x.Dispose();
        bands.Held = sizeof(float) * result.Count;
        for (int i = 0; i < images.Count; i++)
        {
            using var image = result.Slice(0, i, 1);
            var map = first == null ? _midBlock.Apply(bands.Convolve(_convIn, images[i], _channels[0]), bands) : bands.Of(images[i]);
            foreach (var block in _upBlocks[(first ?? 0)..])
            {
                map = block.Apply(map, bands);
                TensorMemory.Trim(KeptBetweenLevels);
            }
            bands.End(map, _convNormOut, _convOut, image);
        }
        return result;
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

    /// <summary>The same for a map that is gone through in bands.</summary>
    public BandedMap Apply(BandedMap x, Bands bands)
    {
        foreach (var resnet in _resnets)
            x = resnet.Apply(x, bands);
        if (_downsampler == null)
            return x;
        var (height, width) = Halving.OutputSize(x.Shape[1], x.Shape[2], 3, 3);
        var half = bands.New([1, height, width, outputs]);
        foreach (var band in bands.Of(half.Shape))
        {
            using var scope = new TensorScope();
            int start = 2 * band.First;
            var rows = x.Rows(start, Math.Min(2 * band.End + 1, x.Shape[1]) - start);
            half.Put(band, _downsampler.Apply(rows, band, into: half.Place(band)));
        }
        x.Dispose();
        return half;
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

    /// <summary>The same for a map that is gone through in bands: it is enlarged a band at a time.</summary>
    public BandedMap Apply(BandedMap x, Bands bands)
    {
        foreach (var resnet in _resnets)
            x = resnet.Apply(x, bands);
        if (_upsampler == null)
            return x;
        x = bands.Compact(x);
        var (height, width) = (x.Shape[1], x.Shape[2]);
        var twice = bands.New([1, 2 * height, 2 * width, outputs]);
        foreach (var band in bands.Of(twice.Shape))
        {
            using var scope = new TensorScope();
            int start = Math.Max(band.First / 2 - 1, 0);
            int count = Math.Min(band.End / 2 + 1, height) - start;
            var enlarged = x.Rows(start, count).ResizeNearest(2 * count, 2 * width);
            int above = Math.Max(band.First - 1, 0);
            var rows = enlarged.Slice(1, above - 2 * start, Math.Min(band.End + 1, 2 * height) - above);
            twice.Put(band, _upsampler.Apply(rows, band, into: twice.Place(band)));
        }
        x.Dispose();
        return twice;
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

    /// <summary>The same for a map that is gone through in bands.</summary>
    public BandedMap Apply(BandedMap x, Bands bands)
    {
        x = _first.Apply(x, bands);
        _attention?.AddTo(x, bands);
        return _second.Apply(x, bands);
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

    /// <summary>The same for a map that is gone through in bands: keys and values are whole, queries are those of a band.</summary>
    public void AddTo(BandedMap x, Bands bands)
    {
        int width = x.Shape[2];
        using var key = bands.Empty([1, x.Shape[1] * width, 1, channels]);
        using var value = bands.Empty(key.Shape);
        bands.Normalised(x, _groupNorm, Activation.None, (band, rows) =>
        {
            var pixels = Pixels(band, rows);
            _toK.Apply(pixels, into: key.Slice(1, band.First * width, band.Count * width));
            _toV.Apply(pixels, into: value.Slice(1, band.First * width, band.Count * width));
        });
        bands.Normalised(x, _groupNorm, Activation.None, (band, rows) =>
        {
            var attended = _toQ.Apply(Pixels(band, rows)).Attention(key, value, 1 / MathF.Sqrt(channels));
            var sum = x.Rows(band.First, band.Count);
            x.Store(band, _toOut.AddTo(sum, attended.Reshape(sum.Shape), into: sum));
        });
        x.Sum(bands);
    }

    /// <summary>[1, pixels of the band, 1, channels] of rows that overlap it.</summary>
    private Tensor Pixels(Band band, Tensor rows) =>
        rows.Slice(1, band.First == 0 ? 0 : 1, band.Count).Reshape(1, band.Count * rows.Shape[2], 1, channels);

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
    /// Bytes that decoding takes at its peak: maps that are there at the same time, level by level.
    /// </summary>
    /// <param name="height">Pixels of the picture.</param>
    /// <param name="width">Pixels of the picture.</param>
    /// <param name="count">Pictures that are decoded together.</param>
    /// <param name="limits">What is taken for large maps; null where the device has maps as a whole only.</param>
    public long DecodingBytes(int height, int width, int count, BandLimits? limits)
    {
        int[] channels = [.. DecoderChannels.Reverse()];

        // In the middle: the map, that normalised, queries, keys, values, these two packed, and what is found.
        long middle = sizeof(float) * ((long)height / PixelsPerLatent) * (width / PixelsPerLatent) * channels[0];
        bool large = limits != null && middle > 2 * limits.Band;
        long most = large ? 5 * middle : 8 * middle * count;
        for (int level = 0; level < channels.Length; level++)
        {
            bool last = level == channels.Length - 1;
            int scale = 1 << (channels.Length - 1 - level);
            long pixels = (long)(height / scale) * (width / scale);
            long inputs = sizeof(float) * pixels * channels[Math.Max(level - 1, 0)];
            long outputs = sizeof(float) * pixels * channels[level];
            large |= limits != null && (last ? inputs : 4 * outputs) > 2 * limits.Band;
            if (!large || limits == null)
            {
                // A residual block has its input, that normalised and a map of its own; an enlarged map and its convolution follow.
                most = Math.Max(most, count * Math.Max(2 * inputs + outputs, Math.Max(3 * outputs, last ? 0 : 8 * outputs)));
                continue;
            }
            long resnets = Math.Max(2 * outputs <= inputs ? inputs : inputs == outputs ? 0 : inputs + 2 * outputs, 2 * outputs);
            long four = sizeof(float) * 4L * width / scale * Math.Max(channels[Math.Max(level - 1, 0)], (last ? 1 : 2) * channels[level]);
            long maps = Math.Min(Math.Max(resnets, last ? 0 : 5 * outputs), limits.Maps);
            most = Math.Max(most, maps + 3 * Math.Max(limits.Band, four));
        }
        return most + (large ? sizeof(float) * (long)height * width * count * OutChannels : 0);
    }

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
