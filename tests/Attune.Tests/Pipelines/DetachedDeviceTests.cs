using Attune.Attention;
using Attune.Generation;
using Attune.Guidance;
using Attune.Guidance.Diagnostics;
using Attune.Imaging;
using Attune.Tensors;
using Attune.Tensors.Tests;

namespace Attune.Tests.Pipelines;

/// <summary>
/// Whole generations on a device whose memory the host cannot reach give the CPU's bits: nothing in the library takes for granted that a
/// tensor's memory is the host's.
/// </summary>
[NoLeaks]
public class DetachedDeviceTests
{
    private static readonly string Scenes = Path.Combine(Repository.Root, "models", "scenes-flux-schnell");

    public static TheoryData<string, string> Rules()
    {
        var data = new TheoryData<string, string>();
        foreach (string name in RuleCatalog.Names)
        {
            data.Add(name, "flux-schnell");
            data.Add(name, "sd15");
        }
        return data;
    }

    /// <summary>Every rule, on a model with joint attention and on one with self- and cross-attention and skip connections.</summary>
    [Theory]
    [MemberData(nameof(Rules))]
    public async Task Guided_by_every_rule(string name, string model)
    {
        var rule = RuleCatalog.Create(name, new Dictionary<string, string>());
        if (rule is ISkipConnection && model != "sd15")
            return;
        string text = name switch
        {
            "slg" => "slg:stop=1,layers=first",
            "autoguidance" => "autoguidance:layers=first",
            "seg" => "seg:sigma=2",
            _ => name,
        };
        text = text.Replace("first", model == "sd15" ? "down_blocks.0" : "transformer_blocks.0", StringComparison.Ordinal);
        if (rule is IPredictionRule { Stage: PredictionStage.Normalisation })
            text += "+cfg";
        await Same(Repository.Golden("checkpoints", model), Small(model) with { Guidance = GuidanceChoice.Parse(text) });
    }

    /// <summary>What has paths of its own: other families, forked latents, sparse rules together, several pictures.</summary>
    [Theory]
    [InlineData("flux-dev", "nag:latents=forked+gag", 1)]
    [InlineData("flux-schnell", "gag:project=row,zeta=0.5+cfg", 2)]
    [InlineData("sd21", "nag:norm=2+pladis", 1)]
    [InlineData("sdxl", "nag+gag+cfg+rescale", 2)]
    [InlineData("sd35-medium", "nag+cfg", 1)]
    public async Task Other_families(string model, string guidance, int count) =>
        await Same(
            Repository.Golden("checkpoints", model), Small(model) with { Guidance = GuidanceChoice.Parse(guidance), Count = count });

    [Fact]
    public async Task With_a_step_cache() =>
        await Same(
            Repository.Golden("checkpoints", "flux-schnell"),
            Small("flux-schnell") with
            {
                Steps = 6, Guidance = GuidanceChoice.Parse("nag+cfg"), Cache = StepCacheChoice.FirstBlock(threshold: 0.5),
            });

    [Fact]
    public async Task An_embedded_model() =>
        await Same(
            Scenes,
            new GenerationRequest
            {
                Prompt = "a panda with sunglasses", NegativePrompt = "sunglasses", Width = 64, Height = 64, Steps = 2,
                Guidance = GuidanceChoice.Parse("nag+gag"),
            });

    [Fact]
    public async Task From_a_picture_with_low_rank_weights_beside_the_model()
    {
        var pixels = new byte[64 * 64 * 3];
        new Random(1).NextBytes(pixels);
        await Same(
            Repository.Golden("checkpoints", "sd15"),
            Small("sd15") with { Images = new InputImages { Initial = new Image(64, 64, pixels), Strength = 0.6f } },
            new LoadOptions
            {
                Loras = [new LoraWeights(Repository.Golden("checkpoints", "lora", "sd15-locon-mid.safetensors"))], MergeLora = false,
            });
    }

    /// <summary>Diagnostics read copies; they change nothing and say the same.</summary>
    [Theory]
    [InlineData("flux-schnell")]
    [InlineData("sd15")]
    public async Task Traced(string model)
    {
        var request = Small(model) with { Guidance = GuidanceChoice.Parse("nag+gag+pladis+cfg") };
        string here = await Trace(Host);
        Assert.Equal(here, await Trace(new DetachedDevice(fused: true)));

        async Task<string> Trace(Device device)
        {
            using var pipeline = DiffusionPipeline.Load(Repository.Golden("checkpoints", model), new LoadOptions { Device = device });
            var trace = new GuidanceTrace();
            await pipeline.GenerateAsync(request, new TraceObserver(trace));
            return string.Join(
                '\n', trace.Series.SelectMany(series => series.Entries.Select(entry => $"{series.Quantity.Name} {entry}")));
        }
    }

    private static GenerationRequest Small(string model) => new()
    {
        Prompt = "a panda", NegativePrompt = "sunglasses", Width = 64, Height = 64, Steps = 2, Seed = 3,
        MaxSequenceLength = model.StartsWith("flux", StringComparison.Ordinal) ? 16 : null,
    };

    private static async Task Same(string folder, GenerationRequest request, LoadOptions? options = null)
    {
        var device = new DetachedDevice(fused: true);
        var expected = await Run(Host);
        var actual = await Run(device);
        Assert.Equal(expected.Latents, actual.Latents);
        Assert.Equal(expected.Pixels, actual.Pixels);
        Assert.True(device.Kernels > 0);

        async Task<(float[] Latents, byte[] Pixels)> Run(Device on)
        {
            using var pipeline = DiffusionPipeline.Load(folder, (options ?? new LoadOptions()) with { Device = on });
            (float[], byte[]) result = ([], []);
            await foreach (var step in pipeline.DenoiseAsync(request))
            {
                if (step.IsLast)
                    result = (step.Latents.ToArray(), [.. (await step.DecodeAsync()).SelectMany(image => image.Rgb.ToArray())]);
            }
            return result;
        }
    }
}
