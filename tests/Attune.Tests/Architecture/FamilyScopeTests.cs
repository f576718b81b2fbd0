using System.Runtime.CompilerServices;
using System.Text.RegularExpressions;
using Attune.Models;

namespace Attune.Tests.Architecture;

/// <summary>
/// A family of models is a folder and a line. Every family of <see cref="Family.All"/> is measured: the files of src/ that name one of its
/// classes, in C# or as checkpoints have them.
/// </summary>
public partial class FamilyScopeTests
{
    /// <summary>The places outside of its folder where a family may be named, and why.</summary>
    private static readonly (string Place, string Reason)[] Allowed =
    [
        ("src/Attune/Models/Family.cs", "the line in Family.All"),
        ("src/Attune/Guidance/presets.json", "sources of published parameters name the reference's pipeline"),
        ("src/Attune/Weights/SingleFile/*.json", "the model_index.json that a single file does not hold"),
        ("src/Attune.Verification/Cases/ManifestCase.cs", "it opens components alone, by the class that a released folder names"),
        ("src/Attune.Verification/Cases/EditingArguments.cs", "a pipeline of the reference decodes otherwise than all its others"),
        ("src/Attune.Verification/Cases/DenoiserCases.cs", "a golden case of a denoiser names its inputs as the reference's class does"),
    ];

    private static readonly Dictionary<string, string> Sources = Directory
        .EnumerateFiles(Path.Combine(Repository.Root, "src"), "*", SearchOption.AllDirectories)
        .Where(file => Path.GetExtension(file) is ".cs" or ".json" or ".csproj")
        .ToDictionary(file => Path.GetRelativePath(Repository.Root, file).Replace('\\', '/'), File.ReadAllText);

    public static TheoryData<string> Families => [.. Family.All.Select(family => family.GetType().Name)];

    private static Family Find(string name) => Family.All.Single(family => family.GetType().Name == name);

    private static string FolderOf(Family family) => $"src/{family.GetType().Namespace!.Replace('.', '/')}/";

    /// <summary>The class names of its checkpoints, and those of all types in its folder.</summary>
    private static string[] NamesOf(Family family) =>
    [
        .. family.ClassNames,
        .. family.GetType().Assembly.GetTypes()
            .Where(type => type.Namespace == family.GetType().Namespace && !type.IsNested)
            .Where(type => !type.IsDefined(typeof(CompilerGeneratedAttribute), inherit: false))
            .Select(type => type.Name.Split('`')[0])
            .Distinct(),
    ];

    /// <summary>The places outside of its folder that name a family, with the names that they have.</summary>
    private static (string File, string[] Names)[] Places(Family family)
    {
        string[] names = NamesOf(family);
        string folder = FolderOf(family);
        return [.. Sources.Where(source => !source.Key.StartsWith(folder, StringComparison.Ordinal))
            .Select(source => (source.Key, names.Intersect(Word().Matches(source.Value).Select(word => word.Value)).ToArray()))
            .Where(place => place.Item2.Length > 0)];
    }

    private static bool Matches(string place, string file) =>
        Regex.IsMatch(file, $"^{Regex.Escape(place).Replace(@"\*", "[^/]*", StringComparison.Ordinal)}$");

    [Theory]
    [MemberData(nameof(Families))]
    public void A_family_is_a_folder_and_a_line(string name)
    {
        var family = Find(name);
        var others = Places(family).Where(place => !Allowed.Any(allowed => Matches(allowed.Place, place.File)))
            .Select(place => $"{place.File} names {string.Join(", ", place.Names)}");
        Assert.True(
            !others.Any(),
            $"{name} is known outside of {FolderOf(family)}:\n{string.Join('\n', others)}\n"
                + "Say it through the types that all families share, or add the place with a reason to Allowed.");
        string line = Assert.Single(
            Sources["src/Attune/Models/Family.cs"].Split('\n'), line => line.Contains($".{name}(", StringComparison.Ordinal));
        Assert.Contains("new ", line, StringComparison.Ordinal);
    }

    /// <summary>Otherwise the test above would pass whatever happens.</summary>
    [Theory]
    [MemberData(nameof(Families))]
    public void The_measure_sees_a_family(string name)
    {
        var family = Find(name);
        Assert.Contains(Sources.Keys, file => file.StartsWith(FolderOf(family), StringComparison.Ordinal));
        Assert.Contains(name, NamesOf(family));
        Assert.True(NamesOf(family).Length > 5, $"{name} has hardly any types.");
        Assert.Contains(Places(family), place => place.File == "src/Attune/Models/Family.cs");
    }

    [Fact]
    public void Every_exception_is_needed()
    {
        string[] files = [.. Family.All.SelectMany(Places).Select(place => place.File)];
        Assert.All(Allowed, allowed => Assert.Contains(files, file => Matches(allowed.Place, file)));
    }

    [GeneratedRegex(@"\w+")]
    private static partial Regex Word();
}
