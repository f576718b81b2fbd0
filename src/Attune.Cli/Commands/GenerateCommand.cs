using System.CommandLine;
using System.Diagnostics;
using System.Globalization;
using System.Text.Json;
using Attune.Generation;
using Attune.Guidance;
using Attune.Imaging;
using Attune.Models;
using Attune.Tensors;

namespace Attune.Cli.Commands;

/// <summary><c>attune generate PROMPT</c>: makes images.</summary>
internal static class GenerateCommand
{
    /// <summary>What the command line says beside the request.</summary>
    private sealed record Settings(string? Output, string? Previews, bool Metadata, bool Json, bool Quiet, bool Force);

    public static Command Create()
    {
        var options = new RequestOptions();
        var preview = new Option<string?>("--preview") {
            Description = "Write a picture of what the image will be after every step: a file name with {step}, as preview-{step}.png." };
        var previewVae = new Option<string?>("--preview-vae") {
            Description = "The folder of an AutoencoderTiny (TAESD) for --preview. Default: the model's own autoencoder, which is slow." };
        var output = new Option<string?>("--output", "-o") {
            Description =
                $"The file to write ({string.Join(", ", ImageFormats.Writers.SelectMany(writer => writer.Extensions))}), or - for a PNG on "
                    + "standard output; several images get -1, -2, ... before the extension. Videos: "
                    + $"{string.Join(", ", VideoOutput.Extensions)} ({string.Join(", ", Ffmpeg.Extensions)} through ffmpeg), a folder, or "
                    + "pictures by number as frames/%04d.png. Default: attune-SEED-N.png, N being the first that is free." };
        var noMetadata = new Option<bool>("--no-metadata") { Description = "Leave out of the file how it was made, the prompt too." };
        var json = new Option<bool>("--json") {
            Description = "Print one JSON object: files, the resolved request, timings, memory, warnings." };
        var quiet = new Option<bool>("--quiet") { Description = "Print nothing but warnings and errors." };
        var force = new Option<bool>("--force") { Description = "Begin even if the memory of this machine will probably not do." };
        var command = new Command("generate", "Generate images from a prompt and, with guidance, a negative prompt.");
        options.AddTo(command);
        foreach (var option in new Option[] { preview, previewVae, output, noMetadata, json, quiet, force })
            command.Add(option);
        command.SetAction((result, cancellation) =>
        {
            var settings = new Settings(
                result.GetValue(output), Previews(result.GetValue(preview), result.GetValue(previewVae)), !result.GetValue(noMetadata),
                result.GetValue(json), result.GetValue(quiet), result.GetValue(force));
            if (settings is { Json: true, Output: "-" })
                throw new FormatException("--json and --output - both want standard output; give --output a file.");
            var words = new Words(settings.Quiet || settings.Json, outputTaken: settings.Json || settings.Output == "-");
            var asked = options.Read(result, words);
            return RunAsync(
                asked with { Options = asked.Options with { PreviewVae = result.GetValue(previewVae) } }, settings, words, cancellation);
        });
        return command;
    }

