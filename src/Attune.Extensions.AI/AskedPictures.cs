using System.Drawing;
using System.Globalization;
using System.Security.Cryptography;
using System.Text.Json;
using Attune.Generation;
using Attune.Guidance;
using Attune.Models;
using Attune.Schedulers;
using Attune.Weights;
using Microsoft.Extensions.AI;
using Image = Attune.Imaging.Image;
using ImageException = Attune.Imaging.ImageException;

namespace Attune.Extensions.AI;

/// <summary>
/// What is asked of a generator: the one place that reads a request and its options, checks them, and refuses what cannot be done.
/// </summary>
internal sealed class AskedPictures
{
    /// <summary>Additional properties of this prefix are meant for this generator; others may be for somebody else.</summary>
    private const string Prefix = "attune.";

    private static readonly Dictionary<string, string> Aliases = new(StringComparer.Ordinal)
    {
        ["num_inference_steps"] = "steps", ["step"] = "steps",
    };

    /// <summary>Options that the request itself or other members of the options say.</summary>
    private static readonly Dictionary<string, string> SaidElsewhere = new(StringComparer.Ordinal)
    {
        ["prompt"] = "the request's Prompt", ["count"] = "Count", ["n"] = "Count", ["size"] = "ImageSize", ["width"] = "ImageSize",
        ["height"] = "ImageSize", ["image_to_image"] = "the request's OriginalImages", ["reference"] = "the request's OriginalImages",
    };

    private readonly DiffusionPipeline _pipeline;
    private readonly GenerationRequest _request;

    private AskedPictures(DiffusionPipeline pipeline, GenerationRequest request) => (_pipeline, _request) = (pipeline, request);

    /// <summary>How many pictures.</summary>
    public int Count { get; private init; }

    public required PictureFile File { get; init; }

    /// <summary>Receives pictures of steps.</summary>
    public IProgress<DenoisingPreview>? Previews { get; private init; }

    /// <summary>How many of them of each picture.</summary>
    public int PreviewCount { get; private init; }

    /// <summary>Reads a request.</summary>
    /// <exception cref="ArgumentException">Something that is asked for cannot be done.</exception>
    public static AskedPictures Read(AttuneImageGenerator generator, ImageGenerationRequest request, ImageGenerationOptions? options)
    {
        var facts = generator.Pipeline.Facts;
        options ??= new ImageGenerationOptions();
        if (options.ModelId is { } model && model != generator.ModelId)
            throw new ArgumentException($"ModelId is '{model}'; this generator has '{generator.ModelId}'.", nameof(options));
        if (options.ResponseFormat is { } format && format != ImageGenerationResponseFormat.Data)
            throw new ArgumentException($"ResponseFormat is {format}; pictures are made here, and given as data.", nameof(options));
        var own = options as AttuneImageGenerationOptions;
        int count = options.Count ?? 1;
        if (count < 1)
            throw new ArgumentException($"Count is {count}, expected at least 1.", nameof(options));
        int previews = options.StreamingCount ?? 0;
        if (previews < 0)
            throw new ArgumentException($"StreamingCount is {previews}, expected at least 0.", nameof(options));
        if (previews > 0 && own?.Previews == null)
        {
            throw new ArgumentException(
                $"StreamingCount is {previews}, and nobody receives the pictures: {nameof(AttuneImageGenerationOptions)}."
                    + $"{nameof(AttuneImageGenerationOptions.Previews)} is not set.", nameof(options));
        }
        try
        {
            var read = WithPictures(
                WithOwn(WithAdditional(Base(generator, request, options), generator, options), own, options.ImageSize, facts),
                request.OriginalImages, facts);
            var asked = new AskedPictures(generator.Pipeline, read)
            {
                Count = count, File = PictureFile.Of(options.MediaType, facts.Takes(ModelOption.Frames)), Previews = own?.Previews,
                PreviewCount = previews,
            };
            asked.Resolve(0);                   // refused now rather than when it is its turn
            return asked;
        }
        catch (Exception exception) when (exception is FormatException or ImageException or CheckpointException)
        {
            throw new ArgumentException(exception.Message, nameof(options), exception);
        }
    }

    /// <summary>One of the pictures, with everything set.</summary>
    public ResolvedRequest Resolve(int index) => _pipeline.Resolve(_request with { Seed = unchecked(_request.Seed + (ulong)index) });

