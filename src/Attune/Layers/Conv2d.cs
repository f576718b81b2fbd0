using Attune.Tensors;
using Attune.Weights;
using Attune.Weights.Lora;

namespace Attune.Layers;

/// <summary>A convolution over images with channels last; the weight is stored as PyTorch stores it.</summary>
internal sealed class Conv2d(WeightCursor at, int inputs, int outputs, int kernel, Conv2dGeometry geometry, bool bias = true)
{
    private readonly LayerWeight _layer = at.GetLayer("weight", [outputs, inputs, kernel, kernel]);
    private readonly Weight? _bias = bias ? at.Get("bias", [outputs]) : null;

    /// <summary>A convolution with stride 1 that keeps the size.</summary>
    public Conv2d(WeightCursor at, int inputs, int outputs, int kernel, bool bias = true)
        : this(at, inputs, outputs, kernel, Conv2dGeometry.Same(kernel / 2), bias)
    {
    }

    /// <summary>[batch, height, width, inputs] to [batch, height', width', outputs].</summary>
    public Tensor Apply(Tensor x)
    {
        if (_layer.Addends == null)
            return x.Conv2d(_layer.Weight, _bias, geometry);

        // LoRA that was not merged: a convolution to few channels, then a linear layer.
        using var scope = new TensorScope();
        var y = x.Conv2d(_layer.Weight, _bias, geometry);
        foreach (var (down, up, scale) in _layer.Addends)
            TensorOperations.Combine(1, y, scale, x.Conv2d(down, null, geometry).Linear(up), into: y);
        return scope.Keep(y);
    }

    /// <summary>residual + the convolution of x, both shaped as the result, which may go into the residual.</summary>
    public Tensor AddTo(Tensor residual, Tensor x, Tensor? into = null)
    {
        if (_layer.Addends == null)
            return residual.AddConv2d(x, _layer.Weight, _bias, geometry, into);
        using var scope = new TensorScope();
        return scope.Keep(residual.Add(Apply(x), into));
    }
}
