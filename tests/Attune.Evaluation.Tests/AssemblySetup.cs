using Attune.Tensors;

// Kernels use all processors, and leak checks count tensors of the whole process: one test at a time.
[assembly: CollectionBehavior(DisableTestParallelization = true)]
[assembly: AssemblyFixture(typeof(Attune.Evaluation.Tests.PoisonedMemory))]

namespace Attune.Evaluation.Tests;

/// <summary>Fills new tensors with NaN, so that a kernel that reads what nothing wrote fails its test.</summary>
public sealed class PoisonedMemory
{
    public PoisonedMemory() => TensorMemory.PoisonNewTensors = true;
}
