using Attune.Tensors;
using Attune.Weights;

namespace Attune.Layers;

/// <summary>A linear layer: x weight^T + bias.</summary>
internal sealed class Linear(WeightCursor at, int inputs, int outputs, bool bias = true)
{
    private readonly Weight _weight = at.Get("weight", [outputs, inputs]);
    private readonly Weight? _bias = bias ? at.Get("bias", [outputs]) : null;

    /// <summary>[..., inputs] to [..., outputs].</summary>
    public Tensor Apply(Tensor x, Activation activation = Activation.None, Tensor? into = null) => x.Linear(_weight, _bias, activation, into);

    /// <summary>Only some of the outputs: [..., inputs] to [..., length].</summary>
    public Tensor Apply(Tensor x, int start, int length, Activation activation = Activation.None, Tensor? into = null) =>
        x.Linear(_weight.Rows(start, length), _bias?.Rows(start, length), activation, into);
}
