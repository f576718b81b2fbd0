using System.Runtime.CompilerServices;

namespace Attune.Guidance;

/// <summary>
/// How a kind of rule is written in texts, presets and documentation: its names and its parameters. A rule states it beside its properties
/// (<see cref="RuleForm{T}"/>), and nothing is looked up by reflection, so that applications may be trimmed and compiled to native code.
/// </summary>
public abstract class RuleForm
{
    private protected RuleForm(
        IReadOnlyList<string> names, IReadOnlyList<RuleParameter> parameters, IReadOnlyList<ParameterAlias> aliases) =>
        (Names, Parameters, Aliases) = (names, parameters, aliases);

    /// <summary>The short name, as in <c>nag:scale=4</c>.</summary>
    public string Name => Names[0];

    /// <summary>All names that are understood, the preferred one first.</summary>
    public IReadOnlyList<string> Names { get; }

    /// <summary>The parameters, the rule's own before those that all rules have.</summary>
    public IReadOnlyList<RuleParameter> Parameters { get; }

    /// <summary>Parameters as other tools state them.</summary>
    public IReadOnlyList<ParameterAlias> Aliases { get; }

    /// <inheritdoc/>
    public override string ToString() => Name;

    /// <summary>Whether all parameters that have a neutral value have it; false when none has one.</summary>
    internal bool IsNeutral(GuidanceRule rule)
    {
        bool neutral = false;
        foreach (var parameter in Parameters)
        {
            if (parameter.Neutral == null)
                continue;
            if (!parameter.IsNeutral(rule))
                return false;
            neutral = true;
        }
        return neutral;
    }

    /// <summary>The parameter that a text means by a name or an alias, and the value there as the rule states it; null for none.</summary>
    /// <exception cref="FormatException">The name is an alias, and the value is no number.</exception>
    internal (RuleParameter Parameter, string Value)? Find(string name, string value)
    {
        var alias = Aliases.FirstOrDefault(alias => alias.Name.Equals(name, StringComparison.OrdinalIgnoreCase));
        return Parameters.FirstOrDefault(
            parameter => parameter.Names.Contains(alias?.Parameter ?? name, StringComparer.OrdinalIgnoreCase)) is { } parameter
            ? (parameter, alias?.Convert(value) ?? value)
            : null;
    }
}

