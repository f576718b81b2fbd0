using System.Globalization;
using System.Text.RegularExpressions;

namespace Attune.Guidance;

/// <summary>
/// The numbers that a parameter may be: an interval in the usual notation, as <c>[0, 1]</c>, <c>[0, inf)</c>, or <c>(0, inf]</c> where
/// infinity itself is a value.
/// </summary>
public readonly partial record struct ParameterRange
{
    private ParameterRange(double minimum, bool closedBelow, double maximum, bool closedAbove) =>
        (Minimum, ClosedBelow, Maximum, ClosedAbove) = (minimum, closedBelow, maximum, closedAbove);

    /// <summary>The lower end.</summary>
    public double Minimum { get; }

    /// <summary>Whether the lower end belongs to the range.</summary>
    public bool ClosedBelow { get; }

    /// <summary>The upper end.</summary>
    public double Maximum { get; }

    /// <summary>Whether the upper end belongs to the range.</summary>
    public bool ClosedAbove { get; }

    /// <summary>Reads an interval.</summary>
    /// <exception cref="FormatException">The text is no interval, or it is empty.</exception>
    public static ParameterRange Parse(string text)
    {
        ArgumentNullException.ThrowIfNull(text);
        var match = Interval().Match(text);
        if (!match.Success)
            throw new FormatException($"'{text}' is no interval, as [0, 1] or (0, inf].");
        double minimum = Number(match.Groups["low"].Value);
        double maximum = Number(match.Groups["high"].Value);
        if (!(minimum < maximum))
            throw new FormatException($"The interval '{text}' is empty.");
        return new ParameterRange(minimum, match.Groups["open"].Value == "[", maximum, match.Groups["close"].Value == "]");
    }

    /// <summary>Whether a number lies in the range.</summary>
    public bool Contains(double value) =>
        (ClosedBelow ? value >= Minimum : value > Minimum) && (ClosedAbove ? value <= Maximum : value < Maximum);

    /// <summary>In words: <c>0 to 1</c>, <c>at least 0</c>, <c>above 0, or infinite</c>.</summary>
    public override string ToString()
    {
        string low = Text($"{(ClosedBelow ? "at least" : "above")} {Minimum}");
        return double.IsPositiveInfinity(Maximum) ? ClosedAbove ? $"{low}, or infinite" : low
            : ClosedBelow && ClosedAbove ? Text($"{Minimum} to {Maximum}")
            : Text($"{low} and {(ClosedAbove ? "at most" : "below")} {Maximum}");
    }

    private static string Text(FormattableString text) => FormattableString.Invariant(text);

    private static double Number(string text) => text.EndsWith("inf", StringComparison.Ordinal)
        ? text[0] == '-' ? double.NegativeInfinity : double.PositiveInfinity
        : double.Parse(text, NumberStyles.Float, CultureInfo.InvariantCulture);

    [GeneratedRegex(@"^(?<open>[\[(])(?<low>-?[0-9.]+|-inf), (?<high>-?[0-9.]+|inf)(?<close>[\])])$", RegexOptions.CultureInvariant)]
    private static partial Regex Interval();
}
