using System.Text.Json;
using System.Text.Json.Serialization;

namespace Attune.Guidance;

/// <summary>How well a preset is founded.</summary>
public enum PresetOrigin
{
    /// <summary>The source gives these numbers for this model.</summary>
    Published,

    /// <summary>The source gives them for a related model or in part.</summary>
    Inferred,

    /// <summary>Found by experiments of this project.</summary>
    Ours,
}

/// <summary>A rule with the parameters that suit a family of models.</summary>
/// <param name="Rule">The rule; parameters that the source does not give have their defaults.</param>
/// <param name="Origin">How well the numbers are founded.</param>
/// <param name="Source">Where they are from: a table, a repository, a model card.</param>
public sealed record RulePreset(GuidanceRule Rule, PresetOrigin Origin, string Source)
{
    /// <summary>The rule's name.</summary>
    public string Name => Rule.Form.Name;
}

/// <summary>
/// How a family of models is sampled, where its folder cannot say so: few-step models that are distilled from others share their form.
/// </summary>
/// <param name="Scheduler">A scheduler and changes of its configuration, as <c>EulerDiscreteScheduler:timestep_spacing=trailing</c>; null
/// is the checkpoint's.</param>
/// <param name="Steps">The number of steps; null where <paramref name="Timesteps"/> or <see cref="Sigmas"/> say it.</param>
/// <param name="Timesteps">The timesteps themselves, from high to low.</param>
/// <param name="Eta">How much of the noise is drawn anew, for schedulers with this option.</param>
/// <param name="GuidanceScale">The guidance scale that the model embeds.</param>
/// <param name="Origin">How well the numbers are founded.</param>
/// <param name="Source">Where they are from.</param>
public sealed record SamplingPreset(
    string? Scheduler, int? Steps, IReadOnlyList<int>? Timesteps, float? Eta, float? GuidanceScale, PresetOrigin Origin, string Source)
{
    /// <summary>The noise levels themselves, from high to low, before the scheduler's own shift; null where steps or timesteps are
    /// stated.</summary>
    public IReadOnlyList<double>? Sigmas { get; init; }
}

/// <summary>What is known of a family of models.</summary>
/// <param name="Family">Its name, as <c>sdxl-dmd2</c>.</param>
/// <param name="Title">Its name for people.</param>
/// <param name="FewStep">Whether it was distilled to few steps, in which classifier-free guidance is off.</param>
/// <param name="Rules">Parameters of rules, no rule twice.</param>
/// <param name="Sampling">How it is sampled, or null for its folder's and pipeline's own way.</param>
public sealed record ModelPreset(string Family, string Title, bool FewStep, IReadOnlyList<RulePreset> Rules, SamplingPreset? Sampling)
{
    /// <summary>
    /// The form of the model, as <c>sdxl</c>: families of one form have the same layers, and cannot always be told apart by their folders.
    /// </summary>
    public required string Form { get; init; }

    /// <summary>The guidance of requests that say nothing and have no negative prompt, as text: <c>cfg</c>, or <c>none</c>.</summary>
    public string Guidance { get; init; } = "none";

    /// <summary>The guidance of requests that have a negative prompt and say nothing else, as text: <c>nag</c>, <c>nag+cfg</c>.</summary>
    public string NegativeGuidance { get; init; } = "nag";

    /// <summary>The entry of a rule by its preferred name, or null.</summary>
    public RulePreset? Find(string rule) => Rules.FirstOrDefault(preset => preset.Name == rule);
}

/// <summary>
/// Published parameters of guidance rules, and how few-step models are sampled, for families of models, each with its source. They are
/// data: <c>presets.json</c>, embedded in the library. Read strictly: an entry that names no rule or parameter, lies out of range or has no
/// source is an error.
/// </summary>
public static partial class GuidancePresets
{
    private static readonly Lazy<IReadOnlyDictionary<string, ModelPreset>> All = new(() =>
    {
        using var stream = typeof(GuidancePresets).Assembly.GetManifestResourceStream("Attune.Guidance.presets.json")!;
        using var reader = new StreamReader(stream);
        return Read(reader.ReadToEnd());
    });

    /// <summary>The families that are known.</summary>
    public static IReadOnlyList<string> Families => [.. All.Value.Keys.Order(StringComparer.Ordinal)];

    /// <summary>What is known of a family.</summary>
    /// <exception cref="ArgumentException">There is no such family.</exception>
    public static ModelPreset For(string family)
    {
        ArgumentNullException.ThrowIfNull(family);
        return All.Value.TryGetValue(family, out var preset) ? preset
            : throw new ArgumentException(
                $"'{family}' is no family of models that has presets{Spelling.DidYouMean(family, Families)}; there are: "
                    + $"{string.Join(", ", Families)}.",
                nameof(family));
    }

    /// <summary>The parameters of a rule for a family, or null when nothing is known.</summary>
    /// <param name="family">One of <see cref="Families"/>.</param>
    /// <param name="rule">Any name of the rule.</param>
    /// <exception cref="ArgumentException">There is no such family.</exception>
    /// <exception cref="FormatException">There is no such rule.</exception>
    public static RulePreset? Rule(string family, string rule) => For(family).Find(RuleCatalog.Find(rule).Form.Name);

