using BenchmarkDotNet.Attributes;

namespace Attune.Benchmarks;

/// <summary>Linear layers of the blocks of FLUX and Stable Diffusion.</summary>
public class LinearBenchmark
{
    private Workload _workload = null!;

    [
        Params(
            "1280x3072x3072 bf16", "1280x3072x12288 bf16", "1280x12288x3072 bf16", "256x3072x3072 bf16", "1x3072x18432 bf16",
            "4096x320x320 f16")]
    public string Shape { get; set; } = "";

    [GlobalSetup]
    public void Setup() => _workload = Workload.Parse(Shape);

    [GlobalCleanup]
    public void Cleanup() => _workload.Dispose();

    [Benchmark]
    public void Linear() => _workload.Run();
}

/// <summary>Convolutions of a UNet and an autoencoder.</summary>
public class ConvolutionBenchmark
{
    private Workload _workload = null!;

    [Params("conv 320>320@64 f16", "conv 640>640@32 f16", "conv 1280>1280@8 f16", "conv 128>128@512 f32", "conv 512>512@64 f32")]
    public string Shape { get; set; } = "";

    [GlobalSetup]
    public void Setup() => _workload = Workload.Parse(Shape);

    [GlobalCleanup]
    public void Cleanup() => _workload.Dispose();

    [Benchmark]
    public void Conv2d() => _workload.Run();
}
