using System.Globalization;

namespace Attune.Guidance;

/// <summary>Reads the text form of a value.</summary>
/// <returns>False when the text is none; a reader that knows more of what is wrong throws a <see cref="FormatException"/>.</returns>
internal delegate bool TryRead<T>(string text, out T value);

/// <summary>How values of a type are written in texts and read.</summary>
/// <param name="Expected">What a text should be, as <c>a number</c>.</param>
/// <param name="TryRead">Reads a text.</param>
/// <param name="Write">The text of a value, which reads back as the same value.</param>
internal sealed record ValueForm<T>(string Expected, TryRead<T> TryRead, Func<T, string> Write)
{
    /// <summary>The texts that there are, when they can be listed.</summary>
    public IReadOnlyList<string> Choices { get; init; } = [];

    /// <summary>The value as a number, of which a <see cref="ParameterRange"/> speaks; null where it is none.</summary>
    public Func<T, double>? ToNumber { get; init; }
}

/// <summary>The forms of the types that parameters have.</summary>
internal static class ValueForm
{
    /// <summary>Single-precision numbers; <c>infinite</c> or <c>inf</c> is infinity.</summary>
    public static ValueForm<float> Number { get; } = new(
        "a number",
        (text, out value) =>
        {
            value = float.PositiveInfinity;
            return text is "infinite" or "inf" || float.TryParse(text, NumberStyles.Float, CultureInfo.InvariantCulture, out value);
        },
        value => float.IsPositiveInfinity(value) ? "infinite" : value.ToString(CultureInfo.InvariantCulture)) { ToNumber = value => value };

    /// <summary>Single-precision numbers, or a word for none.</summary>
    public static ValueForm<float?> Optional(string missing) => new(
        $"a number or {missing}",
        (text, out value) =>
        {
            bool read = Number.TryRead(text, out float number);
            value = read ? number : null;
            return read || text == missing;
        },
        value => value is { } number ? Number.Write(number) : missing) { ToNumber = value => value!.Value };

    /// <summary>Integers.</summary>
    public static ValueForm<int> Integer { get; } = new(
        "an integer",
        (text, out value) => int.TryParse(text, NumberStyles.AllowLeadingSign, CultureInfo.InvariantCulture, out value),
        value => value.ToString(CultureInfo.InvariantCulture)) { ToNumber = value => value };

    /// <summary>Ranges of steps.</summary>
    public static ValueForm<StepRange> Steps { get; } =
        new("a range of steps", (text, out value) => { value = StepRange.Parse(text); return true; }, value => value.ToString());

    /// <summary>Selections of layers.</summary>
    public static ValueForm<LayerSelector> Layers { get; } =
        new("a selection of layers", (text, out value) => { value = LayerSelector.Parse(text); return true; }, value => value.ToString());

    /// <summary>The values of an enumeration, in lower case.</summary>
    public static ValueForm<T> Choice<T>()
        where T : struct, Enum
    {
        T[] values = Enum.GetValues<T>();
        string[] choices = [.. values.Select(value => value.ToString().ToLowerInvariant())];
        return new ValueForm<T>(
            string.Join(" or ", choices),
            (text, out value) =>
            {
                int at = Array.IndexOf(choices, text.ToLowerInvariant());
                value = at < 0 ? default : values[at];
                return at >= 0;
            },
            value => value.ToString().ToLowerInvariant()) { Choices = choices };
    }
}
