using System.Text.Json.Nodes;
using Attune.Autoencoders;
using Attune.Generation;
using Attune.Imaging;
using Attune.Latents;
using Attune.Tensors;
using Attune.Tests.Weights;
using Attune.Weights;

namespace Attune.Tests.Pipelines;

/// <summary>Pictures of which a part is made anew, control pictures, and pictures to edit.</summary>
public class EditingTests
{
    private static Image Picture(int width, int height) => new(
        width, height, [.. Enumerable.Range(0, 3 * width * height).Select(i => (byte)(i * 7 / 3))]);

    /// <summary>White on the right of a column.</summary>
    private static Image Mask(int width, int height, int from) => new(
        width, height, [.. Enumerable.Range(0, 3 * width * height).Select(i => (byte)(i / 3 % width >= from ? 255 : 0))]);

    private static GenerationRequest Request(InputImages images) => new()
    {
        Prompt = "a panda", Width = 64, Height = 32, Steps = 3, Seed = 3, Guidance = GuidanceChoice.Parse("none"),
        MaxSequenceLength = 40, Images = images,
    };

    private static InputImages Half { get; } = new() { Initial = Picture(64, 32), Mask = Mask(64, 32, 32), Strength = 0.7f };

    /// <summary>A model with another class, and with more columns in the first layer of its denoiser.</summary>
    private static string Model(TemporaryFolder folder, string golden, string name, string part = "", string weight = "", int columns = 0)
    {
        string path = Repository.Copy(Repository.Golden("checkpoints", golden), folder.At(name));
        string index = Path.Combine(path, "model_index.json");
        var json = JsonNode.Parse(File.ReadAllText(index))!.AsObject();
        json["_class_name"] = name;
        File.WriteAllText(index, json.ToJsonString());
        if (columns == 0)
            return path;
        string component = Path.Combine(path, part);
        string config = Path.Combine(component, "config.json");
        var settings = JsonNode.Parse(File.ReadAllText(config))!.AsObject();
        (settings["in_channels"], settings["out_channels"]) = (columns, (int)settings["in_channels"]!);
        File.WriteAllText(config, settings.ToJsonString());
        var writer = new SafetensorsWriter();
        using (var source = WeightSource.Open(component))
        {
            foreach (string tensor in source.Names)
            {
                var entry = source.Describe(tensor)!;
                if (tensor != weight)
                {
                    writer.Copy(entry, tensor);
                    continue;
                }
                long[] shape = [.. entry.Dimensions];
                shape[1] = columns;
                var random = new Random(5);
                int count = (int)shape.Aggregate(1L, (product, extent) => product * extent);
                writer.Add(tensor, [.. Enumerable.Range(0, count).Select(_ => 0.2f * (random.NextSingle() - 0.5f))], shape);
            }
        }
        foreach (string file in Directory.EnumerateFiles(component, "*.safetensors*"))
            File.Delete(file);
        writer.Write(Path.Combine(component, "diffusion_pytorch_model.safetensors"));
        return path;
    }

    /// <summary>What is put back after the last step is the picture itself, to the bit; the rest is made.</summary>
    [Theory]
    [InlineData("sd15")]
    [InlineData("sdxl")]
    [InlineData("sd35-medium")]
    [InlineData("flux-dev")]
    [InlineData("chroma")]
    [InlineData("z-image")]
    [InlineData("qwen-image")]
    [InlineData("flux2-klein")]
    public async Task What_a_mask_keeps_stays_and_what_it_gives_up_does_not(string model)
    {
        using var pipeline = DiffusionPipeline.Load(Repository.Golden("checkpoints", model));
        float[] clean = [], mask = [], last = [];
        var watch = new Watching
        {
            Started = start =>
            {
                using var scope = new TensorScope();
                mask = Broadcast(start.LatentMask!, start.Latents.Shape);
                clean = start.References.Count > 0 ? start.References[0].Latents.ToArray()
                    : Packed(start.ImageLatents!, start.Latents.Shape);
            },
            Stepped = step => last = step.Latents.ToArray(),
        };
        await pipeline.GenerateAsync(Request(Half), watch);
        Assert.Equal(clean.Where((_, i) => mask[i] == 0), last.Where((_, i) => mask[i] == 0));
        Assert.DoesNotContain(Enumerable.Range(0, mask.Length), i => mask[i] == 1 && clean[i] == last[i]);
        Assert.Equal(0.5, mask.Average(value => (double)value), 6);
    }

