using Attune.Evaluation.Metrics.Networks;
using Attune.Imaging;
using Attune.Tensors;
using Attune.Weights;

namespace Attune.Evaluation.Metrics;

/// <summary>
/// Inception v3 as FID is defined by: features of pictures, of which <see cref="Distances"/> makes FID, KID and patch FID. Reads
/// <c>pt_inception-2015-12-05-6726825d.pth</c> of pytorch-fid and torch-fidelity, or the same names in safetensors.
/// </summary>
public sealed class InceptionModel : IDisposable
{
    /// <summary>The side of the pictures that the network reads, in pixels.</summary>
    public const int ImageSize = 299;

    /// <summary>The number of features of FID and KID.</summary>
    public const int Features = 2048;

    private readonly InceptionNetwork _network;
    private readonly Device _device;

    private InceptionModel(InceptionNetwork network, Device device) => (_network, _device) = (network, device);

    /// <summary>Loads the weights.</summary>
    /// <param name="path">A file of <c>torch.save</c> or safetensors, or a folder with one.</param>
    /// <param name="device">What computes.</param>
    /// <exception cref="CheckpointException">The file is missing, malformed, TorchScript, or does not fit the architecture.</exception>
    public static InceptionModel Load(string path, Device device) => Load(MetricWeights.Open(path), device);

    internal static InceptionModel Load(WeightSource source, Device device) =>
        new(MetricWeights.Build(source, device, checkpoint => new InceptionNetwork(checkpoint)), device);

    /// <summary>The 2048 features of a picture.</summary>
    /// <param name="image">The picture, of any size.</param>
    /// <param name="preparation">Whose: <see cref="Preparation.PytorchFid"/> and its relatives, or <see cref="Preparation.Patch"/>.</param>
    public float[] Apply(Image image, Preparation preparation) => Taps(image, preparation).Last;

    /// <inheritdoc/>
    public void Dispose() => _network.Dispose();

    /// <summary>The means of all layers that packages read.</summary>
    internal InceptionFeatures Taps(Image image, Preparation preparation)
    {
        ArgumentNullException.ThrowIfNull(preparation);
        using var scope = new TensorScope();
        return _network.Apply(preparation.Apply(image, ImageSize, _device));
    }

    /// <summary>The logits of features, with and without the bias.</summary>
    internal (float[] Biased, float[] Unbiased) Logits(float[] features)
    {
        float[] unbiased = _network.Logits(features);
        return ([.. unbiased.Zip(_network.ClassBias, (logit, bias) => logit + bias)], unbiased);
    }
}
