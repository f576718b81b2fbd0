using Attune.Tensors;
using Attune.Weights;

namespace Attune.Autoencoders;

/// <summary>What latents of an autoencoder are on average, and how far they are from it: a mean and a deviation for each channel.</summary>
internal sealed record ChannelStatistics(float[] Mean, float[] Deviation)
{
    /// <summary>Reads latents_mean and latents_std.</summary>
    /// <exception cref="CheckpointException">They are not one number for each channel.</exception>
    public static ChannelStatistics Read(ModelConfig json, int channels)
    {
        var (mean, deviation) = (json.Floats("latents_mean"), json.Floats("latents_std"));
        return mean.Length == channels && deviation.Length == channels ? new ChannelStatistics(mean, deviation)
            : throw new CheckpointException(
                $"'{json.Path}': latents_mean and latents_std have {mean.Length} and {deviation.Length} numbers, expected "
                    + $"z_dim, {channels}.");
    }

    /// <summary>(x - mean) / deviation, [..., channels]; a tensor of the current scope.</summary>
    public Tensor Normalize(Tensor latents)
    {
        using var scope = new TensorScope();
        var shifted = latents.Subtract(Vector(latents, Mean));
        return scope.Keep(shifted.Divide(Vector(latents, Deviation), into: shifted));
    }

    /// <summary>The inverse of <see cref="Normalize"/>.</summary>
    public Tensor Denormalize(Tensor latents)
    {
        using var scope = new TensorScope();
        var scaled = latents.Multiply(Vector(latents, Deviation));
        return scope.Keep(scaled.Add(Vector(latents, Mean), into: scaled));
    }

    private static Tensor Vector(Tensor like, float[] values) => Tensor.From(like.Device, values, [values.Length]);
}
