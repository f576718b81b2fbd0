using System.Text.RegularExpressions;

namespace Attune.Tests.Architecture;

/// <summary>The table of CONTRIBUTING.md that says where things go.</summary>
public partial class WhereThingsGoTests
{
    private static string[] Rows()
    {
        string text = File.ReadAllText(Path.Combine(Repository.Root, "CONTRIBUTING.md")).ReplaceLineEndings("\n");
        string section = text.Split("\n## Where things go\n")[1].Split("\n## ")[0];
        return [.. section.Split('\n').Where(line => line.StartsWith('|')).Skip(2)];
    }

    [Fact]
    public void Its_paths_exist()
    {
        string[] rows = Rows();
        Assert.True(rows.Length > 10);
        foreach (string row in rows)
        {
            string[] paths = [.. Code().Matches(row).Select(match => match.Groups[1].Value).Where(code => code.Contains('/'))];
            Assert.True(paths.Length > 0, $"This row names no path: {row}");
            foreach (string path in paths)
            {
                string full = Path.Combine(Repository.Root, path);
                Assert.True(
                    path.EndsWith('/') ? Directory.Exists(full) : File.Exists(full),
                    $"CONTRIBUTING.md says that things go to '{path}', which does not exist.");
            }
        }
    }

    /// <summary>Every folder of the library has a row: who looks for the place of a change finds it.</summary>
    [Fact]
    public void Every_room_of_the_library_has_a_row()
    {
        string table = string.Join('\n', Rows());
        foreach (string folder in Directory.GetDirectories(Path.Combine(Repository.Root, "src", "Attune")).Select(Path.GetFileName)!)
        {
            if (folder is not ("bin" or "obj"))
                Assert.Contains($"`src/Attune/{folder}/", table, StringComparison.Ordinal);
        }
    }

    [GeneratedRegex("`([^`]+)`")]
    private static partial Regex Code();
}
