using Attune.Tensors;
using Attune.Tensors.Tests;

namespace Attune.Torch.Tests;

/// <summary>Every primitive on torch:cpu in float32.</summary>
[NoLeaks]
public class PrimitiveTests : DeviceConformance
{
    /// <inheritdoc/>
    protected override Device Device => TorchCpu.Device;
}
