using Attune.Generation;
using Attune.Prompts;
using static Attune.Tests.Pipelines.Pictures;

namespace Attune.Tests.Pipelines;

/// <summary>What is equal must not guide: every setting of the encoding reaches both prompts alike.</summary>
[NoLeaks]
public class EqualPromptsTests
{
    private const string Long =
        "a cat on a blue background with a red hat, a green scarf, a yellow coat and white shoes, beside a lion with a crown, a fox with "
        + "glasses and a very small mouse that holds an apple, a star and a balloon, in the evening light of a late summer day, painted in "
        + "oil on canvas by an old master with a broad brush and many colours";

    public static TheoryData<string, string> Settings()
    {
        var data = new TheoryData<string, string>();
        foreach (string model in new[] { "sd15", "sd21", "sdxl", "sd35-medium", "sd3-no-t5", "flux-schnell", "flux-dev" })
        {
            data.Add(model, "");
            data.Add(model, "max-sequence-length=16");
            if (!model.StartsWith("flux", StringComparison.Ordinal))
                data.Add(model, "clip-skip=1");
            if (model is "sd15" or "sd21" or "sdxl")
                data.Add(model, "long-prompts=true;clip-skip=1");
            if (model is "sd15" or "sdxl")
                data.Add(model, "prompt-weights=" + (model == "sdxl" ? "negpip" : "a1111"));
            if (model == "sdxl")
                data.Add(model, "original-size=512x640;crop=8,24;target-size=96x96;clip-skip=1");
        }
        return data;
    }

    [Theory]
    [MemberData(nameof(Settings))]
    public async Task Equal_prompts_give_the_picture_without_guidance(string model, string settings)
    {
        using var pipeline = DiffusionPipeline.Load(Repository.Golden("checkpoints", model));
        string prompt = settings.StartsWith("long", StringComparison.Ordinal) ? Long
            : settings.StartsWith("prompt", StringComparison.Ordinal) ? "a (cat:1.4) in a (red:-0.6) box" : "a cat";
        var request = new GenerationRequest { Prompt = prompt, NegativePrompt = prompt, Width = 64, Height = 64, Steps = 2 };
        foreach (string setting in settings.Split(';', StringSplitOptions.RemoveEmptyEntries))
        {
            string[] sides = setting.Split('=');
            request = OptionCatalog.Find(sides[0])!.Set(request, sides[1]);
        }
        byte[] plain = await Pixels(pipeline, request with { Guidance = GuidanceChoice.None });
        foreach (string rules in new[] { "nag", "cfg:scale=7", "nag+cfg", "apg", "mambo-g", "cfg-zero-star:zero_init_steps=0" })
        {
            byte[] guided = await Pixels(pipeline, request with { Guidance = GuidanceChoice.Parse(rules) });
            Assert.All(plain.Zip(guided), pair => Assert.InRange(pair.First - pair.Second, -1, 1));
        }

        // The root of it, to the bit: both prompts become the same.
        var guidance = GuidanceChoice.Parse("nag+cfg");
        var (positive, negative) = await Watching.Start(
            pipeline, request with { Guidance = guidance }, start => (Parts(start.Positive), Parts(start.Negative!)));
        Assert.Equal(positive, negative);
    }

    /// <summary>The test above can fail: diffusers' reading guides.</summary>
    [Theory]
    [InlineData("sd15")]
    [InlineData("sdxl")]
    [InlineData("sd35-medium")]
    public async Task Negative_prompts_as_diffusers_reads_them_guide_under_clip_skip(string model)
    {
        using var pipeline = DiffusionPipeline.Load(Repository.Golden("checkpoints", model));
        var request = new GenerationRequest
        {
            Prompt = "a cat", NegativePrompt = "a cat", Width = 64, Height = 64, Steps = 2, ClipSkip = 1, NegativeAsDiffusers = true,
        };
        byte[] plain = await Pixels(pipeline, request with { Guidance = GuidanceChoice.None });
        byte[] guided = await Pixels(pipeline, request with { Guidance = GuidanceChoice.Parse("cfg:scale=7") });
        Assert.Contains(plain.Zip(guided), pair => Math.Abs(pair.First - pair.Second) > 8);
    }

    private static Dictionary<string, float[]> Parts(Conditioning conditioning) =>
        conditioning.Parts.ToDictionary(part => part.Key, part => part.Value.ToArray());
}
