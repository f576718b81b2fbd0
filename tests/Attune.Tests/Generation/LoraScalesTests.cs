using Attune.Generation;
using Attune.Tests.Weights;
using Attune.Weights;

namespace Attune.Tests.Generation;

/// <summary>How strongly LoRA acts belongs to a request: nothing of one request stays for the next.</summary>
[NoLeaks]
public sealed class LoraScalesTests : IDisposable
{
    private static readonly string Model = Repository.Golden("checkpoints", "sd15");

    private readonly TemporaryFolder _folder = new();
    private readonly LoraWeights _first;
    private readonly LoraWeights _second;

    public LoraScalesTests()
    {
        _first = new LoraWeights(Write("first", "down_blocks.0.attentions.0.transformer_blocks.0.attn2.to_k"));
        _second = new LoraWeights(Write("second", "down_blocks.0.attentions.0.transformer_blocks.0.attn1.to_v"), 0.25f);
    }

    private static readonly GenerationRequest Panda = new() { Prompt = "a panda", Steps = 2, Width = 32, Height = 32, Seed = 4 };

    /// <summary>.5, 0, .5 on one model: the first picture is the third, and each is that of a model opened with the scale.</summary>
    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public async Task A_scale_is_not_remembered(bool merge)
    {
        var options = new LoadOptions { Loras = [_first], MergeLora = merge };
        using var pipeline = DiffusionPipeline.Load(Model, options);
        byte[] half = await PixelsAsync(pipeline, [0.5f]);
        byte[] none = await PixelsAsync(pipeline, [0]);
        Assert.NotEqual(half, none);
        Assert.Equal(half, await PixelsAsync(pipeline, [0.5f]));
        Assert.Equal(await PixelsAsync(pipeline, null), await PixelsAsync(pipeline, [1]));

        Assert.Equal(await OpenedAsync(new LoadOptions()), none);
        Assert.Equal(await OpenedAsync(options with { Loras = [_first with { Scale = 0.5f }] }), half);
    }

    [Fact]
    public async Task Scales_are_those_of_the_files_in_order_and_do_not_disturb_requests_beside_them()
    {
        using var pipeline = DiffusionPipeline.Load(Model, new LoadOptions { Loras = [_first, _second] });
        float[]?[] asked = [null, [0, 1], [1, 0], [0.5f, 0.25f], [0, 1], null, [-1, 0.25f], [1, 0]];
        byte[][] together = await Task.WhenAll(asked.Select(scales => PixelsAsync(pipeline, scales)));
        for (int i = 0; i < asked.Length; i++)
            Assert.Equal(await PixelsAsync(pipeline, asked[i]), together[i]);
        Assert.Equal(together[1], await OpenedAsync(new LoadOptions { Loras = [_second with { Scale = 1 }] }));
        Assert.Equal(together[2], await OpenedAsync(new LoadOptions { Loras = [_first] }));
        Assert.Equal(5, together.Select(Convert.ToHexString).Distinct().Count());
    }

    [Fact]
    public void There_is_one_finite_scale_for_each_file()
    {
        using var pipeline = DiffusionPipeline.Load(Model, new LoadOptions { Loras = [_first] });
        Assert.StartsWith(
            "LoraScales has 2 numbers, expected 1",
            Assert.Throws<ArgumentException>(() => pipeline.Resolve(Panda with { LoraScales = [1, 2] })).Message, StringComparison.Ordinal);
        Assert.StartsWith(
            "LoraScales has a number that is not finite",
            Assert.Throws<ArgumentException>(() => pipeline.Resolve(Panda with { LoraScales = [float.NaN] })).Message,
            StringComparison.Ordinal);
        using var plain = DiffusionPipeline.Load(Model);
        Assert.StartsWith(
            "LoraScales has 1 numbers, expected 0",
            Assert.Throws<ArgumentException>(() => plain.Resolve(Panda with { LoraScales = [1] })).Message, StringComparison.Ordinal);
    }

    public void Dispose() => _folder.Dispose();

    /// <summary>A LoRA of rank 1 of one layer.</summary>
    private string Write(string name, string layer)
    {
        using var unet = WeightSource.Open(Path.Combine(Model, "unet"));
        long[] shape = [.. unet.Describe(layer + ".weight")!.Dimensions];
        float[] Waves(long count) => [.. Enumerable.Range(1, (int)count).Select(i => MathF.Sin(i * name.Length))];
        return new SafetensorsWriter()
            .Add($"unet.{layer}.lora_A.weight", Waves(shape[1]), 1, shape[1])
            .Add($"unet.{layer}.lora_B.weight", Waves(shape[0]), shape[0], 1)
            .Write(_folder.At(name + ".safetensors"));
    }

    private static async Task<byte[]> OpenedAsync(LoadOptions options)
    {
        using var pipeline = DiffusionPipeline.Load(Model, options);
        return await PixelsAsync(pipeline, null);
    }

    private static async Task<byte[]> PixelsAsync(DiffusionPipeline pipeline, float[]? scales)
    {
        var images = await pipeline.GenerateAsync(
            Panda with { LoraScales = scales }, cancellation: TestContext.Current.CancellationToken);
        return images.Single().Pixels.ToArray();
    }
}
