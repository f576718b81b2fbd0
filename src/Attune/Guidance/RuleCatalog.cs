using System.Collections.Immutable;
using System.Reflection;

namespace Attune.Guidance;

/// <summary>
/// The guidance rules of the library by name, found by their attributes, and the text form of rules:
/// <c>nag:scale=4,tau=2.5,alpha=0.25</c>; several joined by <c>+</c>. Every rule understands <c>steps</c> and <c>layers</c>.
/// </summary>
public static class RuleCatalog
{
    private static ImmutableDictionary<string, Type> _types = typeof(RuleCatalog).Assembly.GetTypes()
        .Where(
            type => type.IsSubclassOf(typeof(GuidanceRule)) && !type.IsAbstract && type.GetCustomAttribute<GuidanceNameAttribute>() != null)
        .ToImmutableDictionary(NameOf, type => type, StringComparer.Ordinal);

    /// <summary>The names of all rules.</summary>
    public static IReadOnlyCollection<string> Names => [.. _types.Keys.Order(StringComparer.Ordinal)];

    /// <summary>The short name of a rule's type; the type's own name for rules from outside that have none.</summary>
    public static string NameOf(Type type)
    {
        ArgumentNullException.ThrowIfNull(type);
        return type.GetCustomAttribute<GuidanceNameAttribute>()?.Names[0] ?? type.Name;
    }

    /// <summary>The types of all rules, by name.</summary>
    public static IReadOnlyDictionary<string, Type> Types => _types;

    /// <summary>
    /// Makes a rule from another assembly known by the name that its <see cref="GuidanceNameAttribute"/> gives, so that texts may name it.
    /// </summary>
    /// <typeparam name="T">The rule: it has a constructor without parameters.</typeparam>
    /// <exception cref="ArgumentException">Another rule has that name.</exception>
    public static void Register<T>()
        where T : GuidanceRule, new()
    {
        var registered = ImmutableInterlocked.GetOrAdd(ref _types, NameOf(typeof(T)), typeof(T));
        if (registered != typeof(T))
            throw new ArgumentException($"The name '{NameOf(typeof(T))}' belongs to {registered}.");
    }

    /// <summary>The type of the rule that a text names, by any of its names.</summary>
    /// <exception cref="FormatException">There is no such rule.</exception>
    public static Type TypeOf(string name)
    {
        ArgumentNullException.ThrowIfNull(name);
        return _types.GetValueOrDefault(name)
            ?? _types.Values.FirstOrDefault(type => type.GetCustomAttribute<GuidanceNameAttribute>()?.Names.Contains(name) == true)
            ?? throw new FormatException($"'{name}' is no guidance rule; there are: {string.Join(", ", Names)}.");
    }

    /// <summary>Reads the text form of any number of rules; <c>none</c> is no rule.</summary>
    /// <param name="text">As <c>nag:scale=4,tau=2.5+cfg</c>.</param>
    /// <param name="preset">What parameters are that the text does not give, for rules that the preset knows; all others take the rule's
    /// defaults.</param>
    /// <exception cref="FormatException">The text is malformed, or names an unknown rule or parameter, or a value that is no
    /// number.</exception>
    /// <exception cref="ArgumentOutOfRangeException">A parameter is out of range.</exception>
    public static IReadOnlyList<GuidanceRule> Parse(string text, ModelPreset? preset = null)
    {
        ArgumentNullException.ThrowIfNull(text);
        if (text.Trim() is "" or "none")
            return [];
        var rules = new List<GuidanceRule>();
        foreach (string part in text.Split('+', StringSplitOptions.TrimEntries))
        {
            string[] halves = part.Split(':', 2, StringSplitOptions.TrimEntries);
            var parameters = new Dictionary<string, string>(StringComparer.Ordinal);
            foreach (
                string pair in halves.Length == 1 ? []
                    : halves[1].Split(',', StringSplitOptions.TrimEntries | StringSplitOptions.RemoveEmptyEntries))
            {
                string[] sides = pair.Split('=', 2, StringSplitOptions.TrimEntries);
                if (sides.Length != 2 || !parameters.TryAdd(sides[0], sides[1]))
                    throw new FormatException($"'{pair}' in '{part}': expected NAME=VALUE, each name once.");
            }
            rules.Add(Create(halves[0], parameters, preset));
        }
        return rules;
    }

    /// <summary>
    /// Makes a rule from the text form of its parameters; those that are not given are the preset's or keep their defaults.
    /// </summary>
    /// <inheritdoc cref="Parse"/>
    public static GuidanceRule Create(string name, IReadOnlyDictionary<string, string> parameters, ModelPreset? preset = null)
    {
        ArgumentNullException.ThrowIfNull(parameters);
        var type = TypeOf(name);
        var start = preset?.Find(NameOf(type))?.Rule ?? (GuidanceRule)Activator.CreateInstance(type)!;
        var known = RuleParameter.Of(type);
        var values = new Dictionary<RuleParameter, object>();
        foreach (var (key, value) in parameters)
        {
            var alias = type.GetCustomAttributes<GuidanceAliasAttribute>().FirstOrDefault(alias => alias.Name == key);
            var parameter = known.FirstOrDefault(parameter => parameter.Names.Contains(alias?.Parameter ?? key))
                ?? throw new FormatException(
                    $"'{name}' has no parameter '{key}'; it has: {string.Join(", ", known.Select(parameter => parameter.Name))}.");
            if (!values.TryAdd(parameter, parameter.Read(name, alias?.Convert(value) ?? value)))
                throw new FormatException($"'{name}': '{key}' gives {parameter.Name} a second time.");
        }
        var rule = start.With(values);
        rule.Validate();
        return rule;
    }

    /// <summary>
    /// The text form of a rule with all its parameters; steps and layers only where they are not all, or not all is the default.
    /// </summary>
    public static string Format(GuidanceRule rule)
    {
        ArgumentNullException.ThrowIfNull(rule);
        var plain = rule.GetType().GetConstructor(Type.EmptyTypes)?.Invoke(null) as GuidanceRule;
        var parameters = RuleParameter.Of(rule.GetType())
            .Select(parameter => (parameter, Text: parameter.TextOf(rule)))
            .Where(pair => pair.Text != "all" || plain != null && pair.parameter.TextOf(plain) != "all");
        string text = string.Join(',', parameters.Select(pair => $"{pair.parameter.Name}={pair.Text}"));
        return text.Length == 0 ? NameOf(rule.GetType()) : $"{NameOf(rule.GetType())}:{text}";
    }
}
