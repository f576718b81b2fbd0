using Attune.Layers;
using Attune.Tensors;
using Attune.Weights;

namespace Attune.Autoencoders;

/// <summary>
/// A small, fast autoencoder that approximates the large one of a model (AutoencoderTiny of diffusers: TAESD for Stable Diffusion and SDXL,
/// TAEF1 for FLUX.1, by Ollin Boer Bohan): convolutions only. Images and latents have their channels last.
/// </summary>
public sealed class AutoencoderTiny : IDisposable
{
    private readonly Checkpoint _checkpoint;
    private readonly TinyConfig _config;
    private readonly TinyEncoder _encoder;
    private readonly TinyDecoder _decoder;

    private AutoencoderTiny(Checkpoint checkpoint, ModelConfig config)
    {
        _checkpoint = checkpoint;
        _config = TinyConfig.Read(config);
        _encoder = new TinyEncoder(checkpoint.Root.At("encoder"), _config);
        _decoder = new TinyDecoder(checkpoint.Root.At("decoder"), _config);
        checkpoint.RequireAllUsed();
    }

    /// <summary>The channels of latents.</summary>
    public int LatentChannels => _config.LatentChannels;

    /// <summary>How many pixels, in each direction, a latent stands for.</summary>
    public int PixelsPerLatent => 1 << (_config.EncoderChannels.Length - 1);

    /// <summary>
    /// What latents are multiplied with before a denoiser sees them: 1 in all known models, since this autoencoder speaks the denoiser's
    /// latents.
    /// </summary>
    public float ScalingFactor => _config.ScalingFactor;

    /// <summary>What is subtracted from latents before they are multiplied.</summary>
    public float ShiftFactor => _config.ShiftFactor;

    /// <summary>Loads the folder of a component: config.json and its weights, which stay mapped.</summary>
    /// <param name="folder">The folder.</param>
    /// <param name="device">What computes.</param>
    /// <exception cref="CheckpointException">A file is missing or malformed, or does not fit the architecture.</exception>
    public static AutoencoderTiny Load(string folder, Device device) => Load(ComponentSource.Folder(folder, device));

    /// <summary>Builds the component from a source: a folder, or one with LoRA or renamed weights.</summary>
    /// <param name="source">Where it comes from.</param>
    /// <exception cref="CheckpointException">A file is missing or malformed, or does not fit the architecture.</exception>
    public static AutoencoderTiny Load(ComponentSource source) =>
        source.Build((checkpoint, config) => new AutoencoderTiny(checkpoint, config));

    /// <summary>Encodes images.</summary>
    /// <param name="image">[batch, height, width, 3], values in [-1, 1]; height and width multiples of
    /// <see cref="PixelsPerLatent"/>.</param>
    /// <param name="cancellation">Checked before every level.</param>
    /// <returns>Latents [batch, height / 8, width / 8, <see cref="LatentChannels"/>], used as they are: there is no distribution to draw
    /// from. A tensor of the current scope.</returns>
    /// <exception cref="ArgumentException">The image has the wrong shape.</exception>
    /// <exception cref="OperationCanceledException">Cancelled.</exception>
    public Tensor Encode(Tensor image, CancellationToken cancellation = default)
    {
        ArgumentNullException.ThrowIfNull(image);
        if (image.Shape.Rank != 4 || image.Shape[3] != _config.InChannels)
            throw new ArgumentException(
                $"The autoencoder encodes images [batch, height, width, {_config.InChannels}], not {image.Shape}.", nameof(image));
        using var scope = new TensorScope();
        return scope.Keep(_encoder.Apply(image.Affine(0.5f, 0.5f), cancellation));
    }

    /// <summary>Decodes latents.</summary>
    /// <param name="latents">[batch, height, width, <see cref="LatentChannels"/>].</param>
    /// <param name="cancellation">Checked before every level.</param>
    /// <returns>Images [batch, 8 height, 8 width, 3] with values around [-1, 1], not clamped; a tensor of the current scope.</returns>
    /// <exception cref="ArgumentException">The latents have the wrong shape.</exception>
    /// <exception cref="OperationCanceledException">Cancelled.</exception>
    public Tensor Decode(Tensor latents, CancellationToken cancellation = default)
    {
        ArgumentNullException.ThrowIfNull(latents);
        if (latents.Shape.Rank != 4 || latents.Shape[3] != LatentChannels)
            throw new ArgumentException(
                $"The autoencoder decodes latents [batch, height, width, {LatentChannels}], not {latents.Shape}.", nameof(latents));
        using var scope = new TensorScope();
        var image = _decoder.Apply(latents, cancellation);
        return scope.Keep(image.Affine(2, -1, into: image));
    }

