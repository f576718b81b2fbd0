using System.CommandLine;
using System.Diagnostics;
using System.Globalization;
using System.Text.Json;
using Attune.Guidance;
using Attune.Imaging;
using Attune.Generation;
using Attune.Tensors;
using Spectre.Console;

namespace Attune.Cli.Commands;

/// <summary><c>attune generate PROMPT</c>: makes images.</summary>
internal static class GenerateCommand
{
    public static Command Create()
    {
        var options = new RequestOptions();
        var preview = new Option<string?>("--preview") {
            Description = "Write a PNG of what the image will be after every step: a file name with {step}, as preview-{step}.png." };
        var previewVae = new Option<string?>("--preview-vae") {
            Description = "The folder of an AutoencoderTiny (TAESD) for --preview. Default: the model's own autoencoder, which is slow." };
        var output = new Option<string?>("--output", "-o") {
            Description = "The PNG file to write; several images get -1, -2, ... before the extension." };
        var command = new Command("generate", "Generate images from a prompt and, with guidance, a negative prompt.");
        options.AddTo(command);
        command.Add(preview);
        command.Add(previewVae);
        command.Add(output);
        command.SetAction((result, cancellation) =>
        {
            var asked = options.Read(result, AnsiConsole.Console);
            asked = asked with { Options = asked.Options with { PreviewVae = result.GetValue(previewVae) } };
            return RunAsync(
                asked, result.GetValue(output), Previews(result.GetValue(preview), asked.Options), AnsiConsole.Console, cancellation);
        });
        return command;
    }

    private static async Task<int> RunAsync(
        ModelRequest asked, string? output, string? previews, IAnsiConsole console, CancellationToken cancellation)
    {
        var watch = Stopwatch.StartNew();
        using var pipeline = DiffusionPipeline.Load(asked.Folder, asked.Options);
        var resolved = pipeline.Resolve(asked.Request);
        var (request, rules) = (resolved.Request, resolved.Guidance.Rules);
        output ??= FormattableString.Invariant($"attune-{request.Seed}.png");
        RequireFolder("--output", output);
        if (previews != null)
            RequireFolder("--preview", previews);

        TensorMemory.ResetPeak();
        TimeSpan denoised = default;
        int evaluations = 0;
        IReadOnlyList<Image> images = [];
        async Task Generate(Action<DenoisingStep> progress)
        {
            var observer = new WarningObserver(message => RequestOptions.Warn(console, message));
            await foreach (var step in pipeline.DenoiseAsync(resolved, observer, cancellation).ConfigureAwait(false))
            {
                (denoised, evaluations) = (watch.Elapsed, step.Count);
                progress(step);
                if (previews != null)
                    Save(
                        await step.DecodePreviewAsync(cancellation).ConfigureAwait(false),
                        previews.Replace("{step}", $"{step.Index + 1}", StringComparison.Ordinal), _ => []);
                if (step.IsLast)
                    images = await step.DecodeAsync(cancellation).ConfigureAwait(false);
            }
        }

        if (console.Profile.Capabilities.Interactive)
        {
            await console.Progress().AutoClear(true).StartAsync(async context =>
            {
                var task = context.AddTask("Denoising", maxValue: 1);
                await Generate(step => task.MaxValue(step.Count).Value(step.Index + 1)).ConfigureAwait(false);
            }).ConfigureAwait(false);
        }
        else
        {
            await Generate(_ => { }).ConfigureAwait(false);
        }

        var files = Save(
            images, output, index => [KeyValuePair.Create("parameters", Parameters(pipeline, asked.Options, resolved, index))]);
        console.MarkupLineInterpolated($"[green]Wrote[/] {string.Join(", ", files)}");
        console.WriteLine(
            string.Create(
                CultureInfo.InvariantCulture,
                $"{pipeline.Facts.ClassName} from {asked.Folder}; {request.Width}x{request.Height}, {request.Steps} steps, seed "
                    + $"{request.Seed}; guidance {(rules.Count == 0 ? "none" : string.Join(" + ", rules.Select(RuleCatalog.Format)))}"));
        console.WriteLine(
            string.Create(
                CultureInfo.InvariantCulture,
                $"{watch.Elapsed.TotalSeconds:0.00} s in all, {denoised.TotalSeconds / evaluations:0.000} s a step; peak of activations "
                    + $"{TensorMemory.PeakBytes / 1048576.0:0} MiB"));
        return 0;
    }

    /// <summary>
    /// What made the image, as JSON: the request and the names of LoRA files alone, so that the same request gives the same bytes.
    /// </summary>
    internal static string Parameters(DiffusionPipeline pipeline, LoadOptions options, ResolvedRequest resolved, int index)
    {
        using var stream = new MemoryStream();
        var relaxed = new JsonWriterOptions { Encoder = System.Text.Encodings.Web.JavaScriptEncoder.UnsafeRelaxedJsonEscaping };
        using (var json = new Utf8JsonWriter(stream, relaxed))
        {
            json.WriteStartObject();
            json.WriteString("software", "Attune");
            json.WriteString("pipeline", pipeline.Facts.ClassName);
            OptionCatalog.Write(json, resolved.Request);
            if (options.Loras.Count > 0)
                json.WriteString("lora", string.Join('+', options.Loras.Select(Describe)));
            json.WriteNumber("index", index);
            json.WriteEndObject();
        }
        return System.Text.Encoding.UTF8.GetString(stream.ToArray());
    }

    private static string Describe(LoraWeights lora) =>
        string.Create(CultureInfo.InvariantCulture, $"{Path.GetFileName(lora.Path)}:{lora.Scale}");

    /// <summary>Writes images; several get -1, -2, ... before the extension.</summary>
    private static List<string> Save(IReadOnlyList<Image> images, string output, Func<int, KeyValuePair<string, string>[]> texts)
    {
        var files = new List<string>();
        for (int i = 0; i < images.Count; i++)
        {
            string file = images.Count == 1 ? output
                : Path.ChangeExtension(output, null) + FormattableString.Invariant($"-{i + 1}") + Path.GetExtension(output);
            Png.Save(images[i], file, texts(i));
            files.Add(file);
        }
        return files;
    }

    internal static void RequireFolder(string option, string file)
    {
        string? directory = Path.GetDirectoryName(Path.GetFullPath(file));
        if (directory != null && !Directory.Exists(directory))
            throw new ArgumentException($"{option}: the folder '{directory}' does not exist.");
    }

    private static string? Previews(string? pattern, LoadOptions options)
    {
        if (pattern == null && options.PreviewVae != null)
            throw new FormatException("--preview-vae is given without --preview.");
        return pattern?.Contains("{step}", StringComparison.Ordinal) == false
            ? throw new FormatException($"--preview is '{pattern}', expected a file name with {{step}}, as preview-{{step}}.png.")
            : pattern;
    }
}
