using System.Security.Cryptography;
using System.Text.Json;
using Attune.Generation;
using Attune.Models;
using Attune.Schedulers;
using Attune.Server.Engine;
using Attune.Weights;

namespace Attune.Server.Requests;

/// <summary>
/// Reads what all ways of asking for pictures have in common: the fields of <see cref="OptionCatalog"/> by their JSON keys, and the names
/// that other servers have for some of them.
/// </summary>
/// <param name="models">The models.</param>
/// <param name="settings">Limits, and LoRA files by name.</param>
internal sealed class GenerationFields(ModelCatalog models, ServerSettings settings)
{
    private const int LongestPrompt = 32_000;

    /// <summary>Longer texts of rules and schedulers are meant to keep the server busy.</summary>
    private const int LongestChoice = 1_000;

    /// <summary>Options that are read here in a way of their own, or not at all.</summary>
    private static readonly HashSet<string> Apart = ["prompt", "count", "seed", "scheduler", "guidance", "guidance-scale", "size", "steps"];

    private static readonly string[] StepNames = ["steps", "num_inference_steps", "step"];

    /// <summary>The options that are read by the catalogue alone.</summary>
    public static IReadOnlyList<RequestOption> Options { get; } =
        [.. OptionCatalog.All.Where(option => option.Kind != OptionKind.File && !Apart.Contains(option.Name))];

    /// <summary>The names of all fields that are read here.</summary>
    public static IReadOnlyList<string> Names { get; } =
        [
            "prompt", "model", "n", "seed", "size", "scheduler", "guidance", "guidance_scale", "true_cfg_scale", "lora", .. StepNames,
            .. Options.Select(option => option.Key),
        ];

    /// <summary>Takes all fields that are read here.</summary>
    /// <param name="fields">The fields.</param>
    /// <param name="uploads">Pictures that were sent, to begin with or to look at, as the model takes them.</param>
    /// <exception cref="ApiException">A field is missing, or a value is none that it may have.</exception>
    public JobRequest Read(Fields fields, IReadOnlyList<Upload> uploads)
    {
        var model = models.Find(fields.Take("model")?.Text());
        var request = new GenerationRequest { Prompt = Prompt(fields) };
        int count = (int)(fields.Take("n")?.Integer(1, Math.Min(settings.Limits.Count, 10)) ?? 1);
        request = request with { Seed = Seed(fields) };
        if (fields.Take("size") is { } size && size.Text() != "auto")
            request = size.Set(Option("size"), request);
        request = Steps(fields, request);
        foreach (var option in Options)
        {
            if (fields.Take(option.Key) is { } field)
                request = field.Set(option, request);
        }
        if (request.NegativePrompt?.Length > LongestPrompt)
            throw TooLong("negative_prompt", request.NegativePrompt.Length);
        request = Scheduler(fields, request);
        request = Guidance(fields, request, model);
        var asked = new JobRequest(new ModelVariant(model, Loras(fields)), request, count);
        return uploads.Count == 0 ? asked : WithPictures(asked, uploads);
    }

    private static string Prompt(Fields fields)
    {
        string prompt = fields.Take("prompt")?.Text()
            ?? throw ApiException.Invalid("prompt", "Missing required parameter: 'prompt'.", "missing_required_parameter");
        return prompt.Length switch
        {
            0 => throw ApiException.Invalid("prompt", "prompt is empty, expected what the picture shows.", "string_below_min_length"),
            > LongestPrompt => throw TooLong("prompt", prompt.Length),
            _ => prompt,
        };
    }

    private static ApiException TooLong(string name, int length) => ApiException.Invalid(
        name, FormattableString.Invariant($"{name} has {length} characters, expected {LongestPrompt} at most."),
        "string_above_max_length");

    /// <summary>The seed; -1 and none is one by chance, which JavaScript can hold.</summary>
    private static ulong Seed(Fields fields)
    {
        const int Bits = 53;
        return fields.Take("seed") is { } field && field.Integer(-1, long.MaxValue) is >= 0 and var seed ? (ulong)seed
            : BitConverter.ToUInt64(RandomNumberGenerator.GetBytes(sizeof(ulong))) >> (64 - Bits);
    }

    private static GenerationRequest Steps(Fields fields, GenerationRequest request)
    {
        foreach (string name in StepNames)
        {
            if (fields.Take(name) is not { } field)
                continue;
            var set = field.Set(Option("steps"), request);
            if (request.Steps is { } before && before != set.Steps)
                throw field.Wrong(FormattableString.Invariant($"{before} as under its other name"));
            request = set;
        }
        return request;
    }

