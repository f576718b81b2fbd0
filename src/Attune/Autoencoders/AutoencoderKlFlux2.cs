using Attune.Layers;
using Attune.Tensors;
using Attune.Weights;

namespace Attune.Autoencoders;

/// <summary>
/// The autoencoder of FLUX.2 (AutoencoderKLFlux2 of diffusers): <see cref="AutoencoderKl"/>'s encoder and decoder around latents that the
/// denoiser sees in patches of 2 x 2, normalised with the running statistics of a batch norm. Images and latents have their channels last.
/// </summary>
public sealed class AutoencoderKlFlux2 : IDisposable
{
    private readonly Checkpoint _checkpoint;
    private readonly KlConfig _config;
    private readonly KlCoders _coders;
    private readonly int[] _patch;
    private readonly float[] _mean;
    private readonly float[] _variance;
    private readonly float _epsilon;

    private AutoencoderKlFlux2(Checkpoint checkpoint, ModelConfig config)
    {
        _checkpoint = checkpoint;
        _config = KlConfig.Read(config, blockOutChannels: [128, 256, 512, 512], layersPerBlock: 2, latentChannels: 32);
        _coders = new KlCoders(checkpoint.Root, _config);
        _patch = config.Sizes("patch_size", 2, 2);
        if (_patch.Length != 2 || _patch.Any(extent => extent <= 0))
            throw new CheckpointException($"'{config.Path}': patch_size is [{string.Join(", ", _patch)}], expected two positive integers.");
        var bn = checkpoint.Root.At("bn");
        bn.Ignore("num_batches_tracked");
        _mean = ReadValues(bn, "running_mean");
        _variance = ReadValues(bn, "running_var");
        _epsilon = config.Epsilon("batch_norm_eps", 1e-4);
        checkpoint.RequireAllUsed();
    }

    /// <summary>The channels of this autoencoder's latents.</summary>
    public int LatentChannels => _config.LatentChannels;

    /// <summary>The channels of the denoiser's latents: those of a patch.</summary>
    public int PatchChannels => _patch[0] * _patch[1] * LatentChannels;

    /// <summary>How many pixels, in each direction, one of this autoencoder's latents stands for.</summary>
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

    /// <summary>Loads the folder of a component: config.json and its weights, which stay mapped.</summary>
    /// <param name="folder">The folder.</param>
    /// <param name="device">What computes.</param>
    /// <exception cref="CheckpointException">A file is missing or malformed, or does not fit the architecture.</exception>
    public static AutoencoderKlFlux2 Load(string folder, Device device) => Load(ComponentSource.Folder(folder, device));

    /// <summary>Builds the component from a source: a folder, or one with LoRA or renamed weights.</summary>
    /// <param name="source">Where it comes from.</param>
    /// <exception cref="CheckpointException">A file is missing or malformed, or does not fit the architecture.</exception>
    public static AutoencoderKlFlux2 Load(ComponentSource source) =>
        source.Build((checkpoint, config) => new AutoencoderKlFlux2(checkpoint, config));

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
    /// Latents of this autoencoder to those of a denoiser: patches, whose channels are in the order (channel, row, column), then (patch -
    /// mean) / deviation.
    /// </summary>
    /// <param name="latents">[batch, height, width, <see cref="LatentChannels"/>]; height and width multiples of the patch.</param>
    /// <returns>[batch, height / 2, width / 2, <see cref="PatchChannels"/>]; a tensor of the current scope.</returns>
    /// <exception cref="ArgumentException">The latents do not fit.</exception>
    public Tensor Normalize(Tensor latents)
    {
        ArgumentNullException.ThrowIfNull(latents);
        var shape = latents.Shape;
        if (shape.Rank != 4 || shape[3] != LatentChannels || shape[1] % _patch[0] != 0 || shape[2] % _patch[1] != 0)
            throw new ArgumentException(
                $"Latents {shape} cannot be cut into patches of {_patch[0]} x {_patch[1]} with {LatentChannels} channels.",
                nameof(latents));
        using var scope = new TensorScope();
        var (rows, columns) = (shape[1] / _patch[0], shape[2] / _patch[1]);
        var patches = latents.Reshape(shape[0], rows, _patch[0], columns, _patch[1], LatentChannels).Permute(0, 1, 3, 5, 2, 4)
            .Reshape(shape[0], rows, columns, PatchChannels);
        patches.Subtract(Tensor.From(latents.Device, _mean, [PatchChannels]), into: patches);
        return scope.Keep(patches.Divide(Deviation(latents.Device, _epsilon), into: patches));
    }

    /// <summary>Latents of a denoiser to those of this autoencoder: the inverse of <see cref="Normalize"/>.</summary>
    /// <param name="latents">[batch, rows, columns, <see cref="PatchChannels"/>].</param>
    /// <param name="epsilon">What is added to the variances; null for the configuration's batch_norm_eps.</param>
    /// <returns>[batch, 2 rows, 2 columns, <see cref="LatentChannels"/>]; a tensor of the current scope.</returns>
    /// <exception cref="ArgumentException">The latents do not fit.</exception>
    public Tensor Denormalize(Tensor latents, float? epsilon = null)
    {
        ArgumentNullException.ThrowIfNull(latents);
        var shape = latents.Shape;
        if (shape.Rank != 4 || shape[3] != PatchChannels)
            throw new ArgumentException(
                $"The denoiser's latents are [batch, rows, columns, {PatchChannels}], not {shape}.", nameof(latents));
        using var scope = new TensorScope();
        var patches = latents.Multiply(Deviation(latents.Device, epsilon ?? _epsilon));
        patches.Add(Tensor.From(latents.Device, _mean, [PatchChannels]), into: patches);
        return scope.Keep(patches.Reshape(shape[0], shape[1], shape[2], LatentChannels, _patch[0], _patch[1]).Permute(0, 1, 4, 2, 5, 3)
            .Reshape(shape[0], shape[1] * _patch[0], shape[2] * _patch[1], LatentChannels));
    }

    /// <inheritdoc/>
    public void Dispose() => _checkpoint.Dispose();

    private Tensor Deviation(Device device, float epsilon) =>
        Tensor.From(device, [.. _variance.Select(variance => MathF.Sqrt(variance + epsilon))], [PatchChannels]);

    private float[] ReadValues(WeightCursor at, string name)
    {
        using var weight = at.Read(name, [PatchChannels]);
        var values = new float[PatchChannels];
        weight.Widen(0, values);
        return values;
    }
}