    /// <summary>Reads the text of a file of presets.</summary>
    /// <exception cref="FormatException">The text is malformed, or an entry is; the message names it.</exception>
    internal static IReadOnlyDictionary<string, ModelPreset> Read(string json)
    {
        try
        {
            var entries = JsonSerializer.Deserialize(json, Form.Default.DictionaryStringEntry)
                ?? throw new FormatException("The presets are null.");
            return entries.ToDictionary(entry => entry.Key, entry => Build(entry.Key, entry.Value), StringComparer.OrdinalIgnoreCase);
        }
        catch (JsonException exception)
        {
            throw new FormatException($"The presets are malformed: {exception.Message}", exception);
        }
    }

    private static ModelPreset Build(string family, Entry entry)
    {
        string At(string what) => $"Presets of '{family}': {what}";
        var rules = new List<RulePreset>();
        foreach (var given in entry.Rules)
        {
            GuidanceRule rule;
            try
            {
                rule = RuleCatalog.Parse(given.Rule) is [var one] ? one : throw new FormatException($"'{given.Rule}' is not one rule.");
            }
            catch (Exception exception) when (exception is FormatException or ArgumentOutOfRangeException)
            {
                throw new FormatException(At(exception.Message), exception);
            }
            if (string.IsNullOrWhiteSpace(given.Source))
                throw new FormatException(At($"'{given.Rule}' has no source."));
            var preset = new RulePreset(rule, given.Origin, given.Source);
            if (rules.Any(other => other.Name == preset.Name))
                throw new FormatException(At($"{preset.Name} is given twice."));
            rules.Add(preset);
        }
        if (entry.Sampling is { } sampling)
        {
            if (string.IsNullOrWhiteSpace(sampling.Source))
                throw new FormatException(At("the sampling has no source."));
            if (new[] { sampling.Steps != null, sampling.Timesteps != null, sampling.Sigmas != null }.Count(given => given) != 1)
                throw new FormatException(At("the sampling has either steps or timesteps or sigmas."));
            if (sampling.Sigmas is { } levels
                && (levels.Count == 0 || levels.Any(level => level is not (> 0 and <= 1))
                    || levels.Zip(levels.Skip(1)).Any(pair => pair.First <= pair.Second)))
                throw new FormatException(At("sigmas fall and lie above 0, up to 1."));
            if (sampling.Steps is < 1 or > 1000
                || sampling.Timesteps is { } times
                && (
                    times.Count == 0
                        || times.Any(t => t is < 0 or > 999) || times.Zip(times.Skip(1)).Any(pair => pair.First <= pair.Second)))
                throw new FormatException(At("steps are 1 to 1000; timesteps fall and lie within 0 to 999."));
            if (sampling.Eta is < 0 or > 1 || sampling.GuidanceScale is < 0)
                throw new FormatException(At("eta is 0 to 1, guidance_scale at least 0."));
        }
        foreach (string? guidance in new[] { entry.Guidance, entry.NegativeGuidance })
        {
            if (guidance != null && entry.FewStep)
                throw new FormatException(At("a few-step model has no guidance without a negative prompt, and nag with one."));
            foreach (var rule in guidance == null ? [] : RuleCatalog.Parse(guidance))
            {
                if (rules.All(known => known.Name != rule.Form.Name))
                    throw new FormatException(At($"{rule.Form.Name} is its guidance, and no parameters of it are given."));
            }
        }
        var sampled = entry.Sampling is not { } found ? null
            : new SamplingPreset(
                found.Scheduler, found.Steps, found.Timesteps, found.Eta, found.GuidanceScale, found.Origin, found.Source)
            {
                Sigmas = found.Sigmas,
            };
        return new ModelPreset(family, entry.Title, entry.FewStep, rules, sampled)
        {
            Form = entry.Form ?? family,
            Guidance = entry.Guidance ?? "none",
            NegativeGuidance = entry.NegativeGuidance ?? entry.Guidance ?? "nag",
        };
    }

    private sealed record Entry(
        string Title, IReadOnlyList<RuleEntry> Rules, string? Form = null, bool FewStep = false, string? Guidance = null,
        string? NegativeGuidance = null, SamplingEntry? Sampling = null);

    private sealed record RuleEntry(string Rule, PresetOrigin Origin, string Source);

    private sealed record SamplingEntry(
        PresetOrigin Origin, string Source, string? Scheduler = null, int? Steps = null, IReadOnlyList<int>? Timesteps = null,
        float? Eta = null, float? GuidanceScale = null, IReadOnlyList<double>? Sigmas = null);

    /// <summary>The file's form, compiled: nothing is looked up by reflection.</summary>
    [JsonSourceGenerationOptions(
        PropertyNamingPolicy = JsonKnownNamingPolicy.SnakeCaseLower, UnmappedMemberHandling = JsonUnmappedMemberHandling.Disallow,
        RespectRequiredConstructorParameters = true, RespectNullableAnnotations = true, Converters = [typeof(OriginConverter)])]
    [JsonSerializable(typeof(Dictionary<string, Entry>))]
    private sealed partial class Form : JsonSerializerContext;

    private sealed class OriginConverter() :
        JsonStringEnumConverter<PresetOrigin>(JsonNamingPolicy.SnakeCaseLower, allowIntegerValues: false);
}
