using System.Diagnostics;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.X86;

namespace Attune.Tensors.Tests;

/// <summary>
/// The kernels on processors without vectors of 512 bits, and without any beyond the baseline: their tests, in a process for which the
/// runtime hides them.
/// </summary>
public class NarrowVectorsTests
{
    /// <summary>Names a switch of the runtime that the process was started with, for <see cref="The_switch_was_heard"/>.</summary>
    private const string Variable = "ATTUNE_TESTS_WITHOUT";

    [Theory]
    [InlineData("EnableAVX512")]
    [InlineData("EnableAVX")]
    public async Task Kernels_are_correct_without(string feature)
    {
        if (Environment.GetEnvironmentVariable(Variable) != null)
            return;
        Assert.SkipWhen(
            feature == "EnableAVX512" && !Avx512F.IsSupported,
            "This processor has no vectors of 512 bits: the tests themselves run without them.");
        var start = new ProcessStartInfo(Environment.ProcessPath!) { RedirectStandardOutput = true, RedirectStandardError = true };
        string assembly = typeof(NarrowVectorsTests).Assembly.Location;
        if (Path.GetFileNameWithoutExtension(Environment.ProcessPath!) == "dotnet")
            start.ArgumentList.Add(assembly);
        else
            start.FileName = Path.ChangeExtension(assembly, OperatingSystem.IsWindows() ? ".exe" : null);
        foreach (
            var type in new[] {
                typeof(AttentionTests), typeof(EntmaxTests), typeof(ElementwiseTests), typeof(GroupNormTests), typeof(ActivationTests),
                typeof(NarrowVectorsTests) })
        {
            start.ArgumentList.Add("-class");
            start.ArgumentList.Add(type.FullName!);
        }
        start.Environment["DOTNET_" + feature] = "0";
        start.Environment[Variable] = feature;
        using var process = Process.Start(start)!;
        var errors = process.StandardError.ReadToEndAsync(TestContext.Current.CancellationToken);
        string output = await process.StandardOutput.ReadToEndAsync(TestContext.Current.CancellationToken);
        await process.WaitForExitAsync(TestContext.Current.CancellationToken);
        Assert.True(process.ExitCode == 0, output + await errors);
        Assert.Contains("Failed: 0", output, StringComparison.Ordinal);
    }

    [Fact]
    public void The_switch_was_heard()
    {
        switch (Environment.GetEnvironmentVariable(Variable))
        {
            case "EnableAVX512": Assert.False(Vector512.IsHardwareAccelerated); break;
            case "EnableAVX": Assert.False(Vector256.IsHardwareAccelerated); break;
        }
    }
}
