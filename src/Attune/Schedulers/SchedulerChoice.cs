using System.Text;
using System.Text.Json;
using System.Text.Json.Nodes;
using Attune.Weights;

namespace Attune.Schedulers;

/// <summary>
/// The scheduler that a request wants instead of its checkpoint's: another class, other values, or another configuration as a whole.
/// Immutable data that knows no checkpoint, so that it can stand in a preset.
/// </summary>
public sealed record SchedulerChoice
{
    private readonly ModelConfig? _whole;
    private readonly SortedDictionary<string, string> _changes = new(StringComparer.Ordinal);
    private readonly string? _class;
    private readonly bool _short;

    private SchedulerChoice(
        ModelConfig? whole, string? className, IEnumerable<KeyValuePair<string, string>> changes, bool isShort = false)
    {
        (_whole, _class, _short) = (whole, className, isShort);
        foreach (var (key, value) in changes)
            _changes[key] = value;
    }

    /// <summary>
    /// The checkpoint's configuration with changes, as from_config of diffusers: what the checkpoint states is kept, what it does not state
    /// takes the default of the class.
    /// </summary>
    /// <param name="className">The class, as LCMScheduler; null keeps the checkpoint's.</param>
    /// <param name="changes">Keys and values, as timestep_spacing and trailing: numbers, true, false, null, and texts as they are.</param>
    /// <exception cref="ArgumentException">There is no such class.</exception>
    public static SchedulerChoice Change(string? className, params IEnumerable<KeyValuePair<string, string>> changes)
    {
        if (className != null && !Scheduler.SupportedClasses.Contains(className))
            throw new ArgumentException(
                $"The scheduler {className} is not supported; supported are "
                    + $"{string.Join(", ", Scheduler.SupportedClasses.Order(StringComparer.Ordinal))}.",
                nameof(className));
        return new SchedulerChoice(null, className, changes);
    }

    /// <summary>A whole configuration instead of the checkpoint's: the text of a scheduler_config.json.</summary>
    /// <param name="json">The text.</param>
    /// <param name="name">What errors call it.</param>
    /// <exception cref="CheckpointException">The text is malformed, or its class is not supported.</exception>
    public static SchedulerChoice Replace(string json, string name = "scheduler")
    {
        ArgumentNullException.ThrowIfNull(json);
        var config = ModelConfig.Parse(name, Encoding.UTF8.GetBytes(json));
        Scheduler.From(config);         // fails now, not when a request runs
        return new SchedulerChoice(config, null, []);
    }

    /// <summary>
    /// Reads <c>euler</c>, <c>EulerDiscreteScheduler:timestep_spacing=trailing</c>, <c>:timestep_spacing=trailing</c> (the checkpoint's
    /// class), the path of a scheduler_config.json, or its text itself, which begins with a brace. A short name is a
    /// class without Scheduler and Discrete, in any case, hyphens left out, or the name of a sampler in ComfyUI or AUTOMATIC1111's web UI
    /// with or without a spacing of the noise levels: <c>euler_ancestral</c>, <c>DPM++ 2M Karras</c>. On a model of flow matching
    /// <c>euler</c>, <c>heun</c> and <c>lcm</c> mean the classes for flow matching; a class's own name always means itself.
    /// </summary>
    /// <param name="text">The text.</param>
    /// <param name="files">Whether the text may be the path of a file: not where it comes from a stranger.</param>
    /// <exception cref="FormatException">The text is none of these.</exception>
    /// <exception cref="CheckpointException">The file is malformed, or its class is not supported.</exception>
    public static SchedulerChoice Parse(string text, bool files = true)
    {
        ArgumentNullException.ThrowIfNull(text);
        if (files && File.Exists(text))
            return Replace(File.ReadAllText(text), text);
        if (text.StartsWith('{'))
            return Replace(text);
        string[] halves = text.Split(':', 2, StringSplitOptions.TrimEntries);
        string? name = null;
        var changes = new List<KeyValuePair<string, string>>();
        if (halves[0].Length > 0)
        {
            var alias = SchedulerAliases.Find(halves[0]);
            changes.AddRange(alias?.Values ?? []);
            name = alias?.ClassName ?? Scheduler.SupportedClasses.FirstOrDefault(known => Short(known) == Short(halves[0]))
                ?? throw new FormatException(
                    $"'{halves[0]}' is {(files ? "neither a file nor a scheduler" : "no scheduler")}; there are: "
                        + $"{string.Join(", ", Scheduler.SupportedClasses.Order(StringComparer.Ordinal))}, and the names of ComfyUI and "
                        + $"AUTOMATIC1111: {string.Join(", ", SchedulerAliases.Names)}, which "
                        + $"{string.Join(", ", SchedulerAliases.SpacingNames)} may follow.");
        }
        foreach (
            string pair in halves.Length == 1 ? []
                : halves[1].Split(',', StringSplitOptions.TrimEntries | StringSplitOptions.RemoveEmptyEntries))
        {
            string[] sides = pair.Split('=', 2, StringSplitOptions.TrimEntries);
            if (sides.Length != 2 || sides[0].Length == 0)
                throw new FormatException($"'{pair}' in '{text}': expected KEY=VALUE, as timestep_spacing=trailing.");
            changes.Add(KeyValuePair.Create(sides[0], sides[1]));
        }
        if (name == null && changes.Count == 0)
            throw new FormatException($"'{text}' names no scheduler.");
        return new SchedulerChoice(null, name, changes, isShort: name != null && halves[0] != name);
    }

