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

    /// <summary>Pages with generated parts that are not of one rule.</summary>
    public static TheoryData<string> GeneratedPages => [.. AllPages().Where(page =>
        !Rules.Any(rule => page == $"docs/guidance/{rule.Data}.md")
        && File.ReadAllText(Path.Combine(Repository.Root, page)).Contains("<!-- end -->", StringComparison.Ordinal))];

    private static IEnumerable<string> AllPages() => Directory.EnumerateFiles(Root, "*.md", SearchOption.AllDirectories)
        .Append(Path.Combine(Repository.Root, "README.md"))
        .Concat(Directory.EnumerateFiles(Path.Combine(Repository.Root, "samples"), "*.md", SearchOption.AllDirectories))
        .Select(file => Path.GetRelativePath(Repository.Root, file).Replace('\\', '/'))
        .Order(StringComparer.Ordinal);

    private static void CheckGenerated(string file, string name)
    {
        string page = File.ReadAllText(file).ReplaceLineEndings("\n");
        string updated = GeneratedParts.Update(page, name);
        if (Environment.GetEnvironmentVariable("ATTUNE_WRITE_DOCS") == "1")
            File.WriteAllText(file, updated);
        else
            Assert.True(updated == page, OutOfDate(file));
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

    /// <summary>Lists, tables of options and source text.</summary>
    [Theory]
    [MemberData(nameof(GeneratedPages))]
    public void Generated_parts_agree_with_the_code(string page) => CheckGenerated(Path.Combine(Repository.Root, page), "");

    /// <summary>What the server says of rules is what the pages say.</summary>
    [Fact]
    public void The_servers_texts_of_rules_agree_with_the_pages()
    {
        string file = Path.Combine(Repository.Root, "src", "Attune.Server", "Jobs", "rules.json");
        string texts = RulePages.Texts();
        if (Environment.GetEnvironmentVariable("ATTUNE_WRITE_DOCS") == "1")
            File.WriteAllText(file, texts);
        else
            Assert.True(File.ReadAllText(file).ReplaceLineEndings("\n") == texts, OutOfDate(file));
    }

    /// <summary>
    /// What is shown as C# is source text that is built and run; only decisions, which show signatures as they were, are left alone.
    /// </summary>
    [Fact]
    public void Examples_are_compiled_and_every_one_is_shown()
    {
        var shown = new HashSet<string>();
        foreach (string page in AllPages().Where(page => !page.StartsWith("docs/decisions/", StringComparison.Ordinal)))
        {
            string text = File.ReadAllText(Path.Combine(Repository.Root, page)).ReplaceLineEndings("\n");
            string[] sources = [.. GeneratedParts.Names(text).Where(part => Examples.Part(part) != null)];
            Assert.True(
                sources.Length == CodeBlock().Count(text), $"{page} shows C# outside of <!-- example NAME --> or <!-- source PATH -->.");
            shown.UnionWith(sources);
        }
        Assert.Superset(Examples.Names.ToHashSet(), shown);
    }

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

    /// <summary>docs/library.md: about twenty types, and members of them, all of which users can reach.</summary>
    [Fact]
    public void The_library_page_names_public_types()
    {
        string page = Path.Combine(Root, "library.md");
        string text = Fence().Replace(File.ReadAllText(page).ReplaceLineEndings("\n"), "");
        var types = new[] { typeof(Attune.Generation.DiffusionPipeline), typeof(Attune.Tensors.Tensor) }
            .SelectMany(type => type.Assembly.GetExportedTypes())
            .ToLookup(type => type.Name);
        string[] main = [.. MainType().Matches(text).Select(match => match.Groups[1].Value)];
        Assert.InRange(main.Distinct().Count(), 18, 28);
        Assert.All(main, name => Assert.True(types.Contains(name), $"{name} of docs/library.md is no public type."));
        foreach (Match name in TypeName().Matches(text))
        {
            var found = types[name.Groups["type"].Value].ToArray();
            string member = name.Groups["member"].Value;
            bool exists = member.Length > 0 ? found.Any(type => type.GetMember(member).Length > 0)
                : found.Length > 0 || types.Any(group => group.Any(type => type.GetMember(name.Groups["type"].Value).Length > 0));
            Assert.True(exists, $"{name.Value} of docs/library.md is neither a public type nor a public member.");
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

    private static string OutOfDate(string file) => $"{file} is out of date: run this class with ATTUNE_WRITE_DOCS=1.";

    private static string[] Sections(string page) => page.Split("\n## ")[1..];

    /// <summary>The anchor that GitHub gives a heading.</summary>
    private static string Anchor(string heading) =>
        string.Concat(heading.Trim().ToLowerInvariant().Where(c => char.IsLetterOrDigit(c) || c is ' ' or '-' or '_')).Replace(' ', '-');

    [GeneratedRegex("^```.*?^```$", RegexOptions.Multiline | RegexOptions.Singleline)]
    private static partial Regex Fence();

    [GeneratedRegex(@"\*\*`([A-Z][A-Za-z]+)`\*\*")]
    private static partial Regex MainType();

    [GeneratedRegex(@"`(?<type>[A-Z][A-Za-z]+)(\.(?<member>[A-Z][A-Za-z]+))?`")]
    private static partial Regex TypeName();

    [GeneratedRegex("^```csharp$", RegexOptions.Multiline)]
    private static partial Regex CodeBlock();

    [GeneratedRegex(@"^## (.+)$", RegexOptions.Multiline)]
    private static partial Regex Heading();

    [GeneratedRegex(@"^#+ (.+)$", RegexOptions.Multiline)]
    private static partial Regex AnyHeading();

    [GeneratedRegex(@"\]\(([^)\s]+)\)")]
    private static partial Regex Link();

    [GeneratedRegex(@"`([A-Z][A-Za-z]+Tests)\.([A-Z][A-Za-z_0-9]+)`")]
    private static partial Regex TestName();
}
