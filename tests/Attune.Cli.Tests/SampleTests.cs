using System.Diagnostics;
using System.Xml.Linq;
using Attune.Imaging;
using Attune.Tests;

namespace Attune.Cli.Tests;

/// <summary>The samples as users run them.</summary>
public class SampleTests
{
    private static readonly string Folder = Path.Combine(Repository.Root, "samples", "CustomRule");

    private static async Task<(int Code, string Output, string Error)> Run(string sample, params string[] arguments)
    {
        string name = OperatingSystem.IsWindows() ? sample + ".exe" : sample;
        var start = new ProcessStartInfo(Path.Combine(AppContext.BaseDirectory, name), arguments)
        {
            RedirectStandardOutput = true, RedirectStandardError = true,
        };
        using var process = Process.Start(start)!;
        var error = process.StandardError.ReadToEndAsync();
        string output = await process.StandardOutput.ReadToEndAsync();
        await process.WaitForExitAsync();
        return (process.ExitCode, output, await error);
    }

    [Fact]
    public async Task A_rule_outside_of_the_library_guides()
    {
        var (code, output, error) = await Run("CustomRule", Path.Combine(Repository.Root, "models", "flux-tiny-random"));
        Assert.True(code == 0, error);
        string[] lines = output.Split('\n', StringSplitOptions.RemoveEmptyEntries);
        Assert.Equal(3, lines.Length);
        Assert.StartsWith("orthogonal:scale=0: 0 of ", lines[0], StringComparison.Ordinal);
        Assert.StartsWith("orthogonal:scale=0.5: ", lines[1], StringComparison.Ordinal);
        Assert.StartsWith("orthogonal:scale=1,steps=0-1 + pladis:", lines[2], StringComparison.Ordinal);
        Assert.All(lines[1..], line => Assert.DoesNotContain(": 0 of", line, StringComparison.Ordinal));
    }

    /// <summary>The program that docs/library.md shows.</summary>
    [Fact]
    public async Task A_program_generates_a_picture()
    {
        string file = Path.Combine(Path.GetTempPath(), $"{Guid.NewGuid()}.png");
        try
        {
            var (code, output, error) = await Run("Generate", Path.Combine(Repository.Root, "models", "scenes-flux-schnell"), file);
            Assert.True(code == 0, error);
            Assert.StartsWith("step 1 of 4", output, StringComparison.Ordinal);
            Assert.Equal(128, Image.Load(file).Width);
        }
        finally
        {
            File.Delete(file);
        }
        var (refused, _, message) = await Run("Generate", "/no/such/model");
        Assert.Equal(1, refused);
        Assert.Contains("'/no/such/model' does not exist", message, StringComparison.Ordinal);
    }

    /// <summary>The program that docs/extensions-ai.md shows.</summary>
    [Fact]
    public async Task A_program_generates_a_picture_by_abstractions()
    {
        using var folder = new TemporaryFolder();
        var (code, output, error) = await Run(
            "ImageGenerator", Path.Combine(Repository.Root, "models", "scenes-flux-schnell"), folder.At("x.png"));
        Assert.True(code == 0, error);
        Assert.Equal("seed 7", output.Trim());
        Assert.Equal(128, Image.Load(folder.At("x.png")).Width);
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
