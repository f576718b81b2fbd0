using System.Runtime.Intrinsics;
using System.Text.RegularExpressions;
using Attune.Imaging;
using Attune.Tests;

namespace Attune.Cli.Tests;

/// <summary>The commands with which the README begins make the pictures that it shows.</summary>
public partial class ReadmeTests
{
    private static readonly string Text = File.ReadAllText(Path.Combine(Repository.Root, "README.md"));

    public static TheoryData<string> Commands() => [.. Command().Matches(Text).Select(match => match.Groups[1].Value)];

    [Fact]
    public void There_are_two_commands() => Assert.Equal(2, Command().Count(Text));

    [Theory]
    [MemberData(nameof(Commands))]
    public async Task A_command_makes_the_picture_that_is_shown(string command)
    {
        string[] arguments = [.. Word().Matches(command).Select(word => word.Groups[1].Success ? word.Groups[1].Value : word.Value)];
        string name = arguments[^1];
        Assert.Contains($"](docs/images/{name})", Text, StringComparison.Ordinal);
        using var folder = new TemporaryFolder();
        string file = Path.Combine(folder.Path, name);
        var (code, _, error) = await CommandTests.Run([.. arguments[..^1], file]);
        Assert.True(code == 0, error);
        var (made, shown) = (Image.Load(file), Image.Load(Path.Combine(Repository.Root, "docs", "images", name)));
        Assert.Equal((shown.Width, shown.Height), (made.Width, made.Height));

        // The pictures that are shown are those of vectors of 256 bits; wider ones sum in another order, which moves a level by one.
        int most = Vector512.IsHardwareAccelerated ? 1 : 0;
        int[] off = [.. shown.Rgb.ToArray().Zip(made.Rgb.ToArray(), (a, b) => Math.Abs(a - b)).Where(difference => difference > 0)];
        Assert.True(off.All(difference => difference <= most) && off.Length <= 10, $"{name} is not what the command makes.");
    }

    [GeneratedRegex(@"^dotnet run .* -- (generate .*)$", RegexOptions.Multiline)]
    private static partial Regex Command();

    [GeneratedRegex("\"([^\"]*)\"|\\S+")]
    private static partial Regex Word();
}
