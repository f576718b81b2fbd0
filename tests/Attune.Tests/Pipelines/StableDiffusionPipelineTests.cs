using System.Text.Json.Nodes;
using Attune.Guidance;
using Attune.Imaging;
using Attune.Generation;
using Attune.Prompts;
using Attune.Schedulers;
using Attune.Tensors;
using Attune.TextEncoders.Clip;
using Attune.Weights;
using static Attune.Tests.Pipelines.Pictures;

namespace Attune.Tests.Pipelines;

[NoLeaks]
public class StableDiffusionPipelineTests
{
    private const string Long =
        "a panda on a blue background, the lion wearing a crown, two red apples, oil painting, watercolour, a photo of an astronaut "
            + "riding a horse on mars, "
        + "sunglasses, blurry, deformed crown, low quality, a panda on a blue background, the lion wearing a crown, two red apples, oil "
            + "painting, a horse on mars";

    private static readonly string Small = Repository.Golden("checkpoints", "sd15");
    private static readonly string Large = Repository.Golden("checkpoints", "sdxl");
    private static readonly string Tiny = Repository.Golden("checkpoints", "autoencoders", "taesd");

    private static GenerationRequest Request(params GuidanceRule[] rules) => new()
    {
        Prompt = "a panda on a blue background",
        NegativePrompt = "sunglasses",
        Width = 72,
        Height = 64,
        Steps = 2,
        Seed = 5,
        Guidance = new GuidanceSchedule(rules),
    };

    /// <summary>What <paramref name="read"/> gives after the first step.</summary>
    private static async Task<T> First<T>(DiffusionPipeline pipeline, GenerationRequest request, Func<DenoisingStep, T> read)
    {
        await foreach (var step in pipeline.DenoiseAsync(request))
            return read(step);
        throw new InvalidOperationException("There was no step.");
    }

    private static Task<float[]> Text(DiffusionPipeline pipeline, GenerationRequest request) =>
        Watching.Start(pipeline, request, start => start.Positive.Text.ToArray());

    [Theory]
    [InlineData("sd15")]
    [InlineData("sdxl")]
    public async Task The_same_seed_gives_the_same_bits_with_one_thread_and_two(string model)
    {
        using var pipeline = DiffusionPipeline.Load(Repository.Golden("checkpoints", model));
        int threads = Workers.MaxThreads;
        byte[] many = await Pixels(pipeline, Request(new NormalizedAttentionGuidance()));
        try
        {
            Workers.MaxThreads = 1;
            Assert.Equal(many, await Pixels(pipeline, Request(new NormalizedAttentionGuidance())));
        }
        finally
        {
            Workers.MaxThreads = threads;
        }
        Assert.NotEqual(many, await Pixels(pipeline, Request(new NormalizedAttentionGuidance()) with { Seed = 6 }));
    }

    [Theory]
    [InlineData("sd15")]
    [InlineData("sdxl")]
    public async Task Neutral_guidance_is_the_plain_model_to_the_bit(string model)
    {
        using var pipeline = DiffusionPipeline.Load(Repository.Golden("checkpoints", model));
        byte[] plain = await Pixels(pipeline, Request());
        Assert.Equal(plain, await Pixels(pipeline, Request(new NormalizedAttentionGuidance { Scale = 0 })));
        Assert.Equal(plain, await Pixels(pipeline, Request(new ClassifierFreeGuidance { Scale = 1 })));
        Assert.NotEqual(plain, await Pixels(pipeline, Request(new NormalizedAttentionGuidance())));
    }

    [Fact]
    public async Task Concurrent_requests_with_schedulers_and_guidance_of_their_own_do_not_disturb_each_other()
    {
        using var pipeline = DiffusionPipeline.Load(Small);
        GenerationRequest[] requests =
        [
            Request(),
            Request(new NormalizedAttentionGuidance()) with {
                Scheduler = SchedulerChoice.Change("LCMScheduler"), Timesteps = [999, 499], Steps = null },
            Request(new ClassifierFreeGuidance()) with { Scheduler = SchedulerChoice.Change("DDIMScheduler"), Eta = 0.5f },
            Request() with { Count = 2 },
        ];
        var alone = new List<byte[]>();
        foreach (var request in requests)
            alone.Add(await Pixels(pipeline, request));
        Assert.Equal(alone, await Task.WhenAll(requests.Select(request => Pixels(pipeline, request))));
        Assert.Equal(alone.Count, alone.DistinctBy(pixels => Convert.ToHexString(pixels)).Count());
    }

