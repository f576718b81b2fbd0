using System.Diagnostics;
using System.Xml.Linq;
using Attune.Tests;

namespace Attune.Cli.Tests;

/// <summary>The samples as users run them.</summary>
public class SampleTests
{
    private static readonly string Folder = Path.Combine(Repository.Root, "samples", "CustomRule");

    [Fact]
    public async Task A_rule_outside_of_the_library_guides()
    {
        string name = OperatingSystem.IsWindows() ? "CustomRule.exe" : "CustomRule";
        var start = new ProcessStartInfo(
            Path.Combine(AppContext.BaseDirectory, name),
            [Path.Combine(Repository.Root, "models", "flux-tiny-random")]) { RedirectStandardOutput = true, RedirectStandardError = true };
        using var process = Process.Start(start)!;
        var error = process.StandardError.ReadToEndAsync();
        string[] lines = (await process.StandardOutput.ReadToEndAsync()).Split('\n', StringSplitOptions.RemoveEmptyEntries);
        await process.WaitForExitAsync();
        Assert.True(process.ExitCode == 0, await error);
        Assert.Equal(3, lines.Length);
        Assert.StartsWith("orthogonal:scale=0: 0 of ", lines[0], StringComparison.Ordinal);
        Assert.StartsWith("orthogonal:scale=0.5: ", lines[1], StringComparison.Ordinal);
        Assert.StartsWith("orthogonal:scale=1,steps=0-1 + pladis:", lines[2], StringComparison.Ordinal);
        Assert.All(lines[1..], line => Assert.DoesNotContain(": 0 of", line, StringComparison.Ordinal));
    }

    [Fact]
    public void The_rule_is_short_and_the_library_shows_it_nothing_internal()
    {
        Assert.InRange(File.ReadAllLines(Path.Combine(Folder, "OrthogonalNegativeGuidance.cs")).Length, 1, 39);
        var project = XDocument.Load(Path.Combine(Repository.Root, "src", "Attune", "Attune.csproj"));
        Assert.DoesNotContain(
            project.Descendants("InternalsVisibleTo"),
            element => element.Attribute("Include")!.Value.Contains("CustomRule", StringComparison.Ordinal));
    }
}
