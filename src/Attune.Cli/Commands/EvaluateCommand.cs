using System.CommandLine;
using System.Diagnostics;
using Attune.Bench;
using Attune.Evaluation.Experiments;
using Attune.Evaluation.Metrics;
using Attune.Evaluation.Reports;
using Attune.Generation;
using Attune.Tensors;
using Spectre.Console;
using Spectre.Console.Rendering;
using Markup = Spectre.Console.Markup;

namespace Attune.Cli.Commands;

/// <summary><c>attune evaluate EXPERIMENT</c>: makes and judges the pictures of an experiment, or goes on with it, and reports.</summary>
internal static class EvaluateCommand
{
    /// <summary>How often a line says how far the run is where no bar can be drawn.</summary>
    private static readonly TimeSpan Pause = TimeSpan.FromSeconds(30);

    public static Command Create()
    {
        var experiment = new Argument<string>("experiment") {
            Description = "The JSON file that says what is compared (docs/evaluate.md)." };
        var output = new Option<string?>("--output", "-o") {
            Description = "The folder of records, pictures and reports. Default: attune-EXPERIMENT. What is there is gone on with." };
        var shard = new Option<string?>("--shard") {
            Description = "Do one part of several, as 3/16; the parts' files may be merged by copying them into one folder." };
        var model = new Option<string?>("--model", "-m") { Description = "A model instead of the experiment's." };
        var data = new Option<string?>("--data") {
            Description = "The folder that the experiment's paths are relative to. Default: that of its file." };
        var dry = new Option<bool>("--dry") {
            Description = "Compute nothing; say how long it would take on this machine, how much memory, and which files are missing." };
        var reportOnly = new Option<bool>("--report-only") {
            Description = "Compute nothing; report from the records that are there. Model and judge are not needed." };
        var limit = new Option<int?>("--limit-prompts") {
            Description = "Only the first prompts, for a quick look; the run can be completed later." };
        var command = new Command(
            "evaluate",
            "Compare guidance methods: how well they suppress and keep attributes, how true the pictures are, what they "
                + "cost.") { experiment,
            output, shard, model, data, reportOnly, limit, dry };
        command.SetAction((result, cancellation) =>
        {
            bool computes = !result.GetValue(reportOnly), estimates = result.GetValue(dry);
            if (!computes && estimates)
                throw new ArgumentException("--dry is given with --report-only; expected one of them.");
            foreach (var option in new Option[] { shard, model })
            {
                if (!computes && result.GetResult(option) != null)
                    throw new ArgumentException(
                        $"{option.Name} is given with --report-only, which takes all records that are there and computes nothing.");
            }
            string file = result.GetRequiredValue(experiment);
            var asked = Experiment.Load(file, result.GetValue(data), mayLackPrompts: estimates);
            if (result.GetValue(model) is { } other)
                asked = asked with { Model = Path.GetFullPath(other) };
            if (result.GetValue(limit) is <= 0 and var count)
                throw new ArgumentException($"--limit-prompts is {count}, expected 1 or more.");
            string folder = result.GetValue(output) ?? $"attune-{Path.GetFileNameWithoutExtension(file)}";
            var part = result.GetValue(shard) is { } text ? Shard.Parse(text) : Shard.Whole;
            var device = computes ? DeviceOptions.Open(result) : null;
            if (estimates)
                return ExperimentEstimate.PrintAsync(asked, part, result.GetValue(limit), device!, Console.Out, cancellation);
            return RunAsync(asked, folder, part, result.GetValue(limit), device, AnsiConsole.Console, cancellation);
        });
        return command;
    }

