using Attune.Generation;
using Attune.Imaging;
using Attune.Tests.Imaging;

namespace Attune.Tests.Pipelines;

/// <summary>An initial image is converted before anything counts its channels: how its file stores it changes nothing.</summary>
public class ImageModesTests
{
    private const int Side = 64;

    /// <summary>Gray levels that 1 and 2 bits hold too, so that every kind of file can store the picture.</summary>
    private static readonly int[] Levels = [.. Enumerable.Range(0, Side * Side).Select(i => ((i % Side / 9) + (i / Side / 5)) % 4)];

    [Theory]
    [InlineData(4)]
    [InlineData(2)]
    public async Task Files_of_every_mode_give_the_same_start(int levels)
    {
        int[] gray = [.. Levels.Select(level => level % levels * 255 / (levels - 1))];
        int[] Samples(params int[] more) => [.. gray.SelectMany(value => (int[])[value, .. more])];
        int[] rgb = [.. gray.SelectMany(value => (int[])[value, value, value])];
        int[] rgba = [.. gray.SelectMany(value => (int[])[value, value, value, 255])];
        int[] index = [.. Levels.Select(level => level % levels)];
        byte[] palette = [.. Enumerable.Range(0, levels).SelectMany(i => Enumerable.Repeat((byte)(i * 255 / (levels - 1)), 3))];
        byte[] opaque = PngFile.Chunk("tRNS", [255]);
        var files = new Dictionary<string, byte[]>
        {
            ["L"] = PngFile.Encode(Side, Side, 8, 0, gray),
            ["LA"] = PngFile.Encode(Side, Side, 8, 4, Samples(255)),
            ["RGB"] = PngFile.Encode(Side, Side, 8, 2, rgb),
            ["RGBA"] = PngFile.Encode(Side, Side, 8, 6, rgba),
            ["RGBA of 16 bits"] = PngFile.Encode(Side, Side, 16, 6, [.. rgba.Select(value => value * 257)]),
            ["P"] = PngFile.Encode(Side, Side, 8, 3, index, chunks: [PngFile.Chunk("PLTE", palette)]),
            ["P with transparency"] = PngFile.Encode(Side, Side, 2, 3, index, chunks: [PngFile.Chunk("PLTE", palette), opaque]),
            ["gray of 2 bits"] = PngFile.Encode(Side, Side, 2, 0, [.. gray.Select(value => value / 85)]),
            ["gray of 16 bits"] = PngFile.Encode(Side, Side, 16, 0, [.. gray.Select(value => value * 257)]),
        };
        if (levels == 2)
            files["gray of 1 bit"] = PngFile.Encode(Side, Side, 1, 0, index);
        using var pipeline = DiffusionPipeline.Load(Repository.Golden("checkpoints", "sd15"));
        float[]? first = null;
        foreach (var (mode, file) in files)
        {
            var (start, warnings) = await StartAsync(pipeline, Image.Read(file, mode));
            Assert.Empty(warnings);
            Assert.Equal(first ??= start, start);
        }
    }

    /// <summary>What was invisible shows, as in Pillow's conversion, and the run says so.</summary>
    [Fact]
    public async Task A_hidden_colour_shows_and_is_warned_of()
    {
        int[] hidden = [.. Enumerable.Range(0, Side * Side).SelectMany(i => (int[])[255, 0, 255, i % 4 == 0 ? 0 : 255])];
        int[] plain = [.. Enumerable.Range(0, Side * Side).SelectMany(_ => (int[])[255, 0, 255])];
        using var pipeline = DiffusionPipeline.Load(Repository.Golden("checkpoints", "sd15"));
        var (start, warnings) = await StartAsync(pipeline, Image.Read(PngFile.Encode(Side, Side, 8, 6, hidden), "x"));
        Assert.Equal(
            "Images.Initial: 25 % of the picture is transparent, wholly or partly. Alpha is dropped, and the colours stored below it show; "
                + "flatten the picture first where they should not.",
            Assert.Single(warnings));
        Assert.Equal((await StartAsync(pipeline, Image.Read(PngFile.Encode(Side, Side, 8, 2, plain), "x"))).Start, start);
    }

    private static async Task<(float[] Start, List<string> Warnings)> StartAsync(DiffusionPipeline pipeline, Image image)
    {
        var request = new GenerationRequest {
            Prompt = "a cat", Width = Side, Height = Side, Steps = 2, Images = new InputImages { Initial = image, Strength = 0.5f } };
        float[] start = [];
        var watch = new Watching { Started = run => start = run.ImageLatents!.ToArray() };
        await foreach (var _ in pipeline.DenoiseAsync(request, watch))
            break;
        Assert.NotEmpty(start);
        return (start, watch.Warnings);
    }
}
