using Attune.Tensors;
using Attune.Weights;

namespace Attune.Layers;

/// <summary>The patches of a video's frames as rows: a convolution whose kernel is as large as its stride, over single frames.</summary>
/// <param name="at">Where weight, [outputs, inputs, 1, patch, patch], and bias are.</param>
/// <param name="inputs">The channels of a latent.</param>
/// <param name="outputs">The channels of a row.</param>
/// <param name="patch">How many latents, in each direction, are one row.</param>
internal sealed class FramePatches(WeightCursor at, int inputs, int outputs, int patch)
{
    private readonly PreparedWeight _weight = at.Get("weight", [outputs, inputs, 1, patch, patch], WeightRole.Convolution);
    private readonly PreparedWeight _bias = at.Get("bias", [outputs], WeightRole.Vector);
    private readonly Conv2dGeometry _geometry = Conv2dGeometry.Same(0, stride: patch);

    /// <summary>[batch, frames, height, width, inputs] to [batch, patches, outputs], frame by frame and row by row.</summary>
    public Tensor Apply(Tensor video)
    {
        using var scope = new TensorScope();
        var rows = video.CausalConv3d(_weight, _bias, _geometry);
        var s = rows.Shape;
        return scope.Keep(rows.Reshape(s[0], s[1] * s[2] * s[3], s[4]));
    }
}