    private static async Task<int> RunAsync(ModelRequest asked, Settings settings, Words words, CancellationToken cancellation)
    {
        // Both check before anything is loaded; whether it is pictures or videos that go there, the model says.
        bool videosAlone = VideoOutput.IsForVideosAlone(settings.Output);
        var videos = videosAlone ? VideoOutput.Open(settings.Output, asked.Request.Seed, asked.Request.Count) : null;
        var pictures = videosAlone ? null : PictureOutput.Open(settings.Output, asked.Request.Seed, asked.Request.Count);
        if (settings.Previews is { } pattern)
        {
            ImageFormats.WriterOf(pattern, "--preview");
            OutputFile.Check(PreviewFile(pattern, 0), "--preview");
        }
        var phases = new Phases();
        using var pipeline = DiffusionPipeline.Load(asked.Folder, asked.Options);
        phases.End("load");
        var resolved = pipeline.Resolve(asked.Request);
        var (request, rules) = (resolved.Request, resolved.Guidance.Rules);
        if (request.FrameRate is { } rate)
        {
            videos ??= VideoOutput.Open(settings.Output, request.Seed, request.Count);
            videos.CheckRate(rate);
        }
        else if (pictures == null)
        {
            throw new ArgumentException(
                $"--output: '{settings.Output}' holds a video, but {pipeline.Facts.ClassName} makes pictures, which are written as "
                    + $"{string.Join(", ", ImageFormats.Writers.SelectMany(writer => writer.Extensions))}.");
        }
        var need = MemoryNeed.Of(pipeline, resolved, [asked.Folder, .. asked.Options.Parts]);
        need.Check(settings.Force, words.Warn);
        WarnOfSize(resolved, pipeline.Facts, words);

        TensorMemory.ResetPeak();
        int evaluations = 0;
        IReadOnlyList<Frames> results = [];
        var caches = new CacheSummary();
        await RunProgress.ShowAsync(words, async progress =>
        {
            var observer = new Observer(words.Warn, () =>
            {
                phases.End("encode");
                progress.Denoise();
            }, caches);
            await foreach (var step in pipeline.DenoiseAsync(resolved, observer, cancellation).ConfigureAwait(false))
            {
                evaluations = step.Count;
                progress.Step(step.Index + 1, step.Count, request.Steps ?? step.Count, step.Denoising);
                if (settings.Previews is { } previews)
                {
                    var shown = await step.DecodePreviewAsync(cancellation).ConfigureAwait(false);
                    SavePreview(shown, request.Count, PreviewFile(previews, step.Index));
                }
                if (!step.IsLast)
                    continue;
                phases.End("denoise");
                progress.Decode();
                results = await step.DecodeFramesAsync(progress.Decode, cancellation).ConfigureAwait(false);
                progress.Decoded();
                phases.End("decode");
            }
        }).ConfigureAwait(false);

        var model = ModelIdentity.Of(asked.Folder, asked.Options.Parts);
        KeyValuePair<string, string>[] Texts(int index) =>
            settings.Metadata ? PictureTexts.Of(pipeline, asked.Options, model, resolved, index) : [];
        var files = videos?.Save(results, Texts) ?? pictures!.Save([.. results.Select(picture => picture[0])], Texts);
        phases.End("save");
        if (settings.Json)
        {
            WriteJson(pipeline, asked, resolved, model, files, phases, evaluations, need, words.Warnings);
            return 0;
        }
        if (files.Count > 0)
            words.Wrote(files);
        words.Say(
            string.Create(
                CultureInfo.InvariantCulture,
                $"{pipeline.Facts.ClassName} from {asked.Folder}; {request.Width}x{request.Height}, "
                    + $"{(request.FrameRate == null ? "" : $"{request.Frames} frames at {request.FrameRate} a second, ")}"
                    + $"{Count(request.Steps ?? evaluations, "step")}, seed {request.Seed}; "
                    + $"guidance {(rules.Count == 0 ? "none" : string.Join(" + ", rules.Select(RuleCatalog.Format)))}"));
        caches.Lines.ForEach(words.Say);
        var times = phases.All.Select(phase => Describe(phase, evaluations, request.Steps));
        words.Say(FormattableString.Invariant($"{phases.Total:0.00} s in all: {string.Join(", ", times)}"));
        string onDevice = pipeline.Device.PeakBytes == 0 ? ""
            : FormattableString.Invariant(
                $", of weights and activations on {pipeline.Device.Name} {pipeline.Device.PeakBytes / 1048576.0:0} MiB");
        words.Say(
            string.Create(
                CultureInfo.InvariantCulture,
                $"peak of activations {TensorMemory.PeakBytes / 1048576.0:0} MiB, of resident memory {Resident() / 1048576.0:0} MiB"
                    + $"{onDevice}"));
        return 0;
    }

    private static string Describe((string Name, double Seconds) phase, int evaluations, int? steps)
    {
        string text = FormattableString.Invariant($"{phase.Name} {phase.Seconds:0.00}");
        if (phase.Name != "denoise")
            return text;
        string each = FormattableString.Invariant($"{phase.Seconds / evaluations:0.000} s");
        return evaluations == (steps ?? evaluations) ? $"{text} ({each} a step)"
            : $"{text} ({each} for each of {Count(evaluations, "evaluation")})";
    }

    private static string Count(int number, string what) => FormattableString.Invariant($"{number} {what}{(number == 1 ? "" : "s")}");

    private static void WriteJson(
        DiffusionPipeline pipeline, ModelRequest asked, ResolvedRequest resolved, ModelIdentity model, IReadOnlyList<string> files,
        Phases phases, int evaluations, MemoryNeed need, IReadOnlyList<string> warnings)
    {
        using var stream = Console.OpenStandardOutput();
        using (var json = new Utf8JsonWriter(stream))
        {
            json.WriteStartObject();
            json.WriteString("version", PictureTexts.Version);
            json.WriteStartArray("files");
            foreach (string file in files)
                json.WriteStringValue(file);
            json.WriteEndArray();
            json.WriteStartObject("model");
            json.WriteString("path", asked.Folder);
            json.WriteString("name", model.Name);
            json.WriteString("hash", model.Hash);
            json.WriteString("pipeline", pipeline.Facts.ClassName);
            json.WriteString("device", pipeline.Device.Description);
            json.WriteEndObject();
            json.WriteNumber("seed", resolved.Request.Seed);
            json.WriteNumber("width", resolved.Size.Width);
            json.WriteNumber("height", resolved.Size.Height);
            if (resolved.Request.FrameRate is { } rate)
            {
                json.WriteNumber("frames", resolved.Request.Frames ?? 1);
                json.WriteNumber("fps", rate);
            }
            json.WriteStartObject("request");
            OptionCatalog.Write(json, resolved.Request);
            json.WriteEndObject();
            json.WriteStartObject("seconds");
            foreach (var (name, seconds) in phases.All)
                json.WriteNumber(name, Math.Round(seconds, 4));
            json.WriteNumber("total", Math.Round(phases.Total, 4));
            json.WriteEndObject();
            json.WriteNumber("evaluations", evaluations);
            json.WriteStartObject("bytes");
            json.WriteNumber("estimated_activations", need.Activations);
            json.WriteNumber("peak_activations", TensorMemory.PeakBytes);
            json.WriteNumber("peak_resident", Resident());
            if (pipeline.Device.PeakBytes > 0)
                json.WriteNumber("peak_device", pipeline.Device.PeakBytes);
            json.WriteEndObject();
            json.WriteStartArray("warnings");
            foreach (string warning in warnings)
                json.WriteStringValue(warning);
            json.WriteEndArray();
            json.WriteEndObject();
        }
        stream.WriteByte((byte)'\n');
    }

