using Attune.Tensors;

namespace Attune.Layers;

/// <summary>Some of the outputs of a linear layer, for matrices that hold several layers one above the other.</summary>
/// <param name="linear">The whole layer.</param>
/// <param name="start">The first of the outputs.</param>
/// <param name="length">Their number.</param>
/// <param name="activation">Applied to them.</param>
internal sealed class LinearPart(Linear linear, int start, int length, Activation activation = Activation.None) : IRowLayer
{
    /// <inheritdoc/>
    public int Outputs => length;

    /// <inheritdoc/>
    public Tensor Apply(Tensor x, Tensor? into = null) => linear.Apply(x, start, length, activation, into);
}
