using Attune.Tensors;
using Attune.Weights;

namespace Attune.Layers;

/// <summary>Two convolutions, each after a group norm and an activation, added to their input (ResnetBlock2D of diffusers, without a time embedding).</summary>
internal sealed class ResnetBlock(WeightCursor at, int inputs, int outputs, int groups, float epsilon, Activation activation)
{
    private readonly GroupNorm _norm1 = new(at.At("norm1"), groups, inputs, epsilon);
    private readonly Conv2d _conv1 = new(at.At("conv1"), inputs, outputs, kernel: 3);
    private readonly GroupNorm _norm2 = new(at.At("norm2"), groups, outputs, epsilon);
    private readonly Conv2d _conv2 = new(at.At("conv2"), outputs, outputs, kernel: 3);
    private readonly Linear? _convShortcut = inputs != outputs ? new(at.At("conv_shortcut"), inputs, outputs) : null;

    /// <summary>[batch, height, width, inputs] to [batch, height, width, outputs].</summary>
    public Tensor Apply(Tensor x)
    {
        // Every temporary ends as early as it can: in an autoencoder each is as large as the feature map, up to a gigabyte.
        using var scope = new TensorScope();
        var normalised = _norm1.Apply(x, activation);
        var hidden = _conv1.Apply(normalised);
        normalised.Dispose();
        _norm2.Apply(hidden, activation, into: hidden);
        var update = _conv2.Apply(hidden);
        hidden.Dispose();
        return scope.Keep(update.Add(_convShortcut?.Apply(x) ?? x, into: update));
    }
}
