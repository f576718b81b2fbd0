using Attune.Tensors;
using Attune.Weights;

namespace Attune.Layers;

/// <summary>Layer normalisation with weight and bias.</summary>
internal sealed class LayerNorm(WeightCursor at, int channels, float epsilon = 1e-5f)
{
    private readonly PreparedWeight _weight = at.Get("weight", [channels], WeightRole.Vector);
    private readonly PreparedWeight _bias = at.Get("bias", [channels], WeightRole.Vector);

    public Tensor Apply(Tensor x, Tensor? into = null) => x.LayerNorm(_weight, _bias, epsilon, into);
}

/// <summary>Root-mean-square normalisation with a weight.</summary>
/// <param name="at">Where the weight is.</param>
/// <param name="channels">The channels that are normalised together.</param>
/// <param name="epsilon">Added to their mean square.</param>
/// <param name="plusOne">Whether rows are multiplied by 1 + weight instead of the weight.</param>
internal sealed class RmsNorm(WeightCursor at, int channels, float epsilon = 1e-6f, bool plusOne = false)
{
    private readonly PreparedWeight _weight =
        plusOne ? at.GetPlus("weight", [channels], 1) : at.Get("weight", [channels], WeightRole.Vector);

    public Tensor Apply(Tensor x, Tensor? into = null) => x.RmsNorm(_weight, epsilon, into);
}

/// <summary>Group normalisation over images with channels last.</summary>
public sealed class GroupNorm(WeightCursor at, int groups, int channels, float epsilon)
{
    private readonly PreparedWeight _weight = at.Get("weight", [channels], WeightRole.Vector);
    private readonly PreparedWeight _bias = at.Get("bias", [channels], WeightRole.Vector);

    /// <summary>Normalises [batch, ..., channels] over groups of neighbouring channels, then applies an activation.</summary>
    /// <param name="x">The rows; may be <paramref name="into"/>.</param>
    /// <param name="activation">Applied to the result.</param>
    /// <param name="into">Where the result goes; null allocates.</param>
    public Tensor Apply(Tensor x, Activation activation = Activation.None, Tensor? into = null) =>
        x.GroupNorm(groups, _weight, _bias, epsilon, activation, into);

    /// <summary>Ends an image that came in pieces (<see cref="Device.BeginGroupNorm"/>).</summary>
    internal void Finish(GroupMoments moments) => moments.Finish(_weight, _bias, epsilon);
}
