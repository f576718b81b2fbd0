using System.CommandLine;
using Attune.Evaluation.Tracing;
using Attune.Guidance.Diagnostics;
using Attune.Imaging;
using Attune.Generation;

namespace Attune.Cli.Commands;

/// <summary>
/// <c>attune trace PROMPT</c>: generates as <c>attune generate</c> does, and writes what guidance did, layer by layer and step by step.
/// </summary>
internal static class TraceCommand
{
    public static Command Create()
    {
        var output = new Option<string?>("--output", "-o") { Description = "The JSON file (.json) to write." };
        var html = new Option<string?>("--html") {
            Description = "The page (.html) to write, with plots. Default, without --output: attune-trace-SEED.html." };
        var options = new RequestOptions();
        var command = new Command("trace", "Show where and when guidance acts: generate, and measure every attention layer in every step.");
        options.AddTo(command);
        command.Add(output);
        command.Add(html);
        command.SetAction((result, cancellation) =>
        {
            var words = new Words();
            return RunAsync(options.Read(result, words), result.GetValue(output), result.GetValue(html), words, cancellation);
        });
        return command;
    }

    private static async Task<int> RunAsync(
        ModelRequest asked, string? json, string? html, Words words, CancellationToken cancellation)
    {
        if (json == null)
            html ??= FormattableString.Invariant($"attune-trace-{asked.Request.Seed}.html");
        var outputs = new (string Option, string? File, string[] Extensions, Action<TraceReport, Stream> Write)[]
        {
            ("--output", json, [".json"], TraceJson.Write), ("--html", html, [".html", ".htm"], TracePage.Write),
        };
        foreach (var (option, file, extensions, _) in outputs)
        {
            if (file == null)
                continue;
            string extension = Path.GetExtension(file);
            if (file.Length > 0 && !extensions.Contains(extension, StringComparer.OrdinalIgnoreCase))
            {
                throw new ArgumentException(
                    $"{option}: '{file}' ends in {(extension.Length > 0 ? extension : "no extension")}, expected "
                        + $"{string.Join(" or ", extensions)}; --output writes JSON and --html a page.");
            }
            OutputFile.Check(file, option);
        }
        using var pipeline = DiffusionPipeline.Load(asked.Folder, asked.Options);
        var trace = new GuidanceTrace();
        var resolved = pipeline.Resolve(asked.Request);
        var observer = new TraceObserver(trace, words.Warn);
        IReadOnlyList<Image> images = [];
        await foreach (var step in pipeline.DenoiseAsync(resolved, observer, cancellation).ConfigureAwait(false))
        {
            if (step.IsLast)
                images = await step.DecodeAsync(cancellation).ConfigureAwait(false);
        }

        var model = ModelIdentity.Of(asked.Folder, asked.Options.Parts);
        var report = new TraceReport(
            pipeline.Facts.ClassName, model.Name, resolved, PictureTexts.Json(pipeline, asked.Options, model, resolved, 0), trace, images);
        foreach (var (option, file, _, write) in outputs)
        {
            if (file != null)
                OutputFile.Write(file, stream => write(report, stream), option);
        }
        words.Wrote(outputs.Select(output => output.File).OfType<string>());
        foreach (var series in trace.Series)
        {
            string rule = series.Rule == null ? "" : $"{series.Rule.Form.Name}: ";
            words.Say($"  {rule}{TraceSummary.Line(new TraceTable(series, trace))}");
        }
        return 0;
    }
}
