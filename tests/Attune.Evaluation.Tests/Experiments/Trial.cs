using System.Text.Json.Nodes;
using Attune.Evaluation.Experiments;
using Attune.Imaging;
using Attune.Generation;

namespace Attune.Evaluation.Tests.Experiments;

/// <summary>
/// A folder with a small experiment on the checkpoint that comes with Attune, its pictures read by arithmetic instead of a judge.
/// </summary>
internal sealed class Trial : IDisposable
{
    public const string Text = """
        {
          "name": "A small trial",
          "model": "MODEL",
          "judge": "judge",
          "width": 16,
          "height": 16,
          "methods": [
            { "name": "none", "rules": "none", "negative": false },
            { "name": "nag {scale}", "rules": "nag:scale={scale}", "scales": [2, 8] },
            { "name": "cfg", "rules": "cfg:scale=3", "steps": [2] }
          ],
          "baseline": "none",
          "steps": [1, 2],
          "seeds": { "first": 5, "count": 2 },
          "prompts": [
            { "prompt": "a panda", "negative": "sunglasses", "present": { "tone": "dark" }, "absent": { "tint": "red" } },
            { "prompt": "a fox", "negative": "a hat", "present": { "tone": "bright" }, "absent": { "tint": "blue" } },
            { "prompt": "a cat", "present": { "tone": "dark", "tint": "red" } }
          ],
          "pictures": 1
        }
        """;

    public Trial()
    {
        Folder = Directory.CreateTempSubdirectory("attune").FullName;
        Directory.CreateDirectory(Path.Combine(Folder, "judge"));
        File.WriteAllText(Path.Combine(Folder, "judge", "config.json"), "{}");
        Write(json => { });
    }

    public static string Model => Fixture.Model("flux-tiny-random");

    public string Folder { get; }

    public string ExperimentFile => Path.Combine(Folder, "experiment.json");

    public string At(string name) => Path.Combine(Folder, name);

    /// <summary>Writes the experiment's file, changed.</summary>
    public void Write(Action<JsonObject> change)
    {
        var json = JsonNode.Parse(Text)!.AsObject();
        json["model"] = Model;
        change(json);
        File.WriteAllText(ExperimentFile, json.ToJsonString());
    }

    public Experiment Load() => Experiment.Load(ExperimentFile);

    /// <summary>Runs the experiment.</summary>
    public async Task RunAsync(
        string output, DiffusionPipeline pipeline, IPictureReader? reader = null, string shard = "1/1", int? prompts = null,
        Action<ExperimentProgress>? progress = null, CancellationToken cancellation = default)
    {
        reader ??= new ArithmeticReader();
        var plan = ExperimentPlan.Create(Load(), pipeline, reader);
        await new ExperimentRunner(plan, pipeline, reader).RunAsync(At(output), Shard.Parse(shard), prompts, progress, cancellation);
    }

    /// <summary>The records of a folder in one order, as lines without what may differ from run to run.</summary>
    public IReadOnlyList<string> Lines(string output) =>
        [
            .. RecordFiles.Merge(RecordFiles.Read(At(output)))
                .Select(record => (record with { Seconds = 0, Total = 0, Session = 1 }).ToLine())
                .Order(StringComparer.Ordinal)];

    public void Dispose() => Directory.Delete(Folder, recursive: true);
}

/// <summary>Reads the mean of a picture's channels.</summary>
internal sealed class ArithmeticReader : IPictureReader
{
    public IReadOnlyDictionary<string, IReadOnlyList<string>> Heads { get; } = new Dictionary<string, IReadOnlyList<string>>
    {
        ["tone"] = ["dark", "bright"],
        ["tint"] = ["red", "green", "blue"],
    };

    public int FeatureCount => 3;

    public int? PictureSize { get; init; } = 16;

    public int Count { get; private set; }

    /// <summary>Whether the metric "distance" is read: the mean difference from the baseline's picture.</summary>
    public bool ComparesWithBaseline { get; init; }

    public PictureReading Read(Image picture, ExperimentPrompt prompt, Image? baseline = null)
    {
        Assert.Equal(ComparesWithBaseline, baseline != null);
        Count++;
        float[] means = new float[3];
        for (int i = 0; i < picture.Rgb.Length; i++)
            means[i % 3] += picture.Rgb[i];
        for (int i = 0; i < 3; i++)
            means[i] /= 255f * picture.Width * picture.Height;
        float sum = means.Sum();
        HeadReading Best(string head, params float[] values) => new(Heads[head][Array.IndexOf(values, values.Max())], values);
        return new PictureReading(
            new Dictionary<string, HeadReading> {
                ["tone"] = Best("tone", 1 - sum / 3, sum / 3), ["tint"] = Best("tint", means[0] / sum, means[1] / sum, means[2] / sum) },
            means, sum / 3 - 0.5f, prompt.Negative == null ? null : means[2]) {
            Metrics = baseline == null ? new Dictionary<string, float[]>()
                : new Dictionary<string, float[]> { ["distance"] = [Distance(picture, baseline)] } };
    }

    private static float Distance(Image a, Image b)
    {
        float sum = 0;
        for (int i = 0; i < a.Rgb.Length; i++)
            sum += Math.Abs(a.Rgb[i] - b.Rgb[i]);
        return sum / a.Rgb.Length;
    }
}
