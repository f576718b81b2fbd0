using System.Runtime.CompilerServices;
using System.Text.Json;
using Attune.Evaluation.Metrics;
using Attune.Tensors;

namespace Attune.Evaluation.Tests.Metrics;

/// <summary>The judge and the dual encoder that come with Attune, on renders whose contents are known; values by PyTorch (Fixtures/embedded.py).</summary>
[NoLeaks]
public class EmbeddedTests
{
    private const double Tolerance = 1e-5;

    [Fact]
    public void The_judge_sees_what_is_there_and_what_PyTorch_computes()
    {
        var fixture = new Fixture("embedded.safetensors");
        using var judge = Judge.Load(Model("scenes-judge"), Device.Managed);
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
        using var encoder = DualEncoder.Load(Model("scenes-dual-encoder"), Device.Managed);
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

    private static JsonElement Facts() => JsonDocument.Parse(File.ReadAllText(Fixture.At("embedded.json"))).RootElement;

    private static string Model(string name) => Path.Combine(Here(), "..", "..", "..", "models", name);

    private static string Here([CallerFilePath] string path = "") => Path.GetDirectoryName(path)!;
}
