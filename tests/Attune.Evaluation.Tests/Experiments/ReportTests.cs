using System.Globalization;
using System.Text;
using System.Text.Json.Nodes;
using System.Xml;
using System.Xml.Linq;
using Attune.Evaluation.Experiments;
using Attune.Evaluation.Metrics;
using Attune.Evaluation.Reports;
using Attune.Imaging;

namespace Attune.Evaluation.Tests.Experiments;

/// <summary>What reports say, against numbers worked out by hand.</summary>
[NoLeaks]
public class ReportTests
{
    private const string Hostile = "<b>\"a panda\"</b> & </style><script>alert(1)</script> ]]> | `x` \u732b";

    /// <summary>Writes records as runs do.</summary>
    private static void Write(Trial trial, IEnumerable<ExperimentRecord> records, string name = "records.jsonl")
    {
        var experiment = trial.Load();
        string file = Path.Combine(Directory.CreateDirectory(trial.At("records")).FullName, name);
        using var writer = new RecordWriter(
            file, null,
            new RecordHeader(Fingerprint.Of(experiment, []), Fingerprint.Of(experiment), experiment.Name, "a-model", "a device"));
        foreach (var record in records)
            writer.Add(record);
    }

    private static ExperimentRecord Record(
        string method, double? scale, int steps, int prompt, long seed, string tone, string tint, double seconds = 1, int session = 1,
        float[]? features = null, float? score = null, float? negative = null) =>
        new(method, scale, steps, prompt, (ulong)seed, seconds, seconds + 2, session, new PictureReading(
            new Dictionary<string, HeadReading> { ["tone"] = new(tone, [.5f, .5f]), ["tint"] = new(tint, [.4f, .3f, .3f]) }, features
                ?? [0, 0, 0], score, negative));

    private static ReportCell Cell(ExperimentReport report, string name, int steps) =>
        report.Cells.Single(cell => cell.Variant.Name == name && cell.Steps == steps);

    /// <summary>The trial's prompts want (tone dark, not tint red), (tone bright, not tint blue), (tone dark and tint red).</summary>
    private static ExperimentReport Worked(Trial trial)
    {
        trial.Write(json => json["steps"] = new JsonArray(2));
        Write(trial,
        [
            Record("none", null, 2, 0, 5, "dark", "red", 2, score: .5f, negative: .4f),
            Record("none", null, 2, 0, 6, "dark", "red", 4, score: .25f, negative: .2f),
            Record("none", null, 2, 1, 5, "bright", "blue", 2), Record("none", null, 2, 1, 6, "dark", "red", 2),
            Record("none", null, 2, 2, 5, "dark", "red", 2), Record("none", null, 2, 2, 6, "bright", "red", 2),
            Record("nag {scale}", 2, 2, 0, 5, "dark", "green", 3), Record("nag {scale}", 2, 2, 0, 6, "bright", "red", 4.8),
            Record("nag {scale}", 2, 2, 1, 5, "bright", "green", 100, session: 2),
            Record("nag {scale}", 2, 2, 1, 6, "bright", "green", 2.2),
            Record("nag {scale}", 2, 2, 2, 5, "dark", "green", 2.6), Record("nag {scale}", 2, 2, 2, 6, "dark", "green", 2.4),
        ]);
        return ExperimentReport.Create(trial.Load(), trial.At("records"));
    }

