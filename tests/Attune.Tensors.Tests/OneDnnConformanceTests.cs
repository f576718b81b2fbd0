using Attune.Tensors.Cpu;
using Attune.Tensors.OneDnn;

namespace Attune.Tensors.Tests;

/// <summary>Every primitive with products and convolutions by oneDNN, in float32, as of any other device.</summary>
public sealed class OneDnnConformanceTests : DeviceConformance, IDisposable
{
    private readonly OneDnnDevice? _device = OneDnnLibrary.TryLoad(out string problem) is { } library
        ? new OneDnnDevice(new CpuDevice(new ConvolutionOptions()), library, Precision.Float32, everything: true) : Missing(problem);

    /// <inheritdoc/>
    protected override Device Device => _device!;

    /// <inheritdoc/>
    protected override bool WritesToCopies => false;

    public void Dispose() => _device?.Dispose();

    private static OneDnnDevice? Missing(string problem)
    {
        Assert.Skip(problem);
        return null;
    }
}
