using System.Text.Json.Nodes;
using Attune.Evaluation.Experiments;
using Attune.Evaluation.Reports;
using Attune.Generation;

namespace Attune.Evaluation.Tests.Experiments;

/// <summary>Runs of an experiment: stopped, divided, gone on with, they come to the same records.</summary>
[NoLeaks]
public class RunTests
{
    private const int All = 3 * 2 * (3 + 4);     // prompts, seeds, methods at one and at two steps

    [Fact]
    public async Task A_run_that_was_stopped_comes_to_the_records_of_one_that_was_not()
    {
        using var trial = new Trial();
        using var pipeline = DiffusionPipeline.Load(Trial.Model);
        var states = new List<ExperimentProgress>();
        await trial.RunAsync("whole", pipeline, progress: states.Add);
        Assert.Equal((0, All), (states[0].Done, states[0].Total));
        Assert.Equal(Enumerable.Range(1, All), states.Skip(1).Select(state => state.Done));

        using var stop = new CancellationTokenSource();
        await Assert.ThrowsAnyAsync<OperationCanceledException>(
            () =>
                trial.RunAsync("parts", pipeline, progress: state => (state.Done == 9 ? stop : null)?.Cancel(), cancellation: stop.Token));
        string file = Path.Combine(trial.At("parts"), "records.jsonl");
        Assert.Equal(10, (await File.ReadAllLinesAsync(file)).Length);
        await File.AppendAllTextAsync(file, """{"method":"none","steps":1,"pro""");         // the process died within a line
        var reader = new ArithmeticReader();
        await trial.RunAsync("parts", pipeline, reader);
        Assert.Equal(All - 9, reader.Count);
        Assert.Equal(trial.Lines("whole"), trial.Lines("parts"));
        Assert.Equal(All, trial.Lines("parts").Count);
        Assert.Equal([1, 2], RecordFiles.Read(trial.At("parts")).Single().Records.Select(record => record.Session).Distinct());

        // Pictures of the first prompt and seed: 3 methods at one step and 4 at two.
        var pictures = Directory.GetFiles(Path.Combine(trial.At("whole"), "pictures"));
        Assert.Equal(7, pictures.Length);
        foreach (string picture in pictures)
            Assert.Equal(
                await File.ReadAllBytesAsync(picture),
                await File.ReadAllBytesAsync(picture.Replace("whole", "parts", StringComparison.Ordinal)));

        await trial.RunAsync("parts", pipeline, reader);
        Assert.Equal(All - 9, reader.Count);
    }

    /// <summary>A run that goes on behind the baseline has its record alone, and makes its picture again.</summary>
    [Fact]
    public async Task Pictures_are_compared_with_the_baseline_s_wherever_a_run_goes_on()
    {
        using var trial = new Trial();
        using var pipeline = DiffusionPipeline.Load(Trial.Model);
        var reader = new ArithmeticReader { ComparesWithBaseline = true };
        await trial.RunAsync("whole", pipeline, reader);
        for (int done = 1; done <= 3; done++)
        {
            using var stop = new CancellationTokenSource();
            await Assert.ThrowsAnyAsync<OperationCanceledException>(
                () => trial.RunAsync(
                    $"parts-{done}", pipeline, reader, progress: state => (state.Done == done ? stop : null)?.Cancel(),
                    cancellation: stop.Token));
            await trial.RunAsync($"parts-{done}", pipeline, reader);
            Assert.Equal(trial.Lines("whole"), trial.Lines($"parts-{done}"));
        }
        var records = RecordFiles.Merge(RecordFiles.Read(trial.At("whole")));
        Assert.All(records, record => Assert.Equal(record.Method == "none", record.Reading.Metrics["distance"][0] == 0));
    }

    [Fact]
    public async Task Options_change_the_pictures_and_are_in_the_reports()
    {
        using var trial = new Trial();
        using var pipeline = DiffusionPipeline.Load(Trial.Model);
        async Task<string> Run(string folder, string? experiment, string? method)
        {
            trial.Write(json =>
            {
                json["steps"] = new JsonArray(1);
                json["methods"]![2]!.AsObject().Remove("steps");
                if (experiment != null)
                    json["options"] = JsonNode.Parse(experiment);
                if (method != null)
                    json["methods"]![2]!["options"] = JsonNode.Parse(method);
            });
            await trial.RunAsync(folder, pipeline, prompts: 1);
            var report = ExperimentReport.Create(trial.Load(), trial.At(folder), 1);
            ReportFiles.Write(report);
            return string.Concat(
                Directory.GetFiles(trial.At(folder), "report.*").Order(StringComparer.Ordinal).Select(File.ReadAllText));
        }

        await Run("plain", null, null);
        string report = await Run("options", """{ "max_sequence_length": 8 }""", """{ "long_prompts": false, "cache": "first-block" }""");
        Assert.Equal(2, report.Split(", max_sequence_length 8,").Length - 1);
        Assert.Equal(2, report.Split(", cache first-block:threshold=0.05").Length - 1);
        Assert.Contains("\"max_sequence_length\": \"8\"", report, StringComparison.Ordinal);
        Assert.DoesNotContain("long_prompts", report, StringComparison.Ordinal);
        Assert.NotEqual(trial.Lines("plain")[^1], trial.Lines("options")[^1]);
    }

