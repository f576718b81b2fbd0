using System.Globalization;
using System.Text;
using System.Text.RegularExpressions;

namespace Attune.Tests.Docs;

/// <summary>
/// Parts of pages that are generated: what stands between <c>&lt;!-- NAME --&gt;</c> and <c>&lt;!-- end --&gt;</c>. They are tables of
/// rules (<see cref="RulePages"/>) and of options (<see cref="OptionTable"/>), and source text that is compiled (<see cref="Examples"/>).
/// </summary>
internal static partial class GeneratedParts
{
    /// <summary>A page with its generated parts brought up to date.</summary>
    /// <param name="page">The page's text.</param>
    /// <param name="rule">The rule that it is about; empty for other pages.</param>
    public static string Update(string page, string rule = "") => Section().Replace(page, match =>
    {
        string part = match.Groups["part"].Value;
        string text = RulePages.Part(part, rule) ?? OptionTable.Part(part) ?? Examples.Part(part)
            ?? throw new InvalidOperationException($"There is no generated part '{part}'.");
        return $"<!-- {part} -->\n{text}<!-- end -->";
    });

    /// <summary>The names of a page's generated parts.</summary>
    public static IEnumerable<string> Names(string page) => Section().Matches(page).Select(match => match.Groups["part"].Value);

    /// <summary>A table.</summary>
    public static string Table(string[] headings, IEnumerable<string[]> rows)
    {
        var text = new StringBuilder();
        text.Append(CultureInfo.InvariantCulture, $"| {string.Join(" | ", headings)} |\n|{string.Concat(headings.Select(_ => "---|"))}\n");
        foreach (string[] row in rows)
            text.Append(CultureInfo.InvariantCulture, $"| {string.Join(" | ", row)} |\n");
        return text.ToString();
    }

    [GeneratedRegex(@"<!-- (?<part>(?!end )[^\n]+?) -->\n(?:.*\n)*?<!-- end -->")]
    private static partial Regex Section();
}