    [Fact]
    public async Task Cancelling_stops_and_frees_everything()
    {
        using var pipeline = DiffusionPipeline.Load(Large);
        using var source = new CancellationTokenSource();
        var request = Request(new NormalizedAttentionGuidance(), new ClassifierFreeGuidance()) with { Steps = 50 };
        await Assert.ThrowsAnyAsync<OperationCanceledException>(
            () => pipeline.GenerateAsync(request, progress: _ => source.Cancel(), cancellation: source.Token));
        await Assert.ThrowsAnyAsync<OperationCanceledException>(
            () => pipeline.GenerateAsync(request, cancellation: new CancellationToken(canceled: true)));
        await foreach (var step in pipeline.DenoiseAsync(request))
            break;
    }

    [Fact]
    public async Task An_image_file_is_where_image_to_image_begins()
    {
        using var folder = new TemporaryFolder();
        var pixels = new byte[75 * 68 * 3];
        for (int i = 0; i < pixels.Length; i++)
            pixels[i] = (byte)(i / 3 % 75 * 3);
        Png.Save(new Image(75, 68, pixels), folder.At("start.png"));
        using var pipeline = DiffusionPipeline.Load(Small);
        var request = Request() with {
            Images = new InputImages { Initial = Image.Load(folder.At("start.png")) }, Width = null, Height = null, Steps = 10 };
        var resolved = pipeline.Resolve(request).Request;
        GenerationRequest Stronger(float strength, GenerationRequest? from = null) =>
            (from ?? request) with { Images = request.Images with { Strength = strength } };
        Assert.Equal((72, 64), (resolved.Width, resolved.Height));

        // PNDM evaluates once more than it steps: int(10 s) steps and that one, from 10 - int(10 s) on.
        int full = await First(pipeline, Stronger(1), step => step.Count);
        int half = await First(pipeline, Stronger(0.5f), step => step.Count);
        Assert.Equal(full - 5, half);
        Assert.Equal(await Pixels(pipeline, request), await Pixels(pipeline, Stronger(0.8f)));
        Assert.NotEqual(await Pixels(pipeline, request), await Pixels(pipeline, Stronger(0.5f)));

        // The picture is sent twice, not two pictures: both have one posterior, and each its own noise.
        var two = await Watching.Start(pipeline, Stronger(0.5f, request with { Count = 2 }), start => start.ImageLatents!.ToArray());
        Assert.Equal(two[..(two.Length / 2)], two[(two.Length / 2)..]);
        var starts = await Watching.Start(pipeline, Stronger(0.5f, request with { Count = 2 }), start => start.Latents.ToArray());
        Assert.NotEqual(starts[..(starts.Length / 2)], starts[(starts.Length / 2)..]);

        // The size of a tensor counts as one that is asked for.
        using var odd = Tensor.Zeros(Host, [1, 64, 60, 3]);
        Assert.Contains(
            "Width is 60",
            (
                await Assert.ThrowsAsync<ArgumentException>(
                    () => pipeline.GenerateAsync(request with { Images = new InputImages { InitialTensor = odd } }))).Message,
            StringComparison.Ordinal);

        // 0.7f and 0.9f are a little less than 0.7 and 0.9, of which ten steps are seven and nine.
        foreach (var (strength, steps) in new[] { (0.7f, 7), (0.9f, 9), (0.35f, 3) })
            Assert.Equal(
                steps,
                await First(
                    pipeline, Stronger(strength, request with { Scheduler = SchedulerChoice.Change("DDIMScheduler") }),
                    step => step.Count));

        Assert.Contains(
            "0.05",
            (
                await Assert.ThrowsAsync<ArgumentException>(
                    () =>
                        pipeline.GenerateAsync(
                            Stronger(0.05f, request with { Scheduler = SchedulerChoice.Change("DDIMScheduler") })))).Message,
            StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("sd15")]
    [InlineData("sdxl")]
    public async Task Long_prompts_are_cut_off_or_read_in_pieces(string model)
    {
        using var pipeline = DiffusionPipeline.Load(Repository.Golden("checkpoints", model));
        var request = Request() with { Steps = 1 };
        float[] plain = await Text(pipeline, request);
        Assert.Equal(plain, await Text(pipeline, request with { LongPrompts = true }));

        float[] cut = await Text(pipeline, request with { Prompt = Long });
        float[] whole = await Text(pipeline, request with { Prompt = Long, LongPrompts = true });
        Assert.Equal(plain.Length, cut.Length);
        Assert.True(whole.Length > cut.Length && whole.Length % cut.Length == 0, $"{whole.Length} is no multiple of {cut.Length}");
        float[] first = whole[..cut.Length];
        Assert.All(cut.Zip(first), pair => Assert.Equal(pair.First, pair.Second, 1e-5f));

        // Both prompts may have any number of pieces, in attention and in a pass of its own.
        var guided = request with {
            Guidance = new GuidanceSchedule(new NormalizedAttentionGuidance(), new ClassifierFreeGuidance()), LongPrompts = true };
        Assert.NotEqual(
            await Pixels(pipeline, guided with { Prompt = Long }),
            await Pixels(pipeline, guided with { Prompt = Long, LongPrompts = false }));
        Assert.NotEqual(
            await Pixels(pipeline, guided with { NegativePrompt = Long }),
            await Pixels(pipeline, guided with { NegativePrompt = Long, LongPrompts = false }));
    }

    [Fact]
    public async Task Exclamation_marks_are_pads_of_one_tokenizer_of_SDXL_and_pieces_still_go_together()
    {
        // Each is a token of its own for the second tokenizer, and many make one for the first.
        using var pipeline = DiffusionPipeline.Load(Large);
        var shape = await Watching.Start(
            pipeline, Request() with { Steps = 1, LongPrompts = true, Prompt = "panda " + new string('!', 100) },
            start => start.Positive.Text.Shape);
        Assert.Equal(Shape.Create([1, 154, 64]), shape);
    }

    [Fact]
    public async Task Clip_skip_leaves_out_layers_of_both_prompts_unless_diffusers_reading_is_asked_for()
    {
        using var pipeline = DiffusionPipeline.Load(Small);
        var request = Request(new ClassifierFreeGuidance()) with { Steps = 1 };
        float[] plain = await Text(pipeline, request);
        Assert.Equal(plain, await Text(pipeline, request with { ClipSkip = 0 }));
        float[] skipped = await Text(pipeline, request with { ClipSkip = 1 });
        using (var model = ClipTextModel.Load(Path.Combine(Small, "text_encoder"), Host))
        {
            using var scope = new TensorScope();
            var tokenizer = Attune.Tokenizers.Tokenizer.Load(Path.Combine(Small, "tokenizer"));
            int[] ids = tokenizer.Encode(
                request.Prompt,
                new Attune.Tokenizers.TokenizerOptions { MaxLength = 77, Padding = Attune.Tokenizers.TokenPadding.MaxLength }).Ids;
            Assert.Equal(model.FinalLayerNorm(model.Encode([ids], [-2]).HiddenStates[0]).ToArray(), skipped);
        }
        Task<float[]> Negative(GenerationRequest request) =>
            Watching.Start(pipeline, request, start => start.Negative!.Text.ToArray());
        float[] kept = await Negative(request);
        Assert.Equal(kept, await Negative(request with { ClipSkip = 1, NegativeAsDiffusers = true }));
        Assert.NotEqual(kept, await Negative(request with { ClipSkip = 1 }));
        Assert.Equal(skipped, await Negative(request with { ClipSkip = 1, NegativePrompt = request.Prompt }));
        Assert.Contains(
            "ClipSkip", (await Assert.ThrowsAsync<ArgumentException>(() => pipeline.GenerateAsync(request with { ClipSkip = 12 }))).Message,
            StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_missing_negative_prompt_is_zeros_for_SDXL_unless_attention_reads_it()
    {
        using var pipeline = DiffusionPipeline.Load(Large);
        Task<float[]> Negative(string? prompt, params GuidanceRule[] rules) =>
            Watching.Start(pipeline, Request(rules) with { NegativePrompt = prompt, Steps = 1 }, start => start.Negative!.Text.ToArray());
        Assert.All(await Negative(null, new ClassifierFreeGuidance()), value => Assert.Equal(0, value));
        float[] empty = await Negative("", new ClassifierFreeGuidance());
        Assert.Contains(empty, value => value != 0);
        Assert.Equal(empty, await Negative(null, new NormalizedAttentionGuidance()));

        using var folder = new TemporaryFolder();
        string copy = Repository.Copy(Large, folder.At("sdxl"));
        string index = Path.Combine(copy, "model_index.json");
        File.WriteAllText(
            index,
            File.ReadAllText(index)
                .Replace("\"force_zeros_for_empty_prompt\": true", "\"force_zeros_for_empty_prompt\": false", StringComparison.Ordinal));
        using var other = DiffusionPipeline.Load(copy);
        Assert.Equal(
            empty,
            await Watching.Start(
                other, Request(new ClassifierFreeGuidance()) with { NegativePrompt = null, Steps = 1 },
                start => start.Negative!.Text.ToArray()));
    }

    [Fact]
    public async Task Sizes_change_the_picture_and_default_to_its_own()
    {
        using var pipeline = DiffusionPipeline.Load(Large);
        byte[] plain = await Pixels(pipeline, Request());
        Assert.Equal(plain, await Pixels(pipeline, Request() with { SizeConditioning = new SizeConditioning() }));
        var own = new SizeConditioning { OriginalSize = new PixelSize(64, 72), TargetSize = new PixelSize(64, 72) };
        Assert.Equal(plain, await Pixels(pipeline, Request() with { SizeConditioning = own }));
        Assert.NotEqual(plain, await Pixels(pipeline, Request() with { SizeConditioning = own with { CropTop = 512, CropLeft = 100 } }));
        Assert.Equal(
            [1, 2, 3, 4, 5, 6],
            new SizeConditioning { OriginalSize = new(1, 2), CropTop = 3, CropLeft = 4, TargetSize = new(5, 6) }.TimeIds(new(9, 9)));
        float[] Scores(SizeConditioning sizes, bool asDiffusers) => sizes.AestheticIds(new(9, 8), negative: true, asDiffusers);
        Assert.Equal([9, 8, 0, 0, 6], Scores(new SizeConditioning(), asDiffusers: false));
        Assert.Equal([9, 8, 0, 0, 2.5f], Scores(new SizeConditioning(), asDiffusers: true));
        Assert.Equal([9, 8, 0, 0, 3], Scores(new SizeConditioning { NegativeAestheticScore = 3 }, asDiffusers: true));
    }

    [Fact]
    public async Task Previews_show_the_clean_sample_at_every_step()
    {
        using var pipeline = DiffusionPipeline.Load(Large);
        using var small = DiffusionPipeline.Load(Large, new LoadOptions { PreviewVae = Tiny });
        var sizes = new List<(int, int)>();
        await foreach (var step in small.DenoiseAsync(Request()))
            sizes.AddRange((await step.DecodePreviewAsync()).Select(image => (image.Width, image.Height)));
        Assert.Equal([(72, 64), (72, 64)], sizes);

        // Euler ends at the clean sample; before, the latents are noisy and the preview is not.
        await foreach (var step in pipeline.DenoiseAsync(Request()))
        {
            using var preview = step.DecodePreview();
            using var latents = step.DecodeTensor();
            float distance = preview.ToArray().Zip(latents.ToArray(), (x, y) => Math.Abs(x - y)).Max();
            Assert.Equal(step.IsLast, distance < 1e-4f);
        }
        Assert.Contains(
            "latent_channels 16",
            Assert.Throws<CheckpointException>(
                () =>
                    DiffusionPipeline.Load(
                        Large, new LoadOptions { PreviewVae = Repository.Golden("checkpoints", "autoencoders", "taef1") })).Message,
            StringComparison.Ordinal);
    }

    [Fact]
    public async Task Wrong_requests_are_named()
    {
        using var pipeline = DiffusionPipeline.Load(Small);
        using var flux = DiffusionPipeline.Load(Repository.Golden("checkpoints", "flux-schnell"));
        using var image = Tensor.Zeros(Host, [1, 64, 64, 3]);
        using var images = Tensor.Zeros(Host, [3, 64, 72, 3]);
        async Task Refuses(string expected, GenerationRequest request, DiffusionPipeline? by = null)
        {
            var exception = await Assert.ThrowsAnyAsync<ArgumentException>(() => (by ?? pipeline).GenerateAsync(request));
            Assert.Contains(expected, exception.Message, StringComparison.Ordinal);
        }

        await Refuses("Strength", Request() with { Images = new InputImages { Strength = 0.5f } });
        await Refuses("Strength is 1.5", Request() with { Images = new InputImages { Strength = 1.5f, InitialTensor = image } });
        await Refuses("Images.InitialTensor is [1, 64, 64, 3]", Request() with { Images = new InputImages { InitialTensor = image } });
        await Refuses("Images.InitialTensor is [3, 64, 72, 3]", Request() with { Images = new InputImages { InitialTensor = images } });
        var picture = new Image(1, 1, new byte[3]);
        await Refuses(
            "Images.Initial and Images.InitialTensor",
            Request() with { Images = new InputImages { InitialTensor = image, Initial = picture } });
        await Refuses(
            "Images.References: FluxPipeline", Request() with { Images = new InputImages { References = [picture] }, Width = 64 }, flux);
        await Refuses("Images.References: StableDiffusion", Request() with { Images = new InputImages { References = [picture] } });
        await Refuses("Images.Control: StableDiffusionPipeline", Request() with { Images = new InputImages { Control = [picture] } });
        await Refuses("Frames: StableDiffusionPipeline", Request() with { Frames = 9 });
        await Refuses("ClipSkip: FluxPipeline", Request() with { ClipSkip = 1, Width = 64 }, flux);
        await Refuses("SizeConditioning", Request() with { SizeConditioning = new SizeConditioning() });
        await Refuses("Steps is 2, but there are 3 Timesteps", Request() with { Timesteps = [900, 500, 100] });
        await Refuses("Timesteps and Sigmas", Request() with { Steps = null, Timesteps = [900], Sigmas = [1, 0] });
        await Refuses("takes no Timesteps", Request() with { Steps = null, Timesteps = [900] });
        await Refuses("ClipSkip is -1", Request() with { ClipSkip = -1 });
        await Refuses("MaxSequenceLength is 78", Request() with { MaxSequenceLength = 78 });
        await Refuses("MaxSequenceLength is 2", Request() with { MaxSequenceLength = 2, LongPrompts = true });
        await Refuses("multiple of 8", Request() with { Width = 68 });
    }

    [Fact]
    public void Checkpoints_whose_parts_do_not_go_together_are_named()
    {
        using var folder = new TemporaryFolder();
        string copy = Repository.Copy(Small, folder.At("sd15"));
        string index = Path.Combine(copy, "model_index.json");
        string text = File.ReadAllText(index);
        File.WriteAllText(index, text.Replace("StableDiffusionPipeline", "StableDiffusionImg2ImgPipeline", StringComparison.Ordinal));
        using (var alias = DiffusionPipeline.Load(copy))
            Assert.Equal("StableDiffusionImg2ImgPipeline", alias.Facts.ClassName);
        File.WriteAllText(index, text);

        Directory.Delete(Path.Combine(copy, "vae"), recursive: true);
        Repository.Copy(Repository.Golden("checkpoints", "flux-schnell", "vae"), Path.Combine(copy, "vae"));
        Assert.Contains(
            "in_channels 4", Assert.Throws<CheckpointException>(() => DiffusionPipeline.Load(copy)).Message, StringComparison.Ordinal);
        Directory.Delete(Path.Combine(copy, "vae"), recursive: true);
        Repository.Copy(Path.Combine(Small, "vae"), Path.Combine(copy, "vae"));
        Directory.Delete(Path.Combine(copy, "unet"), recursive: true);
        Repository.Copy(Path.Combine(Large, "unet"), Path.Combine(copy, "unet"));
        Assert.Contains(
            "cross_attention_dim", Assert.Throws<CheckpointException>(() => DiffusionPipeline.Load(copy)).Message,
            StringComparison.Ordinal);
    }

    [Fact]
    public async Task Noise_levels_can_be_given()
    {
        using var pipeline = DiffusionPipeline.Load(Large);
        var sigmas = await Watching.Start(
            pipeline, Request() with { Steps = null, Sigmas = [14.6, 5, 1, 0] }, start => (start.Timesteps.Count, start.Sigmas));
        Assert.Equal(3, sigmas.Count);
        Assert.Equal([14.6f, 5, 1, 0], sigmas.Sigmas);
    }

    [Fact]
    public async Task The_refiner_has_one_encoder_and_reads_scores()
    {
        using var folder = new TemporaryFolder();
        string copy = Repository.Copy(Large, folder.At("refiner"));
        Edit(Path.Combine(copy, "model_index.json"), json =>
        {
            json["_class_name"] = "StableDiffusionXLImg2ImgPipeline";
            json["requires_aesthetics_score"] = true;
            json["text_encoder"] = new JsonArray(null, null);
            json["tokenizer"] = new JsonArray(null, null);
        });
        foreach (string part in new[] { "text_encoder", "tokenizer" })
            Directory.Delete(Path.Combine(copy, part), recursive: true);
        Edit(
            Path.Combine(copy, "unet", "config.json"),
            json => (json["cross_attention_dim"], json["projection_class_embeddings_input_dim"]) = (32, 80));
        RewriteUnet(
            Path.Combine(copy, "unet"),
            (name, weight) => name.Contains("attn2.to_k", StringComparison.Ordinal)
                || name.Contains("attn2.to_v", StringComparison.Ordinal) ? weight.Slice(1, 0, 32)
            : name == "add_embedding.linear_1.weight" ? weight.Slice(1, 0, 80) : weight);
        using var pipeline = DiffusionPipeline.Load(copy);
        using var image = Tensor.Full(Host, [1, 64, 72, 3], 0.25f);
        var request = Request(new ClassifierFreeGuidance()) with {
            Images = new InputImages { InitialTensor = image, Strength = 0.5f }, Steps = 4 };
        byte[] plain = await Pixels(pipeline, request);
        Assert.Equal(
            plain,
            await Pixels(
                pipeline, request with { SizeConditioning = new SizeConditioning { AestheticScore = 6, NegativeAestheticScore = 6 } }));
        Assert.Equal(
            await Pixels(pipeline, request with { SizeConditioning = new SizeConditioning { NegativeAestheticScore = 2.5f } }),
            await Pixels(pipeline, request with { NegativeAsDiffusers = true }));
        Assert.NotEqual(plain, await Pixels(pipeline, request with { NegativeAsDiffusers = true }));
        Assert.NotEqual(plain, await Pixels(pipeline, request with { SizeConditioning = new SizeConditioning { AestheticScore = 9 } }));
        Assert.NotEqual(
            plain, await Pixels(pipeline, request with { SizeConditioning = new SizeConditioning { NegativeAestheticScore = 9 } }));

        // With the other numbers the projection would not fit.
        Edit(Path.Combine(copy, "model_index.json"), json => json["requires_aesthetics_score"] = false);
        Assert.Contains(
            "projection_class_embeddings_input_dim is 80, expected 88",
            Assert.Throws<CheckpointException>(() => DiffusionPipeline.Load(copy)).Message, StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_latent_consistency_model_embeds_the_guidance_scale()
    {
        using var folder = new TemporaryFolder();
        string copy = Repository.Copy(Small, folder.At("lcm"));
        Edit(Path.Combine(copy, "model_index.json"), json => json["_class_name"] = "LatentConsistencyModelPipeline");
        Edit(Path.Combine(copy, "scheduler", "scheduler_config.json"), json => json["_class_name"] = "LCMScheduler");
        Edit(Path.Combine(copy, "unet", "config.json"), json => json["time_cond_proj_dim"] = 8);
        var random = new TorchRandom(3);
        RewriteUnet(
            Path.Combine(copy, "unet"), (_, weight) => weight,
            ("time_embedding.cond_proj.weight", [16, 8], values => random.Normal(values)));
        using var pipeline = DiffusionPipeline.Load(copy);
        Assert.Equal(4, pipeline.Facts.DefaultSteps);
        byte[] plain = await Pixels(pipeline, Request());
        Assert.Equal(plain, await Pixels(pipeline, Request() with { GuidanceScale = 8.5f }));
        Assert.NotEqual(plain, await Pixels(pipeline, Request() with { GuidanceScale = 3 }));
        using var other = DiffusionPipeline.Load(Small);
        Assert.Contains(
            "GuidanceScale",
            (await Assert.ThrowsAsync<ArgumentException>(() => other.GenerateAsync(Request() with { GuidanceScale = 3 }))).Message,
            StringComparison.Ordinal);

        // Its image to image chooses its steps from the low end of the schedule.
        using var image = Tensor.Full(Host, [1, 64, 72, 3], 0.25f);
        var timesteps = await Watching.Start(
            pipeline, Request() with { Steps = 2, Images = new InputImages { InitialTensor = image, Strength = 0.5f } }, start =>
                start.Timesteps);
        Assert.Equal(2, timesteps.Count);
        Assert.True(timesteps[0] < 500, $"The first timestep is {timesteps[0]}.");
    }

    private static void Edit(string file, Action<JsonObject> change)
    {
        var json = JsonNode.Parse(File.ReadAllText(file))!.AsObject();
        change(json);
        File.WriteAllText(file, json.ToJsonString());
    }

    private delegate void Fill(Span<float> values);

    /// <summary>Writes the weights of a folder anew, in one file of float32, with changes and further tensors.</summary>
    private static void RewriteUnet(
        string folder, Func<string, Tensor, Tensor> change, params (string Name, int[] Shape, Fill Fill)[] added)
    {
        var header = new JsonObject();
        using var data = new MemoryStream();
        using (var source = WeightSource.Open(folder))
        {
            using var scope = new TensorScope();
            var tensors = source.Entries.Select(
                stored => (
                    stored.Name,
                    change(stored.Name, source.Find(stored.Name)!.ToTensor(Host))))
                .Concat(added.Select(tensor =>
                {
                    var made = Tensor.Empty(Host, Shape.Create(tensor.Shape));
                    tensor.Fill(made.Span);
                    return (tensor.Name, made);
                }));
            foreach (var (name, tensor) in tensors)
            {
                float[] values = tensor.ToArray();
                header[name] = new JsonObject
                {
                    ["dtype"] = "F32", ["shape"] = new JsonArray([.. tensor.Shape.Select(extent => (JsonNode)extent)]),
                    ["data_offsets"] = new JsonArray(data.Length, data.Length + 4L * values.Length),
                };
                data.Write(System.Runtime.InteropServices.MemoryMarshal.AsBytes<float>(values));
            }
        }
        foreach (string old in Directory.GetFiles(folder, "*.safetensors*"))
            File.Delete(old);
        byte[] text = System.Text.Encoding.UTF8.GetBytes(header.ToJsonString());
        using var file = File.Create(Path.Combine(folder, "diffusion_pytorch_model.safetensors"));
        file.Write(BitConverter.GetBytes((long)text.Length));
        file.Write(text);
        data.WriteTo(file);
    }
}
