using Attune.Generation;
using Attune.Prompts;
using Attune.Tests.Pipelines;

namespace Attune.Tests.Prompts;

/// <summary>Weights of words in prompts. What the encoders make of them golden cases hold too.</summary>
[NoLeaks]
public class PromptWeightsTests
{
    [Theory]
    [InlineData(PromptWeighting.A1111, "(a:1.2.3)", "a:1.2.3 1.1")]
    [InlineData(PromptWeighting.A1111, "(a:.)", "a:. 1.1")]
    [InlineData(PromptWeighting.A1111, "a:1.2.3)", "a:1.2.3) 1")]
    [InlineData(PromptWeighting.ComfyUi, "(a:nan)", "a:nan 1.1")]
    [InlineData(PromptWeighting.ComfyUi, "(a:inf)", "a:inf 1.1")]
    [InlineData(PromptWeighting.ComfyUi, "(a:1e999)", "a:1e999 1.1")]
    [InlineData(PromptWeighting.ComfyUi, "(a: 1_0 )", "a 10")]
    [InlineData(PromptWeighting.NegPip, "(a:-1e-1)", "a -0.1")]
    [InlineData(PromptWeighting.None, "(a:1.2)", "(a:1.2) 1")]
    public void Weights_are_finite_numbers(PromptWeighting weighting, string text, string expected) => Assert.Equal(
        expected,
        string.Join(
            " | ",
            WeightedTexts.Parse(text, weighting).Select(
                part => string.Create(System.Globalization.CultureInfo.InvariantCulture, $"{part.Text} {(float)part.Weight}"))));

    [Theory]
    [InlineData(PromptWeighting.A1111)]
    [InlineData(PromptWeighting.ComfyUi)]
    public void Any_text_can_be_read(PromptWeighting weighting)
    {
        var random = new Random(1);
        const string Alphabet = "()[]:\\a 1.-\0\u0001\u0002B";
        for (int i = 0; i < 2000; i++)
        {
            string text = new([.. Enumerable.Range(0, random.Next(40)).Select(_ => Alphabet[random.Next(Alphabet.Length)])]);
            Assert.All(WeightedTexts.Parse(text, weighting), part => Assert.True(double.IsFinite(part.Weight), text));
        }
        string deep = new string('(', 100_000) + "a" + new string(')', 100_000);
        if (weighting == PromptWeighting.ComfyUi)
            Assert.Throws<ArgumentException>(() => WeightedTexts.Parse(deep, weighting));
        else
            Assert.Single(WeightedTexts.Parse(deep, weighting));
    }

    [Theory]
    [InlineData("sd15")]
    [InlineData("sdxl")]
    public async Task Weights_of_one_change_nothing_and_others_do_what_the_scheme_says(string model)
    {
        using var pipeline = DiffusionPipeline.Load(Repository.Golden("checkpoints", model));
        var request = new GenerationRequest
        {
            Prompt = "a panda on a blue background", Width = 64, Height = 64, Steps = 1, Guidance = GuidanceChoice.None,
        };
        Task<(float[] Text, float[]? Values, float[]? Pooled)> Encode(string prompt, PromptWeighting weighting) => Watching.Start(
            pipeline, request with { Prompt = prompt, PromptWeights = weighting },
            start => (
                start.Positive.Text.ToArray(), start.Positive.Parts.GetValueOrDefault("values")?.ToArray(),
                start.Positive.Parts.GetValueOrDefault("pooled")?.ToArray()));
        var plain = await Encode(request.Prompt, PromptWeighting.None);
        var empty = await Encode("", PromptWeighting.None);
        foreach (var weighting in Enum.GetValues<PromptWeighting>())
        {
            var same = await Encode(request.Prompt, weighting);
            Assert.Equal(plain.Text, same.Text);
            Assert.Equal(plain.Pooled, same.Pooled);
            Assert.Null(same.Values);
        }

        const string Weighted = "(a panda:0.5) on a (blue:-1.5) background";
        var comfy = (await Encode(Weighted, PromptWeighting.ComfyUi)).Text;
        var (keys, values, pooled) = await Encode(Weighted, PromptWeighting.NegPip);
        Assert.Equal(plain.Pooled, pooled);
        var found = new HashSet<double>();
        for (int i = 0; i < plain.Text.Length; i++)
        {
            var (z, e) = ((double)plain.Text[i], (double)empty.Text[i]);
            if (Math.Abs(z - e) < 0.2)
                continue;
            double weight = Math.Round((comfy[i] - e) / (z - e), 3);
            found.Add(weight);
            Assert.Equal(e + Math.Abs(weight) * (z - e), keys[i], 1e-4);
            Assert.Equal(weight < 0 ? -keys[i] : keys[i], values![i]);
        }
        Assert.Equal([-1.5, 0.5, 1], found.Order());

        var noNorm = (await Encode(Weighted, PromptWeighting.A1111NoNorm)).Text;
        var ratios = plain.Text.Zip(noNorm).Where(pair => Math.Abs(pair.First) > 0.1)
            .Select(pair => Math.Round(pair.Second / (double)pair.First, 3)).ToHashSet();
        Assert.Equal([-1.5, 0.5, 1], ratios.Order());
    }

    [Fact]
    public async Task What_cannot_be_read_is_refused()
    {
        using var pipeline = DiffusionPipeline.Load(Repository.Golden("checkpoints", "sd15"));
        var request = new GenerationRequest
        {
            Prompt = "a BREAK b", Width = 64, Height = 64, Steps = 1, PromptWeights = PromptWeighting.A1111,
        };
        var token = TestContext.Current.CancellationToken;
        var refusal = await Assert.ThrowsAsync<ArgumentException>(() => pipeline.GenerateAsync(request, cancellation: token));
        Assert.Contains("expected LongPrompts", refusal.Message, StringComparison.Ordinal);
        int rows = await Watching.Start(pipeline, request with { LongPrompts = true }, start => start.Positive.Text.Shape[1]);
        Assert.Equal(154, rows);

        using var flux = DiffusionPipeline.Load(Repository.Golden("checkpoints", "flux-schnell"));
        refusal = await Assert.ThrowsAsync<ArgumentException>(() => flux.GenerateAsync(request, cancellation: token));
        Assert.Contains("PromptWeights: FluxPipeline does not take it", refusal.Message, StringComparison.Ordinal);
        Assert.Contains(
            "expected none, a1111, a1111-no-norm, comfyui, negpip",
            Assert.Throws<FormatException>(() => OptionCatalog.Find("prompt-weights")!.Set(request, "compel")).Message,
            StringComparison.Ordinal);
    }
}
