using Attune.Tensors;

// Leak checks count what the whole process holds, and all tests share a device: one test at a time.
[assembly: CollectionBehavior(DisableTestParallelization = true)]
[assembly: AssemblyFixture(typeof(Attune.Torch.Tests.PoisonedMemory))]

namespace Attune.Torch.Tests;

/// <summary>Fills new tensors with NaN, so that a kernel that reads what nothing wrote fails its test.</summary>
public sealed class PoisonedMemory
{
    public PoisonedMemory() => TensorMemory.PoisonNewTensors = TorchDevice.PoisonNewTensors = true;
}

/// <summary>The processor by libtorch, which is there where the NuGet package libtorch-cpu-linux-x64 was restored (.ci/run does).</summary>
internal static class TorchCpu
{
    private static readonly Lazy<TorchDevice> Float32 = new(() => TorchDevice.Open("torch:cpu"));

    /// <summary>The device in float32; without the library the test is skipped.</summary>
    public static TorchDevice Device
    {
        get
        {
            Require();
            return Float32.Value;
        }
    }

    /// <summary>Skips the test where the library is not there.</summary>
    public static void Require()
    {
        if (TorchLibrary.TryLoad(out string problem) == null)
            Assert.Skip(problem);
    }
}
