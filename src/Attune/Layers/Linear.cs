using Attune.Tensors;
using Attune.Weights;

namespace Attune.Layers;

/// <summary>A linear layer: x weight^T + bias. A convolution with a 1 x 1 kernel is one too, over channels that are last.</summary>
internal sealed class Linear(WeightCursor at, int inputs, int outputs, bool bias = true)
{
    private readonly Weight _weight = ReadMatrix(at, inputs, outputs);
    private readonly Weight? _bias = bias ? at.Get("bias", [outputs]) : null;

    /// <summary>[..., inputs] to [..., outputs].</summary>
    public Tensor Apply(Tensor x, Activation activation = Activation.None, Tensor? into = null) => x.Linear(_weight, _bias, activation, into);

    /// <summary>Only some of the outputs: [..., inputs] to [..., length].</summary>
    public Tensor Apply(Tensor x, int start, int length, Activation activation = Activation.None, Tensor? into = null) =>
        x.Linear(_weight.Rows(start, length), _bias?.Rows(start, length), activation, into);

    private static Weight ReadMatrix(WeightCursor at, int inputs, int outputs) => at.ShapeOf("weight") is { Rank: 4 }
        ? at.Get("weight", [outputs, inputs, 1, 1]).Reshape([outputs, inputs])
        : at.Get("weight", [outputs, inputs]);
}
