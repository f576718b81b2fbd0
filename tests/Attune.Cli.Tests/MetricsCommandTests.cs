using System.Text.Json.Nodes;
using Attune.Evaluation.Metrics;
using Attune.Tests;

namespace Attune.Cli.Tests;

/// <summary><c>attune metrics</c>: what it is told and what it says; the networks' numbers are golden cases.</summary>
public class MetricsCommandTests
{
    [Fact]
    public async Task Statistics_are_compared_without_a_network()
    {
        using var folder = new TemporaryFolder();
        string a = Path.Combine(folder.Path, "a.npz"), b = Path.Combine(folder.Path, "b.npz");
        new FeatureStatistics([0, 0], new double[,] { { 1, 0 }, { 0, 4 } }).Save(a);
        new FeatureStatistics([3, 0], new double[,] { { 4, 0 }, { 0, 4 } }).Save(b);
        var (code, output, error) = await CommandTests.Run("metrics", "fid", a, b, "--json");
        Assert.True(code == 0, error);
        var json = JsonNode.Parse(output)!;
        Assert.Equal("fid", json["metric"]!.GetValue<string>());
        Assert.Equal(9 + 1, json["value"]!.GetValue<double>(), 1e-9);
        Assert.Equal("pytorch-fid", json["preparation"]!.GetValue<string>());
    }

    [Fact]
    public async Task Parts_of_statistics_are_merged_and_used()
    {
        using var folder = new TemporaryFolder();
        float[][] rows = [.. Enumerable.Range(0, 30).Select(i => new[] { i % 7, i * i % 11f, i % 4 })];
        string File(string name) => Path.Combine(folder.Path, name);
        void Save(string name, float[][] part) =>
            (FeatureMoments.Of(part).ToStatistics() with { Preparation = "patch" }).Save(File(name));
        Save("1.npz", rows[..12]);
        Save("2.npz", rows[12..]);
        Save("whole.npz", rows);
        var (code, output, error) = await CommandTests.Run(
            "metrics", "statistics", File("merged.npz"), File("1.npz"), File("2.npz"), "--preparation", "patch", "--json");
        Assert.True(code == 0, error);
        Assert.Equal(30, JsonNode.Parse(output)!["pictures"]!.GetValue<int>());
        (code, output, error) = await CommandTests.Run("metrics", "pfid", File("merged.npz"), File("whole.npz"), "--json");
        Assert.True(code == 0, error);
        var json = JsonNode.Parse(output)!;
        Assert.Equal(0, json["value"]!.GetValue<double>(), 1e-6);
        Assert.Equal([30, 30], json["pictures"]!.AsArray().Select(count => count!.GetValue<int>()));
        Assert.StartsWith("there are no more pictures than the 2048 features", json["warning"]!.GetValue<string>());

        (code, _, error) = await CommandTests.Run("metrics", "fid", File("merged.npz"), File("whole.npz"));
        Assert.Equal(1, code);
        Assert.Contains("made ready as patch, expected pytorch-fid", error, StringComparison.Ordinal);
        (code, _, error) = await CommandTests.Run("metrics", "statistics", File("x.npz"), File("1.npz"), "--shard", "1/2");
        Assert.Equal(1, code);
        Assert.Contains("--shard takes a part of pictures", error, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Pictures_of_emoji_scenes_are_held_against_their_renderer()
    {
        using var folder = new TemporaryFolder();
        foreach (int seed in new[] { 0, 1, 2 })
        {
            var (made, _, complaint) = await CommandTests.Run(
                "generate", "a fox", "--seed", $"{seed}", "-o", Path.Combine(folder.Path, $"{seed}.png"));
            Assert.True(made == 0, complaint);
        }
        var (code, output, error) = await CommandTests.Run(
            "metrics", "nearest", folder.Path, "--judge", Path.Combine(Repository.Root, "models", "scenes-judge"), "--json");
        Assert.True(code == 0, error);
        var json = JsonNode.Parse(output)!;
        double[] quartiles = [.. json["quartiles"]!.AsArray().Select(value => value!.GetValue<double>())];
        Assert.Equal((3, "as-they-are"), (json["pictures"]!.GetValue<int>(), json["preparation"]!.GetValue<string>()));
        Assert.InRange(json["value"]!.GetValue<double>(), 8, 30);
        Assert.True(quartiles[0] <= quartiles[1] && quartiles[1] <= quartiles[2]);
    }

    [Theory]
    [InlineData("fid ABSENT ABSENT", "--inception is needed")]
    [InlineData("fid ABSENT ABSENT --inception ABSENT", "does not exist")]
    [InlineData("kid ABSENT ABSENT --inception ABSENT --draws mine", "--draws is 'mine'")]
    [InlineData("fid ABSENT ABSENT --inception ABSENT --preparation mine", "'mine' is no preparation of pictures; expected clip, ")]
    [InlineData("clip-score ABSENT --prompts ABSENT --clip ABSENT", "is no folder; expected a folder of pictures")]
    [InlineData("lpips ABSENT ABSENT --backbone ABSENT --linear ABSENT", "is no folder; expected a folder of pictures")]
    [InlineData("image-reward EMPTY --prompts ABSENT --model ABSENT", "holds no pictures")]
    public async Task What_is_missing_is_said(string arguments, string message)
    {
        using var folder = new TemporaryFolder();
        string empty = Directory.CreateDirectory(Path.Combine(folder.Path, "empty")).FullName;
        string line = arguments.Replace("ABSENT", Path.Combine(folder.Path, "absent"), StringComparison.Ordinal)
            .Replace("EMPTY", empty, StringComparison.Ordinal);
        var (code, _, error) = await CommandTests.Run(["metrics", .. line.Split(' ')]);
        Assert.Equal(1, code);
        Assert.Contains(message, error, StringComparison.Ordinal);
    }
}
