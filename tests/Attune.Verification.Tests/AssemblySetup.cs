using Attune.Tensors;

// Kernels use all processors, leak checks count tensors of the whole process, and a test selects the device: one test at a time.
[assembly: CollectionBehavior(DisableTestParallelization = true)]
[assembly: AssemblyFixture(typeof(Attune.Verification.Tests.PoisonedMemory))]

namespace Attune.Verification.Tests;

/// <summary>Fills new tensors with NaN, so that a kernel that reads what nothing wrote fails its test.</summary>
public sealed class PoisonedMemory
{
    public PoisonedMemory() => TensorMemory.PoisonNewTensors = true;
}
