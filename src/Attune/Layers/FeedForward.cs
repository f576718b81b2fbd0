using Attune.Tensors;
using Attune.Weights;

namespace Attune.Layers;

/// <summary>A gated feed-forward network (Shazeer, arXiv 2002.05202): down(activation(gate(x)) up(x)).</summary>
/// <param name="gate">To the hidden channels.</param>
/// <param name="up">As <paramref name="gate"/>.</param>
/// <param name="down">From the hidden channels.</param>
/// <param name="activation">Of the gate.</param>
internal sealed class GatedFeedForward(Linear gate, IRowLayer up, Linear down, Activation activation) : IRowLayer
{
    /// <inheritdoc/>
    public int Outputs => down.Outputs;

    /// <inheritdoc/>
    public Tensor Apply(Tensor x, Tensor? into = null)
    {
        using var scope = new TensorScope();
        var inner = gate.Apply(x, activation);
        return scope.Keep(down.Apply(inner.Multiply(up.Apply(x), into: inner), into: into));
    }
}

/// <summary>Two linear layers with an activation between, as diffusers names them: <c>net.0.proj</c>, <c>net.2</c>.</summary>
internal sealed class FeedForward(WeightCursor at, int channels, int hidden, Activation activation) : IRowLayer
{
    private readonly Linear _up = new(at.At("net.0.proj"), channels, hidden);
    private readonly Linear _down = new(at.At("net.2"), hidden, channels);

    /// <inheritdoc/>
    public int Outputs => channels;

    /// <inheritdoc/>
    public Tensor Apply(Tensor x, Tensor? into = null)
    {
        using var scope = new TensorScope();
        return scope.Keep(_down.Apply(_up.Apply(x, activation), into: into));
    }
}
