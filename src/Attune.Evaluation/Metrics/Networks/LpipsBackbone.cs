using Attune.Layers;
using Attune.Tensors;
using Attune.Weights;

namespace Attune.Evaluation.Metrics.Networks;

/// <summary>
/// The features of a network for classes that LPIPS compares, in torchvision's names: AlexNet and VGG 16 after ReLU, SqueezeNet 1.1 after
/// its fires.
/// </summary>
internal sealed class LpipsBackbone
{
    private readonly List<(Func<Tensor, Tensor> Step, bool Tap)> _steps = [];

    /// <param name="features">Where <c>features</c> is.</param>
    /// <param name="net">alex, vgg or squeeze.</param>
    public LpipsBackbone(WeightCursor features, string net)
    {
        int channels = 3;
        switch (net)
        {
            case "alex":
                Convolution(0, 64, 11, 2, 4, tap: true);
                Pool(3);
                Convolution(3, 192, 5, 2, 1, tap: true);
                Pool(3);
                Convolution(6, 384, 3, 1, 1, tap: true);
                Convolution(8, 256, 3, 1, 1, tap: true);
                Convolution(10, 256, 3, 1, 1, tap: true);
                break;
            case "vgg":
                int place = 0;
                foreach (var (width, count) in new[] { (64, 2), (128, 2), (256, 3), (512, 3), (512, 3) })
                {
                    if (place > 0)
                        Pool(2);
                    for (int i = 1; i <= count; i++, place += 2)
                        Convolution(place, width, 3, 1, 1, tap: i == count);
                    place++;
                }
                break;
            default:
                Convolution(0, 64, 3, 0, 2, tap: true);
                Pool(3, ceiling: true);
                Fire(3, 16, 64);
                Fire(4, 16, 64, tap: true);
                Pool(3, ceiling: true);
                Fire(6, 32, 128);
                Fire(7, 32, 128, tap: true);
                Pool(3, ceiling: true);
                Fire(9, 48, 192, tap: true);
                Fire(10, 48, 192, tap: true);
                Fire(11, 64, 256, tap: true);
                Fire(12, 64, 256, tap: true);
                break;
        }

        void Convolution(int index, int outputs, int kernel, int padding, int stride, bool tap)
        {
            var layer = Layer(features.At(FormattableString.Invariant($"{index}")), channels, outputs, kernel, padding, stride);
            _steps.Add((layer, tap));
            channels = outputs;
        }

        void Pool(int kernel, bool ceiling = false) => _steps.Add((x => Pooling.Max(x, kernel, 2, 0, ceiling), false));

        void Fire(int index, int squeezed, int outputs, bool tap = false)
        {
            var at = features.At(FormattableString.Invariant($"{index}"));
            var squeeze = Layer(at.At("squeeze"), channels, squeezed, 1, 0, 1);
            var one = Layer(at.At("expand1x1"), squeezed, outputs, 1, 0, 1);
            var three = Layer(at.At("expand3x3"), squeezed, outputs, 3, 1, 1);
            _steps.Add((x =>
            {
                var small = squeeze(x);
                return TensorOperations.Concatenate(3, one(small), three(small));
            }, tap));
            channels = 2 * outputs;
        }
    }

    /// <summary>[1, height, width, 3] to the features that are compared, each [1, height', width', channels].</summary>
    public IReadOnlyList<Tensor> Apply(Tensor x)
    {
        var taps = new List<Tensor>();
        foreach (var (step, tap) in _steps)
        {
            using (var scope = new TensorScope())
                x = scope.Keep(step(x));
            if (tap)
                taps.Add(x);
        }
        return taps;
    }

    private static Func<Tensor, Tensor> Layer(WeightCursor at, int inputs, int outputs, int kernel, int padding, int stride)
    {
        var convolution = new Conv2d(at, inputs, outputs, kernel, Conv2dGeometry.Same(padding, stride));
        return x =>
        {
            var result = convolution.Apply(x);
            return result.Activate(Activation.Relu, into: result);
        };
    }
}