    /// <summary>The names of samplers in ComfyUI and in AUTOMATIC1111's web UI that <see cref="Parse"/> understands.</summary>
    public static IReadOnlyList<string> SamplerNames => SchedulerAliases.Names;

    /// <summary>The names of spacings of the noise levels that may follow such a name.</summary>
    public static IReadOnlyList<string> SpacingNames => SchedulerAliases.SpacingNames;

    /// <summary>The class that it changes to; null keeps the checkpoint's, or comes with a whole configuration.</summary>
    internal string? ClassName => _class;

    /// <summary>Whether it is a whole configuration, which says by itself what kind of noise a model was trained with.</summary>
    internal bool IsWhole => _whole != null;

    /// <summary>The scheduler, for a checkpoint whose own configuration is given.</summary>
    /// <exception cref="CheckpointException">A value is malformed, or the class is not supported.</exception>
    public Scheduler For(ModelConfig own) =>
        _whole != null ? Scheduler.From(_whole)
            : Scheduler.From(own, _class, _changes.ToDictionary(change => change.Key, change => Json(change.Value)));

    /// <summary>The choice for a kind of noise: a short name becomes the class that it means there.</summary>
    internal SchedulerChoice For(NoiseKind kind) =>
        _short ? new SchedulerChoice(null, SchedulerFit.ForNoise(_class!, kind), _changes) : this;

    /// <inheritdoc/>
    public bool Equals(SchedulerChoice? other) => other != null && ToString() == other.ToString();

    /// <inheritdoc/>
    public override int GetHashCode() => ToString().GetHashCode(StringComparison.Ordinal);

    /// <summary>The text form; a whole configuration is its JSON.</summary>
    public override string ToString()
    {
        if (_whole != null)
            return "{" + string.Join(", ", _whole.Keys().Select(key => $"\"{key}\": {_whole.Find(key)?.GetRawText() ?? "null"}")) + "}";
        return _changes.Count == 0 ? _class ?? ""
            : $"{_class}:{string.Join(',', _changes.Select(change => $"{change.Key}={change.Value}"))}";
    }

    /// <summary>A number, truth value, null or list as JSON has it; anything else is a text.</summary>
    private static JsonNode? Json(string value)
    {
        try
        {
            return JsonNode.Parse(value);
        }
        catch (JsonException)
        {
            return JsonValue.Create(value);
        }
    }

    private static string Short(string name) =>
        name.Replace("-", "", StringComparison.Ordinal)
            .Replace("Scheduler", "", StringComparison.OrdinalIgnoreCase)
            .Replace("Discrete", "", StringComparison.OrdinalIgnoreCase)
            .ToUpperInvariant();
}
