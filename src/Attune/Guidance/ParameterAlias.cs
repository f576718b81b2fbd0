using System.Globalization;

namespace Attune.Guidance;

/// <summary>
/// A parameter as another tool states it, with another meaning: value x there is <paramref name="Factor"/> x + <paramref name="Offset"/>
/// here. Understood in texts, never written.
/// </summary>
/// <param name="Name">The other tool's name.</param>
/// <param name="Parameter">The rule's parameter that it sets.</param>
/// <param name="Factor">What the other tool's number is multiplied with.</param>
/// <param name="Offset">What is then added.</param>
/// <param name="Form">The text form of the parameter, in which {0} is the number.</param>
public sealed record ParameterAlias(string Name, string Parameter, double Factor, double Offset, string Form)
{
    /// <summary>The value as the rule states it.</summary>
    /// <exception cref="FormatException">The text is no number.</exception>
    public string Convert(string text) => double.TryParse(text, NumberStyles.Float, CultureInfo.InvariantCulture, out double value)
        ? string.Format(CultureInfo.InvariantCulture, Form, Math.Round(Factor * value + Offset, 6))
        : throw new FormatException($"{Name} is '{text}', expected a number.");
}
