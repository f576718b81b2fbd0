using System.Collections.Immutable;
using System.Globalization;
using System.Reflection;

namespace Attune.Guidance;

/// <summary>
/// The guidance rules of the library by name, found by their attributes, and the text form of rules:
/// <c>nag:scale=4,tau=2.5,alpha=0.25</c>; several joined by <c>+</c>. Every rule understands <c>steps</c> and <c>layers</c>.
/// </summary>
public static class RuleCatalog
{
    private static ImmutableDictionary<string, Type> _types = typeof(RuleCatalog).Assembly.GetTypes()
        .Where(type => type.IsSubclassOf(typeof(GuidanceRule)) && !type.IsAbstract && type.GetCustomAttribute<GuidanceNameAttribute>() != null)
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

    /// <summary>Makes a rule from another assembly known by the name that its <see cref="GuidanceNameAttribute"/> gives, so that texts may name it.</summary>
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
    /// <exception cref="FormatException">The text is malformed, or names an unknown rule or parameter, or a value that is no number.</exception>
    /// <exception cref="ArgumentOutOfRangeException">A parameter is out of range.</exception>
    public static IReadOnlyList<GuidanceRule> Parse(string text)
    {
        ArgumentNullException.ThrowIfNull(text);
        if (text.Trim() is "" or "none")
            return [];
        var rules = new List<GuidanceRule>();
        foreach (string part in text.Split('+', StringSplitOptions.TrimEntries))
        {
            string[] halves = part.Split(':', 2, StringSplitOptions.TrimEntries);
            var parameters = new Dictionary<string, string>(StringComparer.Ordinal);
            foreach (string pair in halves.Length == 1 ? [] : halves[1].Split(',', StringSplitOptions.TrimEntries | StringSplitOptions.RemoveEmptyEntries))
            {
                string[] sides = pair.Split('=', 2, StringSplitOptions.TrimEntries);
                if (sides.Length != 2 || !parameters.TryAdd(sides[0], sides[1]))
                    throw new FormatException($"'{pair}' in '{part}': expected NAME=VALUE, each name once.");
            }
            rules.Add(Create(halves[0], parameters));
        }
        return rules;
    }

    /// <summary>Makes a rule from the text form of its parameters; those that are not given keep their defaults.</summary>
    /// <inheritdoc cref="Parse"/>
    public static GuidanceRule Create(string name, IReadOnlyDictionary<string, string> parameters)
    {
        ArgumentNullException.ThrowIfNull(parameters);
        var type = TypeOf(name);
        var rule = (GuidanceRule)Activator.CreateInstance(type)!;
        var properties = type.GetProperties().SelectMany(property => NamesOf(property).Select(alias => (alias, property))).ToDictionary(p => p.alias, p => p.property);
        foreach (var (key, value) in parameters)
        {
            if (!properties.TryGetValue(key, out var property))
                throw new FormatException($"'{name}' has no parameter '{key}'; it has: {string.Join(", ", type.GetProperties().SelectMany(p => NamesOf(p).Take(1)))}.");
            property.SetValue(rule, Read(name, key, value, property.PropertyType));
        }
        rule.Validate();
        return rule;
    }

    /// <summary>The text form of a rule with all its parameters.</summary>
    public static string Format(GuidanceRule rule)
    {
        ArgumentNullException.ThrowIfNull(rule);
        var parameters = rule.GetType().GetProperties()
            .Where(property => NamesOf(property).Any())
            .Select(property => (Name: NamesOf(property).First(), Value: property.GetValue(rule) is float.PositiveInfinity ? "infinite" : string.Format(CultureInfo.InvariantCulture, "{0}", property.GetValue(rule))))
            .Where(pair => pair.Value != "all")
            .Select(pair => $"{pair.Name}={pair.Value.ToLowerInvariant()}");
        string text = string.Join(',', parameters);
        return text.Length == 0 ? NameOf(rule.GetType()) : $"{NameOf(rule.GetType())}:{text}";
    }

    private static IEnumerable<string> NamesOf(PropertyInfo property) => property.Name switch
    {
        nameof(GuidanceRule.Steps) => ["steps"],
        nameof(GuidanceRule.Layers) => ["layers"],
        _ => property.GetCustomAttribute<GuidanceParameterAttribute>()?.Names ?? [],
    };

    private static object Read(string rule, string key, string text, Type type)
    {
        if (type == typeof(StepRange))
            return StepRange.Parse(text);
        if (type == typeof(LayerSelector))
            return LayerSelector.Parse(text);
        if (type == typeof(float) && text == "infinite")
            return float.PositiveInfinity;
        if (type == typeof(float) && float.TryParse(text, NumberStyles.Float, CultureInfo.InvariantCulture, out float number))
            return number;
        if (type == typeof(int) && int.TryParse(text, NumberStyles.AllowLeadingSign, CultureInfo.InvariantCulture, out int integer))
            return integer;
        if (type.IsEnum && !char.IsAsciiDigit(text.FirstOrDefault()) && Enum.TryParse(type, text, ignoreCase: true, out object? value))
            return value!;
        string expected = type.IsEnum ? string.Join(" or ", Enum.GetNames(type)).ToLowerInvariant() : type == typeof(int) ? "an integer" : "a number";
        throw new FormatException($"{rule}: {key} is '{text}', expected {expected}.");
    }
}