    /// <summary>Latents of this autoencoder to those of a denoiser: (latents - shift) scale.</summary>
    /// <param name="latents">[batch, height, width, <see cref="LatentChannels"/>].</param>
    /// <returns>As the latents; a tensor of the current scope.</returns>
    public Tensor Normalize(Tensor latents) => latents.Affine(ScalingFactor, -ShiftFactor * ScalingFactor);

    /// <summary>Latents of a denoiser to those of this autoencoder: the inverse of <see cref="Normalize"/>.</summary>
    /// <param name="latents">[batch, height, width, <see cref="LatentChannels"/>].</param>
    /// <returns>As the latents; a tensor of the current scope.</returns>
    public Tensor Denormalize(Tensor latents) => latents.Affine(1 / ScalingFactor, ShiftFactor);

    /// <summary>
    /// Squeezes latents into [0, 1], so that they can be stored as the bytes of an image (<c>scale_latents</c>): clamp(latents / (2
    /// magnitude) + shift, 0, 1).
    /// </summary>
    /// <param name="latents">[batch, height, width, <see cref="LatentChannels"/>].</param>
    /// <returns>As the latents; a tensor of the current scope.</returns>
    public Tensor ToUnitRange(Tensor latents)
    {
        var result = latents.Affine(1 / (2 * _config.LatentMagnitude), _config.LatentShift);
        return result.Clamp(0, 1, into: result);
    }

    /// <inheritdoc/>
    public void Dispose() => _checkpoint.Dispose();
}

/// <summary>
/// Levels of a convolution, which halves the size from the second level on, and residual blocks; then a convolution. The file numbers the
/// layers through.
/// </summary>
internal sealed class TinyEncoder
{
    private readonly (Conv2d Conv, TinyBlock[] Blocks)[] _levels;
    private readonly Conv2d _convOut;

    public TinyEncoder(WeightCursor at, TinyConfig config)
    {
        int layer = 0;
        _levels = new (Conv2d, TinyBlock[])[config.EncoderChannels.Length];
        for (int i = 0; i < _levels.Length; i++)
        {
            int channels = config.EncoderChannels[i];
            var conv = i == 0
                ? new Conv2d(at.At("layers", layer++), config.InChannels, channels, kernel: 3)
                : new Conv2d(at.At("layers", layer++), channels, channels, kernel: 3, Conv2dGeometry.Same(1, stride: 2), bias: false);
            var blocks = new TinyBlock[config.NumEncoderBlocks[i]];
            for (int j = 0; j < blocks.Length; j++)
                blocks[j] = new TinyBlock(at.At("layers", layer++), channels, config.ActFn);
            _levels[i] = (conv, blocks);
        }
        _convOut = new Conv2d(at.At("layers", layer), config.EncoderChannels[^1], config.LatentChannels, kernel: 3);
    }

    /// <summary>Consumes an image with values in [0, 1].</summary>
    public Tensor Apply(Tensor x, CancellationToken cancellation)
    {
        foreach (var (conv, blocks) in _levels)
        {
            cancellation.ThrowIfCancellationRequested();
            x = x.Then(conv.Apply(x));
            foreach (var block in blocks)
                x = x.Then(block.Apply(x));
        }
        return x.Then(_convOut.Apply(x));
    }
}

/// <summary>
/// A soft clamp and a convolution; levels of residual blocks, a doubling of the size (save in the last) and a convolution.
/// </summary>
internal sealed class TinyDecoder
{
    /// <summary>
    /// Latents are clamped softly to [-3, 3]; the reference has the number in its code, whatever <c>latent_magnitude</c> says.
    /// </summary>
    private const float Bound = 3;

    private readonly Conv2d _convIn;
    private readonly Activation _activation;
    private readonly int _upsampling;
    private readonly (TinyBlock[] Blocks, Conv2d Conv)[] _levels;

    public TinyDecoder(WeightCursor at, TinyConfig config)
    {
        (_activation, _upsampling) = (config.ActFn, config.UpsamplingScalingFactor);
        _convIn = new Conv2d(at.At("layers.0"), config.LatentChannels, config.DecoderChannels[0], kernel: 3);
        int layer = 2;      // 1 is the activation
        _levels = new (TinyBlock[], Conv2d)[config.DecoderChannels.Length];
        for (int i = 0; i < _levels.Length; i++)
        {
            int channels = config.DecoderChannels[i];
            bool last = i == _levels.Length - 1;
            var blocks = new TinyBlock[config.NumDecoderBlocks[i]];
            for (int j = 0; j < blocks.Length; j++)
                blocks[j] = new TinyBlock(at.At("layers", layer++), channels, config.ActFn);
            if (!last)
                layer++;    // the upsampling
            _levels[i] = (
                blocks, new Conv2d(at.At("layers", layer++), channels, last ? config.OutChannels : channels, kernel: 3, bias: last));
        }
    }

