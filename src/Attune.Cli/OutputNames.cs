using System.Globalization;

namespace Attune.Cli;

/// <summary>How the files of a run are called where --output does not say all of it.</summary>
internal static class OutputNames
{
    /// <summary>The name of a number without --output.</summary>
    public static string Free(ulong seed, int number) => string.Create(CultureInfo.InvariantCulture, $"attune-{seed}-{number}.png");

    /// <summary>The first of them that is not taken.</summary>
    public static string FirstFree(ulong seed) =>
        Enumerable.Range(1, int.MaxValue).Select(number => Free(seed, number)).First(file => !File.Exists(file));

    /// <summary>Several results get -1, -2, ... before the extension.</summary>
    public static string Numbered(string path, int index, int count) => count == 1 ? path
        : Path.ChangeExtension(path, null) + string.Create(CultureInfo.InvariantCulture, $"-{index + 1}") + Path.GetExtension(path);
}