    /// <summary>Whether a picture is wanted of a step: of P of N steps, the k-th is that of step k N / (P + 1), rounded.</summary>
    public bool Wants(DenoisingStep step) => !step.IsLast && Enumerable.Range(1, PreviewCount)
        .Any(k => (int)Math.Round((double)k * step.Count / (PreviewCount + 1)) == step.Index + 1);

    /// <summary>The request to begin with, and which one that would be if nothing were said.</summary>
    private static (GenerationRequest Request, GenerationRequest Nothing) Base(
        AttuneImageGenerator generator, ImageGenerationRequest request, ImageGenerationOptions options)
    {
        var raw = options.RawRepresentationFactory?.Invoke(generator) switch
        {
            null => null,
            GenerationRequest known => known,
            var other => throw new ArgumentException(
                $"RawRepresentationFactory gives a {other.GetType()}, expected a {typeof(GenerationRequest)}.", nameof(options)),
        };
        string prompt = request.Prompt ?? raw?.Prompt ?? "";
        if (prompt.Length == 0)
            throw new ArgumentException("Prompt is empty, expected what the picture shows.", nameof(request));
        if (raw is { Count: not 1 })
        {
            throw new ArgumentException(
                $"The request of RawRepresentationFactory has Count {raw.Count}; say it with Count of the options.", nameof(options));
        }
        if (raw is { InitialNoise: not null } && options.Count > 1)
            throw new ArgumentException("Count is above 1, and all pictures would have one InitialNoise.", nameof(options));
        const int Bits = 53;            // what JavaScript can hold
        var nothing = new GenerationRequest
        {
            Prompt = prompt, Seed = BitConverter.ToUInt64(RandomNumberGenerator.GetBytes(sizeof(ulong))) >> (64 - Bits),
        };
        return (raw == null ? nothing : raw with { Prompt = prompt }, raw == null ? nothing : nothing with { Seed = 0 });
    }

    /// <summary>What additional properties say where the request does not, by the keys of <see cref="OptionCatalog"/>.</summary>
    private static GenerationRequest WithAdditional(
        (GenerationRequest Request, GenerationRequest Nothing) given, AttuneImageGenerator generator, ImageGenerationOptions options)
    {
        var (request, facts) = (given.Request, generator.Pipeline.Facts);
        string? cfg = null;
        foreach (var (name, value) in options.AdditionalProperties ?? [])
        {
            bool meant = name.StartsWith(Prefix, StringComparison.Ordinal);
            string key = meant ? name[Prefix.Length..] : name;
            key = Aliases.GetValueOrDefault(key, key);
            if (value is null or JsonElement { ValueKind: JsonValueKind.Null or JsonValueKind.Undefined })
                continue;
            if (SaidElsewhere.TryGetValue(key, out string? where))
                throw new ArgumentException($"The additional property {name} is not read; say it with {where}.", nameof(options));
            if (key == "true_cfg_scale" || (key == "guidance_scale" && !facts.Takes(ModelOption.GuidanceScale)))
            {
                cfg = TextOf(name, value);
                continue;
            }
            var option = OptionCatalog.All.FirstOrDefault(option => option.Key == key);
            if (option == null)
            {
                string meaning = Spelling.DidYouMean(key, OptionCatalog.All.Select(known => known.Key));
                if (meant)
                    throw new ArgumentException($"There is no {name}{meaning}.", nameof(options));
                generator.SayUnread(name, meaning);
                continue;
            }
            if (option.Get(given.Request) != option.Get(given.Nothing))
                continue;                       // the request says it
            if (option.Name == "scheduler")
                request = request with { Scheduler = SchedulerChoice.Parse(TextOf(name, value), files: false) };
            else
                request = value is JsonElement { ValueKind: not JsonValueKind.Array } json ? option.Set(request, json, name)
                    : option.Set(request, TextOf(name, value), name);
        }
        return cfg == null ? request : WithScale(request, cfg);
    }

