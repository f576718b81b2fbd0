namespace Attune.Guidance;

/// <summary>A parameter of a rule, as the rule's form states it: what text forms, presets and documentation know of it.</summary>
public abstract class RuleParameter
{
    private protected RuleParameter(IReadOnlyList<string> names, string property, Type type, IReadOnlyList<string> choices) =>
        (Names, Property, Type, Choices) = (names, property, type, choices);

    /// <summary>The name in text forms.</summary>
    public string Name => Names[0];

    /// <summary>All names that are understood, the preferred one first.</summary>
    public IReadOnlyList<string> Names { get; }

    /// <summary>The name of the property that holds it.</summary>
    public string Property { get; }

    /// <summary>
    /// The property's type: <see cref="float"/>, also nullable, <see cref="int"/>, an enumeration, <see cref="StepRange"/> or
    /// <see cref="LayerSelector"/>.
    /// </summary>
    public Type Type { get; }

    /// <summary>The text forms of an enumeration's values; empty for other types.</summary>
    public IReadOnlyList<string> Choices { get; }

    /// <summary>The numbers that it may be; null for what is no number, and for any finite number.</summary>
    public ParameterRange? Range { get; internal init; }

    /// <summary>
    /// The text form of the value under which the rule gives exactly the plain result, if all its parameters that have such a value have
    /// it; null where there is none.
    /// </summary>
    public abstract string? Neutral { get; }

    /// <summary>The text that is left out where it is the default too; null for none.</summary>
    internal string? Omitted { get; init; }

    /// <summary>The text form of the value that a rule has.</summary>
    public abstract string TextOf(GuidanceRule rule);

    /// <summary>A copy of a rule with the value that a text gives. Whether it lies in the range is not checked
    /// (<see cref="GuidanceRule.Validate"/>).</summary>
    /// <exception cref="FormatException">The text does not fit the parameter's type.</exception>
    public abstract GuidanceRule Set(GuidanceRule rule, string text);

    /// <summary>Whether a rule has the neutral value.</summary>
    internal abstract bool IsNeutral(GuidanceRule rule);

    /// <summary>Throws when a rule's value lies outside of the range, or is not finite where there is none.</summary>
    /// <exception cref="ArgumentOutOfRangeException">It does; the message names rule and parameter.</exception>
    internal abstract void Validate(GuidanceRule rule);
}

/// <inheritdoc/>
internal sealed class RuleParameter<TRule, TValue>(
    IReadOnlyList<string> names, string property, ValueForm<TValue> form, Func<TRule, TValue> get, Func<TRule, TValue, TRule> set)
    : RuleParameter(names, property, typeof(TValue), form.Choices)
    where TRule : GuidanceRule
{
    /// <summary>The neutral value; none where there is none.</summary>
    public IReadOnlyList<TValue> Off { get; init; } = [];

    public override string? Neutral => Off is [var value] ? form.Write(value) : null;

    public override string TextOf(GuidanceRule rule) => form.Write(get((TRule)rule));

    public override GuidanceRule Set(GuidanceRule rule, string text) => form.TryRead(text, out var value)
        ? set((TRule)rule, value)
        : throw new FormatException($"{rule.Form.Name}: {Name} is '{text}', expected {form.Expected}.");

    internal override bool IsNeutral(GuidanceRule rule) =>
        Off is [var value] && EqualityComparer<TValue>.Default.Equals(get((TRule)rule), value);

    internal override void Validate(GuidanceRule rule)
    {
        if (form.ToNumber == null || get((TRule)rule) is not { } given)
            return;
        double value = form.ToNumber(given);
        if (Range?.Contains(value) ?? double.IsFinite(value))
            return;
        throw new ArgumentOutOfRangeException(
            Name,
            FormattableString.Invariant($"{rule.Form.Name}: {Name} is {value}, expected {Range?.ToString() ?? "a finite number"}."));
    }
}
