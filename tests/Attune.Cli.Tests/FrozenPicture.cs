using System.Text.RegularExpressions;

namespace Attune.Cli.Tests;

/// <summary>A line of the table.</summary>
internal sealed partial class FrozenPicture
{
    /// <summary>The section and the picture, as <c>sdxl/nag</c>.</summary>
    public required string Name { get; init; }

    /// <summary>What follows <c>attune generate</c>, with places in braces.</summary>
    public required IReadOnlyList<string> Arguments { get; init; }

    /// <summary>The SHA-256 of the pixels.</summary>
    public required string Hash { get; set; }

    /// <summary>Reads the table.</summary>
    public static IEnumerable<FrozenPicture> Read(string file)
    {
        string section = "";
        string[] common = [];
        foreach (string line in File.ReadLines(file))
        {
            if (line.Length == 0 || line[0] == '#')
                continue;
            if (line[0] == '[')
            {
                int end = line.IndexOf(']', StringComparison.Ordinal);
                (section, common) = (line[1..end], Split(line[(end + 1)..]));
                continue;
            }
            string[] fields = line.Split('\t');
            yield return new FrozenPicture
            {
                Name = $"{section}/{fields[0]}",
                Hash = fields[1],
                Arguments = Merge(common, Split(fields.ElementAtOrDefault(2) ?? "")),
            };
        }
    }

    /// <summary>Writes the table anew, with the hashes of <paramref name="pictures"/>; all else stays as it is.</summary>
    public static void Write(string from, string to, Dictionary<string, FrozenPicture> pictures)
    {
        var lines = new List<string>();
        string section = "";
        foreach (string line in File.ReadLines(from))
        {
            string[] fields = line.Split('\t');
            if (line.StartsWith('['))
                section = line[1..line.IndexOf(']', StringComparison.Ordinal)];
            else if (fields.Length > 1)
                fields[1] = pictures[$"{section}/{fields[0]}"].Hash;
            lines.Add(string.Join('\t', fields));
        }
        File.WriteAllLines(to, lines);
    }

    /// <summary>
    /// The section's options, all of which take a value, and the picture's: these count where both are given, and the value - takes one
    /// away.
    /// </summary>
    private static List<string> Merge(string[] common, string[] own)
    {
        var result = new List<string>();
        for (int i = 0; i < common.Length; i += 2)
        {
            if (!own.Contains(common[i]))
                result.AddRange([common[i], common[i + 1]]);
        }
        for (int i = 0; i < own.Length; i++)
        {
            if (i + 1 < own.Length && own[i + 1] == "-")
                i++;
            else
                result.Add(own[i]);
        }
        int prompt = result.IndexOf("--prompt");        // not an option, but the argument
        result.RemoveAt(prompt);
        return result;
    }

    /// <summary>Words, or what stands between quotation marks.</summary>
    private static string[] Split(string text) => [.. Word().Matches(text).Select(match => match.Value.Trim('"'))];

    [GeneratedRegex("\"[^\"]*\"|[^ ]+")]
    private static partial Regex Word();
}
