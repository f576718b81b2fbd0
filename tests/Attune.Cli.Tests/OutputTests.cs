using System.Diagnostics;
using System.Globalization;
using System.Text;
using System.Text.Json;
using Attune.Generation;
using Attune.Imaging;
using Attune.Tests;

namespace Attune.Cli.Tests;

/// <summary>What `attune generate` writes, where, and what it says on which stream; by the built command.</summary>
public sealed class OutputTests : IDisposable
{
    private static readonly string Model = Path.Combine(Repository.Root, "tests", "golden", "checkpoints", "sd15");

    private readonly string _folder = Directory.CreateTempSubdirectory("attune").FullName;

    public void Dispose() => Directory.Delete(_folder, recursive: true);

    private string At(string name) => Path.Combine(_folder, name);

    private string[] Names() => [.. Directory.GetFileSystemEntries(_folder).Select(Path.GetFileName).Order(StringComparer.Ordinal)!];

    /// <summary>Runs a small model in the test's folder.</summary>
    private async Task<(int Code, byte[] Output, string Error)> Generate(string prompt, params string[] arguments)
    {
        var start = new ProcessStartInfo(Programs.Attune) {
            RedirectStandardOutput = true, RedirectStandardError = true, WorkingDirectory = _folder };
        string[] size = arguments.Contains("--size") ? [] : ["--size", "32x32"];
        foreach (string argument in (string[])["generate", prompt, "-m", Model, "--steps", "1", .. size, .. arguments])
            start.ArgumentList.Add(argument);
        using var process = Process.Start(start)!;
        using var output = new MemoryStream();
        var error = process.StandardError.ReadToEndAsync();
        await process.StandardOutput.BaseStream.CopyToAsync(output);
        await process.WaitForExitAsync();
        return (process.ExitCode, output.ToArray(), await error);
    }

    private static byte[] Pixels(string file) => Image.Load(file).Rgb.ToArray();

    [Fact]
    public async Task Without_a_name_the_next_free_one_is_taken_also_by_two_at_once()
    {
        var runs = await Task.WhenAll(Generate("a panda", "--seed", "7"), Generate("a fox", "--seed", "7"));
        Assert.All(runs, run => Assert.True(run.Code == 0, run.Error));
        Assert.Equal(["attune-7-1.png", "attune-7-2.png"], Names());
        Assert.NotEqual(Pixels(At("attune-7-1.png")), Pixels(At("attune-7-2.png")));
        Assert.Equal(
            ["attune-7-1.png", "attune-7-2.png"], runs.Select(run => Encoding.UTF8.GetString(run.Output).Split(['\n', ' '])[1]).Order());
        var more = await Generate("a cat", "--seed", "7", "--count", "2");
        Assert.True(more.Code == 0, more.Error);
        Assert.Equal(["attune-7-1.png", "attune-7-2.png", "attune-7-3.png", "attune-7-4.png"], Names());
    }

    [Fact]
    public async Task An_interrupted_run_says_so_and_leaves_nothing()
    {
        if (OperatingSystem.IsWindows())
            return;
        var start = new ProcessStartInfo(Programs.Attune) {
            RedirectStandardOutput = true, RedirectStandardError = true, WorkingDirectory = _folder };
        foreach (string argument in (string[])[
            "generate", "a panda", "-m", Model, "--steps", "900", "--preview", "step-{step}.png", "-o", "panda.png"])
            start.ArgumentList.Add(argument);
        using var process = Process.Start(start)!;
        var error = process.StandardError.ReadToEndAsync();
        while (!process.HasExited && Names().Length == 0)
            await Task.Delay(20);
        // SIGINT is ignored by what a shell runs in the background, so the signal of this test is the other one.
        using (var kill = Process.Start("kill", ["-TERM", process.Id.ToString(CultureInfo.InvariantCulture)]))
            await kill.WaitForExitAsync();
        await process.WaitForExitAsync();
        Assert.Equal(130, process.ExitCode);
        Assert.EndsWith("attune: cancelled\n", await error, StringComparison.Ordinal);
        Assert.DoesNotContain(Names(), name => !name.StartsWith("step-", StringComparison.Ordinal));
    }

    [Fact]
    public async Task With_one_name_for_several_processes_the_last_one_wins_and_none_fails()
    {
        var runs = await Task.WhenAll(Enumerable.Range(0, 4).Select(i => Generate("a panda", "-o", "same.png", "--seed", $"{i}")));
        Assert.All(runs, run => Assert.True(run.Code == 0, run.Error));
        Assert.Equal(["same.png"], Names());
        Assert.Equal(3 * 32 * 32, Pixels(At("same.png")).Length);
    }

