using System.CommandLine;
using Attune.Cli.Tracing;
using Attune.Guidance.Diagnostics;
using Attune.Imaging;
using Attune.Generation;
using Spectre.Console;

namespace Attune.Cli.Commands;

/// <summary>
/// <c>attune trace PROMPT</c>: generates as <c>attune generate</c> does, and writes what guidance did, layer by layer and step by step.
/// </summary>
internal static class TraceCommand
{
    public static Command Create()
    {
        var output = new Option<string?>("--output", "-o") { Description = "The JSON file to write." };
        var html = new Option<string?>("--html") {
            Description = "The page to write, with plots. Default, without --output: attune-trace-SEED.html." };
        var options = new RequestOptions();
        var command = new Command("trace", "Show where and when guidance acts: generate, and measure every attention layer in every step.");
        options.AddTo(command);
        command.Add(output);
        command.Add(html);
        command.SetAction(
            (result, cancellation) => RunAsync(
                options.Read(result, AnsiConsole.Console), result.GetValue(output), result.GetValue(html), AnsiConsole.Console,
                cancellation));
        return command;
    }

    private static async Task<int> RunAsync(
        ModelRequest asked, string? json, string? html, IAnsiConsole console, CancellationToken cancellation)
    {
        if (json == null)
            html ??= FormattableString.Invariant($"attune-trace-{asked.Request.Seed}.html");
        foreach (var (option, file) in new[] { ("--output", json), ("--html", html) })
        {
            if (file != null)
                GenerateCommand.RequireFolder(option, file);
        }
        using var pipeline = DiffusionPipeline.Load(asked.Folder, asked.Options);
        var trace = new GuidanceTrace();
        var resolved = pipeline.Resolve(asked.Request);
        var observer = new TraceObserver(trace, message => RequestOptions.Warn(console, message));
        IReadOnlyList<Image> images = [];
        await foreach (var step in pipeline.DenoiseAsync(resolved, observer, cancellation).ConfigureAwait(false))
        {
            if (step.IsLast)
                images = await step.DecodeAsync(cancellation).ConfigureAwait(false);
        }

        string model = Path.GetFileName(Path.TrimEndingDirectorySeparator(Path.GetFullPath(asked.Folder)));
        var report = new TraceReport(
            pipeline.Facts.ClassName, model, resolved, GenerateCommand.Parameters(pipeline, asked.Options, resolved, 0), trace, images);
        foreach (var (file, write) in new (string?, Action<TraceReport, Stream>)[] { (json, TraceJson.Write), (html, TracePage.Write) })
        {
            if (file == null)
                continue;
            using var stream = File.Create(file);
            write(report, stream);
        }
        console.MarkupLineInterpolated($"[green]Wrote[/] {string.Join(", ", new[] { json, html }.Where(file => file != null))}");
        foreach (var series in trace.Series)
        {
            string rule = series.Rule == null ? "" : $"{series.Rule.Form.Name}: ";
            console.WriteLine($"  {rule}{TraceSummary.Line(new TraceTable(series, trace))}");
        }
        return 0;
    }
}