    [Fact]
    public void Numbers_are_those_worked_out_by_hand()
    {
        using var trial = new Trial();
        var report = Worked(trial);
        var (none, nag) = (Cell(report, "none", 2), Cell(report, "nag 2", 2));

        // Unwanted: prompt 0 red twice, prompt 1 blue once of two; prompt 2 names none.
        Assert.Equal(new Proportion(3, 4), none.Presence);
        Assert.Equal(new Proportion(1, 4), nag.Presence);
        Assert.Equal(new Proportion(3, 4), none.PresenceByHead["tint"]);
        Assert.False(none.PresenceByHead.ContainsKey("tone"));
        Assert.Equal(1 / 3.0, nag.PresenceRatio!.Value.Value, 12);
        // Wanted: one attribute in prompts 0 and 1, two in prompt 2: eight in all.
        Assert.Equal(new Proportion(2 + 1 + 3, 8), none.Retention);
        Assert.Equal(new Proportion(1 + 2 + 2, 8), nag.Retention);
        Assert.Equal(new Proportion(4, 6), none.RetentionByHead["tone"]);
        Assert.Equal(new Proportion(5, 6), nag.RetentionByHead["tone"]);
        Assert.Equal(new Proportion(2, 2), none.RetentionByHead["tint"]);
        Assert.Equal(new Proportion(0, 2), nag.RetentionByHead["tint"]);
        Assert.Equal(5 / 6.0, nag.RetentionRatio!.Value.Value, 12);
        Assert.Null(none.PresenceRatio);
        Assert.Null(none.RetentionRatio);
        // The interval is that of the bootstrap over the three prompts.
        var clusters = new[] {
            new PairedProportions(new(1, 2), new(2, 2)), new PairedProportions(new(0, 2), new(1, 2)),
            new PairedProportions(new(0, 0), new(0, 0)) };
        Assert.Equal(Proportion.Ratio(clusters), nag.PresenceRatio!.Value);

        // Seconds by two steps: 1, 1, 1, 1, 1, 2 and 1.1, 1.2, 1.3, 1.5, 2.4, 50; ratios of one session: 1.1, 1.2, 1.2, 1.3, 1.5.
        Assert.Equal(1, none.SecondsPerStep!.Value, 12);
        Assert.Equal(1.4, nag.SecondsPerStep!.Value, 12);
        Assert.Null(none.CostRatio);
        Assert.Equal(1.2, nag.CostRatio!.Value, 12);
        Assert.Equal(6.8 / 6, nag.TotalCostRatio!.Value, 12);      // with two seconds more on both sides: 5/4, 6.8/6, 4.2/4, 4.6/4, 4.4/4
        Assert.Equal(.375, none.PromptScore!.Value, 6);
        Assert.Equal(.3, none.NegativeScore!.Value, 6);
        Assert.Null(nag.PromptScore);
        Assert.Null(none.Frechet);

        // What was not made is missing.
        Assert.Equal((6, 0, 0, 6), (nag.Pictures, nag.Missing, Cell(report, "cfg", 2).Pictures, Cell(report, "cfg", 2).Missing));
        Assert.Equal((12, 12), (report.Pictures, report.Missing));
        Assert.Null(Cell(report, "cfg", 2).PresenceRatio);
        Assert.Null(Cell(report, "cfg", 2).SecondsPerStep);
    }

    [Fact]
    public void Only_pictures_that_both_have_are_compared()
    {
        using var trial = new Trial();
        trial.Write(json => json["steps"] = new JsonArray(2));
        Write(
            trial,
            [
                Record("none", null, 2, 0, 5, "dark", "red"), Record("none", null, 2, 1, 5, "dark", "blue"),
                Record("none", null, 2, 0, 6, "dark", "green")],
            "records-01-of-02.jsonl");
        Write(
            trial,
            [
                Record("cfg", null, 2, 0, 5, "dark", "red", 3), Record("cfg", null, 2, 1, 6, "dark", "blue"),
                Record("none", null, 2, 0, 5, "dark", "green", 9)],
            "records-02-of-02.jsonl");
        var report = ExperimentReport.Create(trial.Load(), trial.At("records"));
        var cfg = Cell(report, "cfg", 2);
        Assert.Equal(new Proportion(2, 2), cfg.Presence);
        Assert.Equal(1, cfg.PresenceRatio!.Value.Value);        // 1 of 1 by 1 of 1
        Assert.Null(cfg.CostRatio);                             // other processes made the baseline's
        Assert.Equal(3, Cell(report, "none", 2).Pictures);      // what is there twice counts once: the first
        Assert.Equal(new Proportion(2, 3), Cell(report, "none", 2).Presence);
    }

