namespace Attune.Tensors;

public abstract partial class Device
{
    /// <summary>
    /// Makes of a weight what this device computes with. Nothing is read from a file before the first use. The prepared weight takes over
    /// the stored one, with memory that it may own: only the prepared one is to be disposed.
    /// </summary>
    /// <param name="weight">The weight; low-rank addends are computed beside it wherever it is used.</param>
    /// <param name="role">How the layer reads it.</param>
    /// <exception cref="ArgumentException">The shape is not that of the role, or there are addends that the role does not have: only a
    /// matrix and a convolution over images do.</exception>
    public PreparedWeight Prepare(StoredWeight weight, WeightRole role)
    {
        ArgumentNullException.ThrowIfNull(weight);
        int rank = weight.Shape.Rank;
        bool fits = role switch
        {
            WeightRole.Vector => rank == 1,
            WeightRole.Convolution => rank is 4 or 5,
            _ => rank == 2,
        };
        if (!fits)
            throw new ArgumentException($"{weight.Name} {weight.Shape} is no {role}.", nameof(weight));
        PreparedWeight prepared = weight.LowRank.Count > 0 ? PrepareLowRank(weight, role)
            : rank == 5 ? new FrameKernels(this, weight)
            : PrepareElements(weight, role);
        prepared.Device = this;
        return prepared;
    }

    /// <summary>As <see cref="Prepare"/>, for a weight without addends and of an image's convolution at most.</summary>
    protected internal abstract PreparedWeight PrepareElements(StoredWeight weight, WeightRole role);

    private LowRankWeight PrepareLowRank(StoredWeight weight, WeightRole role)
    {
        if (role is WeightRole.Vector or WeightRole.Table || weight.Shape.Rank == 5)
            throw new ArgumentException($"{weight.Name} {weight.Shape}: low-rank addends of a {role} must be merged.", nameof(weight));
        return new LowRankWeight(
            Prepare(weight with { LowRank = [] }, role),
            [.. weight.LowRank.Select(part => (Prepare(part.Down, role), Prepare(part.Up, WeightRole.Matrix), part.Scale))]);
    }
}
