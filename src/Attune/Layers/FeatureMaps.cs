using Attune.Tensors;

namespace Attune.Layers;

/// <summary>Chains of feature maps of which only the last is needed.</summary>
public static class FeatureMaps
{
    /// <summary>Ends the life of a tensor once the one that was made from it is there.</summary>
    /// <param name="x">Disposed.</param>
    /// <param name="next">What was made from it.</param>
    /// <returns><paramref name="next"/>.</returns>
    public static Tensor Then(this Tensor x, Tensor next)
    {
        x.Dispose();
        return next;
    }
}
