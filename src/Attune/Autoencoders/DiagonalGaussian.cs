using Attune.Tensors;

namespace Attune.Autoencoders;

/// <summary>
/// The distribution of latents that an encoder gives for an image: independent normal distributions. The tensors belong to the scope in
/// which they were made; disposing the distribution disposes them.
/// </summary>
public sealed class DiagonalGaussian : IDisposable
{
    private const float LogVarianceMinimum = -30;
    private const float LogVarianceMaximum = 20;

    /// <summary>Splits an encoder's output [batch, height, width, 2 channels] into means and logarithms of variances.</summary>
    internal DiagonalGaussian(Tensor moments)
    {
        int channels = moments.Shape[3] / 2;
        using var mean = moments.Slice(^1, 0, channels);
        using var logVariance = moments.Slice(^1, channels, channels);
        Mean = mean.Clone();
        LogVariance = logVariance.Clamp(LogVarianceMinimum, LogVarianceMaximum);
    }

    /// <summary>The means, which are the most likely latents too, [batch, height, width, channels].</summary>
    public Tensor Mean { get; }

    /// <summary>The natural logarithms of the variances, within [-30, 20], [batch, height, width, channels].</summary>
    public Tensor LogVariance { get; }

    /// <summary>Draws latents: mean + standard deviation * noise.</summary>
    /// <param name="noise">Standard normal noise, [batch, height, width, channels].</param>
    /// <returns>A tensor of the current scope, [batch, height, width, channels].</returns>
    /// <exception cref="ArgumentException">The noise has another shape.</exception>
    public Tensor Sample(Tensor noise)
    {
        ArgumentNullException.ThrowIfNull(noise);
        if (noise.Shape != Mean.Shape)
            throw new ArgumentException($"The noise {noise.Shape} does not have the shape of the latents {Mean.Shape}.", nameof(noise));
        var sample = LogVariance.Affine(0.5f);
        sample.Activate(Activation.Exp, into: sample);
        sample.Multiply(noise, into: sample);
        return sample.Add(Mean, into: sample);
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        Mean.Dispose();
        LogVariance.Dispose();
    }
}
