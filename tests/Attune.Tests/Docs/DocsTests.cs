using System.Text.RegularExpressions;

namespace Attune.Tests.Docs;

/// <summary>
/// The documentation says what the code says. To rewrite the generated parts after a change of rules or presets, run this class with the
/// environment variable ATTUNE_WRITE_DOCS=1.
/// </summary>
public partial class DocsTests
{
    private static readonly string Root = Path.Combine(Repository.Root, "docs");

    private static readonly string[] Headings = [
        "What it does", "Formula", "Parameters", "Published values", "Cost", "When not to use it", "Source"];

    public static TheoryData<string> Rules => [.. RulePages.Rules.Select(rule => rule.Form.Name)];

    public static TheoryData<string> Pages =>
        [
            .. Directory.EnumerateFiles(Root, "*.md", SearchOption.AllDirectories)
                .Select(file => Path.GetRelativePath(Root, file).Replace('\\', '/'))
                .Order(StringComparer.Ordinal)];

    private static void CheckGenerated(string file, string name)
    {
        string page = File.ReadAllText(file).ReplaceLineEndings("\n");
        string updated = RulePages.Update(page, name);
        if (Environment.GetEnvironmentVariable("ATTUNE_WRITE_DOCS") == "1")
            File.WriteAllText(file, updated);
        else
            Assert.True(updated == page, $"{file} is out of date: run this class with ATTUNE_WRITE_DOCS=1.");
    }

    [Theory]
    [MemberData(nameof(Rules))]
    public void Every_rule_has_a_page_that_agrees_with_the_code(string name)
    {
        string file = Path.Combine(Root, "guidance", name + ".md");
        CheckGenerated(file, name);
        string page = File.ReadAllText(file);
        Assert.Equal(Headings, Heading().Matches(page).Select(match => match.Groups[1].Value.Trim()));
        Assert.All(Sections(page), section => Assert.True(section.Trim().Length > 20, $"{name}: a section is empty."));
        Assert.Contains("](images/", page, StringComparison.Ordinal);
        foreach (string part in new[] { "facts", "parameters", "presets" })
            Assert.Contains($"<!-- {part} -->", page, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("guidance/README.md")]
    [InlineData("guidance/presets.md")]
    public void Lists_agree_with_the_code(string page) => CheckGenerated(Path.Combine(Root, page), "");

    /// <summary>Links to files and headings lead somewhere.</summary>
    [Theory]
    [MemberData(nameof(Pages))]
    public void Links_lead_somewhere(string page)
    {
        string file = Path.Combine(Root, page);
        foreach (Match link in Link().Matches(File.ReadAllText(file)))
        {
            string target = link.Groups[1].Value;
            if (target.Contains("://", StringComparison.Ordinal))
                continue;
            string[] halves = target.Split('#', 2);
            string path = halves[0].Length == 0 ? file : Path.GetFullPath(Path.Combine(Path.GetDirectoryName(file)!, halves[0]));
            Assert.True(File.Exists(path) || Directory.Exists(path), $"{page} links to {target}, which does not exist.");
            if (halves.Length == 2)
                Assert.True(
                    AnyHeading().Matches(File.ReadAllText(path)).Any(match => Anchor(match.Groups[1].Value) == halves[1]),
                    $"{page} links to {target}, which has no such heading.");
        }
    }

    /// <summary>Tests that a page names as Class.Method exist.</summary>
    [Fact]
    public void Tests_that_pages_name_exist()
    {
        string sources = string.Concat(
            Directory.EnumerateFiles(Path.Combine(Repository.Root, "tests"), "*Tests.cs", SearchOption.AllDirectories)
                .Select(File.ReadAllText));
        var named = Directory.EnumerateFiles(Root, "*.md", SearchOption.AllDirectories)
            .SelectMany(file => TestName().Matches(File.ReadAllText(file)))
            .ToArray();
        Assert.True(named.Length >= 7);
        foreach (var match in named)
            Assert.True(
                sources.Contains($"class {match.Groups[1].Value}", StringComparison.Ordinal)
                    && sources.Contains($" {match.Groups[2].Value}(", StringComparison.Ordinal),
                $"There is no test {match.Value}.");
    }

    private static string[] Sections(string page) => page.Split("\n## ")[1..];

    /// <summary>The anchor that GitHub gives a heading.</summary>
    private static string Anchor(string heading) =>
        string.Concat(heading.Trim().ToLowerInvariant().Where(c => char.IsLetterOrDigit(c) || c is ' ' or '-' or '_')).Replace(' ', '-');

    [GeneratedRegex(@"^## (.+)$", RegexOptions.Multiline)]
    private static partial Regex Heading();

    [GeneratedRegex(@"^#+ (.+)$", RegexOptions.Multiline)]
    private static partial Regex AnyHeading();

    [GeneratedRegex(@"\]\(([^)\s]+)\)")]
    private static partial Regex Link();

    [GeneratedRegex(@"`([A-Z][A-Za-z]+Tests)\.([A-Z][A-Za-z_0-9]+)`")]
    private static partial Regex TestName();
}