    /// <summary>A scheduler by name: a path or a whole configuration, which the library reads too, does not come from strangers.</summary>
    private static GenerationRequest Scheduler(Fields fields, GenerationRequest request)
    {
        if (fields.Take("scheduler") is not { } field)
            return request;
        string text = field.Text();
        if (text.Length > LongestChoice || text.StartsWith('{'))
            throw field.Wrong("the name of a scheduler");
        try
        {
            return request with { Scheduler = SchedulerChoice.Parse(text, files: false) };
        }
        catch (Exception exception) when (exception is FormatException or ArgumentException or CheckpointException)
        {
            throw ApiException.Invalid(field.Name, $"{field.Name}: {exception.Message}", cause: exception);
        }
    }

    /// <summary>
    /// Rules as the command line has them. A guidance scale is that of the model where it embeds one, and else, above 1, that of
    /// classifier-free guidance.
    /// </summary>
    private static GenerationRequest Guidance(Fields fields, GenerationRequest request, ModelInfo model)
    {
        var field = fields.Take("guidance");
        string? rules = field?.Text();
        if (rules?.Length > LongestChoice)
            throw field!.Value.Wrong(FormattableString.Invariant($"a text of {LongestChoice} characters at most"));
        foreach (string name in (string[])["guidance_scale", "true_cfg_scale"])
        {
            if (fields.Take(name) is not { } scale)
                continue;
            double value = scale.Number();
            if (name == "guidance_scale" && model.Facts.Takes(ModelOption.GuidanceScale))
            {
                request = scale.Set(Option("guidance-scale"), request);
                continue;
            }
            if (value < 0)
                throw scale.Wrong("a number, at least 0");
            if (value <= 1)
                continue;
            if (rules?.Contains("cfg", StringComparison.OrdinalIgnoreCase) == true)
                throw scale.Wrong("none beside a guidance that has cfg itself");
            string cfg = FormattableString.Invariant($"cfg:scale={value}");
            rules = rules is null or "none" or "default" ? cfg : $"{rules}+{cfg}";
            field ??= scale;
        }
        return rules == null ? request : (field!.Value with { Json = default, Form = rules }).Set(Option("guidance"), request);
    }

    private List<(string Name, LoraWeights Weights)> Loras(Fields fields)
    {
        var loras = new List<(string, LoraWeights)>();
        if (fields.Take("lora") is not { } field)
            return loras;
        if (field.Form != null || field.Json.ValueKind != JsonValueKind.Array)
            throw field.Wrong("a list of {\"name\": ..., \"scale\": ...}");
        foreach (var item in field.Json.EnumerateArray())
        {
            var lora = Fields.Of(item);
            string name = lora.Take("name")?.Text() ?? throw ApiException.Invalid("lora", "lora: an item has no name.");
            if (!settings.Loras.TryGetValue(name, out string? path))
            {
                throw ApiException.Invalid(
                    "lora",
                    $"lora: there is no '{(name.Length > 60 ? name[..60] + "..." : name)}'; "
                        + (settings.Loras.Count == 0 ? "this server has none." : $"there are: {string.Join(", ", settings.Loras.Keys)}."));
            }
            double scale = lora.Take("scale")?.Number() ?? 1;
            lora.RefuseRest(["name", "scale"]);
            loras.Add((name, new LoraWeights(path, (float)scale)));
        }
        return loras;
    }

    /// <summary>
    /// Pictures go where the model takes them: one to begin with, or several to look at, and a control picture. None is dropped. With a
    /// mask, the first is the one of which a part is made anew.
    /// </summary>
    private static JobRequest WithPictures(JobRequest asked, IReadOnlyList<Upload> uploads)
    {
        var facts = asked.Model.Facts;
        if (uploads.FirstOrDefault(upload => upload.IsMask) is { } mask)
        {
            Upload[] others = [.. uploads.Where(upload => !upload.IsMask)];
            if (!facts.Takes(ModelOption.Mask))
                throw ApiException.Invalid(Upload.Mask, $"mask: the model {asked.Model.Name} takes none.", "unsupported_value");
            if (others.Length == 0)
                throw ApiException.Invalid("image", "Missing required parameter: 'image'.", "missing_required_parameter");
            return others.Length == 1 || facts.Takes(ModelOption.References)
                ? asked with { Initial = others[0], Mask = mask, References = others[1..] }
                : throw ApiException.Invalid(
                    others[0].Field,
                    FormattableString.Invariant($"{others.Length} images are given beside a mask; the model ")
                        + $"{asked.Model.Name} takes one.");
        }
        string first = uploads[0].Field;
        bool begins = facts.Takes(ModelOption.Image);
        if (facts.Takes(ModelOption.References) && !(begins && asked.Request.Images.Strength != null))
            return asked with { References = uploads };
        if (!begins)
        {
            throw ApiException.Invalid(
                first, $"{first}: the model {asked.Model.Name} makes images from text only.", "unsupported_value");
        }
        if (uploads.Count > 1)
        {
            throw ApiException.Invalid(
                first, FormattableString.Invariant($"{uploads.Count} images are given; the model {asked.Model.Name} takes one."));
        }
        return asked with { Initial = uploads[0] };
    }

    private static RequestOption Option(string name) => OptionCatalog.Find(name)!;
}