    private static async Task<int> RunAsync(
        Experiment experiment, string folder, Shard shard, int? prompts, Device? device, IAnsiConsole console,
        CancellationToken cancellation)
    {
        if (device != null)
        {
            using var pipeline = DiffusionPipeline.Load(experiment.Model, new LoadOptions { Device = device, Loras = experiment.Loras });
            using var judge = experiment.Judge is { } folderOfJudge ? Judge.Load(folderOfJudge, device) : null;
            using var encoder = experiment.DualEncoder is { } path ? DualEncoder.Load(path, device) : null;
            using var reader = new MetricsReader(judge == null ? null : new JudgeReader(judge, encoder), experiment.Metrics, device);
            var plan = ExperimentPlan.Create(experiment, pipeline, reader);
            var runner = new ExperimentRunner(plan, pipeline, reader);
            runner.CheckFolder(folder);
            reader.KeepReferences(folder, (done, total) =>
            {
                if (done % 500 == 0 || done == total)
                    console.WriteLine(FormattableString.Invariant($"{done} of {total} references"));
            }, cancellation);
            await MakeAsync(runner, folder, shard, prompts, console, cancellation).ConfigureAwait(false);
        }
        var report = ExperimentReport.Create(experiment, folder, prompts);
        var files = ReportFiles.Write(report);
        console.MarkupLineInterpolated($"[green]Wrote[/] {string.Join(", ", files)}");
        foreach (string gap in report.Gaps().Take(4))
            console.MarkupLineInterpolated($"[yellow]Partial:[/] {gap}");
        WriteSummary(report, console, files.First(file => file.EndsWith(".md", StringComparison.Ordinal)));
        return 0;
    }

    private static async Task MakeAsync(
        ExperimentRunner runner, string folder, Shard shard, int? prompts, IAnsiConsole console, CancellationToken cancellation)
    {
        string part = shard.Count == 1 ? "" : $" (part {shard})";
        if (console.Profile.Capabilities.Interactive)
        {
            await console.Progress().AutoClear(true)
                .Columns(new TaskDescriptionColumn(), new ProgressBarColumn(), new PercentageColumn(), new RemainingTimeColumn())
                .StartAsync(async context =>
                {
                    var task = context.AddTask($"Pictures{part}", maxValue: 1);
                    await runner.RunAsync(
                        folder, shard, prompts, state => task.MaxValue(Math.Max(state.Total, 1)).Value(state.Done), cancellation)
                        .ConfigureAwait(false);
                }).ConfigureAwait(false);
            return;
        }
        var watch = Stopwatch.StartNew();
        var (said, first) = (TimeSpan.Zero, 0);
        await runner.RunAsync(folder, shard, prompts, state =>
        {
            if (state.Record == null)
                first = state.Done;
            if (state.Record != null && state.Done < state.Total && watch.Elapsed - said < Pause)
                return;
            said = watch.Elapsed;
            string left = state.Done > first && state.Done < state.Total
                ? FormattableString.Invariant(
                    $", {said.TotalSeconds / (state.Done - first) * (state.Total - state.Done) / 60:0} minutes left")
                : "";
            console.WriteLine(FormattableString.Invariant($"{state.Done} of {state.Total} pictures{part}{left}"));
        }, cancellation).ConfigureAwait(false);
    }

    /// <summary>The numbers that matter most, as many as fit into a line of the terminal.</summary>
    internal static void WriteSummary(ExperimentReport report, IAnsiConsole console, string file)
    {
        var columns = ReportTable.Columns(report).Where(column => !report.Heads.Contains(column.Title)).ToList();
        for (int count = columns.Count; ; count--)
        {
            var table = Summary(report, columns.Take(count));
            if (count > 0 && ((IRenderable)table).Measure(RenderOptions.Create(console), int.MaxValue).Max > console.Profile.Width)
                continue;
            console.Write(table);
            if (count < columns.Count)
                console.WriteLine($"{columns.Count - count} of {columns.Count} columns are left out; {file} has them all.");
            return;
        }
    }

    private static Table Summary(ExperimentReport report, IEnumerable<ReportColumn> chosen)
    {
        var columns = chosen.ToList();
        var table = new Table { Border = TableBorder.Minimal };
        table.AddColumn("steps");
        table.AddColumn("method");
        foreach (var column in columns)
            table.AddColumn(new TableColumn(Markup.Escape(column.Title)).RightAligned());
        foreach (var cell in report.Cells)
            table.AddRow(
                [
                    FormattableString.Invariant($"{cell.Steps}"), Markup.Escape(cell.Variant.Name),
                    .. columns.Select(column => Markup.Escape(column.Write(cell)))]);
        return table;
    }
}
