using System.Text;

namespace Attune.Tests.Docs;

/// <summary>
/// Source text in pages: <c>example NAME</c> is a part of <see cref="ExampleTests"/>, from the line <c>// example NAME</c> to the line
/// <c>// end</c>; <c>source PATH</c> is a whole file of the repository, where it is built with everything else.
/// </summary>
internal static class Examples
{
    private static readonly string File = Path.Combine(Repository.Root, "tests", "Attune.Tests", "Docs", "ExampleTests.cs");

    /// <summary>The names of all examples.</summary>
    public static IEnumerable<string> Names => Lines().Select(line => line.Trim())
        .Where(line => line.StartsWith("// example ", StringComparison.Ordinal))
        .Select(line => line[3..]);

    /// <summary>The source text, or null for parts of other names.</summary>
    public static string? Part(string part) => part.Split(' ', 2) switch
    {
        ["example", _] => Fenced(Example(part)),
        ["source", var path] => Fenced(System.IO.File.ReadAllLines(Path.Combine(Repository.Root, path))),
        _ => null,
    };

    private static string[] Lines() => System.IO.File.ReadAllLines(File);

    private static IEnumerable<string> Example(string part)
    {
        string[] lines = [.. Lines().SkipWhile(line => line.Trim() != "// " + part).Skip(1).TakeWhile(line => line.Trim() != "// end")];
        if (lines.Length == 0)
            throw new InvalidOperationException($"'{File}' has no '{part}'.");
        int indent = lines.Where(line => line.Length > 0).Min(line => line.Length - line.TrimStart().Length);
        return lines.Select(line => line.Length == 0 ? line : line[indent..]);
    }

    private static string Fenced(IEnumerable<string> lines)
    {
        var text = new StringBuilder("```csharp\n");
        foreach (string line in lines)
            text.Append(line).Append('\n');
        return text.Append("```\n").ToString();
    }
}
