using System.Text.Json;
using Attune.Evaluation.Experiments;
using Attune.Evaluation.Metrics;
using Attune.Guidance;
using Attune.Generation;

namespace Attune.Evaluation.Tests.Metrics;

/// <summary>
/// The judge and the dual encoder that come with Attune, on renders whose contents are known; values by PyTorch (Fixtures/embedded.py).
/// </summary>
[NoLeaks]
public class EmbeddedTests
{
    private const double Tolerance = 1e-5;

    [Fact]
    public void The_judge_sees_what_is_there_and_what_PyTorch_computes()
    {
        var fixture = new Fixture("embedded.safetensors");
        using var judge = Judge.Load(Fixture.Model("scenes-judge"), Host);
        var judgements = judge.Read(fixture.Pictures());
        var scenes = Facts().GetProperty("scenes").EnumerateArray().ToArray();
        Assert.Equal(scenes.Length, judgements.Count);
        for (int item = 0; item < scenes.Length; item++)
        {
            fixture.Check("features", item, judgements[item].Features, Tolerance);
            foreach (var head in judge.Heads)
            {
                fixture.Check("probabilities." + head.Name, item, judgements[item].Probabilities[head.Name], Tolerance);
                Assert.Equal(scenes[item].GetProperty(head.Name).GetString(), judgements[item].Value(head.Name));
            }
        }
    }

    [Fact]
    public void The_dual_encoder_finds_each_pictures_caption_and_gives_what_PyTorch_computes()
    {
        var fixture = new Fixture("embedded.safetensors");
        using var encoder = DualEncoder.Load(Fixture.Model("scenes-dual-encoder"), Host);
        float[][] images = encoder.EmbedImages(fixture.Pictures());
        float[][] texts = encoder.EmbedTexts([.. Facts().GetProperty("texts").EnumerateArray().Select(text => text.GetString()!)]);
        for (int item = 0; item < images.Length; item++)
        {
            fixture.Check("image_embeds", item, images[item], Tolerance);
            fixture.Check("text_embeds", item, texts[item], Tolerance);
            float[] scores = [.. texts.Select(text => DualEncoder.Score(images[item], text))];
            Assert.Equal(item, Array.IndexOf(scores, scores.Max()));
        }
    }

    [Fact]
    public async Task The_default_model_shows_pandas_with_sunglasses_and_its_preset_of_nag_takes_them_off()
    {
        using var pipeline = DiffusionPipeline.Load(Fixture.Model("scenes-flux-schnell"));
        using var judge = Judge.Load(Fixture.Model("scenes-judge"), Host);
        Assert.Equal("scenes-flux-schnell", pipeline.Preset!.Family);

        async Task<IReadOnlyList<Judgement>> Look(string rules) => judge.Read(await pipeline.GenerateAsync(new GenerationRequest
        {
            Prompt = "a panda on a blue background",
            NegativePrompt = "sunglasses",
            Count = 16,
            Guidance = new GuidanceSchedule(RuleCatalog.Parse(rules, pipeline.Preset)),
        }));

        static int Count(IEnumerable<Judgement> judgements, string head, string value) =>
            judgements.Count(judgement => judgement.Value(head) == value);

        var plain = await Look("none");
        var guided = await Look("nag");
        TestContext.Current.TestOutputHelper?.WriteLine(
            $"sunglasses: {Count(plain, "eyewear", "sunglasses")} without guidance, {Count(guided, "eyewear", "sunglasses")} with; "
            + $"pandas: {Count(plain, "face", "panda")} and {Count(guided, "face", "panda")} of 16");
        // What docs/evidence.md finds over many prompts: less than a third of the sunglasses, and nearly all pandas.
        Assert.InRange(Count(plain, "eyewear", "sunglasses"), 8, 16);
        Assert.InRange(Count(guided, "eyewear", "sunglasses"), 0, Count(plain, "eyewear", "sunglasses") / 3);
        Assert.InRange(Count(plain, "face", "panda"), 13, 16);
        Assert.InRange(Count(guided, "face", "panda"), 12, 16);
        Assert.Equal(16, Count(guided, "background", "blue"));
    }

    public static TheoryData<string> Experiments =>
        [
            .. Directory.GetFiles(Path.GetFullPath(Fixture.Model("../experiments/scenes")), "*.json")
                .Select(file => Path.GetFileName(file)!)
                .Where(file => !file.StartsWith("prompts-", StringComparison.Ordinal))
                .Order()];

    [Theory]
    [MemberData(nameof(Experiments))]
    public void The_experiments_on_the_embedded_models_can_be_run(string file)
    {
        var experiment = Experiment.Load(Fixture.Model(Path.Combine("..", "experiments", "scenes", file)));
        using var pipeline = DiffusionPipeline.Load(experiment.Model);
        using var judge = Judge.Load(experiment.Judge!, Host);
        using var encoder = DualEncoder.Load(experiment.DualEncoder!, Host);
        var plan = ExperimentPlan.Create(experiment, pipeline, new JudgeReader(judge, encoder));
        Assert.Equal(experiment.Baseline, plan.Variants[0].Name);
        Assert.NotEqual(0, plan.Count(Shard.Whole));
    }

    private static JsonElement Facts() => JsonDocument.Parse(File.ReadAllText(Fixture.At("embedded.json"))).RootElement;
}