    [Fact]
    public async Task Parts_make_up_the_whole_and_say_what_is_missing()
    {
        using var trial = new Trial();
        using var pipeline = DiffusionPipeline.Load(Trial.Model);
        await trial.RunAsync("whole", pipeline);
        foreach (string shard in new[] { "2/3", "1/3" })
            await trial.RunAsync("parts", pipeline, shard: shard);
        var partial = ExperimentReport.Create(trial.Load(), trial.At("parts"));
        Assert.True(partial.IsPartial);
        Assert.Equal(All, partial.Pictures + partial.Missing);
        Assert.Contains("There is no records-03-of-03.jsonl.", partial.Gaps());
        Assert.Contains($"{partial.Missing} of {All} pictures are missing.", partial.Gaps());
        Assert.Contains("nag 8, 2 steps: 2 of 6 missing.", partial.Gaps());
        await trial.RunAsync("parts", pipeline, shard: "3/3");
        Assert.Equal(trial.Lines("whole"), trial.Lines("parts"));
        Assert.Equal([14, 14, 14], RecordFiles.Read(trial.At("parts")).Select(file => file.Records.Count));

        var (whole, parts) = (
            ExperimentReport.Create(trial.Load(), trial.At("whole")), ExperimentReport.Create(trial.Load(), trial.At("parts")));
        Assert.False(parts.IsPartial);
        Assert.Empty(parts.Gaps());
        ReportCell WithoutTimes(ReportCell cell) =>
            cell with {
                Variant = whole.Cells[0].Variant, SecondsPerStep = null, CostRatio = null, TotalCostRatio = null,
                PresenceByHead = EmptyHeads, RetentionByHead = EmptyHeads };
        Assert.Equal(whole.Cells.Select(WithoutTimes), parts.Cells.Select(WithoutTimes));
        Assert.All(parts.Cells, cell => Assert.Equal(cell.Variant.Name == "none", cell.CostRatio == null));
    }

    private static readonly Dictionary<string, Attune.Evaluation.Metrics.Proportion> EmptyHeads = [];

    [Fact]
    public async Task A_quick_look_at_some_prompts_is_gone_on_with()
    {
        using var trial = new Trial();
        using var pipeline = DiffusionPipeline.Load(Trial.Model);
        var reader = new ArithmeticReader();
        await trial.RunAsync("quick", pipeline, reader, prompts: 1);
        Assert.Equal(All / 3, reader.Count);
        var report = ExperimentReport.Create(trial.Load(), trial.At("quick"), prompts: 1);
        Assert.Equal((0, true), (report.Missing, report.IsPartial));
        Assert.StartsWith("Only the first 1 of 3 prompts count", Assert.Single(report.Gaps()), StringComparison.Ordinal);

        // References show what all prompts ask for: there are no distances to them.
        Assert.Null(report.References);
        Assert.All(report.Cells, cell => Assert.Equal((null, null), (cell.Frechet, cell.Kernel)));
        Assert.Equal(All * 2 / 3, ExperimentReport.Create(trial.Load(), trial.At("quick")).Missing);
        await trial.RunAsync("quick", pipeline, reader);
        Assert.Equal(All, reader.Count);
        Assert.False(ExperimentReport.Create(trial.Load(), trial.At("quick")).IsPartial);
    }

