using System.Text.RegularExpressions;

namespace Attune.Weights;

/// <summary>
/// Which noise a file is for, high or low, as its name says it: nothing else tells the two networks of Wan 2.2 apart, nor their LoRA files.
/// </summary>
/// <param name="IsLow">Whether it is low noise.</param>
/// <param name="InFull">Whether the word noise stands there too.</param>
/// <param name="Behind">What stands behind it in the name.</param>
internal readonly partial record struct NoiseInName(bool IsLow, bool InFull, string Behind)
{
    /// <summary>All places of a name that say it, in any spelling: <c>high_noise</c>, <c>HighNoise</c>, <c>_HIGH_</c>.</summary>
    public static IEnumerable<NoiseInName> Of(string name) => Word().Matches(name).Select(match => new NoiseInName(
        match.Groups[1].ValueSpan.Equals("low", StringComparison.OrdinalIgnoreCase), match.Groups[2].Success,
        name[(match.Index + match.Length)..]));

    [GeneratedRegex("(?:^|[^a-z])(high|low)([-_ ]?noise)?(?=[^a-z]|$)", RegexOptions.IgnoreCase | RegexOptions.CultureInvariant)]
    private static partial Regex Word();
}
