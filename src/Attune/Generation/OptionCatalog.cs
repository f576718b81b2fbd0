using System.Globalization;
using System.Text.Json;
using System.Text.RegularExpressions;
using Attune.Guidance;
using Attune.Imaging;
using Attune.Models;
using Attune.Prompts;
using Attune.Schedulers;

namespace Attune.Generation;

/// <summary>
/// All options of a request, stated once: command line, metadata of pictures, experiments, golden cases and documentation read this list.
/// </summary>
public static partial class OptionCatalog
{
    /// <summary>The options, in the order in which people see them.</summary>
    public static IReadOnlyList<RequestOption> All { get; } =
    [
        RequestOption.Text(
            "prompt", nameof(GenerationRequest.Prompt), r => r.Prompt, (r, v) => r with { Prompt = v }, "What the image shows."),
        RequestOption.Text(
            "negative", nameof(GenerationRequest.NegativePrompt), r => r.NegativePrompt, (r, v) => r with { NegativePrompt = v },
            "What it must not show. Which rule reads it by default, --guidance says.") with { Aliases = ["n"], Key = "negative_prompt" },
        RequestOption.Integer<int>(
            "steps", nameof(GenerationRequest.Steps), r => r.Steps, (r, v) => r with { Steps = v }, "[1, 1000]",
            "Denoising steps. Default: the model's."),
        RequestOption.Seed(
            "seed", nameof(GenerationRequest.Seed), r => r.Seed, (r, v) => r with { Seed = v },
            "Seed of the noise, -2^63 to 2^64 - 1, of which the generator takes the low 32 bits, as torch's does on a CPU: -1 is "
                + "the same as 2^32 - 1. Default: 0."),
        RequestOption.Parsed(
            "size", nameof(GenerationRequest.Width), _ => null,
            (r, v, label) => ParseSize(v, label) is var size ? r with { Width = size.Width, Height = size.Height } : r,
            "WIDTHxHEIGHT in pixels, as 1024x768: --width and --height in one. Default: the model's.") with { IsShorthand = true },
        RequestOption.Integer<int>(
            "width", nameof(GenerationRequest.Width), r => r.Width, (r, v) => r with { Width = v }, "[1, inf)",
            "Width in pixels. Default: the model's."),
        RequestOption.Integer<int>(
            "height", nameof(GenerationRequest.Height), r => r.Height, (r, v) => r with { Height = v }, "[1, inf)",
            "Height in pixels. Default: the model's."),
        RequestOption.Integer<int>(
            "frames", nameof(GenerationRequest.Frames), r => r.Frames, (r, v) => r with { Frames = v }, "[1, inf)",
            "How many frames a video has. Default: the model's.") with { ModelOption = ModelOption.Frames },
        RequestOption.Number(
            "fps", nameof(GenerationRequest.FrameRate), r => r.FrameRate, (r, v) => r with { FrameRate = v }, "(0, 1000]",
            "Frames a second with which a video is shown. It changes no frame. Default: the model's.") with {
                ModelOption = ModelOption.Frames },
        RequestOption.Integer<int>(
            "count", nameof(GenerationRequest.Count), r => r.Count, (r, v) => r with { Count = v }, "[1, inf)",
            "How many images. Default: 1."),
        RequestOption.Text(
            "guidance", nameof(GenerationRequest.Guidance), r => r.Guidance.ToString(),
            (r, v) => r with { Guidance = GuidanceChoice.Parse(v) },
            "Rules, as nag:scale=4,tau=2.5,alpha=0.25 or nag+cfg:scale=3; none for the plain model. What is not given is as published "
                + "for the model (attune presets). Default: models of many steps take cfg at their published scale, with nag beside it for "
                + "a negative prompt where that is published; few-step models and FLUX.1-dev take none, and nag for a negative prompt. "
                + $"Rules: {string.Join(", ", RuleCatalog.LibraryNames)}.") with { Aliases = ["g"] },
        RequestOption.Text(
            "preset", nameof(GenerationRequest.Preset), r => r.Preset,
            (r, v) => r with { Preset = GuidancePresets.For(v).Family },
            "The family of models whose published parameters count, as sdxl-dmd2; sets scheduler and steps of few-step models too. "
                + "Default: the family that the folder tells."),
        RequestOption.Number(
            "guidance-scale", nameof(GenerationRequest.GuidanceScale), r => r.GuidanceScale, (r, v) => r with { GuidanceScale = v },
            "[0, inf)",
            "The guidance scale that some models embed (FLUX.1-dev, latent consistency models). Default: the model's (FLUX.1-dev: 3.5).")
            with { ModelOption = ModelOption.GuidanceScale },
        RequestOption.Integer<int>(
            "max-sequence-length", nameof(GenerationRequest.MaxSequenceLength), r => r.MaxSequenceLength,
            (r, v) => r with { MaxSequenceLength = v }, "[1, 4096]",
            "Tokens to which the prompt is padded or cut for sequence text encoders."),
        RequestOption.Integer<int>(
            "negative-max-sequence-length", nameof(GenerationRequest.NegativeMaxSequenceLength), r => r.NegativeMaxSequenceLength,
            (r, v) => r with { NegativeMaxSequenceLength = v }, "[1, 4096]",
            "The same for the negative prompt. Default: as for the prompt."),
        RequestOption.File(
            "image", "Images.Initial", r => r.Images.HasInitial, (r, v) => r with { Images = r.Images with { Initial = Image.Load(v) } },
            "A PNG or JPEG file to begin with instead of noise; of image to video the first frame.") with
        {
            Aliases = ["i"], Key = "image_to_image", ModelOption = ModelOption.Image,
        },
        RequestOption.File(
            "mask", "Images.Mask", r => r.Images.Mask != null, (r, v) => r with { Images = r.Images with { Mask = Image.Load(v) } },
            "A picture that is white where --image is made anew and black where it is kept.") with { ModelOption = ModelOption.Mask },
        RequestOption.Integer<int>(
            "mask-padding", "Images.MaskPadding", r => r.Images.MaskPadding,
            (r, v) => r with { Images = r.Images with { MaskPadding = v } }, "[0, inf)",
            "Make anew the part of --image alone that is around --mask, with so many pixels on all sides, at the whole size, and paste it "
                + "into the picture. Default: the picture as a whole.") with { ModelOption = ModelOption.Mask },
        RequestOption.File(
            "control", "Images.Control", r => r.Images.Control.Count > 0,
            (r, v) => r with { Images = r.Images with { Control = [.. r.Images.Control, Image.Load(v)] } },
            "A picture that says where things are: a depth map, edges.") with
        {
            ModelOption = ModelOption.Control, IsRepeatable = true,
        },
        RequestOption.File(
            "reference", "Images.References", r => r.Images.References.Count > 0,
            (r, v) => r with { Images = r.Images with { References = [.. r.Images.References, Image.Load(v)] } },
            "A picture that the model looks at. May be given several times.") with
        {
            ModelOption = ModelOption.References, IsRepeatable = true,
        },
        RequestOption.Integer<int>(
            "reference-size", "Images.ReferenceSize", r => r.Images.ReferenceSize,
            (r, v) => r with { Images = r.Images with { ReferenceSize = v } }, "[0, 4096]",
            "The side of the square whose area --reference is brought to, in pixels; 0 keeps its own size. Default: the model's, 1024 or "
                + "near it.")
            with { ModelOption = ModelOption.ReferenceSize },
        RequestOption.Integer<int>(
            "sight-size", "Images.SightSize", r => r.Images.SightSize,
            (r, v) => r with { Images = r.Images with { SightSize = v } }, "[0, 4096]",
            "The side of the square whose area the text encoder sees --reference at, in pixels; 0 keeps its own size. Default: the "
                + "model's (Qwen-Image-Edit-Plus: 384).") with { ModelOption = ModelOption.SightSize },
        RequestOption.Number(
            "strength", "Images.Strength", r => r.Images.Strength,
            (r, v) => r with { Images = r.Images with { Strength = v } }, "(0, 1]",
            "How much of --image is changed: the part of the steps that is done. Default: the model's (Stable Diffusion 0.8, SDXL 0.3; "
                + "with --mask all or nearly all).")
            with { ModelOption = ModelOption.Image },
        RequestOption.Text(
            "scheduler", nameof(GenerationRequest.Scheduler), r => r.Scheduler?.ToString(),
            (r, v) => r with { Scheduler = SchedulerChoice.Parse(v) },
            "NAME[:KEY=VALUE,...], as lcm, dpmpp_2m karras or euler:timestep_spacing=trailing, or a scheduler_config.json. Default: the "
                + "model's. Names: those of samplers in ComfyUI and AUTOMATIC1111, and "
                + $"{string.Join(", ", Scheduler.SupportedClasses.Order(StringComparer.Ordinal))}."),
        RequestOption.Parsed(
            "timesteps", nameof(GenerationRequest.Timesteps), r => r.Timesteps == null ? null : string.Join(',', r.Timesteps),
            (r, v, label) => r with { Timesteps = ParseIntegers(v, label) },
            "The timesteps to do, as 999,749,499,249, instead of --steps.") with { ModelOption = ModelOption.Timesteps },
        RequestOption.Parsed(
            "sigmas", nameof(GenerationRequest.Sigmas),
            r => r.Sigmas == null ? null : string.Join(',', r.Sigmas.Select(sigma => sigma.ToString("R", CultureInfo.InvariantCulture))),
            (r, v, label) => r with { Sigmas = ParseNumbers(v, label) },
            "The noise levels to do, from high to low, instead of --steps.") with { ModelOption = ModelOption.Sigmas },
        RequestOption.Number(
            "eta", nameof(GenerationRequest.Eta), r => r.Eta, (r, v) => r with { Eta = v }, "[0, 1]",
            "How much of the noise DDIM and TCD draw anew, 0 to 1.") with { ModelOption = ModelOption.Eta },
        RequestOption.Parsed(
            "lora-scales", nameof(GenerationRequest.LoraScales),
            r => r.LoraScales == null ? null
                : string.Join(',', r.LoraScales.Select(scale => scale.ToString("R", CultureInfo.InvariantCulture))),
            (r, v, label) => r with { LoraScales = [.. ParseNumbers(v, label).Select(scale => (float)scale)] },
            "How strongly each of the model's LoRA files acts, in their order, as 0.5,0. Default: as the model was opened with them."),
        RequestOption.Parsed(
            "cache", nameof(GenerationRequest.Cache), r => r.Cache?.ToString(),
            (r, v, label) => r with { Cache = StepCacheChoice.Parse(v, label) },
            "Leaves work out in steps that hardly differ from those before: first-block (fb:0.08), taylor:interval=3,order=1, mag, static, "
                + "broadcast, faster. Not exact; docs/caching.md says when not to. Default: none.")
            with { ModelOption = ModelOption.Cache },
        RequestOption.Integer<int>(
            "clip-skip", nameof(GenerationRequest.ClipSkip), r => r.ClipSkip, (r, v) => r with { ClipSkip = v }, "[0, inf)",
            "How many of CLIP's last layers are left out of the embeddings of both prompts.") with { ModelOption = ModelOption.ClipSkip },
        RequestOption.Flag(
            "negative-as-diffusers", nameof(GenerationRequest.NegativeAsDiffusers), r => r.NegativeAsDiffusers,
            (r, v) => r with { NegativeAsDiffusers = v },
            "Encode the negative prompt as diffusers does: without --clip-skip, and with an aesthetic score of 2.5 for SDXL's refiner. "
                + "Default: both prompts alike.") with { ModelOption = ModelOption.ClipSkip },
        RequestOption.Flag(
            "long-prompts", nameof(GenerationRequest.LongPrompts), r => r.LongPrompts, (r, v) => r with { LongPrompts = v },
            "Read prompts beyond CLIP's 77 tokens, in pieces, instead of cutting them off.") with { ModelOption = ModelOption.LongPrompts },
        RequestOption.Parsed(
            "prompt-weights", nameof(GenerationRequest.PromptWeights),
            r => r.PromptWeights == PromptWeighting.None ? null : PromptWeightings.Format(r.PromptWeights),
            (r, v, label) => r with { PromptWeights = PromptWeightings.Parse(v, label) },
            "How (words:1.3) in both prompts is read: a1111, a1111-no-norm, comfyui or negpip as weights; none as text, as diffusers "
                + "does. Default: none.") with { ModelOption = ModelOption.PromptWeights },
        RequestOption.Flag(
            "additive-text-mask", nameof(GenerationRequest.AdditiveTextMask), r => r.AdditiveTextMask,
            (r, v) => r with { AdditiveTextMask = v },
            "Read pads of the prompt, as the pipeline of diffusers does, instead of leaving them out.") with {
                ModelOption = ModelOption.AdditiveTextMask },
        RequestOption.Flag(
            "pictures-in-a-line", nameof(GenerationRequest.PicturesInALine), r => r.PicturesInALine,
            (r, v) => r with { PicturesInALine = v },
            "Place the tokens of pictures like text, as the pipeline of diffusers does with transformers 5, instead of by rows and "
                + "columns, as the model was trained.") with { ModelOption = ModelOption.PicturesInALine },
        RequestOption.Text(
            "instruction", nameof(GenerationRequest.Instruction), r => r.Instruction, (r, v) => r with { Instruction = v },
            "What Sana's text encoder is told before the prompt; an empty text for nothing. Default: the model's own instruction.")
            with { ModelOption = ModelOption.Instruction },
        RequestOption.Parsed(
            "original-size", nameof(GenerationRequest.SizeConditioning), r => Format(r.SizeConditioning?.OriginalSize),
            (r, v, label) => Sizes(r, sizes => sizes with { OriginalSize = ParseSize(v, label) }),
            "WIDTHxHEIGHT that SDXL takes for the picture's size before scaling.") with { ModelOption = ModelOption.OriginalSize },
        RequestOption.Parsed(
            "crop", nameof(GenerationRequest.SizeConditioning),
            r => r.SizeConditioning is { } s ? FormattableString.Invariant($"{s.CropLeft},{s.CropTop}") : null,
            (r, v, label) => ParseIntegers(v, label) is [var left, var top]
                ? Sizes(r, sizes => sizes with { CropLeft = left, CropTop = top })
                : throw new FormatException($"{label} is '{v}', expected LEFT,TOP."),
            "LEFT,TOP that SDXL takes for what was cut off.") with { ModelOption = ModelOption.OriginalSize },
        RequestOption.Parsed(
            "target-size", nameof(GenerationRequest.SizeConditioning), r => Format(r.SizeConditioning?.TargetSize),
            (r, v, label) => Sizes(r, sizes => sizes with { TargetSize = ParseSize(v, label) }),
            "WIDTHxHEIGHT that SDXL takes for the picture's size after cutting.") with { ModelOption = ModelOption.OriginalSize },
        RequestOption.Number(
            "aesthetic-score", nameof(GenerationRequest.SizeConditioning), r => r.SizeConditioning?.AestheticScore,
            (r, v) => Sizes(r, sizes => sizes with { AestheticScore = v }), null,
            "How beautiful SDXL's refiner takes the picture for, 1 to 10. Default: 6.") with { ModelOption = ModelOption.OriginalSize },
        RequestOption.Number(
            "negative-aesthetic-score", nameof(GenerationRequest.SizeConditioning), r => r.SizeConditioning?.NegativeAestheticScore,
            (r, v) => Sizes(r, sizes => sizes with { NegativeAestheticScore = v }), null,
            "The same for the negative prompt. Default: as for the prompt.") with { ModelOption = ModelOption.OriginalSize },
    ];

