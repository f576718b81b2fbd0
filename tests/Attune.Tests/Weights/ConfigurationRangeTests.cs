using System.Text.Json.Nodes;
using Attune.Generation;
using Attune.Models;
using Attune.Tensors;
using Attune.Weights;

namespace Attune.Tests.Weights;

/// <summary>
/// Every number of every configuration, replaced by one that makes no sense: the model is refused with the documented exception, or the
/// number is not read or makes sense after all, and then the model generates. Nothing else is thrown, and nothing huge is allocated.
/// </summary>
[NoLeaks]
public class ConfigurationRangeTests
{
    private const long MemoryBound = 256 << 20;

    private static readonly double[] Replacements = [-1, 0, 0.5, int.MaxValue, 1e30];

    public static TheoryData<string> Models() => [
        "sd15", "sdxl", "flux-schnell", "flux-dev", "sd35-medium", "flux2-klein", "qwen-image", "z-image", "chroma", "pixart-sigma", "sana",
        "sana-sprint", "wan-2.2", .. TinyPipelines.Names];

    [Theory]
    [MemberData(nameof(Models))]
    public async Task A_number_that_makes_no_sense_is_refused_or_does_no_harm(string model)
    {
        using var folder = new TemporaryFolder();
        if (TinyPipelines.Names.Contains(model))
            TinyPipelines.Write(model, folder.Path);
        else
            Repository.Copy(Repository.Golden("checkpoints", model), folder.Path);
        int refused = 0, harmless = 0;
        string[] files = [.. Directory.GetFiles(folder.Path, "*config.json", SearchOption.AllDirectories).Order(StringComparer.Ordinal)];
        foreach (string file in files.Where(file => !file.Contains("tokenizer", StringComparison.Ordinal)))
        {
            string valid = await File.ReadAllTextAsync(file);

            // Python writes infinities by name, and the parser of this test knows only numbers.
            string parsed = valid.Replace("-Infinity", "-1e30", StringComparison.Ordinal);
            int numbers = Numbers(JsonNode.Parse(parsed)!).Count();
            for (int i = 0; i < numbers; i++)
            {
                // Two of the values for each number, so that all values meet all kinds of numbers over the families.
                foreach (double value in new[] { Replacements[i % Replacements.Length], Replacements[(i + 2) % Replacements.Length] })
                {
                    var damaged = JsonNode.Parse(parsed)!;
                    var number = Numbers(damaged).ElementAt(i);
                    string at = $"{Path.GetRelativePath(folder.Path, file)} {number.GetPath()} = {value}";
                    number.ReplaceWith(JsonValue.Create(value));
                    await File.WriteAllTextAsync(file, damaged.ToJsonString());
                    if (await Refuses(folder.Path, at))
                        refused++;
                    else
                        harmless++;
                }
            }
            await File.WriteAllTextAsync(file, valid);
        }
        Assert.True(refused > harmless / 4, $"{refused} refused, {harmless} harmless");
    }

    private static async Task<bool> Refuses(string path, string at)
    {
        long before = GC.GetAllocatedBytesForCurrentThread();
        try
        {
            using var pipeline = DiffusionPipeline.Load(path);
            Bounded();
            await pipeline.GenerateAsync(new GenerationRequest
            {
                Prompt = "a cat", Width = 64, Height = 64, Frames = pipeline.Facts.Takes(ModelOption.Frames) ? 5 : null, Steps = 1,
                Guidance = GuidanceChoice.None,
            });
            return false;
        }
        catch (Exception exception) when (exception is CheckpointException or NotFiniteException or ArgumentException)
        {
            if (exception is CheckpointException)
                Bounded();
            return true;
        }
        catch (Exception exception)
        {
            Assert.Fail($"{at}: {exception}");
            return false;
        }

        void Bounded() => Assert.True(GC.GetAllocatedBytesForCurrentThread() - before < MemoryBound, at);
    }

    private static IEnumerable<JsonValue> Numbers(JsonNode node) => node switch
    {
        JsonObject values => values.Where(value => value.Value != null).SelectMany(value => Numbers(value.Value!)),
        JsonArray items => items.Where(item => item != null).SelectMany(item => Numbers(item!)),
        JsonValue value when value.GetValueKind() == System.Text.Json.JsonValueKind.Number => [value],
        _ => [],
    };
}
