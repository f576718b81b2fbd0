using System.CommandLine;
using System.Globalization;
using System.Text.RegularExpressions;
using Attune.Guidance;
using Attune.Imaging;
using Attune.Generation;
using Attune.Schedulers;
using Spectre.Console;

namespace Attune.Cli.Commands;

/// <summary>What a command line asks for: a model, how it is opened, and what is generated with it.</summary>
/// <param name="Folder">The diffusers folder, or a single file.</param>
/// <param name="Options">How it is opened.</param>
/// <param name="Request">What is generated, without guidance and what a preset says.</param>
/// <param name="Rules">The guidance rules as text: what it leaves out is as published for the model.</param>
/// <param name="Preset">The family of models that the command line names, or null for the one that the model tells.</param>
internal sealed record ModelRequest(string Folder, LoadOptions Options, GenerationRequest Request, string Rules, ModelPreset? Preset)
{
    /// <summary>The request with its guidance, once the model is known.</summary>
    public GenerationRequest For(DiffusionPipeline pipeline) =>
        pipeline.With(Request, Preset?.Sampling) with {
            Guidance = new GuidanceSchedule(RuleCatalog.Parse(Rules, Preset ?? pipeline.Preset)) };
}

/// <summary>The options of every command that generates: they say what is made with which model.</summary>
internal sealed partial class RequestOptions
{
    private readonly Argument<string> _prompt = new("prompt") { Description = "What the image shows." };
    private readonly Option<string?> _negative = new("--negative", "-n") { Description = "What it must not show. Alone, it turns on NAG." };
    private readonly Option<string?> _model = new("--model", "-m") {
        Description =
            "A diffusers folder, or a single .safetensors file (SD 1.x, 2.x, XL). Default: the checkpoint that comes with Attune." };
    private readonly Option<string[]> _lora = new("--lora") {
        Description = "A LoRA file, with its scale behind a colon: style.safetensors:0.8. May be given several times.",
        DefaultValueFactory = _ => [] };
    private readonly Option<bool> _lenient = new("--lora-lenient") {
        Description = "Warn of keys of a LoRA file that match nothing in the model, rather than fail." };
    private readonly Option<bool> _apart = new("--lora-apart") {
        Description = "Compute LoRA beside the weights rather than merge it into them: slower, but takes no memory." };
    private readonly Option<string?> _configs = new("--config-folder") {
        Description =
            "For a single file: a diffusers folder with the tokenizers (and configurations) that go with it. Default: tokenizer/ beside "
                + "the file." };
    private readonly Option<string?> _prediction = new("--prediction-type") {
        Description = "For a single file: epsilon or v_prediction. Default: the family's (SD 2.x: v_prediction)." };
    private readonly Option<int?> _steps = new("--steps") { Description = "Denoising steps. Default: the model's." };
    private readonly Option<long> _seed = new("--seed") {
        Description = "Seed of the noise, as torch's CPU generator takes it.", DefaultValueFactory = _ => 0 };
    private readonly Option<string?> _size = new("--size") { Description = "WIDTHxHEIGHT in pixels. Default: the model's." };
    private readonly Option<int> _count = new("--count") { Description = "How many images.", DefaultValueFactory = _ => 1 };
    private readonly Option<string?> _guidance = new("--guidance", "-g")
    {
        Description =
            $"Rules, as nag:scale=4,tau=2.5,alpha=0.25 or nag+cfg:scale=3; none for the plain model. What is not given is as published "
                + $"for the model (attune presets). Rules: {string.Join(", ", RuleCatalog.Names)}.",
    };
    private readonly Option<string?> _preset = new("--preset")
    {
        Description =
            "The family of models whose published parameters count, as sdxl-dmd2; sets scheduler and steps of few-step models too. "
                + "Default: the family that the folder tells.",
    };
    private readonly Option<float?> _embedded = new("--guidance-scale") {
        Description = "The guidance scale that some models embed (FLUX.1-dev: 3.5)." };
    private readonly Option<int?> _length = new("--max-sequence-length") {
        Description = "Tokens to which the prompt is padded or cut for sequence text encoders." };
    private readonly Option<string?> _image = new("--image", "-i") { Description = "A PNG or JPEG file to begin with instead of noise." };
    private readonly Option<float?> _strength = new("--strength") {
        Description = "How much of --image is made anew, above 0 to 1. Default: the model's (Stable Diffusion 0.8, SDXL 0.3)." };
    private readonly Option<string?> _scheduler = new("--scheduler")
    {
        Description =
            $"NAME[:KEY=VALUE,...], as lcm or euler:timestep_spacing=trailing, or a scheduler_config.json. Default: the model's. Names: "
                + $"{string.Join(", ", Scheduler.SupportedClasses.Order(StringComparer.Ordinal))}.",
    };
    private readonly Option<string?> _timesteps = new("--timesteps") {
        Description = "The timesteps to do, as 999,749,499,249, instead of --steps." };
    private readonly Option<float?> _eta = new("--eta") { Description = "How much of the noise DDIM and TCD draw anew, 0 to 1." };
    private readonly Option<int?> _clipSkip = new("--clip-skip") {
        Description = "How many of CLIP's last layers are left out of the prompt's embedding." };
    private readonly Option<bool> _longPrompts = new("--long-prompts") {
        Description = "Read prompts beyond CLIP's 77 tokens, in pieces, instead of cutting them off." };
    private readonly Option<string?> _originalSize = new("--original-size") {
        Description = "WIDTHxHEIGHT that SDXL takes for the picture's size before scaling." };
    private readonly Option<string?> _crop = new("--crop") { Description = "LEFT,TOP that SDXL takes for what was cut off." };
    private readonly Option<string?> _targetSize = new("--target-size") {
        Description = "WIDTHxHEIGHT that SDXL takes for the picture's size after cutting." };