    /// <summary>The option that has a name, an alias or a JSON key; null when there is none.</summary>
    public static RequestOption? Find(string name) =>
        All.FirstOrDefault(option => option.Name == name || option.Key == name || option.Aliases.Contains(name));

    /// <summary>Writes the values that a request sets as members of a JSON object, each under its key.</summary>
    public static void Write(Utf8JsonWriter json, GenerationRequest request)
    {
        ArgumentNullException.ThrowIfNull(json);
        foreach (var option in All)
        {
            if (option.IsShorthand || option.Get(request) is not { } text)
                continue;
            json.WritePropertyName(option.Key);
            if (option.Kind is OptionKind.Integer or OptionKind.Number)
                json.WriteRawValue(text);
            else if (option.Kind is OptionKind.Flag or OptionKind.File)
                json.WriteBooleanValue(true);
            else
                json.WriteStringValue(text);
        }
    }

    /// <summary>A size as <c>1024x768</c>: width, then height.</summary>
    internal static PixelSize ParseSize(string text, string label)
    {
        var match = SizePattern().Match(text);
        if (!match.Success)
            throw new FormatException($"{label} is '{text}', expected WIDTHxHEIGHT, as 1024x768.");
        return new PixelSize(
            Width: int.Parse(match.Groups[1].ValueSpan, CultureInfo.InvariantCulture),
            Height: int.Parse(match.Groups[2].ValueSpan, CultureInfo.InvariantCulture));
    }

    private static GenerationRequest Sizes(GenerationRequest request, Func<SizeConditioning, SizeConditioning> change) =>
        request with { SizeConditioning = change(request.SizeConditioning ?? new SizeConditioning()) };

    private static string? Format(PixelSize? size) => size is { } s ? FormattableString.Invariant($"{s.Width}x{s.Height}") : null;

    private static int[] ParseIntegers(string text, string label) => Parse<int>(
        text, part => int.TryParse(part, NumberStyles.None, CultureInfo.InvariantCulture, out int value) ? value : null,
        $"{label} is '{text}', expected integers joined by commas.");

    private static double[] ParseNumbers(string text, string label) => Parse<double>(
        text, part => double.TryParse(part, NumberStyles.Float, CultureInfo.InvariantCulture, out double value) ? value : null,
        $"{label} is '{text}', expected numbers joined by commas.");

    private static T[] Parse<T>(string text, Func<string, T?> parse, string otherwise)
        where T : struct =>
        [.. text.Split(',', StringSplitOptions.TrimEntries).Select(part => parse(part) ?? throw new FormatException(otherwise))];

    [GeneratedRegex("^([0-9]{1,6})[xX×]([0-9]{1,6})$")]
    private static partial Regex SizePattern();
}
