using System.Diagnostics;
using System.Globalization;
using System.Text.Json;
using Attune.Imaging;
using Attune.Tests;

namespace Attune.Cli.Tests;

/// <summary>Videos by the command line: all forms of output, and what players read of them.</summary>
public sealed class VideoCommandTests : IDisposable
{
    private static readonly string Model = Repository.Golden("checkpoints", "wan-2.2");

    private readonly TemporaryFolder _folder = new();

    public void Dispose() => _folder.Dispose();

    private string[] Names() => [
        .. Directory.GetFileSystemEntries(_folder.Path).Select(Path.GetFileName).Order(StringComparer.Ordinal)!];

    private static async Task<(int Code, string Output, string Error)> Run(
        string program, Action<ProcessStartInfo>? change, params string[] words)
    {
        var start = new ProcessStartInfo(program, words) { RedirectStandardOutput = true, RedirectStandardError = true };
        change?.Invoke(start);
        using var process = Process.Start(start)!;
        var output = process.StandardOutput.ReadToEndAsync();
        var error = process.StandardError.ReadToEndAsync();
        await process.WaitForExitAsync();
        return (process.ExitCode, await output, await error);
    }

    /// <summary>Makes a small video in the test's folder.</summary>
    private Task<(int Code, string Output, string Error)> Generate(params string[] words) => Generate(null, words);

    private Task<(int Code, string Output, string Error)> Generate(Action<ProcessStartInfo>? change, params string[] words)
    {
        return Run(
            Programs.Attune,
            start =>
            {
                start.WorkingDirectory = _folder.Path;
                change?.Invoke(start);
            },
            [
                "generate", "a panda", .. words.Contains("-m") ? [] : new[] { "-m", Model, "--max-sequence-length", "8" },
                "--size", "64x32", "--steps", "1", .. words,
            ]);
    }

    private static bool IsThere(string program)
    {
        try
        {
            using var process = Process.Start(new ProcessStartInfo(program, ["-version"]) { RedirectStandardOutput = true });
            process!.StandardOutput.ReadToEnd();
            return true;
        }
        catch (System.ComponentModel.Win32Exception)
        {
            return false;
        }
    }

    private static void NeedsFfmpeg()
    {
        if (!IsThere("ffmpeg") || !IsThere("ffprobe"))
            Assert.Skip("ffmpeg is not on the path.");
    }

    [Theory]
    [InlineData("x.mp4", "h264")]
    [InlineData("x.webm", "vp9")]
    [InlineData("x.png", "apng")]
    [InlineData("x.gif", "gif")]
    public async Task A_player_reads_size_frames_and_rate_as_asked(string file, string codec)
    {
        NeedsFfmpeg();
        var (code, _, error) = await Generate("--frames", "9", "--fps", "12.5", "-o", file);
        Assert.True(code == 0, error);
        Assert.Equal([file], Names());
        var (_, json, _) = await Run(
            "ffprobe", null, "-v", "error", "-count_frames", "-of", "json", "-show_entries",
            "stream=codec_name,width,height,avg_frame_rate,nb_read_frames,color_space,color_transfer,color_primaries,color_range,pix_fmt",
            _folder.At(file));
        using var document = JsonDocument.Parse(json);
        var stream = document.RootElement.GetProperty("streams")[0];
        string Text(string key) => stream.GetProperty(key).ToString();
        Assert.Equal((codec, "64", "32", "9"), (Text("codec_name"), Text("width"), Text("height"), Text("nb_read_frames")));
        double[] rate = [.. Text("avg_frame_rate").Split('/').Select(part => double.Parse(part, CultureInfo.InvariantCulture))];
        Assert.Equal(12.5, rate[0] / rate[1], tolerance: codec == "gif" ? .4 : .01);
        if (codec is not ("h264" or "vp9"))
            return;
        Assert.Equal(
            ("yuv420p", "bt709", "bt709", "bt709", "tv"),
            (Text("pix_fmt"), Text("color_space"), Text("color_transfer"), Text("color_primaries"), Text("color_range")));
    }

