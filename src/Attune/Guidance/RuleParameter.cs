using System.Collections.Concurrent;
using System.Globalization;
using System.Reflection;

namespace Attune.Guidance;

/// <summary>A parameter of a rule, as its attributes describe it: what text forms, presets and documentation know of it.</summary>
public sealed class RuleParameter
{
    private static readonly ConcurrentDictionary<Type, RuleParameter[]> Known = new();
    private readonly GuidanceParameterAttribute _attribute;

    private RuleParameter(PropertyInfo property, GuidanceParameterAttribute attribute)
    {
        (Property, _attribute) = (property, attribute);
        Range = attribute.Range == null ? null : ParameterRange.Parse(attribute.Range);
    }

    /// <summary>The name in text forms.</summary>
    public string Name => _attribute.Names[0];

    /// <summary>All names that are understood, the preferred one first.</summary>
    public IReadOnlyList<string> Names => _attribute.Names;

    /// <summary>The property that holds it.</summary>
    public PropertyInfo Property { get; }

    /// <summary>The numbers that it may be; null for what is no number, and for any finite number.</summary>
    public ParameterRange? Range { get; }

    /// <summary>The parameters of a rule's type, its own before those that all rules have.</summary>
    public static IReadOnlyList<RuleParameter> Of(Type rule)
    {
        ArgumentNullException.ThrowIfNull(rule);
        return Known.GetOrAdd(rule, static type =>
        [
            .. type.GetProperties()
                .Select(property => (property, attribute: property.GetCustomAttribute<GuidanceParameterAttribute>()))
                .Where(pair => pair.attribute != null)
                .Select(pair => new RuleParameter(pair.property, pair.attribute!)),
        ]);
    }

    /// <summary>The text form of the value that a rule has.</summary>
    public string TextOf(GuidanceRule rule) => Property.GetValue(rule) switch
    {
        float.PositiveInfinity => "infinite",
        Enum value => value.ToString().ToLowerInvariant(),
        var value => string.Format(CultureInfo.InvariantCulture, "{0}", value),
    };

    /// <summary>Reads a text form.</summary>
    /// <exception cref="FormatException">The text does not fit the parameter's type.</exception>
    internal object Read(string rule, string text)
    {
        var type = Property.PropertyType;
        if (type == typeof(StepRange))
            return StepRange.Parse(text);
        if (type == typeof(LayerSelector))
            return LayerSelector.Parse(text);
        if (type == typeof(float) && (text is "infinite" or "inf"))
            return float.PositiveInfinity;
        if (type == typeof(float) && float.TryParse(text, NumberStyles.Float, CultureInfo.InvariantCulture, out float number))
            return number;
        if (type == typeof(int) && int.TryParse(text, NumberStyles.AllowLeadingSign, CultureInfo.InvariantCulture, out int integer))
            return integer;
        if (type.IsEnum && !char.IsAsciiDigit(text.FirstOrDefault()) && Enum.TryParse(type, text, ignoreCase: true, out object? value))
            return value!;
        string expected = type.IsEnum
            ? string.Join(" or ", Enum.GetNames(type)).ToLowerInvariant()
            : type == typeof(int) ? "an integer"
            : "a number";
        throw new FormatException($"{rule}: {Name} is '{text}', expected {expected}.");
    }

    /// <summary>Throws when a rule's value lies outside of the range, or is not finite where there is none.</summary>
    /// <exception cref="ArgumentOutOfRangeException">It does; the message names rule and parameter.</exception>
    internal void Validate(GuidanceRule rule)
    {
        if (Property.PropertyType != typeof(float) && Property.PropertyType != typeof(int))
            return;
        double value = Convert.ToDouble(Property.GetValue(rule), CultureInfo.InvariantCulture);
        if (Range?.Contains(value) ?? double.IsFinite(value))
            return;
        throw new ArgumentOutOfRangeException(
            Name,
            FormattableString.Invariant(
                $"{RuleCatalog.NameOf(rule.GetType())}: {Name} is {value}, expected {Range?.ToString() ?? "a finite number"}."));
    }
}
