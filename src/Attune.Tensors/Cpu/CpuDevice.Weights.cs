namespace Attune.Tensors.Cpu;

internal sealed partial class CpuDevice
{
    /// <summary>A view on what is stored.</summary>
    protected internal override PreparedWeight PrepareElements(StoredWeight weight, WeightRole role) => new CpuWeight(weight);
}
