using System.Text.Json.Nodes;
using Attune.Evaluation.Experiments;
using Attune.Evaluation.Metrics;
using Attune.Evaluation.Reports;
using Attune.Evaluation.Tests.Metrics;
using Attune.Generation;
using Attune.Imaging;
using Attune.Tests;

namespace Attune.Evaluation.Tests.Experiments;

/// <summary>The tables of papers, and experiments with metrics in general.</summary>
public class PaperExperimentTests
{
    private static readonly string Folder = Path.Combine(Repository.Root, "experiments", "papers");

    public static TheoryData<string> Papers => [.. Directory.GetFiles(Folder, "*.json").Select(file => Path.GetFileName(file)!)];

    [Theory]
    [MemberData(nameof(Papers))]
    public void Every_table_is_an_experiment_whose_needs_are_named(string file)
    {
        var experiment = Experiment.Load(Path.Combine(Folder, file), "/data", mayLackPrompts: true);
        Assert.NotEmpty(experiment.Metrics);
        Assert.True(experiment.SeedsPerPrompt);
        Assert.True(experiment.PassTeraflops > 0);
        string readme = File.ReadAllText(Path.Combine(Folder, "README.md"));
        foreach (string path in (IEnumerable<string>)[
            experiment.Model, experiment.PromptFile!, .. experiment.Loras.Select(lora => lora.Path),
            .. experiment.Metrics.SelectMany(metric => new[] { metric.Weights, metric.References }).OfType<string>()])
        {
            string name = Path.GetRelativePath(Path.GetFullPath("/data"), path).Replace('\\', '/');
            Assert.Contains($"`{name}`", readme, StringComparison.Ordinal);
        }
        if (file.StartsWith("nag-", StringComparison.Ordinal))
            Assert.All(experiment.Prompts, prompt => Assert.Equal("Low resolution, blurry", prompt.Negative));
        // Without the file of prompts nothing but an estimate is possible.
        Assert.ThrowsAny<IOException>(() => Experiment.Load(Path.Combine(Folder, file), "/data"));
    }

    /// <summary>
    /// Table 1 of NAG from the model to the page, on networks of random weights: smaller pictures, three prompts, two parts, a report
    /// without the networks.
    /// </summary>
    [Fact]
    public async Task A_table_is_made_in_parts_and_stands_beside_the_papers()
    {
        using var data = new TemporaryFolder();
        var json = JsonNode.Parse(await File.ReadAllTextAsync(Path.Combine(Folder, "nag-flux-schnell.json")))!.AsObject();
        (json["width"], json["height"], json["promptCount"]) = (304, 304, 3);
        foreach (string metric in new[] { "fid", "pfid" })
            json["metrics"]![metric]!["weights"] = "metrics/inception.safetensors";
        json["metrics"]!["lpips"] = new JsonObject { ["weights"] = "metrics/lpips" };
        string file = data.At("experiment.json");
        await File.WriteAllTextAsync(file, json.ToJsonString());
        Directory.CreateDirectory(data.At("coco"));
        await File.WriteAllTextAsync(data.At("coco/captions-5k.txt"), "a panda\na fox\r\na panda\n");
        Repository.Copy(Fixture.Model("flux-tiny-random"), data.At("models/FLUX.1-schnell"));
        TinyNetworks.Clip(data.At("metrics/clip-vit-large-patch14"));
        TinyNetworks.Reward(data.At("metrics/ImageReward"));
        TinyNetworks.Lpips(data.At("metrics/lpips"));
        TinyNetworks.Inception(data.At("metrics/inception.safetensors"));
        foreach (string folder in new[] { "coco/pictures-5k", "coco/pictures-5k-from-299" })
        {
            Directory.CreateDirectory(data.At(folder));
            for (int i = 0; i < 3; i++)
                Png.Save(Noise(i), data.At($"{folder}/{i}.png"));
        }

        var experiment = Experiment.Load(file);
        Assert.Equal(["a panda", "a fox", "a panda"], experiment.Prompts.Select(prompt => prompt.Prompt));
        string records = data.At("records");
        using (var pipeline = DiffusionPipeline.Load(experiment.Model))
        using (var reader = new MetricsReader(null, experiment.Metrics, pipeline.Device))
        {
            var plan = ExperimentPlan.Create(experiment, pipeline, reader);
            foreach (string shard in new[] { "1/2", "2/2" })
            {
                reader.KeepReferences(records);
                await new ExperimentRunner(plan, pipeline, reader).RunAsync(records, Shard.Parse(shard));
            }
        }
        var lines = RecordFiles.Merge(RecordFiles.Read(records));
        Assert.Equal(3 * 4, lines.Count);
        Assert.Equal<ulong>([0, 1, 2], lines.Select(record => record.Seed).Distinct().Order());
        Assert.All(lines, record => Assert.Equal([1, 1, 1, 2048, 2048], record.Reading.Metrics.Values.Select(one => one.Length).Order()));

        Directory.Delete(data.At("metrics"), recursive: true);
        Directory.Delete(data.At("models"), recursive: true);
        Directory.Delete(data.At("coco/pictures-5k"), recursive: true);
        var report = ExperimentReport.Create(Experiment.Load(file), records);
        Assert.False(report.IsPartial);
        ReportFiles.Write(report);
        var results = JsonNode.Parse(await File.ReadAllTextAsync(Path.Combine(records, "report.json")))!;
        Assert.Contains(
            results["notes"]!.AsArray(), note => note!.GetValue<string>().StartsWith("FID of 3 pictures", StringComparison.Ordinal));
        foreach (var cell in results["results"]!.AsArray())
        {
            var metrics = cell!["metrics"]!;
            foreach (string metric in new[] { "clip-score", "fid", "pfid", "image-reward", "lpips" })
                Assert.True(double.IsFinite(metrics[metric]!["value"]!.GetValue<double>()));
            Assert.InRange(metrics["clip-score"]!["value"]!.GetValue<double>(), 0, 100);
            Assert.True(metrics["fid"]!["value"]!.GetValue<double>() > 0);
            Assert.Equal("patch", metrics["pfid"]!["preparation"]!.GetValue<string>());
            Assert.Equal(cell["name"]!.GetValue<string>() != "none", metrics["image-reward"]!["difference"] != null);
        }
        Assert.Equal(24.46, results["results"]!.AsArray().Single(cell => cell!["name"]!.GetValue<string>() == "nag")!["metrics"]!["fid"]![
            "published"]!.GetValue<double>());

        // The references are those of the folder: what the file keeps is what the network read.
        var kept = ReferenceSet.Load(Path.Combine(records, "references-fid.npz"));
        Assert.Equal((3, 2048, "pytorch-fid"), (kept.Features!.Length, kept.Features[0].Length, kept.Statistics.Preparation));
        foreach (string name in new[] { "report.md", "report.html" })
        {
            string text = await File.ReadAllTextAsync(Path.Combine(records, name));
            Assert.Contains("PFID, published", text, StringComparison.Ordinal);
            Assert.Contains("34.9", text, StringComparison.Ordinal);
            Assert.Contains("arXiv 2505.21179v3 (NAG), tables 1 and 9", text, StringComparison.Ordinal);
        }
    }