    [Fact]
    public async Task Standard_output_takes_a_picture_alone()
    {
        var (code, output, error) = await Generate("a panda", "-o", "-");
        Assert.True(code == 0, error);
        Assert.Empty(Names());
        var image = Image.Read(output, "standard output");
        Assert.Equal((32, 32), (image.Width, image.Height));
        Assert.Equal((byte)0x82, output[^1]);        // nothing follows the last chunk (IEND)
        Assert.Contains("seed 0", error, StringComparison.Ordinal);
        Assert.DoesNotContain("Wrote", error, StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_device_stands_and_a_link_is_followed()
    {
        if (OperatingSystem.IsWindows())
            return;
        using (var made = Process.Start("mkfifo", [At("pipe.png")]))
            await made.WaitForExitAsync();
        File.CreateSymbolicLink(At("link.png"), "target.png");
        var read = Task.Run(() => File.ReadAllBytes(At("pipe.png")));
        Assert.Equal(0, (await Generate("a panda", "-o", "pipe.png")).Code);
        Assert.Equal(0, (await Generate("a panda", "-o", "link.png")).Code);
        Assert.Equal(["link.png", "pipe.png", "target.png"], Names());
        Assert.Equal(await read.WaitAsync(TimeSpan.FromSeconds(60)), await File.ReadAllBytesAsync(At("target.png")));
        Assert.Equal("target.png", new FileInfo(At("link.png")).LinkTarget);
    }

    [Fact]
    public async Task Seeds_have_64_bits_of_which_32_count()
    {
        foreach (string seed in new[] { "0", "4294967295", "4294967296", "9223372036854775808", "18446744073709551615", "-1" })
        {
            var (code, _, error) = await Generate("a cat", "--seed", seed, "-o", $"{seed}.png");
            Assert.True(code == 0, error);
        }
        Assert.Equal(Pixels(At("0.png")), Pixels(At("4294967296.png")));
        Assert.Equal(Pixels(At("0.png")), Pixels(At("9223372036854775808.png")));
        Assert.Equal(Pixels(At("4294967295.png")), Pixels(At("18446744073709551615.png")));
        Assert.Equal(Pixels(At("-1.png")), Pixels(At("18446744073709551615.png")));
        Assert.NotEqual(Pixels(At("0.png")), Pixels(At("-1.png")));
    }

    [Fact]
    public async Task Words_that_begin_with_at_are_text()
    {
        await File.WriteAllTextAsync(At("words"), "a\n--steps\n2\n--size\n32x32\n-o\ninjected.png\n");
        foreach (
            string[] arguments in new string[][] {
                ["@somebody, a panda"], ["@words"], ["a panda", "--negative", "@words", "-g", "cfg"], ["a panda", "--lora", "@words"] })
        {
            var (code, _, error) = await Generate(arguments[0], [.. arguments[1..], "-o", "at.png"]);
            Assert.DoesNotContain("esponse file", error, StringComparison.Ordinal);
            Assert.Equal(arguments.Contains("--lora") ? 1 : 0, code);
            if (code == 0)
            {
                using var json = JsonDocument.Parse(MetadataTests.Text(At("at.png"), "attune"));
                string key = arguments.Length > 1 ? "negative_prompt" : "prompt";
                Assert.Equal(arguments.First(text => text[0] == '@'), json.RootElement.GetProperty(key).GetString());
            }
            else
            {
                Assert.Contains("@words", error, StringComparison.Ordinal);
            }
        }
        Assert.Equal(["at.png", "words"], Names());
    }

    [Fact]
    public async Task Json_says_everything_and_quiet_nothing()
    {
        var (code, output, error) = await Generate(
            "a panda", "-n", "x", "-g", "none", "--json", "-o", "a.png", "--seed", "18446744073709551615", "--size", "128x128");
        Assert.True(code == 0, error);
        Assert.StartsWith("Warning: No guidance rule reads the negative prompt", error, StringComparison.Ordinal);
        using var json = JsonDocument.Parse(output);
        var root = json.RootElement;
        Assert.Equal("a.png", root.GetProperty("files").EnumerateArray().Single().GetString());
        Assert.Equal(ulong.MaxValue, root.GetProperty("seed").GetUInt64());
        Assert.Equal((128, 128), (root.GetProperty("width").GetInt32(), root.GetProperty("height").GetInt32()));
        Assert.Equal("sd15", root.GetProperty("model").GetProperty("name").GetString());
        Assert.Equal("a panda", root.GetProperty("request").GetProperty("prompt").GetString());
        Assert.Equal(1, root.GetProperty("request").GetProperty("steps").GetInt32());
        Assert.Contains("No guidance rule reads", root.GetProperty("warnings")[0].GetString(), StringComparison.Ordinal);
        var seconds = root.GetProperty("seconds");
        Assert.Equal(
            ["load", "encode", "denoise", "decode", "save", "total"], seconds.EnumerateObject().Select(member => member.Name));
        double sum = seconds.EnumerateObject().Where(member => member.Name != "total").Sum(member => member.Value.GetDouble());
        Assert.Equal(seconds.GetProperty("total").GetDouble(), sum, 0.01);
        var bytes = root.GetProperty("bytes");
        Assert.InRange(bytes.GetProperty("peak_resident").GetInt64(), 10 << 20, 4L << 30);

        (code, output, error) = await Generate("a panda", "--quiet", "-o", "b.png", "--size", "128x128");
        Assert.Equal((0, 0, ""), (code, output.Length, error));
        Assert.True(File.Exists(At("b.png")));
    }

    [Fact]
    public async Task A_picture_tells_how_it_was_made_unless_it_shall_not()
    {
        Assert.Equal(0, (await Generate("a panda", "-n", "a hat", "-g", "cfg:scale=7", "--seed", "5", "-o", "a.png")).Code);
        using (var json = JsonDocument.Parse(MetadataTests.Text(At("a.png"), "attune")))
        {
            Assert.Equal("sd15", json.RootElement.GetProperty("model").GetString());
            Assert.Matches("^[0-9a-f]{16}$", json.RootElement.GetProperty("model_hash").GetString());
            Assert.Matches(@"^\d+\.\d+\.\d+", json.RootElement.GetProperty("version").GetString());
        }
        string common = MetadataTests.Text(At("a.png"), "parameters");
        Assert.Matches(
            "^a panda\nNegative prompt: a hat\nSteps: 1, Sampler: [A-Za-z0-9]+, Seed: 5, Size: 32x32, Guidance: \"cfg:scale=7[^\"]*\", "
                + "Model hash: [0-9a-f]{10}, Model: sd15, Version: Attune ", common);
        var (code, _, error) = await Generate(
            "a panda", "-n", "a hat", "-g", "cfg:scale=7", "--seed", "5", "--no-metadata", "-o", "b.png");
        Assert.True(code == 0, error);
        Assert.DoesNotContain("panda", Encoding.Latin1.GetString(await File.ReadAllBytesAsync(At("b.png"))), StringComparison.Ordinal);
        Assert.Equal(Pixels(At("a.png")), Pixels(At("b.png")));
    }

    /// <summary>Two models of one architecture differ, and a copy at another place does not.</summary>
    [Fact]
    public void A_models_hash_is_that_of_its_files()
    {
        string Copy(string name) => Repository.Copy(Model, At(name));
        string other = Copy("other");
        Assert.Equal(ModelIdentity.Of(Model).Hash, ModelIdentity.Of(other + "/").Hash);
        Assert.Equal("other", ModelIdentity.Of(other + "/").Name);
        string weights = Directory.GetFiles(Path.Combine(other, "unet"), "*.safetensors")[0];
        byte[] bytes = File.ReadAllBytes(weights);
        bytes[^3] ^= 1;
        File.WriteAllBytes(weights, bytes);
        Assert.NotEqual(ModelIdentity.Of(Model).Hash, ModelIdentity.Of(other).Hash);
    }

    [Fact]
    public async Task A_size_that_no_machine_holds_is_refused_and_one_far_from_the_models_is_warned_of()
    {
        var (code, _, error) = await Generate("a panda", "--size", "262144x262144", "-o", "x.png");
        Assert.Equal(1, code);
        Assert.Contains("--force", error, StringComparison.Ordinal);
        Assert.Empty(Names());
        (code, _, error) = await Generate("a panda", "--size", "64x64", "-o", "x.png");
        Assert.True(code == 0, error);
        Assert.Contains("64x64 is far from the 512x512 pixels of ", error, StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_folder_of_models_is_told_from_a_model()
    {
        var (code, _, error) = await CommandTests.Run("generate", "a panda", "-m", Path.Combine(Repository.Root, "models"));
        Assert.Equal(1, code);
        Assert.Contains("holds no model_index.json; below it are ", error, StringComparison.Ordinal);
        Assert.Contains("scenes-flux-schnell", error, StringComparison.Ordinal);
    }
}
