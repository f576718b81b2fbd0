using Attune.Tensors;

namespace Attune.Layers;

/// <summary>A layer that works on each row of channels alone.</summary>
internal interface IRowLayer
{
    /// <summary>The channels of a result.</summary>
    int Outputs { get; }

    /// <summary>[batch, rows, channels] to [batch, rows, <see cref="Outputs"/>].</summary>
    /// <param name="x">The rows.</param>
    /// <param name="into">Where the result goes; null allocates.</param>
    Tensor Apply(Tensor x, Tensor? into = null);
}