    /// <summary>An image with values in [0, 1].</summary>
    public Tensor Apply(Tensor latents, CancellationToken cancellation)
    {
        var x = latents.Affine(1 / Bound);
        x.Activate(Activation.Tanh, into: x).Affine(Bound, into: x);
        x = x.Then(_convIn.Apply(x));
        x.Activate(_activation, into: x);
        for (int i = 0; i < _levels.Length; i++)
        {
            cancellation.ThrowIfCancellationRequested();
            foreach (var block in _levels[i].Blocks)
                x = x.Then(block.Apply(x));
            if (i < _levels.Length - 1)
                x = x.Then(x.ResizeNearest(_upsampling * x.Shape[1], _upsampling * x.Shape[2]));
            x = x.Then(_levels[i].Conv.Apply(x));
        }
        return x;
    }
}

/// <summary>Three convolutions with activations between, added to their input, then ReLU.</summary>
internal sealed class TinyBlock(WeightCursor at, int channels, Activation activation)
{
    private readonly Conv2d _conv0 = new(at.At("conv.0"), channels, channels, kernel: 3);
    private readonly Conv2d _conv2 = new(at.At("conv.2"), channels, channels, kernel: 3);
    private readonly Conv2d _conv4 = new(at.At("conv.4"), channels, channels, kernel: 3);

    public Tensor Apply(Tensor input)
    {
        var x = _conv0.Apply(input);
        x.Activate(activation, into: x);
        x = x.Then(_conv2.Apply(x));
        x.Activate(activation, into: x);
        x = x.Then(_conv4.Apply(x));
        x.Add(input, into: x);
        return x.Activate(Activation.Relu, into: x);
    }
}

/// <summary>The keys of config.json that shape the autoencoder, with the reference's defaults.</summary>
internal sealed record TinyConfig(
    int InChannels, int OutChannels, int LatentChannels, int[] EncoderChannels, int[] DecoderChannels, int[] NumEncoderBlocks,
    int[] NumDecoderBlocks,
    Activation ActFn, int UpsamplingScalingFactor, float LatentMagnitude, float LatentShift, float ScalingFactor, float ShiftFactor)
{
    public static TinyConfig Read(ModelConfig config)
    {
        var result = new TinyConfig(
            config.Size("in_channels", 3), config.Size("out_channels", 3), config.Size("latent_channels", 4),
            config.Sizes("encoder_block_out_channels", 64, 64, 64, 64), config.Sizes("decoder_block_out_channels", 64, 64, 64, 64),
            config.LayerLists("num_encoder_blocks", 1, 3, 3, 3), config.LayerLists("num_decoder_blocks", 3, 3, 3, 1),
            config.Activation("act_fn", "relu"), config.Size("upsampling_scaling_factor", 2), (float)config.Positive("latent_magnitude", 3),
            config.Float("latent_shift", 0.5),
            (float)config.Positive("scaling_factor", 1), config.Float("shift_factor", 0));
        RequireLevels(config, "encoder", result.EncoderChannels, result.NumEncoderBlocks);
        RequireLevels(config, "decoder", result.DecoderChannels, result.NumDecoderBlocks);
        string upsampling = config.String("upsample_fn", "nearest");
        if (upsampling != "nearest")
            throw new CheckpointException($"'{config.Path}': upsample_fn is '{upsampling}', expected 'nearest'.");
        if (result.UpsamplingScalingFactor < 1)
            throw new CheckpointException(
                $"'{config.Path}': upsampling_scaling_factor is {result.UpsamplingScalingFactor}, expected 1 or more.");
        return result;
    }

    /// <summary>The layers of a level have one width: the reference's strided convolutions and blocks do not change it.</summary>
    private static void RequireLevels(ModelConfig config, string part, int[] channels, int[] blocks)
    {
        if (channels.Length == 0 || channels.Length != blocks.Length)
            throw new CheckpointException(
                $"'{config.Path}': {part}_block_out_channels has {channels.Length} levels and num_{part}_blocks {blocks.Length}, expected "
                    + $"the same number, at least one.");
        if (channels.Any(width => width != channels[0]))
            throw new CheckpointException(
                $"'{config.Path}': {part}_block_out_channels is [{string.Join(", ", channels)}], expected one width for all levels.");
    }
}
