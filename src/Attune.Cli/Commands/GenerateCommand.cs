using System.CommandLine;
using System.Diagnostics;
using System.Globalization;
using System.Text.Json;
using System.Text.RegularExpressions;
using Attune.Guidance;
using Attune.Imaging;
using Attune.Pipelines;
using Attune.Tensors;
using Spectre.Console;

namespace Attune.Cli.Commands;

/// <summary><c>attune generate PROMPT</c>: makes images.</summary>
internal static partial class GenerateCommand
{
    public static Command Create()
    {
        var prompt = new Argument<string>("prompt") { Description = "What the image shows." };
        var negative = new Option<string?>("--negative", "-n") { Description = "What it must not show. Alone, it turns on NAG." };
        var model = new Option<string?>("--model", "-m") { Description = "A diffusers folder. Default: the checkpoint that comes with Attune." };
        var steps = new Option<int?>("--steps") { Description = "Denoising steps. Default: the model's." };
        var seed = new Option<long>("--seed") { Description = "Seed of the noise, as torch's CPU generator takes it.", DefaultValueFactory = _ => 0 };
        var size = new Option<string?>("--size") { Description = "WIDTHxHEIGHT in pixels. Default: the model's." };
        var count = new Option<int>("--count") { Description = "How many images.", DefaultValueFactory = _ => 1 };
        var guidance = new Option<string?>("--guidance", "-g")
        {
            Description = $"Rules, as nag:scale=4,tau=2.5,alpha=0.25 or nag+cfg:scale=3; none for the plain model. Rules: {string.Join(", ", RuleCatalog.Names)}.",
        };
        var embedded = new Option<float?>("--guidance-scale") { Description = "The guidance scale that some models embed (FLUX.1-dev: 3.5)." };
        var length = new Option<int?>("--max-sequence-length") { Description = "Tokens to which the prompt is padded or cut for sequence text encoders." };
        var output = new Option<string?>("--output", "-o") { Description = "The PNG file to write; several images get -1, -2, ... before the extension." };
        var command = new Command("generate", "Generate images from a prompt and, with guidance, a negative prompt.")
        {
            prompt, negative, model, steps, seed, size, count, guidance, embedded, length, output,
        };
        command.SetAction((result, cancellation) =>
        {
            string? negativePrompt = result.GetValue(negative);
            string rules = result.GetValue(guidance) ?? (string.IsNullOrEmpty(negativePrompt) ? "none" : "nag");
            var (width, height) = ParseSize(result.GetValue(size));
            var request = new GenerationRequest
            {
                Prompt = result.GetRequiredValue(prompt),
                NegativePrompt = negativePrompt,
                Width = width,
                Height = height,
                Steps = result.GetValue(steps),
                Seed = result.GetValue(seed),
                Count = result.GetValue(count),
                Guidance = new GuidanceSchedule(RuleCatalog.Parse(rules)),
                GuidanceScale = result.GetValue(embedded),
                MaxSequenceLength = result.GetValue(length),
            };
            return RunAsync(DefaultModel.Find(result.GetValue(model)), request, result.GetValue(output), AnsiConsole.Console, cancellation);
        });
        return command;
    }

