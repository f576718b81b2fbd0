using Attune.Tensors;
using Attune.Weights;

namespace Attune.Layers;

/// <summary>A convolution of each channel alone, which keeps the size; the weight is stored as PyTorch stores it.</summary>
internal sealed class DepthwiseConv2d(WeightCursor at, int channels, int kernel, bool bias = true)
{
    private readonly PreparedWeight _weight = at.Get("weight", [channels, 1, kernel, kernel], WeightRole.Table);
    private readonly PreparedWeight? _bias = bias ? at.Get("bias", [channels], WeightRole.Table) : null;

    /// <summary>[batch, height, width, channels] to the same.</summary>
    public Tensor Apply(Tensor x)
    {
        using var scope = new TensorScope();
        var taps = _weight.Embed([.. Enumerable.Range(0, channels)]).Permute(1, 0).Reshape(kernel, kernel, channels);
        return scope.Keep(x.DepthwiseConv2d(taps, _bias?.Embed([0]).Reshape(channels)));
    }
}
