using Attune.Tensors;
using Attune.Weights;

namespace Attune.Layers;

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
