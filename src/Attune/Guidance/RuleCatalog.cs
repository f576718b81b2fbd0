using System.Collections.Immutable;

namespace Attune.Guidance;

/// <summary>
/// The guidance rules of the library by name, each with its default parameters, and the text form of rules:
/// <c>nag:scale=4,tau=2.5,alpha=0.25</c>; several joined by <c>+</c>. Every rule understands <c>steps</c> and <c>layers</c>.
/// </summary>
public static class RuleCatalog
{
    private static readonly GuidanceRule[] Library = [
        new AdaptiveProjectedGuidance(),
        new AutoGuidance(),
        new CfgZeroStar(),
        new ClassifierFreeGuidance(),
        new DeviationRescale(),
        new DynamicThresholding(),
        new FreeU(),
        new GeometryAwareAttentionGuidance(),
        new MagnitudeAwareGuidance(),
        new NegativeAwaySteerAttention(),
        new NormKeeping(),
        new NormalizedAttentionGuidance(),
        new PerpendicularNegativeGuidance(),
        new PerturbedAttentionGuidance(),
        new PladisGuidance(),
        new SkipLayerGuidance(),
        new SmoothedEnergyGuidance(),
        new TangentialGuidance(),
        new ValueSignFlip()];

    private static ImmutableSortedDictionary<string, GuidanceRule> _rules =
        Library.ToImmutableSortedDictionary(rule => rule.Form.Name, rule => rule, StringComparer.Ordinal);

    /// <summary>The names of all rules.</summary>
    public static IReadOnlyCollection<string> Names => [.. _rules.Keys];

    /// <summary>The names of the library's own rules.</summary>
    internal static IEnumerable<string> LibraryNames => Library.Select(rule => rule.Form.Name).Order(StringComparer.Ordinal);

    /// <summary>All rules with their default parameters, in the order of their names.</summary>
    public static IReadOnlyCollection<GuidanceRule> Rules => [.. _rules.Values];

    /// <summary>Makes a rule from another assembly known by the name that its form gives, so that texts may name it.</summary>
    /// <param name="rule">The rule with its default parameters. A type that is known already keeps those that it has.</param>
    /// <exception cref="ArgumentException">Another rule has that name.</exception>
    public static void Register(GuidanceRule rule)
    {
        ArgumentNullException.ThrowIfNull(rule);
        string name = rule.Form.Name;
        ImmutableInterlocked.Update(ref _rules, rules => rules.ContainsKey(name) ? rules : rules.Add(name, rule));
        var registered = _rules[name];
        if (registered.GetType() != rule.GetType())
            throw new ArgumentException($"The name '{name}' belongs to {registered.GetType()}.");
    }

    /// <summary>The rule that a text names, by any of its names, in any case, with its default parameters.</summary>
    /// <exception cref="FormatException">There is no such rule.</exception>
    public static GuidanceRule Find(string name)
    {
        ArgumentNullException.ThrowIfNull(name);
        return _rules.GetValueOrDefault(name)
            ?? _rules.Values.FirstOrDefault(rule => rule.Form.Names.Contains(name, StringComparer.OrdinalIgnoreCase))
            ?? throw new FormatException(
                $"'{name}' is no guidance rule{Spelling.DidYouMean(name, _rules.Values.SelectMany(rule => rule.Form.Names))}; there are: "
                    + $"{string.Join(", ", Names)}.");
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
        if (text.Trim().Equals("none", StringComparison.OrdinalIgnoreCase))
            return [];
        if (string.IsNullOrWhiteSpace(text))
            throw new FormatException("Guidance is empty; expected rules, as nag or nag+cfg:scale=3, or none.");
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
        var plain = Find(name);
        var rule = (preset?.Find(plain.Form.Name)?.Rule ?? plain) with { };
        var given = new HashSet<RuleParameter>();
        foreach (var (key, text) in parameters)
        {
            var (parameter, value) = rule.Form.Find(key, text)
                ?? throw new FormatException(
                    $"'{name}' has no parameter '{key}'"
                        + $"{Spelling.DidYouMean(key, rule.Form.Parameters.SelectMany(known => known.Names))}; it has: "
                        + $"{string.Join(", ", rule.Form.Parameters.Select(known => known.Name))}.");
            rule = parameter.Set(rule, value);
            if (!given.Add(parameter))
                throw new FormatException($"'{name}': '{key}' gives {parameter.Name} a second time.");
        }
        rule.Validate();
        return rule;
    }

    /// <summary>
    /// The text form of a rule with all its parameters; those that need not be given, as steps and layers, only where they are.
    /// </summary>
    public static string Format(GuidanceRule rule)
    {
        ArgumentNullException.ThrowIfNull(rule);
        var form = rule.Form;
        var plain = _rules.GetValueOrDefault(form.Name);
        var parameters = form.Parameters
            .Select(parameter => (Parameter: parameter, Text: parameter.TextOf(rule)))
            .Where(pair => pair.Text != pair.Parameter.Omitted || (plain != null && pair.Parameter.TextOf(plain) != pair.Text));
        string text = string.Join(',', parameters.Select(pair => $"{pair.Parameter.Name}={pair.Text}"));
        return text.Length == 0 ? form.Name : $"{form.Name}:{text}";
    }

    /// <summary>The text form of a rule with all its parameters, whatever they are.</summary>
    internal static string FormatWhole(GuidanceRule rule) =>
        $"{rule.Form.Name}:{string.Join(',', rule.Form.Parameters.Select(parameter => $"{parameter.Name}={parameter.TextOf(rule)}"))}";
}
