using System.Diagnostics;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.X86;

namespace Attune.Tensors.Tests;

/// <summary>Products and convolutions on a processor without 512-bit vectors, as the runtime plays one to a process of its own.</summary>
public class NarrowProcessorTests
{
    /// <summary>Set in the process that plays the narrow processor.</summary>
    private const string Marker = "ATTUNE_TEST_NARROW";

    [Fact]
    public void Processors_without_512_bit_vectors_pass_the_same_tests()
    {
        if (Environment.GetEnvironmentVariable(Marker) != null)
        {
            Assert.False(Vector512.IsHardwareAccelerated);
            return;
        }
        Assert.SkipUnless(Avx512F.IsSupported, "This processor has no vectors of 512 bits: the tests themselves run without them.");
        string program = Path.Combine(AppContext.BaseDirectory, "Attune.Tensors.Tests.dll");
        var start = new ProcessStartInfo(
            "dotnet",
            [
                "exec", program, "-class", typeof(NarrowProcessorTests).FullName!, "-class", typeof(LinearTests).FullName!, "-class",
                typeof(ConvolutionTests).FullName!, "-noColor"])
        {
            RedirectStandardOutput = true,
            Environment = { ["DOTNET_EnableAVX512"] = "0", [Marker] = "1" },
        };
        using var process = Process.Start(start)!;
        string output = process.StandardOutput.ReadToEnd();
        process.WaitForExit();
        Assert.True(process.ExitCode == 0, output);
        Assert.Contains("Failed: 0", output, StringComparison.Ordinal);
    }
}
