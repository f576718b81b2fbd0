using Attune.Layers;
using Attune.Tensors;
using Attune.Weights;

namespace Attune.Models.Flux2;

/// <summary>The gated feed-forward network of a double-stream block: the first half of linear_in is the gate.</summary>
internal sealed class Flux2FeedForward(WeightCursor at, Flux2Config config) : IRowLayer
{
    private readonly Linear _in = new(at.At("linear_in"), config.Width, 2 * config.Hidden, bias: false);
    private readonly Linear _out = new(at.At("linear_out"), config.Hidden, config.Width, bias: false);

    /// <inheritdoc/>
    public int Outputs => config.Width;

    /// <inheritdoc/>
    public Tensor Apply(Tensor x, Tensor? into = null)
    {
        using var scope = new TensorScope();
        var inner = _in.Apply(x, 0, config.Hidden, Activation.Silu);
        inner.Multiply(_in.Apply(x, config.Hidden, config.Hidden), into: inner);
        return scope.Keep(_out.Apply(inner, into: into));
    }
}