    /// <summary>A player that reads the tags shows the colours of the frames.</summary>
    [Fact]
    public async Task The_colours_of_a_video_are_those_of_its_frames()
    {
        NeedsFfmpeg();
        Assert.Equal(0, (await Generate("--frames", "5", "-o", "x.mp4")).Code);
        Assert.Equal(0, (await Generate("--frames", "5", "-o", "f%02d.png")).Code);
        var (code, _, error) = await Run(
            "ffmpeg", null, "-v", "error", "-i", _folder.At("x.mp4"), "-vf", "scale=in_color_matrix=bt709", _folder.At("v%02d.png"));
        Assert.True(code == 0, error);
        for (int i = 1; i <= 5; i++)
        {
            byte[] Mean(string name) => Image.Load(_folder.At(string.Create(CultureInfo.InvariantCulture, $"{name}{i:00}.png")))
                .Rgb.ToArray().Chunk(3).Aggregate(new int[3], (sum, pixel) => [sum[0] + pixel[0], sum[1] + pixel[1], sum[2] + pixel[2]])
                .Select(sum => (byte)(sum / (64 * 32))).ToArray();
            Assert.All(Mean("f").Zip(Mean("v")), pair => Assert.InRange(pair.First - pair.Second, -4, 4));
        }
    }

    [Fact]
    public async Task Pictures_by_number_are_the_frames_of_the_animation()
    {
        var (code, output, error) = await Generate("--frames", "5", "-o", "frames/");
        Assert.True(code == 0, error);
        Assert.Contains("Wrote frames/%04d.png", output, StringComparison.Ordinal);
        Assert.Equal(
            Enumerable.Range(1, 5).Select(i => string.Create(CultureInfo.InvariantCulture, $"{i:0000}.png")),
            Directory.GetFiles(_folder.At("frames")).Select(Path.GetFileName).Order(StringComparer.Ordinal));
        Assert.Equal(0, (await Generate("--frames", "5", "-o", "x%d.png", "--count", "2")).Code);
        Assert.Equal(
            ["frames", "x1-1.png", "x1-2.png", "x2-1.png", "x2-2.png", "x3-1.png", "x3-2.png", "x4-1.png", "x4-2.png", "x5-1.png",
                "x5-2.png"],
            Names());

        // The file itself is the same wherever it is computed, and says how it was made.
        Assert.Equal(0, (await Generate(start => start.Environment["DOTNET_PROCESSOR_COUNT"] = "1", "--frames", "5", "-o", "a.png")).Code);
        Assert.Equal(0, (await Generate("--frames", "5", "-o", "b.png")).Code);
        Assert.Equal(await File.ReadAllBytesAsync(_folder.At("a.png")), await File.ReadAllBytesAsync(_folder.At("b.png")));
        Assert.Equal(
            Image.Load(_folder.At("frames/0001.png")).Rgb.ToArray(), Image.Load(_folder.At("a.png")).Rgb.ToArray());
        string file = System.Text.Encoding.Latin1.GetString(await File.ReadAllBytesAsync(_folder.At("a.png")));
        Assert.Contains("\"frames\":5", file, StringComparison.Ordinal);
        Assert.Contains("\"fps\":16", file, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Without_ffmpeg_a_video_is_refused_before_anything_is_computed()
    {
        var (code, _, error) = await Generate(start => start.Environment["PATH"] = _folder.Path, "--frames", "5", "-o", "x.mp4");
        Assert.Equal(1, code);
        Assert.Contains("the program ffmpeg, which is not on the path", error, StringComparison.Ordinal);
        Assert.Empty(Names());
    }

    [Theory]
    [InlineData("x.tiff", "ends in .tiff")]
    [InlineData("x.jpg", "videos are written as .png")]
    [InlineData("x.gif", "holds at most 50 frames a second")]
    [InlineData("none/x.gif", "does not exist")]
    [InlineData("none/frames/", "does not exist")]
    public async Task What_holds_no_video_is_an_error(string file, string message)
    {
        var (code, _, error) = await Generate("--frames", "5", "--fps", "60", "-o", file);
        Assert.Equal(1, code);
        Assert.Contains(message, error, StringComparison.Ordinal);
        Assert.Empty(Names());
    }

    [Fact]
    public async Task A_picture_does_not_become_a_video()
    {
        var (code, _, error) = await Generate("-m", Repository.Golden("checkpoints", "sd15"), "-o", "x.gif");
        Assert.Equal(1, code);
        Assert.Contains("makes pictures", error, StringComparison.Ordinal);
        Assert.Empty(Names());
    }

    [Fact]
    public async Task A_preview_is_a_strip_of_frames_and_json_has_frames_and_rate()
    {
        var (code, output, error) = await Generate("--frames", "9", "--preview", "p-{step}.png", "-o", "x.png", "--json");
        Assert.True(code == 0, error);
        var strip = Image.Load(_folder.At("p-1.png"));
        Assert.Equal((3 * 64, 32), (strip.Width, strip.Height));
        using var json = JsonDocument.Parse(output);
        Assert.Equal(9, json.RootElement.GetProperty("frames").GetInt32());
        Assert.Equal(16, json.RootElement.GetProperty("fps").GetDouble());
    }
}
