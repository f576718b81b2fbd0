using Attune.Generation;
using Attune.Imaging;
using Attune.Tests.Weights;

namespace Attune.Tests.Pipelines;

/// <summary>Pictures that a model looks at.</summary>
public class ReferenceTests
{
    private static GenerationRequest Request(params Image[] references) => new()
    {
        Prompt = "a panda", Width = 48, Height = 32, Steps = 2, Seed = 3, Guidance = GuidanceChoice.Parse("none"),
        MaxSequenceLength = 40, Images = new InputImages { References = references },
    };

    private static Image Gradient(int width, int height, int shift) => new(
        width, height, [.. Enumerable.Range(0, 3 * width * height).Select(i => (byte)(i * 7 / 3 + shift))]);

    private static async Task<byte[]> Generate(DiffusionPipeline pipeline, GenerationRequest request) =>
        (await pipeline.GenerateAsync(request))[0].Rgb.ToArray();

    [Fact]
    public async Task Every_reference_counts_and_their_order_too()
    {
        using var pipeline = DiffusionPipeline.Load(Repository.Golden("checkpoints", "flux2-klein"));
        var (first, second) = (Gradient(64, 80, 0), Gradient(96, 64, 90));
        byte[][] pictures =
        [
            await Generate(pipeline, Request()), await Generate(pipeline, Request(first)), await Generate(pipeline, Request(second)),
            await Generate(pipeline, Request(first, second)), await Generate(pipeline, Request(second, first)),
        ];
        Assert.Equal(pictures.Length, pictures.Select(Convert.ToHexString).Distinct().Count());
    }

    [Fact]
    public async Task References_are_cut_in_the_middle_to_whole_tokens()
    {
        using var pipeline = DiffusionPipeline.Load(Repository.Golden("checkpoints", "flux2-klein"));
        var image = Gradient(75, 70, 5);
        Assert.Equal(await Generate(pipeline, Request(image.Crop(5, 3, 64, 64))), await Generate(pipeline, Request(image)));
    }

    /// <summary>Qwen-Image-2.1 sees alpha; models that do not, see the colours below it and are warned of.</summary>
    [Theory]
    [InlineData("qwen-image-2.1", true)]
    [InlineData("flux2-klein", false)]
    public async Task Alpha_counts_where_a_model_sees_it(string model, bool seen)
    {
        using var folder = new TemporaryFolder();
        if (seen)
            TinyPipelines.Write(model, folder.Path);
        using var pipeline = DiffusionPipeline.Load(seen ? folder.Path : Repository.Golden("checkpoints", model));
        var opaque = Gradient(64, 64, 0);
        var half = new Image(64, 64, opaque.Rgb, [.. Enumerable.Range(0, 64 * 64).Select(i => (byte)(i % 64 < 32 ? 0 : 255))]);
        var request = Request(opaque) with { Width = 64 };
        if (seen)
            request = request with { Images = request.Images with { ReferenceSize = 64 } };
        var watch = new Watching();
        var images = await pipeline.GenerateAsync(request with { Images = request.Images with { References = [half] } }, watch);
        Assert.Equal(!seen, (await Generate(pipeline, request)).SequenceEqual(images[0].Rgb.ToArray()));
        Assert.Equal(seen ? 0 : 1, watch.Warnings.Count(warning => warning.Contains("References[0]: 50 %", StringComparison.Ordinal)));
    }

    /// <summary>As in the reference pipeline: ratio and area of the last one, halves of 32 pixels to the even side.</summary>
    [Fact]
    public void A_size_that_nobody_states_is_the_last_references()
    {
        using var folder = new TemporaryFolder();
        TinyPipelines.Write("qwen-image-2.1", folder.Path);
        using var pipeline = DiffusionPipeline.Load(folder.Path);
        var request = new GenerationRequest
        {
            Prompt = "a panda", Guidance = GuidanceChoice.Parse("none"),
            Images = new InputImages { References = [Gradient(64, 64, 0), Gradient(80, 50, 0)], ReferenceSize = 80 },
        };
        Assert.Equal(new PixelSize(64, 96), pipeline.Resolve(request).Size);
        Assert.Equal(new PixelSize(32, 96), pipeline.Resolve(request with { Height = 32 }).Size);
        var square = request with { Images = request.Images with { References = [Gradient(7, 7, 0)] } };
        Assert.Equal(new PixelSize(64, 64), pipeline.Resolve(square).Size);
        Assert.Equal(new PixelSize(1024, 1024), pipeline.Resolve(square with { Images = new InputImages() }).Size);
    }

    [Fact]
    public async Task A_reference_that_is_too_small_is_refused_with_its_size()
    {
        using var pipeline = DiffusionPipeline.Load(Repository.Golden("checkpoints", "flux2-klein"));
        var exception = await Assert.ThrowsAsync<ArgumentException>(() => pipeline.GenerateAsync(Request(Gradient(63, 80, 0))));
        Assert.Contains("63 x 80", exception.Message, StringComparison.Ordinal);
        Assert.Contains("64", exception.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void A_model_that_takes_no_references_says_so()
    {
        using var pipeline = DiffusionPipeline.Load(Repository.Golden("checkpoints", "flux-schnell"));
        var exception = Assert.Throws<ArgumentException>(() => pipeline.Resolve(Request(Gradient(64, 64, 0))));
        Assert.Contains("References", exception.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Lists_of_pictures_are_whole()
    {
        Assert.Throws<ArgumentNullException>(() => new InputImages { References = null! });
        var exception = Assert.Throws<ArgumentException>(() => new InputImages { Control = [Gradient(64, 64, 0), null!] });
        Assert.Contains("Control[1] is null", exception.Message, StringComparison.Ordinal);
    }
}
