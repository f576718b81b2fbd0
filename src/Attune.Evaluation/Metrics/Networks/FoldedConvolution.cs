using Attune.Tensors;
using Attune.Weights;

namespace Attune.Evaluation.Metrics.Networks;

/// <summary>A convolution, batch normalisation with fixed statistics, which is folded into it, and ReLU.</summary>
internal sealed class FoldedConvolution : IDisposable
{
    private const float Epsilon = 0.001f;

    private readonly PreparedWeight _weight;
    private readonly PreparedWeight _bias;
    private readonly Conv2dGeometry _geometry;

    /// <param name="at">Where <c>conv</c> and <c>bn</c> are.</param>
    /// <param name="inputs">Channels.</param>
    /// <param name="outputs">Channels.</param>
    /// <param name="height">Of the kernel.</param>
    /// <param name="width">Of the kernel.</param>
    /// <param name="stride">From window to window.</param>
    /// <param name="same">Whether padding keeps the size.</param>
    public FoldedConvolution(WeightCursor at, int inputs, int outputs, int height, int width, int stride, bool same)
    {
        Outputs = outputs;
        _geometry = same ? new Conv2dGeometry(stride, height / 2, width / 2, height / 2, width / 2) : Conv2dGeometry.Same(0, stride);
        var bn = at.At("bn");
        float[] scale = Read(bn, "weight", [outputs]), shift = Read(bn, "bias", [outputs]);
        float[] mean = Read(bn, "running_mean", [outputs]), variance = Read(bn, "running_var", [outputs]);
        bn.Ignore("num_batches_tracked");
        float[] weight = Read(at.At("conv"), "weight", [outputs, inputs, height, width]);
        int size = inputs * height * width;
        for (int i = 0; i < outputs; i++)
        {
            double factor = scale[i] / Math.Sqrt((double)variance[i] + Epsilon);
            for (int j = i * size; j < (i + 1) * size; j++)
                weight[j] = (float)(weight[j] * factor);
            shift[i] = (float)(shift[i] - mean[i] * factor);
        }
        _weight = Prepare(at, "conv.weight", weight, [outputs, inputs, height, width], WeightRole.Convolution);
        _bias = Prepare(at, "bn.bias", shift, [outputs], WeightRole.Vector);
    }

    public int Outputs { get; }

    public Tensor Apply(Tensor x)
    {
        var result = x.Conv2d(_weight, _bias, _geometry);
        return result.Activate(Activation.Relu, into: result);
    }

    public void Dispose()
    {
        _weight.Dispose();
        _bias.Dispose();
    }

    private static float[] Read(WeightCursor at, string name, Shape shape)
    {
        using var stored = at.Read(name, shape);
        var values = new float[shape.Count];
        stored.Widen(0, values);
        return values;
    }

    private static PreparedWeight Prepare(WeightCursor at, string name, float[] values, Shape shape, WeightRole role)
    {
        using var scope = new TensorScope();
        return at.Device.Prepare(StoredWeight.Owning($"{at.Path}.{name}", Tensor.From(Devices.Managed, values, shape)), role);
    }
}