    private static float[] Broadcast(Tensor mask, Shape shape) => Tensor.Zeros(mask.Device, shape).Add(mask).ToArray();

    /// <summary>Latents as the denoiser has them: two by two where those are rows.</summary>
    private static float[] Packed(Tensor latents, Shape shape)
    {
        var s = latents.Shape;
        return shape.Rank == 4 ? latents.ToArray()
            : latents.Reshape(s[0], s[1] / 2, 2, s[2] / 2, 2, s[3]).Permute(0, 1, 3, 5, 2, 4).ToArray();
    }

    /// <summary>The part around the mask is made at the whole size and pasted; what is black in the mask stays to the bit.</summary>
    [Fact]
    public async Task A_part_is_pasted_into_the_whole_picture()
    {
        using var pipeline = DiffusionPipeline.Load(Repository.Golden("checkpoints", "sd15"));
        var (picture, mask) = (Picture(150, 90), Mask(150, 90, 120));
        var request = Request(new InputImages { Initial = picture, Mask = mask, MaskPadding = 4, Strength = 0.5f });
        var image = (await pipeline.GenerateAsync(request))[0];
        Assert.Equal((150, 90), (image.Width, image.Height));
        int[] changed = [
            .. Enumerable.Range(0, 150 * 90).Where(i => !image.Rgb.Slice(3 * i, 3).SequenceEqual(picture.Rgb.Slice(3 * i, 3)))];
        Assert.True(changed.Length > 1000);
        Assert.DoesNotContain(changed, i => i % 150 < 120);

        // Where no size is stated, the part is made at the model's own.
        Assert.Equal(
            pipeline.Facts.DefaultSize, pipeline.Resolve(request with { Width = null, Height = null }).Size.Width);
        var frames = await pipeline.GenerateFramesAsync(request);
        Assert.Equal(image.Rgb.ToArray(), frames[0][0].Rgb.ToArray());
    }

    [Fact]
    public async Task Models_that_read_a_mask_see_what_it_leaves_alone()
    {
        using var folder = new TemporaryFolder();
        string fill = Model(folder, "flux-dev", "FluxFillPipeline", "transformer", "x_embedder.weight", 384);
        string unet = Model(folder, "sd15", "StableDiffusionInpaintPipeline", "unet", "conv_in.weight", 9);
        foreach (string path in new[] { fill, unet })
        {
            using var pipeline = DiffusionPipeline.Load(path);
            async Task<byte[]> Made(Image initial, Image mask) => (await pipeline.GenerateAsync(
                Request(new InputImages { Initial = initial, Mask = mask, Strength = 1 })))[0].Rgb.ToArray();
            var picture = Picture(64, 32);
            var given = await Made(picture, Mask(64, 32, 32));
            byte[] pixels = picture.Rgb.ToArray();
            for (int i = 0; i < pixels.Length; i++)
                pixels[i] = (byte)(i / 3 % 64 >= 32 ? 255 - pixels[i] : pixels[i]);
            Assert.Equal(given, await Made(new Image(64, 32, pixels), Mask(64, 32, 32)));
            Assert.NotEqual(given, await Made(picture, Mask(64, 32, 16)));
            pixels = picture.Rgb.ToArray();
            pixels.AsSpan(0, 30).Clear();
            Assert.NotEqual(given, await Made(new Image(64, 32, pixels), Mask(64, 32, 32)));
            foreach (var (images, expected) in new[]
            {
                (new InputImages(), "Images.Initial is missing"), (new InputImages { Initial = picture }, "Images.Mask is missing"),
            })
            {
                Assert.Contains(
                    expected, Assert.Throws<ArgumentException>(() => pipeline.Resolve(Request(images))).Message, StringComparison.Ordinal);
            }
            Assert.Equal(1, pipeline.Resolve(Request(Half with { Strength = null })).Request.Images.Strength);
        }
    }

