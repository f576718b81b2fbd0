using System.CommandLine;
using System.Diagnostics;
using System.Globalization;
using System.Text.Json;
using System.Text.RegularExpressions;
using Attune.Guidance;
using Attune.Imaging;
using Attune.Pipelines;
using Attune.Schedulers;
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
        var model = new Option<string?>("--model", "-m") { Description = "A diffusers folder, or a single .safetensors file (SD 1.x, 2.x, XL). Default: the checkpoint that comes with Attune." };
        var lora = new Option<string[]>("--lora") { Description = "A LoRA file, with its scale behind a colon: style.safetensors:0.8. May be given several times.", DefaultValueFactory = _ => [] };
        var lenient = new Option<bool>("--lora-lenient") { Description = "Warn of keys of a LoRA file that match nothing in the model, rather than fail." };
        var apart = new Option<bool>("--lora-apart") { Description = "Compute LoRA beside the weights rather than merge it into them: slower, but takes no memory." };
        var configs = new Option<string?>("--config-folder") { Description = "For a single file: a diffusers folder with the tokenizers (and configurations) that go with it. Default: tokenizer/ beside the file." };
        var prediction = new Option<string?>("--prediction-type") { Description = "For a single file: epsilon or v_prediction. Default: the family's (SD 2.x: v_prediction)." };
        var steps = new Option<int?>("--steps") { Description = "Denoising steps. Default: the model's." };
        var seed = new Option<long>("--seed") { Description = "Seed of the noise, as torch's CPU generator takes it.", DefaultValueFactory = _ => 0 };
        var size = new Option<string?>("--size") { Description = "WIDTHxHEIGHT in pixels. Default: the model's." };
        var count = new Option<int>("--count") { Description = "How many images.", DefaultValueFactory = _ => 1 };
        var guidance = new Option<string?>("--guidance", "-g")
        {
            Description = $"Rules, as nag:scale=4,tau=2.5,alpha=0.25 or nag+cfg:scale=3; none for the plain model. What is not given is as published for the model (attune presets). Rules: {string.Join(", ", RuleCatalog.Names)}.",
        };
        var preset = new Option<string?>("--preset") { Description = "The family of models whose published parameters count, as sdxl-dmd2; sets scheduler and steps of few-step models too. Default: the family that the folder tells." };
        var embedded = new Option<float?>("--guidance-scale") { Description = "The guidance scale that some models embed (FLUX.1-dev: 3.5)." };
        var length = new Option<int?>("--max-sequence-length") { Description = "Tokens to which the prompt is padded or cut for sequence text encoders." };
        var image = new Option<string?>("--image", "-i") { Description = "A PNG or JPEG file to begin with instead of noise." };
        var strength = new Option<float?>("--strength") { Description = "How much of --image is made anew, above 0 to 1. Default: the model's (Stable Diffusion 0.8, SDXL 0.3)." };
        var scheduler = new Option<string?>("--scheduler")
        {
            Description = $"NAME[:KEY=VALUE,...], as lcm or euler:timestep_spacing=trailing, or a scheduler_config.json. Default: the model's. Names: {string.Join(", ", Scheduler.SupportedClasses.Order(StringComparer.Ordinal))}.",
        };
        var timesteps = new Option<string?>("--timesteps") { Description = "The timesteps to do, as 999,749,499,249, instead of --steps." };
        var eta = new Option<float?>("--eta") { Description = "How much of the noise DDIM and TCD draw anew, 0 to 1." };
        var clipSkip = new Option<int?>("--clip-skip") { Description = "How many of CLIP's last layers are left out of the prompt's embedding." };
        var longPrompts = new Option<bool>("--long-prompts") { Description = "Read prompts beyond CLIP's 77 tokens, in pieces, instead of cutting them off." };
        var originalSize = new Option<string?>("--original-size") { Description = "WIDTHxHEIGHT that SDXL takes for the picture's size before scaling." };
        var crop = new Option<string?>("--crop") { Description = "LEFT,TOP that SDXL takes for what was cut off." };
        var targetSize = new Option<string?>("--target-size") { Description = "WIDTHxHEIGHT that SDXL takes for the picture's size after cutting." };
        var preview = new Option<string?>("--preview") { Description = "Write a PNG of what the image will be after every step: a file name with {step}, as preview-{step}.png." };
        var previewVae = new Option<string?>("--preview-vae") { Description = "The folder of an AutoencoderTiny (TAESD) for --preview. Default: the model's own autoencoder, which is slow." };
        var output = new Option<string?>("--output", "-o") { Description = "The PNG file to write; several images get -1, -2, ... before the extension." };
        var command = new Command("generate", "Generate images from a prompt and, with guidance, a negative prompt.")
        {
            prompt, negative, model, lora, lenient, apart, configs, prediction, steps, seed, size, count, guidance, preset, embedded, length, output,
            image, strength, scheduler, timesteps, eta, clipSkip, longPrompts, originalSize, crop, targetSize, preview, previewVae,
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
                GuidanceScale = result.GetValue(embedded),
                MaxSequenceLength = result.GetValue(length),
                InitialImage = result.GetValue(image) is { } file ? Image.Load(file) : null,
                Strength = result.GetValue(strength),
                Scheduler = result.GetValue(scheduler) is { } choice ? SchedulerChoice.Parse(choice) : null,
                Timesteps = result.GetValue(timesteps) is { } list ? ParseIntegers("--timesteps", list) : null,
                Eta = result.GetValue(eta),
                ClipSkip = result.GetValue(clipSkip),
                LongPrompts = result.GetValue(longPrompts),
                SizeConditioning = ParseSizes(result.GetValue(originalSize), result.GetValue(crop), result.GetValue(targetSize)),
            };
            var chosen = result.GetValue(preset) is { } family ? GuidancePresets.For(family) : null;
            _ = RuleCatalog.Parse(rules, chosen);       // a mistake is found before a model is loaded
            var console = AnsiConsole.Console;
            var options = new LoadOptions
            {
                Loras = [.. result.GetValue(lora)!.Select(ParseLora)],
                LenientLora = result.GetValue(lenient),
                MergeLora = !result.GetValue(apart),
                ConfigFolder = result.GetValue(configs),
                PredictionType = result.GetValue(prediction),
                PreviewVae = result.GetValue(previewVae),
                Warning = message => console.MarkupLineInterpolated($"[yellow]Warning:[/] {message}"),
            };
            return RunAsync(DefaultModel.Find(result.GetValue(model)), options, request.With(chosen?.Sampling), rules, chosen, result.GetValue(output), Previews(result.GetValue(preview), options), console, cancellation);
        });
        return command;
    }

    private static async Task<int> RunAsync(
        string folder, LoadOptions options, GenerationRequest request, string rules, ModelPreset? preset, string? output, string? previews, IAnsiConsole console, CancellationToken cancellation)
    {
        var watch = Stopwatch.StartNew();
        using var pipeline = DiffusionPipeline.Load(folder, options);
        request = pipeline.Resolve(request with { Guidance = new GuidanceSchedule(RuleCatalog.Parse(rules, preset ?? pipeline.Preset)) });
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
            await foreach (var step in pipeline.DenoiseAsync(request, cancellation).ConfigureAwait(false))
            {
                (denoised, evaluations) = (watch.Elapsed, step.Count);
                progress(step);
                if (previews != null)
                    Save(await step.DecodePreviewAsync(cancellation).ConfigureAwait(false), previews.Replace("{step}", $"{step.Index + 1}", StringComparison.Ordinal), _ => []);
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

        var files = Save(images, output, index => [KeyValuePair.Create("parameters", Parameters(pipeline, options, request, index))]);
        console.MarkupLineInterpolated($"[green]Wrote[/] {string.Join(", ", files)}");
        string guidance = request.Guidance.Rules.Count == 0 ? "none" : string.Join(" + ", request.Guidance.Rules.Select(RuleCatalog.Format));
        console.WriteLine(FormattableString.Invariant($"{pipeline.ClassName} from {folder}; {request.Width}x{request.Height}, {request.Steps} steps, seed {request.Seed}; guidance {guidance}"));
        console.WriteLine(FormattableString.Invariant($"{watch.Elapsed.TotalSeconds:0.00} s in all, {denoised.TotalSeconds / evaluations:0.000} s a step; peak of activations {TensorMemory.PeakBytes / 1048576.0:0} MiB"));
        return 0;
    }

    /// <summary>What made the image, as JSON: the request and the names of LoRA files alone, so that the same request gives the same bytes.</summary>
    internal static string Parameters(DiffusionPipeline pipeline, LoadOptions options, GenerationRequest request, int index)
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
            if (options.Loras.Count > 0)
                json.WriteString("lora", string.Join('+', options.Loras.Select(lora => string.Create(CultureInfo.InvariantCulture, $"{Path.GetFileName(lora.Path)}:{lora.Scale}"))));
            if (request.GuidanceScale is { } scale)
                json.WriteNumber("guidance_scale", scale);
            if (request.MaxSequenceLength is { } length)
                json.WriteNumber("max_sequence_length", length);
            json.WriteNumber("steps", request.Steps!.Value);
            if (request.Scheduler is { } scheduler)
                json.WriteString("scheduler", scheduler.ToString());
            if (request.Timesteps is { } timesteps)
                json.WriteString("timesteps", string.Join(',', timesteps));
            if (request.Eta is { } eta)
                json.WriteNumber("eta", eta);
            if (request.ClipSkip is { } skip)
                json.WriteNumber("clip_skip", skip);
            if (request.LongPrompts)
                json.WriteBoolean("long_prompts", true);
            if (request.InitialImage != null)
                json.WriteBoolean("image_to_image", true);
            if (request.Strength is { } strength)
                json.WriteNumber("strength", strength);
            if (request.SizeConditioning is { } sizes)
                json.WriteString("size_conditioning", sizes.ToString());
            json.WriteNumber("seed", request.Seed);
            json.WriteNumber("width", request.Width!.Value);
            json.WriteNumber("height", request.Height!.Value);
            json.WriteNumber("count", request.Count);
            json.WriteNumber("index", index);
            json.WriteEndObject();
        }
        return System.Text.Encoding.UTF8.GetString(stream.ToArray());
    }

    /// <summary>Writes images; several get -1, -2, ... before the extension.</summary>
    private static List<string> Save(IReadOnlyList<Image> images, string output, Func<int, KeyValuePair<string, string>[]> texts)
    {
        var files = new List<string>();
        for (int i = 0; i < images.Count; i++)
        {
            string file = images.Count == 1 ? output : Path.ChangeExtension(output, null) + FormattableString.Invariant($"-{i + 1}") + Path.GetExtension(output);
            Png.Save(images[i], file, texts(i));
            files.Add(file);
        }
        return files;
    }

    private static void RequireFolder(string option, string file)
    {
        string? directory = Path.GetDirectoryName(Path.GetFullPath(file));
        if (directory != null && !Directory.Exists(directory))
            throw new ArgumentException($"{option}: the folder '{directory}' does not exist.");
    }

    private static string? Previews(string? pattern, LoadOptions options)
    {
        if (pattern == null && options.PreviewVae != null)
            throw new FormatException("--preview-vae is given without --preview.");
        return pattern?.Contains("{step}", StringComparison.Ordinal) == false ? throw new FormatException($"--preview is '{pattern}', expected a file name with {{step}}, as preview-{{step}}.png.") : pattern;
    }

    private static int[] ParseIntegers(string option, string text)
    {
        string[] parts = text.Split(',', StringSplitOptions.TrimEntries);
        return parts.All(part => int.TryParse(part, NumberStyles.None, CultureInfo.InvariantCulture, out _)) ? [.. parts.Select(part => int.Parse(part, CultureInfo.InvariantCulture))]
            : throw new FormatException($"{option} is '{text}', expected integers joined by commas.");
    }

    private static SizeConditioning? ParseSizes(string? original, string? crop, string? target)
    {
        static PixelSize? Size(string option, string? text) => ParseSize(text, option) is ({ } width, { } height) ? new PixelSize(height, width) : null;
        if (original == null && crop == null && target == null)
            return null;
        int[] corner = crop == null ? [0, 0] : ParseIntegers("--crop", crop);
        return new SizeConditioning
        {
            OriginalSize = Size("--original-size", original),
            TargetSize = Size("--target-size", target),
            CropLeft = corner.Length == 2 ? corner[0] : throw new FormatException($"--crop is '{crop}', expected LEFT,TOP."),
            CropTop = corner[1],
        };
    }

    /// <summary>FILE or FILE:SCALE. A colon belongs to the file's name when no number follows it.</summary>
    internal static LoraWeights ParseLora(string text)
    {
        int colon = text.LastIndexOf(':');
        return colon > 0 && float.TryParse(text.AsSpan(colon + 1), NumberStyles.Float, CultureInfo.InvariantCulture, out float scale) && float.IsFinite(scale)
            ? new LoraWeights(text[..colon], scale)
            : new LoraWeights(text);
    }

    internal static (int? Width, int? Height) ParseSize(string? text, string option = "--size")
    {
        if (text == null)
            return (null, null);
        var match = SizePattern().Match(text);
        if (!match.Success)
            throw new FormatException($"{option} is '{text}', expected WIDTHxHEIGHT, as 1024x768.");
        return (int.Parse(match.Groups[1].ValueSpan, CultureInfo.InvariantCulture), int.Parse(match.Groups[2].ValueSpan, CultureInfo.InvariantCulture));
    }

    [GeneratedRegex("^([0-9]{1,6})[xX×]([0-9]{1,6})$")]
    private static partial Regex SizePattern();
}
