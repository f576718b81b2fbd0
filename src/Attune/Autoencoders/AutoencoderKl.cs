using System.Text.Json;
using Attune.Layers;
using Attune.Tensors;
using Attune.Weights;

namespace Attune.Autoencoders;

/// <summary>
/// The autoencoder of Stable Diffusion, SDXL, SD3 and FLUX.1 (AutoencoderKL of diffusers; Rombach et al., "High-Resolution Image Synthesis
/// with Latent Diffusion Models", 2022). Images and latents have their channels last. It always computes in float32, so <c>force_upcast</c>
/// has no meaning here.
/// </summary>
public sealed class AutoencoderKl : IDisposable
{
    private readonly Checkpoint _checkpoint;
    private readonly KlConfig _config;
    private readonly KlCoders _coders;

    private AutoencoderKl(Checkpoint checkpoint, ModelConfig config)
    {
        _checkpoint = checkpoint;
        _config = KlConfig.Read(config, blockOutChannels: [64], layersPerBlock: 1, latentChannels: 4);
        _coders = new KlCoders(checkpoint.Root, _config);
        ScalingFactor = (float)config.Positive("scaling_factor", 0.18215);
        ShiftFactor = (float?)config.OptionalDouble("shift_factor");
        LatentsMean = ReadStatistics(config, "latents_mean");
        LatentsStd = ReadStatistics(config, "latents_std");
        if ((LatentsMean == null) != (LatentsStd == null))
            throw new CheckpointException($"'{config.Path}': latents_mean and latents_std go together, expected both or none.");
        checkpoint.RequireAllUsed();
    }

    /// <summary>The channels of latents.</summary>
    public int LatentChannels => _config.LatentChannels;

    /// <summary>How many pixels, in each direction, a latent stands for: 8 in all known models.</summary>
    public int PixelsPerLatent => _config.PixelsPerLatent;

    /// <summary>Bytes that decoding so many pictures of a size takes at its peak.</summary>
    internal long DecodingBytes(int height, int width, int count) => _coders.DecodingBytes(height, width, count);

    /// <summary>Bounds the activations of decoding and encoding; false where the device takes pictures as a whole.</summary>
    internal bool LimitMemory(long bytes) => _coders.LimitMemory(bytes);

    /// <summary>What is taken for maps that are too large to be held as often as layers like: for tests.</summary>
    internal BandLimits Limits
    {
        get => _coders.Limits;
        set => _coders.Limits = value;
    }

    /// <summary>What latents are multiplied with before a denoiser sees them.</summary>
    public float ScalingFactor { get; }

    /// <summary>What is subtracted from latents before they are multiplied, or null.</summary>
    public float? ShiftFactor { get; }

    /// <summary>The mean of each latent channel, for the few models that state it; else null.</summary>
    public IReadOnlyList<float>? LatentsMean { get; }

    /// <summary>The standard deviation of each latent channel; null with <see cref="LatentsMean"/>.</summary>
    public IReadOnlyList<float>? LatentsStd { get; }

    /// <summary>Loads the folder of a component: config.json and its weights, which stay mapped.</summary>
    /// <param name="folder">The folder.</param>
    /// <param name="device">What computes.</param>
    /// <exception cref="CheckpointException">A file is missing or malformed, or does not fit the architecture.</exception>
    public static AutoencoderKl Load(string folder, Device device) => Load(ComponentSource.Folder(folder, device));

    /// <summary>Builds the component from a source: a folder, or one with LoRA or renamed weights.</summary>
    /// <param name="source">Where it comes from.</param>
    /// <exception cref="CheckpointException">A file is missing or malformed, or does not fit the architecture.</exception>
    public static AutoencoderKl Load(ComponentSource source) =>
        source.Build((checkpoint, config) => new AutoencoderKl(checkpoint, config));

    /// <summary>Encodes images.</summary>
    /// <param name="image">[batch, height, width, 3], values in [-1, 1]; height and width multiples of
    /// <see cref="PixelsPerLatent"/>.</param>
    /// <param name="cancellation">Checked before every block.</param>
    /// <returns>The distribution of the latents, before <see cref="Normalize"/>; its tensors belong to the current scope.</returns>
    /// <exception cref="ArgumentException">The image has the wrong shape.</exception>
    /// <exception cref="OperationCanceledException">Cancelled.</exception>
    public DiagonalGaussian Encode(Tensor image, CancellationToken cancellation = default) => _coders.Encode(image, cancellation);

    /// <summary>Decodes latents.</summary>
    /// <param name="latents">[batch, height, width, <see cref="LatentChannels"/>], as <see cref="Denormalize"/> gives them.</param>
    /// <param name="cancellation">Checked before every block.</param>
    /// <returns>Images [batch, height, width, 3] with values around [-1, 1], not clamped; a tensor of the current scope.</returns>
    /// <exception cref="ArgumentException">The latents have the wrong shape.</exception>
    /// <exception cref="OperationCanceledException">Cancelled.</exception>
    public Tensor Decode(Tensor latents, CancellationToken cancellation = default) => _coders.Decode(latents, cancellation);

    /// <summary>
    /// Latents of this autoencoder to those of a denoiser: (latents - shift) scale, or (latents - mean) scale / deviation.
    /// </summary>
    /// <param name="latents">[batch, height, width, <see cref="LatentChannels"/>].</param>
    /// <returns>As the latents; a tensor of the current scope.</returns>
    public Tensor Normalize(Tensor latents)
    {
        ArgumentNullException.ThrowIfNull(latents);
        if (LatentsMean == null)
            return latents.Affine(ScalingFactor, -(ShiftFactor ?? 0) * ScalingFactor);
        using var mean = Tensor.From(latents.Device, [.. LatentsMean], [LatentChannels]);
        using var factor = Tensor.From(latents.Device, [.. LatentsStd!.Select(deviation => ScalingFactor / deviation)], [LatentChannels]);
        var centred = latents.Subtract(mean);
        return centred.Multiply(factor, into: centred);
    }

    /// <summary>Latents of a denoiser to those of this autoencoder: the inverse of <see cref="Normalize"/>.</summary>
    /// <param name="latents">[batch, height, width, <see cref="LatentChannels"/>].</param>
    /// <returns>As the latents; a tensor of the current scope.</returns>
    public Tensor Denormalize(Tensor latents)
    {
        ArgumentNullException.ThrowIfNull(latents);
        if (LatentsMean == null)
            return latents.Affine(1 / ScalingFactor, ShiftFactor ?? 0);
        using var mean = Tensor.From(latents.Device, [.. LatentsMean], [LatentChannels]);
        using var factor = Tensor.From(latents.Device, [.. LatentsStd!.Select(deviation => deviation / ScalingFactor)], [LatentChannels]);
        var scaled = latents.Multiply(factor);
        return scaled.Add(mean, into: scaled);
    }

    /// <inheritdoc/>
    public void Dispose() => _checkpoint.Dispose();

    private float[]? ReadStatistics(ModelConfig config, string key)
    {
        if (config.Find(key) is not { } value)
            return null;
        if (value.ValueKind != JsonValueKind.Array
            || value.GetArrayLength() != LatentChannels || value.EnumerateArray().Any(number => number.ValueKind != JsonValueKind.Number))
            throw new CheckpointException(
                $"'{config.Path}': {key} is {value.GetRawText()}, expected {LatentChannels} numbers, one for each latent channel.");
        return [.. value.EnumerateArray().Select(number => number.GetSingle())];
    }
}