    /// <summary>What stands beside the latents tells the form, whatever the folder says; Kontext alone goes by its class.</summary>
    [Fact]
    public async Task A_control_picture_stands_beside_the_latents()
    {
        using var folder = new TemporaryFolder();
        using var pipeline = DiffusionPipeline.Load(
            Model(folder, "flux-dev", "FluxPipeline", "transformer", "x_embedder.weight", 128));
        Assert.Equal("FluxControlPipeline", pipeline.Facts.ClassName);
        var exception = Assert.Throws<ArgumentException>(() => pipeline.Resolve(Request(new InputImages())));
        Assert.Contains("Images.Control is missing", exception.Message, StringComparison.Ordinal);
        async Task<byte[]> Made(Image control) =>
            (await pipeline.GenerateAsync(Request(new InputImages { Control = [control] })))[0].Rgb.ToArray();
        Assert.NotEqual(await Made(Picture(64, 32)), await Made(Mask(64, 32, 20)));
        var own = Request(new InputImages { Control = [Picture(70, 40)] }) with { Width = null, Height = null };
        Assert.Equal(new PixelSize(32, 64), pipeline.Resolve(own).Size);
        var two = Request(new InputImages { Control = [Picture(64, 32), Picture(64, 32)] });
        Assert.Contains("expected one", Assert.Throws<ArgumentException>(() => pipeline.Resolve(two)).Message, StringComparison.Ordinal);
        string wrong = Model(folder, "flux-dev", "FluxControlPipeline");
        Assert.Contains(
            "128 with a control picture", Assert.Throws<CheckpointException>(() => DiffusionPipeline.Load(wrong)).Message,
            StringComparison.Ordinal);
    }

    [Fact]
    public async Task Kontext_looks_at_a_picture_and_makes_one_of_its_ratio()
    {
        using var folder = new TemporaryFolder();
        using var pipeline = DiffusionPipeline.Load(Model(folder, "flux-dev", "FluxKontextPipeline"));
        InputImages Looking(Image image) => new() { References = [image], ReferenceSize = 0 };
        async Task<byte[]> Made(InputImages images) => (await pipeline.GenerateAsync(Request(images)))[0].Rgb.ToArray();
        var pictures = new[] { await Made(new InputImages()), await Made(Looking(Picture(50, 40))), await Made(Looking(Mask(50, 40, 9))) };
        Assert.Equal(3, pictures.Select(Convert.ToHexString).Distinct().Count());

        // The picture's own size is cut down to whole tokens by resampling.
        Assert.Equal(await Made(Looking(Picture(50, 40).Resize(48, 32))), pictures[1]);
        var open = Request(Looking(Picture(112, 48)) with { ReferenceSize = null }) with { Width = null, Height = null };
        Assert.Equal(new PixelSize(656, 1552), pipeline.Resolve(open).Size);
        using var latents = new FluxKontextLatents(
            AutoencoderKl.Load(Repository.Golden("checkpoints", "flux-dev", "vae"), Devices.Managed), Devices.Managed);
        var seen = latents.FitReference(Picture(112, 48), null);
        Assert.Equal((1568, 672), (seen.Width, seen.Height));
        var two = Request(new InputImages { References = [Picture(64, 64), Picture(64, 64)] });
        Assert.Contains(
            "expected 1 at most", Assert.Throws<ArgumentException>(() => pipeline.Resolve(two)).Message, StringComparison.Ordinal);
        await Assert.ThrowsAsync<ArgumentException>(() => Made(Looking(Picture(64, 8))));
    }

    [Fact]
    public void What_does_not_go_together_is_named()
    {
        using var pipeline = DiffusionPipeline.Load(Repository.Golden("checkpoints", "sd15"));
        void Refuses(string expected, InputImages images) => Assert.Contains(
            expected, Assert.Throws<ArgumentException>(() => pipeline.Resolve(Request(images))).Message, StringComparison.Ordinal);
        Refuses("Images.Mask is given without an initial image", new InputImages { Mask = Mask(64, 32, 8) });
        Refuses("Images.MaskPadding is given without a mask", new InputImages { Initial = Picture(64, 32), MaskPadding = 8 });
        Refuses("Images.MaskPadding is -1", Half with { MaskPadding = -1 });
        Refuses("64 x 64 pixels, expected 64 x 32", Half with { Mask = Mask(64, 64, 8), MaskPadding = 8 });
        Assert.Contains(
            "black", Assert.Single(pipeline.Resolve(Request(Half with { Mask = Mask(64, 32, 64) })).Warnings), StringComparison.Ordinal);
        Assert.Contains(
            "white", Assert.Single(pipeline.Resolve(Request(Half with { Mask = Mask(64, 32, 0) })).Warnings), StringComparison.Ordinal);
    }
}