/// <summary>
/// The form of rules of one type, stated as a sentence: <c>new RuleForm&lt;Rule&gt;("name").Number(...).Choice(...)</c>. Each part gives a
/// new form.
/// </summary>
/// <typeparam name="T">The rule.</typeparam>
public sealed class RuleForm<T> : RuleForm
    where T : GuidanceRule
{
    private static readonly RuleParameter StepsParameter = new RuleParameter<GuidanceRule, StepRange>(
        ["steps"], nameof(GuidanceRule.Steps), ValueForm.Steps, rule => rule.Steps, (rule, value) => rule with { Steps = value })
    {
        Omitted = "all",
    };

    private static readonly RuleParameter LayersParameter = new RuleParameter<GuidanceRule, LayerSelector>(
        ["layers"], nameof(GuidanceRule.Layers), ValueForm.Layers, rule => rule.Layers, (rule, value) => rule with { Layers = value })
    {
        Omitted = "all",
    };

    /// <summary>What all rules take; one on predictions alone has no layers. A rule without a form of its own may have them.</summary>
    private static readonly RuleParameter[] Common =
        typeof(T) == typeof(GuidanceRule) || GuidanceRule.ActsInLayers(typeof(T)) ? [StepsParameter, LayersParameter] : [StepsParameter];

    private readonly RuleParameter[] _own;

    /// <summary>The form of a rule that has the parameters of all rules, and no others yet.</summary>
    /// <param name="names">Lower case, as in <c>nag:scale=4</c>; the first is used for output, all are understood.</param>
    public RuleForm(params string[] names)
        : this(names, [], [])
    {
    }

    private RuleForm(IReadOnlyList<string> names, RuleParameter[] own, IReadOnlyList<ParameterAlias> aliases)
        : base(names, [.. own, .. Common], aliases) => _own = own;

    /// <summary>Adds a parameter that is a number; <c>infinite</c> and <c>inf</c> are infinity where the range holds it.</summary>
    /// <param name="name">The name in texts, lower case.</param>
    /// <param name="get">The property that holds it, as <c>rule => rule.Scale</c>.</param>
    /// <param name="set">A copy of the rule with another value, as <c>(rule, x) => rule with { Scale = x }</c>.</param>
    /// <param name="range">The numbers that it may be, as <c>[0, 1]</c> or <c>[0, inf)</c> (<see cref="ParameterRange"/>); null is any
    /// finite number.</param>
    /// <param name="neutral">The value under which the rule gives exactly the plain result. A rule is neutral
    /// (<see cref="GuidanceRule.IsNeutral"/>) when all its parameters that have a neutral value have it.</param>
    /// <param name="also">Other names that are understood: those of other tools, where the number means the same.</param>
    /// <param name="property">Left out: read off <paramref name="get"/>.</param>
    public RuleForm<T> Number(
        string name, Func<T, float> get, Func<T, float, T> set, string? range = null, float? neutral = null, string[]? also = null,
        [CallerArgumentExpression(nameof(get))] string property = "") =>
        With(
            new RuleParameter<T, float>([name, .. also ?? []], NameIn(property), ValueForm.Number, get, set)
            {
                Range = RangeOf(range), Off = neutral is { } value ? [value] : [],
            });

    /// <summary>Adds a parameter that is a number or not given; then it changes nothing, and it is neutral.</summary>
    /// <param name="name">The name in texts, lower case.</param>
    /// <param name="get">The property that holds it.</param>
    /// <param name="set">A copy of the rule with another value.</param>
    /// <param name="range">The numbers that it may be; null is any finite number.</param>
    /// <param name="missing">The text of a value that is not given.</param>
    /// <param name="also">Other names that are understood.</param>
    /// <param name="property">Left out: read off <paramref name="get"/>.</param>
    public RuleForm<T> Optional(
        string name, Func<T, float?> get, Func<T, float?, T> set, string? range = null, string missing = "none", string[]? also = null,
        [CallerArgumentExpression(nameof(get))] string property = "") =>
        With(
            new RuleParameter<T, float?>([name, .. also ?? []], NameIn(property), ValueForm.Optional(missing), get, set)
            {
                Range = RangeOf(range), Off = [null], Omitted = missing,
            });

    /// <summary>Adds a parameter that is an integer.</summary>
    /// <inheritdoc cref="Number"/>
    public RuleForm<T> Integer(
        string name, Func<T, int> get, Func<T, int, T> set, string? range = null, int? neutral = null, string[]? also = null,
        [CallerArgumentExpression(nameof(get))] string property = "") =>
        With(
            new RuleParameter<T, int>([name, .. also ?? []], NameIn(property), ValueForm.Integer, get, set)
            {
                Range = RangeOf(range), Off = neutral is { } value ? [value] : [],
            });

    /// <summary>Adds a parameter that is one of an enumeration's values, written in lower case.</summary>
    /// <inheritdoc cref="Number"/>
    public RuleForm<T> Choice<TEnum>(
        string name, Func<T, TEnum> get, Func<T, TEnum, T> set, string[]? also = null,
        [CallerArgumentExpression(nameof(get))] string property = "")
        where TEnum : struct, Enum =>
        With(new RuleParameter<T, TEnum>([name, .. also ?? []], NameIn(property), ValueForm.Choice<TEnum>(), get, set));

    /// <summary>
    /// Adds a name under which another tool states a parameter with another meaning: value x there is <paramref name="factor"/> x +
    /// <paramref name="offset"/> here. Understood in texts, never written.
    /// </summary>
    /// <param name="name">The other tool's name.</param>
    /// <param name="parameter">The rule's parameter that it sets.</param>
    /// <param name="factor">What the other tool's number is multiplied with.</param>
    /// <param name="offset">What is then added.</param>
    /// <param name="form">The text form of the parameter, in which {0} is the number.</param>
    public RuleForm<T> Alias(string name, string parameter, double factor = 1, double offset = 0, string form = "{0}") =>
        new(Names, _own, [.. Aliases, new ParameterAlias(name, parameter, factor, offset, form)]);

    private RuleForm<T> With(RuleParameter parameter) => new(Names, [.. _own, parameter], Aliases);

    private static ParameterRange? RangeOf(string? text) => text == null ? null : ParameterRange.Parse(text);

    /// <summary><c>Scale</c> of <c>rule => rule.Scale</c>.</summary>
    private static string NameIn(string getter) => getter[(getter.LastIndexOf('.') + 1)..];
}