    /// <summary>Other tools' scale of guidance: above 1 it is that of classifier-free guidance.</summary>
    private static GenerationRequest WithScale(GenerationRequest request, string text)
    {
        if (!double.TryParse(text, NumberStyles.Float, CultureInfo.InvariantCulture, out double scale) || !(scale >= 0))
            throw new ArgumentException($"The guidance scale is {text}, expected a number of at least 0.");
        if (scale <= 1)
            return request;
        string rules = request.Guidance.ToString();
        if (rules.Contains("cfg", StringComparison.OrdinalIgnoreCase))
            throw new ArgumentException($"The guidance scale is {text}, and the guidance '{rules}' has cfg itself.");
        string cfg = FormattableString.Invariant($"cfg:scale={scale}");
        bool alone = request.Guidance.Equals(GuidanceChoice.Default) || request.Guidance.Equals(GuidanceChoice.None);
        return request with { Guidance = GuidanceChoice.Parse(alone ? cfg : $"{rules}+{cfg}") };
    }

    /// <summary>What the options say themselves, over everything else.</summary>
    private static GenerationRequest WithOwn(
        GenerationRequest request, AttuneImageGenerationOptions? own, Size? size, FamilyFacts facts)
    {
        if (size is { } pixels)
            request = request with { Width = pixels.Width, Height = pixels.Height };
        if (own == null)
            return request;
        if (own.Strength != null && !facts.Takes(ModelOption.Image))
            throw new ArgumentException($"Strength is given; {facts.ClassName} makes pictures from text only.");
        return request with
        {
            NegativePrompt = own.NegativePrompt ?? request.NegativePrompt,
            Guidance = own.Guidance == null ? request.Guidance : GuidanceChoice.Parse(own.Guidance),
            Preset = own.Preset ?? request.Preset,
            Steps = own.Steps ?? request.Steps,
            Seed = own.Seed ?? request.Seed,
            Scheduler = own.Scheduler == null ? request.Scheduler : SchedulerChoice.Parse(own.Scheduler, files: false),
            Images = own.Strength == null ? request.Images : request.Images with { Strength = own.Strength },
        };
    }

    /// <summary>Pictures go where the model takes them: one to begin with, or several to look at. None is dropped.</summary>
    private static GenerationRequest WithPictures(GenerationRequest request, IEnumerable<AIContent>? originals, FamilyFacts facts)
    {
        Image[] images = [.. (originals ?? []).Select(Decode)];
        if (images.Length == 0)
            return request;
        if (request.Images.HasInitial || request.Images.References.Count > 0)
            throw new ArgumentException("OriginalImages are given, and the request of RawRepresentationFactory has pictures too.");
        bool begins = facts.Takes(ModelOption.Image);
        if (facts.Takes(ModelOption.References) && !(begins && request.Images.Strength != null))
            return request with { Images = request.Images with { References = images } };
        if (!begins)
            throw new ArgumentException($"OriginalImages are given; {facts.ClassName} makes pictures from text only.");
        return images.Length == 1 ? request with { Images = request.Images with { Initial = images[0] } }
            : throw new ArgumentException($"{images.Length} OriginalImages are given; {facts.ClassName} takes one.");
    }

    private static Image Decode(AIContent content, int index)
    {
        string name = FormattableString.Invariant($"OriginalImages[{index}]");
        var data = content switch
        {
            DataContent known => known,
            UriContent { Uri.Scheme: "data" } uri => new DataContent(uri.Uri),
            UriContent uri => throw new ArgumentException($"{name} is at '{uri.Uri.Host}'; nothing is fetched: give it as data."),
            _ => throw new ArgumentException($"{name} is a {content?.GetType().Name ?? "null"}, expected a DataContent."),
        };
        return Image.Read(data.Data.Span, name);
    }

    /// <summary>The text form of a value: additional properties are what callers put there, or JSON when they were sent.</summary>
    private static string TextOf(string name, object value) => value switch
    {
        string text => text,
        bool flag => flag ? "true" : "false",
        JsonElement { ValueKind: JsonValueKind.String } json => json.GetString()!,
        JsonElement { ValueKind: JsonValueKind.Array } json => string.Join(',', json.EnumerateArray().Select(item => item.GetRawText())),
        JsonElement { ValueKind: not JsonValueKind.Object } json => json.GetRawText(),
        GuidanceChoice or SchedulerChoice or StepCacheChoice => value.ToString()!,
        IFormattable number => number.ToString(null, CultureInfo.InvariantCulture),
        System.Collections.IEnumerable items => string.Join(',', items.Cast<object>().Select(item => TextOf(name, item))),
        _ => throw new ArgumentException($"The additional property {name} is a {value.GetType()}, expected a text or a number."),
    };
}
