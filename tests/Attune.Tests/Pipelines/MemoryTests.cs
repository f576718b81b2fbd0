using Attune.Generation;
using Attune.Tensors;

namespace Attune.Tests.Pipelines;

/// <summary>What is said of memory before a run is what the run takes.</summary>
public class MemoryTests
{
    [Theory]
    [InlineData("sd15")]
    [InlineData("sdxl")]
    [InlineData("flux-schnell")]
    [InlineData("flux2-klein")]
    [InlineData("qwen-image")]
    public async Task The_estimate_is_what_decoding_takes(string checkpoint)
    {
        using var pipeline = DiffusionPipeline.Load(Repository.Golden("checkpoints", checkpoint));
        var request = new GenerationRequest { Prompt = "a panda", Width = 512, Height = 384, Steps = 1, Count = 2 };
        var small = new GenerationRequest { Prompt = "a panda", Width = 256, Height = 384, Steps = 1 };
        Assert.Equal(
            pipeline.EstimateActivations(pipeline.Resolve(request)), 4 * pipeline.EstimateActivations(pipeline.Resolve(small)));

        await foreach (var step in pipeline.DenoiseAsync(request))
        {
            long before = TensorMemory.LiveBytes;
            TensorMemory.ResetPeak();
            step.DecodeTensor().Dispose();
            double ratio = (double)pipeline.EstimateActivations(step.Resolved) / (TensorMemory.PeakBytes - before);
            Assert.InRange(ratio, 0.6, 1.2);
        }
    }

    [Fact]
    public async Task What_waits_for_reuse_is_counted_and_bounded_when_nothing_runs()
    {
        TensorMemory.Trim();
        Assert.Equal(0, TensorMemory.PooledBytes);
        Tensor.Empty(Host, [1 << 20]).Dispose();
        Assert.InRange(TensorMemory.PooledBytes, 4 << 20, 5 << 20);
        TensorMemory.Trim(keep: 8 << 20);
        Assert.InRange(TensorMemory.PooledBytes, 4 << 20, 5 << 20);
        TensorMemory.Trim(keep: 1 << 20);
        Assert.Equal(0, TensorMemory.PooledBytes);

        using var pipeline = DiffusionPipeline.Load(Repository.Golden("checkpoints", "sd15"));
        Tensor.Empty(Host, [80 << 20]).Dispose();
        Assert.True(TensorMemory.PooledBytes > 300 << 20);
        await pipeline.GenerateAsync(new GenerationRequest { Prompt = "a panda", Width = 64, Height = 64, Steps = 1 });
        Assert.InRange(TensorMemory.PooledBytes, 0, 256 << 20);
    }
}
