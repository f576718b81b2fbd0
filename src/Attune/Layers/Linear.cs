using Attune.Tensors;
using Attune.Weights;
using Attune.Weights.Lora;

namespace Attune.Layers;

/// <summary>A linear layer: x weight^T + bias. A convolution with a 1 x 1 kernel is one too, over channels that are last.</summary>
internal sealed class Linear(WeightCursor at, int inputs, int outputs, bool bias = true) : IRowLayer
{
    private readonly LayerWeight _layer = ReadMatrix(at, inputs, outputs);
    private readonly Weight? _bias = bias ? at.Get("bias", [outputs]) : null;

    /// <inheritdoc/>
    public int Outputs => outputs;

    /// <summary>[..., inputs] to [..., outputs].</summary>
    public Tensor Apply(Tensor x, Activation activation = Activation.None, Tensor? into = null) =>
        _layer.Addends == null ? x.Linear(_layer.Weight, _bias, activation, into) : ApplyWithAddends(x, 0, outputs, activation, into);

    Tensor IRowLayer.Apply(Tensor x, Tensor? into) => Apply(x, into: into);

    /// <summary>residual + the layer of x, both [..., outputs]; the result may go into the residual.</summary>
    public Tensor AddTo(Tensor residual, Tensor x, Tensor? into = null)
    {
        if (_layer.Addends == null)
            return residual.AddLinear(x, _layer.Weight, _bias, into);
        using var scope = new TensorScope();
        return scope.Keep(residual.Add(Apply(x), into));
    }

    /// <summary>Only some of the outputs: [..., inputs] to [..., length].</summary>
    public Tensor Apply(Tensor x, int start, int length, Activation activation = Activation.None, Tensor? into = null) =>
        _layer.Addends == null ? x.Linear(_layer.Weight.Rows(start, length), _bias?.Rows(start, length), activation, into)
            : ApplyWithAddends(x, start, length, activation, into);

    /// <summary>LoRA that was not merged: x W^T + b + scale (x A^T) B^T, then the activation.</summary>
    private Tensor ApplyWithAddends(Tensor x, int start, int length, Activation activation, Tensor? into)
    {
        using var scope = new TensorScope();
        var y = x.Linear(_layer.Weight.Rows(start, length), _bias?.Rows(start, length), Activation.None, into);
        foreach (var (down, up, scale) in _layer.Addends!)
            TensorOperations.Combine(1, y, scale, x.Linear(down).Linear(up.Rows(start, length)), into: y);
        return scope.Keep(activation == Activation.None ? y : y.Activate(activation, into: y));
    }

    private static LayerWeight ReadMatrix(WeightCursor at, int inputs, int outputs) => at.ShapeOf("weight") is { Rank: 4 }
        ? at.GetLayer("weight", [outputs, inputs, 1, 1]).Reshape([outputs, inputs])
        : at.GetLayer("weight", [outputs, inputs]);
}