    [Fact]
    public void Distances_are_those_to_the_references()
    {
        using var trial = new Trial();
        float[][] references = [[0, 1, 2], [2, 1, 0], [1, 1, 1], [1, 3, 1]];
        Features.Write(trial.At("true.safetensors"), references);
        trial.Write(json => (json["steps"], json["references"]) = (new JsonArray(2), "true.safetensors"));
        Write(trial,
        [
            .. Enumerable.Range(0, 4).Select(i => Record("none", null, 2, i / 2, 5 + i % 2, "dark", "red", features: references[i])),
            .. Enumerable.Range(0, 4)
                .Select(
                    i => Record("cfg", null, 2, i / 2, 5 + i % 2, "dark", "red", features: [.. references[i].Select(value => value + 2)])),
        ]);
        var report = ExperimentReport.Create(trial.Load(), trial.At("records"));
        Assert.Equal(4, report.References);
        Assert.Equal(0, Cell(report, "none", 2).Frechet!.Value, 9);
        Assert.Equal(12, Cell(report, "cfg", 2).Frechet!.Value, 9);     // means 2 apart in three features, covariances equal
        Assert.Equal(Distances.Kernel(references, references), Cell(report, "none", 2).Kernel!.Value, 12);

        // The method without a negative prompt has references of its own: 2 further, in three features, than what it drew.
        Features.Write(trial.At("bare.safetensors"), [.. references.Select(row => row.Select(value => value - 2).ToArray())]);
        trial.Write(json => (json["steps"], json["references"], json["referencesWithoutNegative"]) =
            (new JsonArray(2), "true.safetensors", "bare.safetensors"));
        report = ExperimentReport.Create(trial.Load(), trial.At("records"));
        Assert.Equal(12, Cell(report, "none", 2).Frechet!.Value, 9);
        Assert.Equal(12, Cell(report, "cfg", 2).Frechet!.Value, 9);
        trial.Write(json => json["referencesWithoutNegative"] = "bare.safetensors");
        Assert.Contains(
            "expected none without references", Assert.Throws<FormatException>(() => trial.Load()).Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Reports_say_what_true_pictures_have_after_the_autoencoder()
    {
        using var trial = new Trial();
        float[][] rows = [.. Enumerable.Range(0, 12).Select(i => (float[])[i % 5, i % 3, i / 4])];
        Features.Write(trial.At("true.safetensors"), rows);
        trial.Write(json => (json["steps"], json["references"], json["seeds"]!["count"]) = (new JsonArray(2), "true.safetensors", 3));
        Write(trial, [.. Enumerable.Range(0, 6)
            .Select(i => Record("none", null, 2, i / 3, 5 + i % 3, "dark", "red", features: [.. rows[i].Select(value => value + 50)]))]);
        var report = ExperimentReport.Create(trial.Load(), trial.At("records"));
        Assert.Equal(1, Cell(report, "none", 2).Critic);
        Assert.Empty(report.Notes);

        Features.Write(trial.At("true.safetensors"), rows, rows);
        report = ExperimentReport.Create(trial.Load(), trial.At("records"));
        float[][] some = [.. rows.Where((_, i) => i % 2 == 0)];
        double distance = Distances.Frechet(FeatureMoments.Of(some), FeatureMoments.Of(rows));
        Assert.Equal(
            string.Create(
                CultureInfo.InvariantCulture,
                $"6 true pictures of the prompts after the autoencoder: Frechet distance {distance:0.00}, kernel distance "
                    + $"{Distances.Kernel(some, rows):0.000}, critic 0.50."),
            Assert.Single(report.Notes));
    }

    [Fact]
    public void Without_records_there_is_no_report()
    {
        using var trial = new Trial();
        Assert.Contains(
            "holds no records", Assert.Throws<ArgumentException>(() => ExperimentReport.Create(trial.Load(), trial.At("records"))).Message,
            StringComparison.Ordinal);
    }

    [Fact]
    public void The_json_says_the_numbers()
    {
        using var trial = new Trial();
        var json = JsonNode.Parse(Text(ReportJson.Write, Worked(trial)))!;
        Assert.True(json["partial"]!.GetValue<bool>());
        Assert.Equal("a-model", json["model"]!.GetValue<string>());
        var nag = json["results"]!.AsArray().Single(result => result!["name"]!.GetValue<string>() == "nag 2")!;
        Assert.Equal(
            (1, 4, .25),
            (
                nag["presence"]!["count"]!.GetValue<int>(), nag["presence"]!["of"]!.GetValue<int>(),
                nag["presence"]!["value"]!.GetValue<double>()));
        Assert.Equal(new Proportion(1, 4).Wilson().High, nag["presence"]!["high"]!.GetValue<double>());
        Assert.Equal(1.2, nag["cost_ratio"]!.GetValue<double>(), 12);
        Assert.Equal(2, nag["scale"]!.GetValue<double>());
        Assert.Null(json["results"]![0]!["presence_ratio"]);
        Assert.Null(nag["frechet"]);
        var cfg = json["results"]!.AsArray().Single(result => result!["name"]!.GetValue<string>() == "cfg")!;
        Assert.Null(cfg["presence"]!["value"]);
    }

    [Fact]
    public void The_markdown_is_tables()
    {
        using var trial = new Trial();
        string[] lines = Text(ReportMarkdown.Write, Worked(trial)).Split('\n');
        int header = Array.FindIndex(lines, line => line.StartsWith("| method |", StringComparison.Ordinal));
        Assert.Equal("## 2 steps", lines[header - 2]);
        Assert.Contains("**Partial.**", lines);
        Assert.All(lines[header..(header + 6)], line => Assert.Equal(lines[header].Count(c => c == '|'), line.Count(c => c == '|')));
        Assert.StartsWith(
            "| none | 75.0 % (30.1\u201395.4) | \u2013 | 75.0 % (40.9\u201392.9) | \u2013 | ", lines[header + 2], StringComparison.Ordinal);
        Assert.StartsWith("| nag 2 | 25.0 % (4.6\u201369.9) | 0.333 (", lines[header + 3], StringComparison.Ordinal);
        Assert.Contains("- nag 2: `nag:scale=2`", lines);
    }

    [Fact]
    public void The_page_is_well_formed_whatever_texts_say_and_needs_no_network()
    {
        using var trial = new Trial();
        trial.Write(json =>
        {
            json["name"] = Hostile;
            json["prompts"]![0]!["prompt"] = Hostile;
            json["prompts"]![0]!["negative"] = Hostile;
            json["methods"]![2]!["name"] = Hostile;
        });
        var experiment = trial.Load();
        Write(
            trial,
            experiment.Variants.SelectMany(
                variant => variant.Method.Steps.SelectMany(
                    steps => Enumerable.Range(0, 3).SelectMany(prompt => new long[] { 5, 6 }.Select(seed =>
            Record(
                variant.Method.Name, variant.Scale, steps, prompt, seed, prompt == 1 ? "bright" : "dark", seed == 5 ? "red" : "blue",
                1 + prompt, score: .1f * steps))))));
        string folder = Directory.CreateDirectory(Path.Combine(trial.At("records"), "pictures")).FullName;
        Png.Save(new Image(2, 1, [1, 2, 3, 4, 5, 6]), Path.Combine(trial.At("records"), ExperimentRunner.PictureFile(0, 2, 1)));
        Assert.Single(Directory.GetFiles(folder));
        var report = ExperimentReport.Create(experiment, trial.At("records"));
        Assert.False(report.IsPartial);
        var files = ReportFiles.Write(report);
        Assert.Equal(["report.json", "report.md", "report.html"], files.Select(Path.GetFileName));
        Assert.Empty(Directory.GetFiles(trial.At("records"), "*.part"));

        string text = File.ReadAllText(files[2]);
        using var reader = XmlReader.Create(new StringReader(text), new XmlReaderSettings { DtdProcessing = DtdProcessing.Ignore });
        var page = XDocument.Load(reader);
        Assert.Empty(page.Descendants("script"));
        Assert.Empty(page.Descendants("link"));
        Assert.All(
            page.Descendants().Attributes().Where(attribute => attribute.Name.LocalName is "src" or "href"),
            attribute => Assert.StartsWith("data:image/png;base64,", attribute.Value, StringComparison.Ordinal));
        Assert.Equal(Hostile, page.Descendants("h1").Single().Value);
        Assert.Contains(page.Descendants("img"), image => image.Attribute("alt")!.Value == $"nag 2: {Hostile}");
        Assert.DoesNotContain(
            page.Descendants()
                .Attributes()
                .Where(attribute => attribute.Name.LocalName is "x" or "y" or "cx" or "cy" or "points" or "x1" or "y1"),
            attribute => attribute.Value.Contains("NaN", StringComparison.Ordinal)
                || attribute.Value.Contains('\u221e', StringComparison.Ordinal));
        Assert.DoesNotContain('&', page.Descendants("style").Single().Value);
        // A trade for each number of steps; presence, retention, score and cost by steps; all but cost by scale.
        Assert.Equal(2 + 4 + 3, page.Descendants("figure").Count());
        Assert.Contains("]]> \\| \\`x\\`", File.ReadAllText(files[1]), StringComparison.Ordinal);
    }

    private static string Text(Action<ExperimentReport, Stream> write, ExperimentReport report)
    {
        using var stream = new MemoryStream();
        write(report, stream);
        return Encoding.UTF8.GetString(stream.ToArray());
    }
}