    [Fact]
    public async Task Records_of_another_experiment_or_another_judge_are_refused()
    {
        using var trial = new Trial();
        using var pipeline = DiffusionPipeline.Load(Trial.Model);
        await trial.RunAsync("records", pipeline, prompts: 1);
        var before = trial.Lines("records");

        trial.Write(json => (json["name"], json["pictures"]) = ("Another heading", 0));       // changes no record
        await trial.RunAsync("records", pipeline, prompts: 1);

        foreach (
            var change in new Action<JsonObject>[] {
                json => json["prompts"]![0]!["negative"] = "glasses", json => json["methods"]![2]!["rules"] = "cfg:scale=4",
                json => json["seeds"]!["first"] = 6 })
        {
            trial.Write(change);
            string message = (await Assert.ThrowsAsync<FormatException>(() => trial.RunAsync("records", pipeline))).Message;
            Assert.Contains("records.jsonl' holds records of another experiment (\"A small trial\"", message, StringComparison.Ordinal);
            Assert.Throws<FormatException>(() => ExperimentReport.Create(trial.Load(), trial.At("records")));
        }
        trial.Write(json => { });
        await File.WriteAllTextAsync(Path.Combine(trial.At("judge"), "config.json"), "{ }");
        Assert.Contains(
            "with another model, judge or dual encoder",
            (await Assert.ThrowsAsync<FormatException>(() => trial.RunAsync("records", pipeline))).Message, StringComparison.Ordinal);
        _ = ExperimentReport.Create(trial.Load(), trial.At("records"));     // a report needs neither
        Assert.Equal(before, trial.Lines("records"));

        await trial.RunAsync("others", pipeline, shard: "1/2", prompts: 1);
        File.Copy(Path.Combine(trial.At("others"), "records-01-of-02.jsonl"), Path.Combine(trial.At("records"), "records-01-of-02.jsonl"));
        Assert.Contains(
            "with different models, judges or dual encoders",
            Assert.Throws<FormatException>(() => ExperimentReport.Create(trial.Load(), trial.At("records"))).Message,
            StringComparison.Ordinal);
    }

    [Fact]
    public async Task Damage_is_named_with_file_and_line_and_two_processes_do_not_write_to_one_file()
    {
        using var trial = new Trial();
        using var pipeline = DiffusionPipeline.Load(Trial.Model);
        await trial.RunAsync("records", pipeline, prompts: 1);
        string file = Path.Combine(trial.At("records"), "records.jsonl");
        var lines = await File.ReadAllLinesAsync(file);
        string damaged = lines[2].Replace("\"seconds\":", "\"seconds\":\"long\",\"s\":", StringComparison.Ordinal);
        await File.WriteAllTextAsync(file, string.Join('\n', [lines[0], lines[1], damaged, .. lines[3..]]) + "\n");
        string message = (await Assert.ThrowsAsync<FormatException>(() => trial.RunAsync("records", pipeline))).Message;
        Assert.Contains("records.jsonl:3'", message, StringComparison.Ordinal);
        Assert.Contains("seconds is \"long\", expected a number", message, StringComparison.Ordinal);

        await File.WriteAllTextAsync(file, lines[0][..20]);         // not even the header is complete
        using (RecordFiles.Claim(file))
            Assert.Contains(
                "another process", (await Assert.ThrowsAnyAsync<IOException>(() => trial.RunAsync("records", pipeline))).Message,
                StringComparison.Ordinal);
        await trial.RunAsync("records", pipeline, prompts: 1);
        Assert.Equal(lines.Length, (await File.ReadAllLinesAsync(file)).Length);
    }

    [Theory]
    [InlineData(2)]
    [InlineData(3)]
    [InlineData(16)]
    public void Work_is_dealt_so_that_all_parts_get_all_numbers_of_steps(int parts)
    {
        using var trial = new Trial();
        trial.Write(json => json["seeds"]!["count"] = 16);
        var experiment = trial.Load();
        var shards = Enumerable.Range(1, parts).Select(index => ExperimentPlan.Items(experiment, Shard.Parse($"{index}/{parts}"))).ToList();
        static (int, ulong, int) Key(WorkItem item) => (item.Prompt, item.Seed, item.Steps);
        Assert.Equal(
            ExperimentPlan.Items(experiment, Shard.Whole).Select(Key).Order(), shards.SelectMany(items => items.Select(Key)).Order());
        Assert.All(shards, items => Assert.Equal(items.Count(item => item.Steps == 1), items.Count(item => item.Steps == 2)));
        Assert.All(shards, items => Assert.Equal(3 * 16 * 2 / parts, items.Count));
        // A limit of prompts leaves every item in its part.
        for (int index = 1; index <= parts; index++)
            Assert.Equal(
                shards[index - 1].Where(item => item.Prompt < 2).Select(Key),
                ExperimentPlan.Items(experiment, Shard.Parse($"{index}/{parts}"), 2).Select(Key));
    }

    [Fact]
    public async Task Methods_take_turns_behind_the_baseline()
    {
        using var trial = new Trial();
        using var pipeline = DiffusionPipeline.Load(Trial.Model);
        await trial.RunAsync("records", pipeline);
        var items = RecordFiles.Read(trial.At("records")).Single().Records.Where(record => record.Steps == 2).Chunk(4)
            .Select(item => string.Join(' ', item.Select(record => $"{record.Method.Split(' ')[0]}{record.Scale}"))).ToList();
        Assert.Equal(
            [
                "none nag2 nag8 cfg", "none nag8 cfg nag2", "none cfg nag2 nag8", "none nag2 nag8 cfg", "none nag8 cfg nag2",
                "none cfg nag2 nag8"],
            items);
    }
}
