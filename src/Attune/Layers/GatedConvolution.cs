using Attune.Tensors;
using Attune.Weights;

namespace Attune.Layers;

/// <summary>
/// A feed-forward network over pictures that mixes neighbours (GLUMBConv of Sana): to twice the hidden channels, a convolution of each
/// channel alone, one half times SiLU of the other, and back.
/// </summary>
/// <param name="at">The layer.</param>
/// <param name="channels">Channels of a pixel.</param>
/// <param name="hidden">Channels after the gate.</param>
internal sealed class GatedConvolution(WeightCursor at, int channels, int hidden)
{
    private readonly Linear _inverted = new(at.At("conv_inverted"), channels, 2 * hidden);
    private readonly DepthwiseConv2d _depth = new(at.At("conv_depth"), 2 * hidden, kernel: 3);
    private readonly Linear _point = new(at.At("conv_point"), hidden, channels, bias: false);

    /// <summary>[batch, height, width, channels] to the same.</summary>
    public Tensor Apply(Tensor x)
    {
        using var scope = new TensorScope();
        var wide = _inverted.Apply(x, Activation.Silu);
        wide = wide.Then(_depth.Apply(wide));
        var gate = wide.Slice(3, hidden, hidden).Activate(Activation.Silu);
        gate.Multiply(wide.Slice(3, 0, hidden), into: gate);
        wide.Dispose();
        return scope.Keep(_point.Apply(gate));
    }
}
