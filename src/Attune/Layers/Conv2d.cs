using Attune.Tensors;
using Attune.Weights;

namespace Attune.Layers;

/// <summary>A convolution over images with channels last; the weight is stored as PyTorch stores it.</summary>
public sealed class Conv2d(WeightCursor at, int inputs, int outputs, int kernel, Conv2dGeometry geometry, bool bias = true)
{
    private readonly PreparedWeight _weight = at.Get("weight", [outputs, inputs, kernel, kernel], WeightRole.Convolution);
    private readonly PreparedWeight? _bias = bias ? at.Get("bias", [outputs], WeightRole.Vector) : null;

    /// <summary>A convolution with stride 1 that keeps the size.</summary>
    public Conv2d(WeightCursor at, int inputs, int outputs, int kernel, bool bias = true)
        : this(at, inputs, outputs, kernel, Conv2dGeometry.Same(kernel / 2), bias)
    {
    }

    /// <summary>[batch, height, width, inputs] to [batch, height', width', outputs].</summary>
    public Tensor Apply(Tensor x) => x.Conv2d(_weight, _bias, geometry);

    /// <summary>residual + the convolution of x, both shaped as the result, which may go into the residual.</summary>
    public Tensor AddTo(Tensor residual, Tensor x, Tensor? into = null) => residual.AddConv2d(x, _weight, _bias, geometry, into);

    /// <summary>A band of the result.</summary>
    /// <param name="rows">The rows of the input that the band needs.</param>
    /// <param name="band">Which band.</param>
    /// <param name="into">Where it goes.</param>
    /// <param name="residual">Added to it; null for nothing.</param>
    internal Tensor Apply(Tensor rows, Band band, Tensor into, Tensor? residual = null) =>
        residual == null ? rows.Conv2d(_weight, _bias, band.Of(geometry), into)
            : residual.AddConv2d(rows, _weight, _bias, band.Of(geometry), into);
}