    /// <summary>The most memory that the process has had, weights that are mapped from files too.</summary>
    private static long Resident()
    {
        using var process = Process.GetCurrentProcess();
        return process.PeakWorkingSet64;
    }

    private static void WarnOfSize(ResolvedRequest resolved, FamilyFacts facts, Words words)
    {
        int trained = facts.DefaultSize;
        int height = facts.DefaultHeight ?? trained;
        double ratio = (double)resolved.Size.Width * resolved.Size.Height / ((double)trained * height);
        if (ratio is > 4 or < 1.0 / 16)
        {
            words.Warn(
                FormattableString.Invariant(
                    $"{resolved.Size.Width}x{resolved.Size.Height} is far from the {trained}x{height} pixels of the model's default."));
        }
    }

    /// <summary>Writes a picture for each that is made; of a video one of its frames side by side.</summary>
    private static void SavePreview(IReadOnlyList<Image> images, int count, string file)
    {
        var writer = ImageFormats.WriterOf(file, "--preview");
        foreach (var (i, frames) in images.Chunk(images.Count / count).Index())
        {
            var image = frames.Length == 1 ? frames[0] : Image.SideBySide(frames);
            string name = count == 1 ? file
                : Path.ChangeExtension(file, null) + FormattableString.Invariant($"-{i + 1}") + Path.GetExtension(file);
            OutputFile.Write(name, stream => writer.Write(image, stream), "--preview");
        }
    }

    private static string PreviewFile(string pattern, int step) =>
        pattern.Replace("{step}", (step + 1).ToString(CultureInfo.InvariantCulture), StringComparison.Ordinal);

    private static string? Previews(string? pattern, string? vae)
    {
        if (pattern == null && vae != null)
            throw new FormatException("--preview-vae is given without --preview.");
        return pattern?.Contains("{step}", StringComparison.Ordinal) == false
            ? throw new FormatException($"--preview is '{pattern}', expected a file name with {{step}}, as preview-{{step}}.png.")
            : pattern;
    }

    /// <summary>How long the parts of a run took.</summary>
    private sealed class Phases
    {
        private readonly Stopwatch _watch = Stopwatch.StartNew();
        private readonly List<(string Name, double Seconds)> _all = [];

        public IReadOnlyList<(string Name, double Seconds)> All => _all;

        public double Total => _all.Sum(phase => phase.Seconds);

        public void End(string name) => _all.Add((name, _watch.Elapsed.TotalSeconds - Total));
    }

    /// <summary>What step caches did in a run.</summary>
    private sealed class CacheSummary
    {
        private readonly List<double> _magnitudes = [];
        private int _passes;
        private int _computed;

        /// <summary>Lines for people: how many passes were computed, and what calibration measured, as --cache takes it.</summary>
        public List<string> Lines
        {
            get
            {
                var lines = new List<string>();
                if (_passes > 0)
                    lines.Add(FormattableString.Invariant($"cache: {_computed} of {Count(_passes, "evaluation")} computed"));
                if (_magnitudes.Count > 0)
                    lines.Add(
                        "--cache mag:ratios="
                            + string.Join('/', _magnitudes.Select(value => value.ToString("0.####", CultureInfo.InvariantCulture))));
                return lines;
            }
        }

        public void Add(StepObservation step)
        {
            _passes += step.Caches.Count;
            _computed += step.Caches.Count(pass => pass.Computed);
            if (step.Caches.FirstOrDefault(pass => pass.Kind == PassKinds.None)?.Magnitude is { } magnitude)
                _magnitudes.Add(magnitude);
        }
    }

    private sealed class Observer(Action<string> warn, Action encoded, CacheSummary caches) : RunObserver
    {
        public override void EndStep(StepObservation step) => caches.Add(step);

        public override void Warn(string message) => warn(message);

        public override void Begin(RunStart start) => encoded();
    }
}
