using Attune.Weights;

namespace Attune.Verification;

/// <summary>
/// A folder of golden cases: numbers made with the reference implementations. <c>cases/GROUP/NAME.json</c> says what to run and
/// <c>NAME.safetensors</c> what came out; checkpoints and tokenizers are relative to the folder. tests/golden/README.md has the format.
/// </summary>
public sealed class GoldenFolder
{
    private const string Extension = ".json";

    private GoldenFolder(string path, IReadOnlyList<string> names) => (Path, Names) = (path, names);

    /// <summary>The folder.</summary>
    public string Path { get; }

    /// <summary>The names GROUP/NAME of all cases, in ordinal order.</summary>
    public IReadOnlyList<string> Names { get; }

    /// <summary>Lists the cases of a folder and reads none of them.</summary>
    /// <param name="path">A folder that holds a folder <c>cases</c>.</param>
    /// <exception cref="CheckpointException">There is no folder <c>cases</c>.</exception>
    public static GoldenFolder Open(string path)
    {
        ArgumentNullException.ThrowIfNull(path);
        string cases = System.IO.Path.Combine(path, "cases");
        if (!Directory.Exists(cases))
            throw new CheckpointException($"'{path}' has no folder cases/; expected a folder of golden cases.");
        var names = Directory.EnumerateFiles(cases, "*" + Extension, SearchOption.AllDirectories)
            .Select(file => System.IO.Path.GetRelativePath(cases, file)[..^Extension.Length].Replace('\\', '/'))
            .ToHashSet(StringComparer.Ordinal);
        return new GoldenFolder(path, [.. names.Where(name => !BelongsToACase(name)).Order(StringComparer.Ordinal)]);

        // NAME.strings.json is a further file of NAME.json; the dot of cfg-7.5.json is one of a number.
        bool BelongsToACase(string name)
        {
            int dot = name.LastIndexOf('.');
            return dot >= 0 && name[(dot + 1)..].All(char.IsAsciiLetter) && names.Contains(name[..dot]);
        }
    }

    /// <summary>The JSON file of a case.</summary>
    internal string FileOf(string name) => System.IO.Path.Combine(Path, "cases", name + Extension);
}