    [Fact]
    public void Metrics_of_cells_are_those_worked_out_by_hand()
    {
        using var trial = new Trial();
        trial.Write(json =>
        {
            (json["steps"], json["baseline"], json["judge"]) = (new JsonArray(2), "none", null);
            json["prompts"] = JsonNode.Parse("""[{ "prompt": "a" }, { "prompt": "b" }]""");
            json["metrics"] = JsonNode.Parse("""
                { "clip-score": { "weights": "clip" },
                  "fid": { "weights": "inception", "references": "r.npz", "preparation": "clean-fid" } }
                """);
            json["published"] = JsonNode.Parse("""
                { "source": "a paper", "figures": [{ "method": "nag 2", "steps": 2, "fid": 3.5 }] }
                """);
        });
        var experiment = trial.Load();
        ExperimentRecord Record(string method, double? scale, int prompt, long seed, float score, params float[] features) => new(
            method, scale, 2, prompt, (ulong)seed, 1, 1, 1, new PictureReading(new Dictionary<string, HeadReading>(), [], null, null)
            {
                Metrics = new Dictionary<string, float[]> { ["clip-score"] = [score], ["fid"] = features },
            });
        string folder = Directory.CreateDirectory(trial.At("records")).FullName;
        using (var writer = new RecordWriter(
            Path.Combine(folder, "records.jsonl"), null,
            new RecordHeader(Fingerprint.Of(["x"], []), Fingerprint.Of(experiment), experiment.Name, "a-model", "a device")))
        {
            foreach (var record in new[]
            {
                Record("none", null, 0, 5, 20, 0, 0), Record("none", null, 0, 6, 24, 2, 0), Record("none", null, 1, 5, 30, 0, 2),
                Record("none", null, 1, 6, 34, 2, 2),
                Record("nag {scale}", 2, 0, 5, 23, 5, 0), Record("nag {scale}", 2, 0, 6, 27, 7, 0),
                Record("nag {scale}", 2, 1, 5, 35, 5, 2), Record("nag {scale}", 2, 1, 6, 39, 7, 2),
            })
                writer.Add(record);
        }
        ReferenceSet.Of([[0, 0], [2, 0], [0, 2], [2, 2]], "clean-fid").Save(Path.Combine(folder, "references-fid.npz"));
        var report = ExperimentReport.Create(experiment, folder);
        var nag = report.Cells.Single(cell => cell.Variant.Name == "nag 2");
        var none = report.Cells.Single(cell => cell.Variant.Name == "none");
        Assert.Equal(31, nag.Metrics["clip-score"].Value, 6);
        Assert.Equal(4, nag.Metrics["clip-score"].Difference!.Mean, 6);             // 3 and 5 more, by prompt
        Assert.Equal((3, 5), (nag.Metrics["clip-score"].Difference!.Interval.Low, nag.Metrics["clip-score"].Difference!.Interval.High));
        Assert.Equal((22, 32), (none.Metrics["clip-score"].Interval!.Value.Low, none.Metrics["clip-score"].Interval!.Value.High));
        Assert.Null(none.Metrics["clip-score"].Difference);
        Assert.Equal(25, nag.Metrics["fid"].Value, 6);
        Assert.Equal(0, none.Metrics["fid"].Value, 6);
        Assert.Equal(3.5, experiment.Published!.Of("nag 2", 2, "fid"));
        Assert.Contains(
            "FID: 4 references; pictures are made ready as clean-fid", string.Join('\n', report.Notes), StringComparison.Ordinal);
        File.Delete(Path.Combine(folder, "references-fid.npz"));
        report = ExperimentReport.Create(experiment, folder);
        Assert.False(report.Cells[0].Metrics.ContainsKey("fid"));
        Assert.Contains("FID is missing: there is no references-fid.npz", string.Join('\n', report.Notes), StringComparison.Ordinal);
    }