    private static async Task<int> RunAsync(string folder, GenerationRequest request, string? output, IAnsiConsole console, CancellationToken cancellation)
    {
        var watch = Stopwatch.StartNew();
        using var pipeline = DiffusionPipeline.Load(folder);
        request = pipeline.Resolve(request);
        output ??= FormattableString.Invariant($"attune-{request.Seed}.png");
        string? directory = Path.GetDirectoryName(Path.GetFullPath(output));
        if (directory != null && !Directory.Exists(directory))
            throw new ArgumentException($"--output: the folder '{directory}' does not exist.");

        TensorMemory.ResetPeak();
        TimeSpan denoised = default;
        IReadOnlyList<Image> images = [];
        async Task Generate(Action<DenoisingStep> progress)
        {
            images = await pipeline.GenerateAsync(
                request,
                step =>
                {
                    denoised = watch.Elapsed;
                    progress(step);
                },
                cancellation).ConfigureAwait(false);
        }

        if (console.Profile.Capabilities.Interactive)
        {
            await console.Progress().AutoClear(true).StartAsync(async context =>
            {
                var task = context.AddTask("Denoising", maxValue: request.Steps!.Value);
                await Generate(_ => task.Increment(1)).ConfigureAwait(false);
            }).ConfigureAwait(false);
        }
        else
        {
            await Generate(_ => { }).ConfigureAwait(false);
        }

        var files = new List<string>();
        for (int i = 0; i < images.Count; i++)
        {
            string file = images.Count == 1 ? output : Path.ChangeExtension(output, null) + FormattableString.Invariant($"-{i + 1}") + Path.GetExtension(output);
            Png.Save(images[i], file, KeyValuePair.Create("parameters", Parameters(pipeline, request, i)));
            files.Add(file);
        }

        console.MarkupLineInterpolated($"[green]Wrote[/] {string.Join(", ", files)}");
        string guidance = request.Guidance.Rules.Count == 0 ? "none" : string.Join(" + ", request.Guidance.Rules.Select(RuleCatalog.Format));
        console.WriteLine(FormattableString.Invariant($"{pipeline.ClassName} from {folder}; {request.Width}x{request.Height}, {request.Steps} steps, seed {request.Seed}; guidance {guidance}"));
        console.WriteLine(FormattableString.Invariant($"{watch.Elapsed.TotalSeconds:0.00} s in all, {denoised.TotalSeconds / request.Steps!.Value:0.000} s a step; peak of activations {TensorMemory.PeakBytes / 1048576.0:0} MiB"));
        return 0;
    }

    /// <summary>What made the image, as JSON: the request alone, so that the same request gives the same bytes.</summary>
    internal static string Parameters(DiffusionPipeline pipeline, GenerationRequest request, int index)
    {
        using var stream = new MemoryStream();
        using (var json = new Utf8JsonWriter(stream, new JsonWriterOptions { Encoder = System.Text.Encodings.Web.JavaScriptEncoder.UnsafeRelaxedJsonEscaping }))
        {
            json.WriteStartObject();
            json.WriteString("software", "Attune");
            json.WriteString("pipeline", pipeline.ClassName);
            json.WriteString("prompt", request.Prompt);
            json.WriteString("negative_prompt", request.NegativePrompt);
            json.WriteString("guidance", request.Guidance.Rules.Count == 0 ? "none" : string.Join('+', request.Guidance.Rules.Select(RuleCatalog.Format)));
            if (request.GuidanceScale is { } scale)
                json.WriteNumber("guidance_scale", scale);
            if (request.MaxSequenceLength is { } length)
                json.WriteNumber("max_sequence_length", length);
            json.WriteNumber("steps", request.Steps!.Value);
            json.WriteNumber("seed", request.Seed);
            json.WriteNumber("width", request.Width!.Value);
            json.WriteNumber("height", request.Height!.Value);
            json.WriteNumber("count", request.Count);
            json.WriteNumber("index", index);
            json.WriteEndObject();
        }
        return System.Text.Encoding.UTF8.GetString(stream.ToArray());
    }

    internal static (int? Width, int? Height) ParseSize(string? text)
    {
        if (text == null)
            return (null, null);
        var match = SizePattern().Match(text);
        if (!match.Success)
            throw new FormatException($"--size is '{text}', expected WIDTHxHEIGHT, as 1024x768.");
        return (int.Parse(match.Groups[1].ValueSpan, CultureInfo.InvariantCulture), int.Parse(match.Groups[2].ValueSpan, CultureInfo.InvariantCulture));
    }

    [GeneratedRegex("^([0-9]{1,6})[xX×]([0-9]{1,6})$")]
    private static partial Regex SizePattern();
}
