using Attune.Generation;
using Attune.Tensors;
using Attune.Tests.Weights;

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

    /// <summary>Keys and values of the texts before a picture are part of the estimate, once for all pictures of a request.</summary>
    [Fact]
    public async Task What_is_kept_of_prompts_is_counted_and_shared()
    {
        using var folder = new TemporaryFolder();
        TinyPipelines.Write("qwen-image-2.1", folder.Path);
        using var pipeline = DiffusionPipeline.Load(folder.Path);
        string words = string.Concat(Enumerable.Repeat("a panda on a blue background ", 20));
        GenerationRequest Request(string prompt, int count) => new()
        {
            Prompt = prompt, NegativePrompt = prompt, Width = 64, Height = 64, Steps = 2, Count = count,
            Guidance = GuidanceChoice.Parse("nag"),
        };
        long Estimate(string prompt, int count) => pipeline.EstimateActivations(pipeline.Resolve(Request(prompt, count)));
        async Task<long> Kept(string prompt, int count)
        {
            long before = TensorMemory.LiveBytes;
            await foreach (var step in pipeline.DenoiseAsync(Request(prompt, count)))
                return TensorMemory.LiveBytes - before;
            return 0;
        }

        long longer = Estimate(words, 1) - Estimate("a", 1);
        Assert.Equal(longer, Estimate(words, 3) - Estimate("a", 3));

        // The texts themselves, and what makes allocations round, are much of so small a model.
        Assert.InRange((double)longer / (await Kept(words, 1) - await Kept("a", 1)), 0.7, 1.05);
        Assert.InRange((double)longer / (await Kept(words, 3) - await Kept("a", 3)), 0.7, 1.05);
    }

    /// <summary>What caches keep is part of the estimate, for each kind of pass.</summary>
    [Theory]
    [InlineData("qwen-image", "broadcast", "cfg")]
    [InlineData("qwen-image", "taylor:of=attention,order=1", "none")]
    public async Task What_caches_keep_is_counted(string checkpoint, string cache, string guidance)
    {
        using var pipeline = DiffusionPipeline.Load(Repository.Golden("checkpoints", checkpoint));
        GenerationRequest Request(string? text) => new()
        {
            Prompt = "a panda", Width = 256, Height = 256, Steps = 3, Guidance = GuidanceChoice.Parse(guidance),
            Cache = text == null ? null : StepCacheChoice.Parse(text),
        };
        async Task<long> Kept(string? text)
        {
            long before = TensorMemory.LiveBytes;
            TensorMemory.ResetPeak();
            await foreach (var _ in pipeline.DenoiseAsync(Request(text)))
            {
            }
            return TensorMemory.PeakBytes - before;
        }

        long estimate = pipeline.EstimateActivations(pipeline.Resolve(Request(cache)))
            - pipeline.EstimateActivations(pipeline.Resolve(Request(null)));
        Assert.InRange((double)estimate / (await Kept(cache) - await Kept(null)), 0.5, 1.5);
    }

    /// <summary>Many pictures are decoded one after the other, but denoised at once.</summary>
    [Fact]
    public async Task What_denoising_takes_is_counted()
    {
        using var pipeline = DiffusionPipeline.Load(Repository.Golden("checkpoints", "flux-schnell"));
        var request = new GenerationRequest { Prompt = "a panda", Width = 512, Height = 512, Steps = 1 };
        var resolved = pipeline.Resolve(request);
        long before = TensorMemory.LiveBytes;
        TensorMemory.ResetPeak();
        await foreach (var step in pipeline.DenoiseAsync(request))
            Assert.InRange((double)pipeline.Denoiser.ActivationBytes(resolved.Grid, 1) / (TensorMemory.PeakBytes - before), 0.3, 1.2);
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