    public static TheoryData<string, string?, string> Mistakes => new()
    {
        { "judge", null, "judge is null, expected the path of a judge, unless there are metrics" },
        { "metrics", """{ "fidd": {} }""", "metrics.fidd: 'fidd' is no metric; expected clip-score, fid, pfid, kid, " },
        { "metrics", """{ "fid": { "weights": "a" } }""", "metrics.fid.references is missing, expected a folder of pictures or an .npz" },
        { "metrics", """{ "clip-score": { "weights": "a", "references": "b" } }""", "expected none, since clip-score compares with none" },
        { "metrics", """{ "clip-score": { "weights": "a", "preparation": "b" } }""", "'b' is no preparation of pictures" },
        { "metrics", """{ "clip-score": { "wieghts": "a" } }""", "metrics.clip-score.weights is missing, expected a folder with a CLIP" },
        { "promptCount", "4", "has 3 prompts, expected 4, as promptCount" },
        { "prompts", "\"gap.txt\"", "gap.txt': line 2 is empty, expected a prompt" },
        { "published", """{ "source": "a", "figures": [{ "method": "nag", "steps": 1 }] }""", "expected a method at 1 steps: none, nag 2" },
        { "published", """{ "source": "a", "figures": [{ "method": "none", "steps": 1, "fid": 2 }] }""", "fid (value 2) is no known key" },
        { "seeds.perPrompt", "1", "seeds.perPrompt is 1, expected true or false" },
        { "loras", """[{ "scale": 1 }]""", "loras[0].path is missing, expected the path of a LoRA file" },
        { "passTeraflops", "0", "passTeraflops is 0, expected a number above 0" },
    };

    [Theory]
    [MemberData(nameof(Mistakes))]
    public void Mistakes_are_named(string key, string? value, string message)
    {
        using var trial = new Trial();
        File.WriteAllText(trial.At("gap.txt"), "a\n\nb\n");
        trial.Write(json =>
        {
            string[] path = key.Split('.');
            var at = path[..^1].Aggregate((JsonNode)json, (node, part) => node[part]!);
            at[path[^1]] = value == null ? null : JsonNode.Parse(value);
        });
        Assert.Contains(message, Assert.Throws<FormatException>(trial.Load).Message, StringComparison.Ordinal);
    }

    [Fact]
    public void What_metrics_need_of_the_model_is_checked_before_anything_is_computed()
    {
        using var trial = new Trial();
        using var pipeline = DiffusionPipeline.Load(Trial.Model);
        trial.Write(json => json["metrics"] = JsonNode.Parse("""{ "pfid": { "weights": "a", "references": "b" } }"""));
        Assert.Contains(
            "width is 16, expected 299 or more, of which pfid cuts its part",
            Assert.Throws<FormatException>(() => ExperimentPlan.Create(trial.Load(), pipeline, new ArithmeticReader())).Message,
            StringComparison.Ordinal);
        trial.Write(json => (json["judge"], json["metrics"]) = (null, JsonNode.Parse("""{ "clip-score": { "weights": "a" } }""")));
        using var reader = new MetricsReader(null, [], pipeline.Device);
        Assert.Contains(
            "names an attribute, which a judge would look for, but there is no judge",
            Assert.Throws<FormatException>(() => ExperimentPlan.Create(trial.Load(), pipeline, reader)).Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Every_metric_is_documented()
    {
        string page = File.ReadAllText(Path.Combine(Repository.Root, "docs", "metrics.md"));
        Assert.All(MetricCatalog.All, metric => Assert.Contains($"| `{metric.Name}` |", page, StringComparison.Ordinal));
        Assert.All(Preparation.All, preparation => Assert.Contains($"`{preparation.Name}`", page, StringComparison.Ordinal));
        Assert.Equal(MetricCatalog.All.Count, MetricCatalog.All.Select(metric => metric.Name).Distinct().Count());
    }

    private static Image Noise(int seed)
    {
        byte[] pixels = new byte[3 * 320 * 310];
        new Random(seed).NextBytes(pixels);
        return new Image(320, 310, pixels);
    }
}
