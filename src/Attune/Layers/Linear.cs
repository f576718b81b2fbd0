using Attune.Tensors;
using Attune.Weights;

namespace Attune.Layers;

/// <summary>A linear layer: x weight^T + bias. A convolution with a 1 x 1 kernel is one too, over channels that are last.</summary>
public sealed class Linear(WeightCursor at, int inputs, int outputs, bool bias = true) : IRowLayer
{
    private readonly PreparedWeight _weight =
        at.Get("weight", at.ShapeOf("weight") is { Rank: 4 } ? [outputs, inputs, 1, 1] : [outputs, inputs], WeightRole.Matrix);

    private readonly PreparedWeight? _bias = bias ? at.Get("bias", [outputs], WeightRole.Vector) : null;

    /// <inheritdoc/>
    public int Outputs => outputs;

    /// <summary>[..., inputs] to [..., outputs].</summary>
    public Tensor Apply(Tensor x, Activation activation = Activation.None, Tensor? into = null) =>
        x.Linear(_weight, _bias, activation, into);

    Tensor IRowLayer.Apply(Tensor x, Tensor? into) => Apply(x, into: into);

    /// <summary>residual + the layer of x, both [..., outputs]; the result may go into the residual.</summary>
    public Tensor AddTo(Tensor residual, Tensor x, Tensor? into = null) => residual.AddLinear(x, _weight, _bias, into);

    /// <summary>Only some of the outputs: [..., inputs] to [..., length].</summary>
    public Tensor Apply(Tensor x, int start, int length, Activation activation = Activation.None, Tensor? into = null) =>
        x.Linear(_weight.Rows(start, length), _bias?.Rows(start, length), activation, into);
}
