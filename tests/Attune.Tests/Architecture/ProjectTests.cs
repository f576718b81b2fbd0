using System.Xml.Linq;

namespace Attune.Tests.Architecture;

/// <summary>Which project may reference which, and which packages are for development alone.</summary>
public class ProjectTests
{
    /// <summary>For each project outside of tests/, the others that it references.</summary>
    private static readonly Dictionary<string, string[]> Allowed = new()
    {
        ["Attune.Tensors"] = [],
        ["Attune"] = ["Attune.Tensors"],
        ["Attune.Media.Skia"] = ["Attune"],
        ["Attune.Extensions.AI"] = ["Attune"],
        ["Attune.Torch"] = ["Attune.Tensors"],
        ["Attune.Evaluation"] = ["Attune"],
        ["Attune.Verification"] = ["Attune", "Attune.Evaluation"],
        ["Attune.Server"] = ["Attune", "Attune.Media.Skia", "Attune.Evaluation"],
        ["Attune.Cli"] =
            ["Attune", "Attune.Media.Skia", "Attune.Torch", "Attune.Server", "Attune.Evaluation", "Attune.Verification", "Attune.Bench"],
        ["Attune.Bench"] = ["Attune", "Attune.Evaluation"],
        ["Attune.Benchmarks"] = ["Attune.Bench"],
    };

    private static readonly string[] Folders = ["src", "bench", "samples"];

    public static TheoryData<string> Projects() =>
        [.. Folders.SelectMany(Files).Select(file => Path.GetRelativePath(Repository.Root, file).Replace('\\', '/'))];

    [Theory]
    [MemberData(nameof(Projects))]
    public void A_project_references_only_what_it_may(string file)
    {
        var references = Included(file, "ProjectReference").Select(path => Path.GetFileNameWithoutExtension(path.Replace('\\', '/')));
        string[] allowed = file.StartsWith("samples/", StringComparison.Ordinal) ? ["Attune", "Attune.Extensions.AI"]
            : Allowed[Path.GetFileNameWithoutExtension(file)];
        Assert.Empty(references.Except(allowed));
    }

    [Theory]
    [MemberData(nameof(Projects))]
    public void Packages_for_development_stay_with_tests_and_benchmarks(string file)
    {
        if (file.StartsWith("bench/Attune.Benchmarks/", StringComparison.Ordinal))
            return;
        var versions = XDocument.Load(Path.Combine(Repository.Root, "Directory.Packages.props"));
        var development = versions.Descendants("ItemGroup")
            .Single(group => (string?)group.Attribute("Label") == "Development")
            .Elements()
            .Select(package => (string)package.Attribute("Include")!);
        Assert.Empty(Included(file, "PackageReference").Intersect(development));
    }

    [Fact]
    public void The_solution_holds_every_project()
    {
        var held = XDocument.Load(Path.Combine(Repository.Root, "Attune.slnx"))
            .Descendants("Project")
            .Select(project => (string)project.Attribute("Path")!);
        var present = Folders.Append("tests")
            .SelectMany(Files)
            .Select(file => Path.GetRelativePath(Repository.Root, file).Replace('\\', '/'));
        Assert.Equal(present.Order(StringComparer.Ordinal), held.Order(StringComparer.Ordinal));
    }

    private static string[] Files(string folder) =>
        Directory.GetFiles(Path.Combine(Repository.Root, folder), "*.csproj", SearchOption.AllDirectories);

    private static IEnumerable<string> Included(string file, string element) =>
        XDocument.Load(Path.Combine(Repository.Root, file)).Descendants(element).Select(item => (string)item.Attribute("Include")!);
}