    /// <summary>Makes a command understand the options.</summary>
    public void AddTo(Command command)
    {
        command.Arguments.Add(_prompt);
        foreach (var option in new Option[]
        {
            _negative, _model, _lora, _lenient, _apart, _configs, _prediction, _steps, _seed, _size, _count, _guidance, _preset, _embedded,
            _length, _image, _strength,
            _scheduler, _timesteps, _eta, _clipSkip, _longPrompts, _originalSize, _crop, _targetSize,
        })
        {
            command.Options.Add(option);
        }
    }

    /// <summary>What a command line says.</summary>
    /// <param name="result">The command line.</param>
    /// <param name="console">Where warnings go while the model is opened.</param>
    /// <exception cref="FormatException">An option's value is malformed; the message names it.</exception>
    public ModelRequest Read(ParseResult result, IAnsiConsole console)
    {
        string? negativePrompt = result.GetValue(_negative);
        string rules = result.GetValue(_guidance) ?? (string.IsNullOrEmpty(negativePrompt) ? "none" : "nag");
        var (width, height) = ParseSize(result.GetValue(_size));
        void Warn(string message) => console.MarkupLineInterpolated($"[yellow]Warning:[/] {message}");
        var request = new GenerationRequest
        {
            Warning = Warn,
            Prompt = result.GetRequiredValue(_prompt),
            NegativePrompt = negativePrompt,
            Width = width,
            Height = height,
            Steps = result.GetValue(_steps),
            Seed = result.GetValue(_seed),
            Count = result.GetValue(_count),
            GuidanceScale = result.GetValue(_embedded),
            MaxSequenceLength = result.GetValue(_length),
            InitialImage = result.GetValue(_image) is { } file ? Image.Load(file) : null,
            Strength = result.GetValue(_strength),
            Scheduler = result.GetValue(_scheduler) is { } choice ? SchedulerChoice.Parse(choice) : null,
            Timesteps = result.GetValue(_timesteps) is { } list ? ParseIntegers("--timesteps", list) : null,
            Eta = result.GetValue(_eta),
            ClipSkip = result.GetValue(_clipSkip),
            LongPrompts = result.GetValue(_longPrompts),
            SizeConditioning = ParseSizes(result.GetValue(_originalSize), result.GetValue(_crop), result.GetValue(_targetSize)),
        };
        var options = new LoadOptions
        {
            Loras = [.. result.GetValue(_lora)!.Select(ParseLora)],
            LenientLora = result.GetValue(_lenient),
            MergeLora = !result.GetValue(_apart),
            ConfigFolder = result.GetValue(_configs),
            PredictionType = result.GetValue(_prediction),
            Warning = Warn,
        };
        var preset = result.GetValue(_preset) is { } family ? GuidancePresets.For(family) : null;
        _ = RuleCatalog.Parse(rules, preset);       // a mistake is found before a model is loaded
        return new ModelRequest(DefaultModel.Find(result.GetValue(_model)), options, request, rules, preset);
    }

    private static int[] ParseIntegers(string option, string text)
    {
        string[] parts = text.Split(',', StringSplitOptions.TrimEntries);
        return parts.All(
            part => int.TryParse(
                part, NumberStyles.None, CultureInfo.InvariantCulture,
                out _)) ? [.. parts.Select(part => int.Parse(part, CultureInfo.InvariantCulture))]
            : throw new FormatException($"{option} is '{text}', expected integers joined by commas.");
    }

    private static SizeConditioning? ParseSizes(string? original, string? crop, string? target)
    {
        static PixelSize? Size(string option, string? text) =>
            ParseSize(text, option) is ({ } width, { } height) ? new PixelSize(height, width) : null;
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
        return colon > 0
            && float.TryParse(text.AsSpan(colon + 1), NumberStyles.Float, CultureInfo.InvariantCulture, out float scale)
            && float.IsFinite(scale)
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
        return (
            int.Parse(match.Groups[1].ValueSpan, CultureInfo.InvariantCulture),
            int.Parse(match.Groups[2].ValueSpan, CultureInfo.InvariantCulture));
    }

    [GeneratedRegex("^([0-9]{1,6})[xX×]([0-9]{1,6})$")]
    private static partial Regex SizePattern();
}
