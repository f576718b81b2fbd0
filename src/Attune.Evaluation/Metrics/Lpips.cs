using Attune.Evaluation.Metrics.Networks;
using Attune.Imaging;
using Attune.Tensors;
using Attune.Weights;

namespace Attune.Evaluation.Metrics;

/// <summary>
/// LPIPS 0.1 (Zhang et al., "The Unreasonable Effectiveness of Deep Features as a Perceptual Metric", 2018): how unlike two pictures of one
/// size look. Features of a network are divided by their lengths, and their squared differences weighted and averaged.
/// </summary>
public sealed class Lpips : IDisposable
{
    /// <summary>Added to lengths, outside of the root.</summary>
    private const double Epsilon = 1e-10;

    private static readonly (string Net, int[] Channels)[] Nets =
    [
        ("alex", [64, 192, 384, 256, 256]), ("vgg", [64, 128, 256, 512, 512]), ("squeeze", [64, 128, 256, 384, 384, 512, 512]),
    ];

    private readonly Checkpoint _checkpoint;
    private readonly LpipsBackbone _backbone;
    private readonly float[][] _weights;
    private readonly Device _device;

    private Lpips(Checkpoint checkpoint, string net, float[][] weights)
    {
        (_checkpoint, _device, Net, _weights) = (checkpoint, checkpoint.Device, net, weights);
        _backbone = new LpipsBackbone(checkpoint.Root.At("features"), net);
        checkpoint.RequireAllUsed("classifier.*");
    }

    /// <summary>The network: alex, vgg or squeeze, as the weights of the differences say.</summary>
    public string Net { get; }

    /// <summary>Loads a network and the weights of the differences.</summary>
    /// <param name="backbone">AlexNet, VGG 16 or SqueezeNet 1.1 of torchvision: <c>features.0.weight</c>, ...</param>
    /// <param name="linear">The file of the lpips package: <c>lin0.model.1.weight</c>, ...</param>
    /// <param name="device">What computes.</param>
    /// <exception cref="CheckpointException">A file is missing or malformed, or does not fit the architecture.</exception>
    public static Lpips Load(string backbone, string linear, Device device) => Load(MetricWeights.Open(backbone), linear, device);

    internal static Lpips Load(WeightSource backbone, string linear, Device device)
    {
        float[][] weights;
        using (var source = MetricWeights.Open(linear))
            weights = [.. Read(source)];
        string? net = Nets.FirstOrDefault(one => one.Channels.SequenceEqual(weights.Select(row => row.Length))).Net;
        if (net == null)
        {
            backbone.Dispose();
            throw new CheckpointException(
                $"'{linear}' weights {string.Join(", ", weights.Select(row => row.Length))} channels, expected those of "
                    + $"{string.Join("; ", Nets.Select(one => $"{one.Net}: {string.Join(", ", one.Channels)}"))}.");
        }
        return MetricWeights.Build(backbone, device, checkpoint => new Lpips(checkpoint, net, weights));
    }

    /// <summary>The distance of two pictures of one size, 0 for equal ones.</summary>
    /// <exception cref="ArgumentException">Their sizes differ, or are too small for the network.</exception>
    public double Distance(Image a, Image b) => Layers(a, b).Sum();

    /// <summary>The summands of a distance, layer by layer.</summary>
    internal double[] Layers(Image a, Image b)
    {
        ArgumentNullException.ThrowIfNull(a);
        ArgumentNullException.ThrowIfNull(b);
        if ((a.Width, a.Height) != (b.Width, b.Height))
            throw new ArgumentException(
                $"The pictures are {a.Width} x {a.Height} and {b.Width} x {b.Height}, expected one size.", nameof(b));
        using var scope = new TensorScope();
        var first = _backbone.Apply(Preparation.Lpips.Apply(a, 0, _device));
        var second = _backbone.Apply(Preparation.Lpips.Apply(b, 0, _device));
        return [.. first.Select((x, layer) => Compare(x.ToArray(), second[layer].ToArray(), _weights[layer]))];
    }

    /// <inheritdoc/>
    public void Dispose() => _checkpoint.Dispose();

    private static double Compare(float[] x, float[] y, float[] weights)
    {
        int channels = weights.Length;
        double total = 0;
        for (int at = 0; at < x.Length; at += channels)
        {
            double first = Length(x.AsSpan(at, channels)) + Epsilon, second = Length(y.AsSpan(at, channels)) + Epsilon;
            for (int c = 0; c < channels; c++)
            {
                double difference = x[at + c] / first - y[at + c] / second;
                total += weights[c] * difference * difference;
            }
        }
        return total / (x.Length / channels);
    }

    private static double Length(ReadOnlySpan<float> row)
    {
        double sum = 0;
        foreach (float value in row)
            sum += (double)value * value;
        return Math.Sqrt(sum);
    }

    private static IEnumerable<float[]> Read(WeightSource source)
    {
        for (int layer = 0; ; layer++)
        {
            string name = FormattableString.Invariant($"lin{layer}.model.1.weight");
            using var stored = source.Find(name);
            if (stored == null)
                yield break;
            var values = new float[stored.Shape.Count];
            stored.Widen(0, values);
            yield return values;
        }
    }
}
