using System.Runtime.CompilerServices;

namespace Attune.Tests;

/// <summary>Where the repository is, from the place of this file when it was compiled.</summary>
internal static class Repository
{
    public static string Root { get; } = Find();

    public static string Golden(params string[] parts) => Path.Combine([Root, "tests", "golden", .. parts]);

    /// <summary>Copies a folder with all below it.</summary>
    /// <param name="from">The folder.</param>
    /// <param name="to">Where it goes; it may be there.</param>
    /// <param name="takes">Which files; null for all.</param>
    /// <returns>The copy, whose files can be changed.</returns>
    public static string Copy(string from, string to, Func<string, bool>? takes = null)
    {
        foreach (string file in Directory.EnumerateFiles(from, "*", SearchOption.AllDirectories).Where(file => takes?.Invoke(file) ?? true))
        {
            string target = Path.Combine(to, Path.GetRelativePath(from, file));
            Directory.CreateDirectory(Path.GetDirectoryName(target)!);
            File.Copy(file, target);
            File.SetAttributes(target, FileAttributes.Normal);
        }
        return to;
    }

    private static string Find([CallerFilePath] string path = "")
    {
        string? folder = Path.GetDirectoryName(path);
        while (folder != null && !File.Exists(Path.Combine(folder, "Attune.slnx")))
            folder = Path.GetDirectoryName(folder);
        return folder ?? throw new InvalidOperationException("The repository was not found.");
    }
}

/// <summary>A folder that is deleted at the end of a test.</summary>
internal sealed class TemporaryFolder : IDisposable
{
    public string Path { get; } = Directory.CreateTempSubdirectory("attune").FullName;

    public string At(string name) => System.IO.Path.Combine(Path, name);

    public void Dispose() => Directory.Delete(Path, recursive: true);
}
