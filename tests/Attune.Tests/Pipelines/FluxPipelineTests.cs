using Attune.Attention;
using Attune.Guidance;
using Attune.Imaging;
using Attune.Generation;
using Attune.Schedulers;
using Attune.Tensors;
using Attune.Weights;
using static Attune.Tests.Pipelines.Pictures;

namespace Attune.Tests.Pipelines;

[NoLeaks]
public class FluxPipelineTests
{
    private static readonly string Model = Repository.Golden("checkpoints", "flux-schnell");

    private static GenerationRequest Request(params GuidanceRule[] rules) => new()
    {
        Prompt = "a panda on a blue background",
        NegativePrompt = "sunglasses",
        Width = 64,
        Height = 96,
        Steps = 2,
        Seed = 5,
        MaxSequenceLength = 16,
        Guidance = new GuidanceSchedule(rules),
    };

    [Fact]
    public async Task The_same_seed_gives_the_same_bits_with_one_thread_and_two()
    {
        using var pipeline = DiffusionPipeline.Load(Model);
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

    /// <summary>A copy of the model in which files have been changed.</summary>
    private static TemporaryModel Changed(params (string File, string Old, string New)[] changes)
    {
        string folder = Repository.Copy(Model, Directory.CreateTempSubdirectory("attune-").FullName);
        foreach (var (file, old, replacement) in changes)
        {
            string path = Path.Combine(folder, file), text = File.ReadAllText(path);
            Assert.Contains(old, text, StringComparison.Ordinal);
            File.WriteAllText(path, text.Replace(old, replacement, StringComparison.Ordinal));
        }
        return new TemporaryModel(folder);
    }

    private sealed record TemporaryModel(string Folder) : IDisposable
    {
        public void Dispose() => Directory.Delete(Folder, recursive: true);
    }

    [Fact]
    public void A_folder_can_name_its_family_whose_sampling_then_counts()
    {
        const string Class = "\"_class_name\": \"FluxPipeline\",";
        using (var model = Changed(("model_index.json", Class, Class + "\"_attune_family\": \"scenes-flux\",")))
        using (var pipeline = DiffusionPipeline.Load(model.Folder))
        {
            Assert.Equal("scenes-flux", pipeline.Preset!.Family);
            Assert.Equal(
                GuidancePresets.For("scenes-flux").Sampling!.Steps,
                pipeline.Resolve(new GenerationRequest { Prompt = "a panda" }).Request.Steps);
            Assert.Equal(3, pipeline.Resolve(new GenerationRequest { Prompt = "a panda", Steps = 3 }).Request.Steps);
        }
        // A guidance scale of the family is for models that embed one.
        using (var model = Changed(("model_index.json", Class, Class + "\"_attune_family\": \"flux-dev\",")))
        using (var pipeline = DiffusionPipeline.Load(model.Folder))
        {
            var resolved = pipeline.Resolve(new GenerationRequest { Prompt = "a panda" }).Request;
            Assert.Equal((28, (float?)null), (resolved.Steps, resolved.GuidanceScale));
        }
        foreach (string wrong in new[] { "\"flux-huge\"", "3" })
        {
            using var model = Changed(("model_index.json", Class, Class + $"\"_attune_family\": {wrong},"));
            string message = Assert.Throws<CheckpointException>(() => DiffusionPipeline.Load(model.Folder)).Message;
            Assert.Contains("model_index.json", message, StringComparison.Ordinal);
            Assert.Contains("_attune_family", message, StringComparison.Ordinal);
        }
    }

    [Fact]
    public async Task Prompts_are_as_long_as_the_tokenizer_says_where_the_request_does_not()
    {
        using var model = Changed(("tokenizer_2/tokenizer_config.json", "\"model_max_length\": 512", "\"model_max_length\": 16"));
        using var given = DiffusionPipeline.Load(Model);
        using var stated = DiffusionPipeline.Load(model.Folder);
        var request = Request(new NormalizedAttentionGuidance());
        byte[] expected = await Pixels(given, request);
        Assert.Equal(expected, await Pixels(stated, request with { MaxSequenceLength = null }));
        Assert.NotEqual(expected, await Pixels(given, request with { MaxSequenceLength = 17 }));
    }

    [Fact]
    public async Task What_is_cut_off_a_prompt_is_said()
    {
        using var pipeline = DiffusionPipeline.Load(Model);
        var observer = new Watching();
        var request = Request(new NormalizedAttentionGuidance()) with { MaxSequenceLength = 512 };
        await pipeline.GenerateAsync(request, observer);
        Assert.Empty(observer.Warnings);
        await pipeline.GenerateAsync(
            request with {
                Prompt = "a panda on a blue background and nothing else", MaxSequenceLength = 8, NegativeMaxSequenceLength = 512 },
            observer);
        string warning = Assert.Single(observer.Warnings);
        Assert.Contains("cut to 8 tokens", warning, StringComparison.Ordinal);
        Assert.EndsWith("nothing else'.", warning, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Requests_that_fail_leave_nothing_behind()
    {
        using var pipeline = DiffusionPipeline.Load(Model);
        Task Generate(GenerationRequest request) => pipeline.GenerateAsync(request);
        var request = Request(new NormalizedAttentionGuidance());
        Assert.Contains(
            "DDIMScheduler does not fit FluxPipeline: it is made for diffusion",
            (
                await Assert.ThrowsAsync<ArgumentException>(
                    () => Generate(request with { Scheduler = SchedulerChoice.Change("DDIMScheduler") }))).Message,
            StringComparison.Ordinal);
        Assert.Contains(
            "GuidanceScale", (await Assert.ThrowsAsync<ArgumentException>(() => Generate(request with { GuidanceScale = 3.5f }))).Message,
            StringComparison.Ordinal);
    }

    [Fact]
    public async Task Neutral_guidance_is_the_plain_model_to_the_bit_and_costs_no_negative_prompt()
    {
        using var pipeline = DiffusionPipeline.Load(Model);
        byte[] plain = await Pixels(pipeline, Request());
        Assert.Equal(plain, await Pixels(pipeline, Request(new NormalizedAttentionGuidance { Scale = 0 })));
        Assert.Equal(plain, await Pixels(pipeline, Request(new NormalizedAttentionGuidance { Alpha = 0 })));
        Assert.Equal(plain, await Pixels(pipeline, Request(new ClassifierFreeGuidance { Scale = 1 })));
        Assert.NotEqual(plain, await Pixels(pipeline, Request(new NormalizedAttentionGuidance())));
        Assert.Null(await Watching.Start(pipeline, Request(new NormalizedAttentionGuidance { Scale = 0 }), start => start.Negative));
    }

    [Fact]
    public async Task Images_of_a_batch_equal_images_from_the_same_noise_alone()
    {
        using var pipeline = DiffusionPipeline.Load(Model);
        var pair = await pipeline.GenerateAsync(Request(new NormalizedAttentionGuidance()) with { Count = 2 });
        using var noise = Tensor.Empty(Host, [2, 16, 12, 8]);
        new TorchRandom(5).Normal(noise.Span);
        using var last = noise.Permute(0, 2, 3, 1);
        using var second = last.Slice(0, 1, 1);
        var alone = await pipeline.GenerateAsync(Request(new NormalizedAttentionGuidance()) with { InitialNoise = second });

        // Products over more rows may round differently: a level of 255 at most.
        Assert.All(pair[1].Rgb.ToArray().Zip(alone[0].Rgb.ToArray()), pixel => Assert.InRange(pixel.First - pixel.Second, -1, 1));
    }

    [Fact]
    public async Task Concurrent_requests_do_not_disturb_each_other()
    {
        using var pipeline = DiffusionPipeline.Load(Model);
        byte[] plain = await Pixels(pipeline, Request());
        byte[] guided = await Pixels(pipeline, Request(new NormalizedAttentionGuidance()));
        var results = await Task.WhenAll(
            Pixels(pipeline, Request()), Pixels(pipeline, Request(new NormalizedAttentionGuidance())), Pixels(pipeline, Request()));
        Assert.Equal(plain, results[0]);
        Assert.Equal(guided, results[1]);
        Assert.Equal(plain, results[2]);
    }

    [Fact]
    public async Task Cancelling_stops_and_frees_everything()
    {
        using var pipeline = DiffusionPipeline.Load(Model);
        using var source = new CancellationTokenSource();
        await Assert.ThrowsAnyAsync<OperationCanceledException>(
            () =>
                pipeline.GenerateAsync(Request(new NormalizedAttentionGuidance()) with { Steps = 50 }, progress: _ => source.Cancel(),
                    cancellation: source.Token));

        // Leaving the loop early is no error and frees as much.
        await foreach (var step in pipeline.DenoiseAsync(Request()))
            break;
    }

    [Fact]
    public async Task A_cancelled_token_is_seen_within_a_block()
    {
        using var pipeline = DiffusionPipeline.Load(Model);
        using var source = new CancellationTokenSource();
        int sites = 0;
        var rule = new CountingRule { Seen = _ => { if (++sites == 2) source.Cancel(); } };
        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => pipeline.GenerateAsync(Request(rule), cancellation: source.Token));
        Assert.Equal(2, sites);
    }

    [Fact]
    public async Task Steps_and_layers_bound_where_a_rule_acts()
    {
        using var pipeline = DiffusionPipeline.Load(Model);
        var seen = new List<string>();
        var rule = new CountingRule {
            Seen = seen.Add, Steps = StepRange.Iterations(1, 2),
            Layers = LayerSelector.Of("single_transformer_blocks.0", "transformer_blocks.1") };
        await pipeline.GenerateAsync(Request(rule));
        Assert.Equal(["transformer_blocks.1.attn", "single_transformer_blocks.0.attn"], seen);
    }

    [Fact]
    public async Task Negative_text_is_dropped_after_the_last_layer_that_reads_it()
    {
        using var pipeline = DiffusionPipeline.Load(Model);
        var lengths = new List<(string, bool)>();
        var nag = new NormalizedAttentionGuidance { Layers = LayerSelector.Of("transformer_blocks.0") };
        var watch = new CountingRule { Facts = facts => lengths.Add((facts.Call.Site.Path, facts.HasNegativeText)) };
        await pipeline.GenerateAsync(Request(nag, watch) with { Steps = 1 });
        Assert.Equal(
            [
                ("transformer_blocks.0.attn", true), ("transformer_blocks.1.attn", false), ("single_transformer_blocks.0.attn", false),
                ("single_transformer_blocks.1.attn", false)],
            lengths);
    }

    [Theory]
    [InlineData(60, 64, "Width")]
    [InlineData(64, 0, "Height")]
    public async Task Sizes_that_do_not_fit_are_refused(int width, int height, string name)
    {
        using var pipeline = DiffusionPipeline.Load(Model);
        var exception = await Assert.ThrowsAsync<ArgumentException>(
            () => pipeline.GenerateAsync(Request() with { Width = width, Height = height }));
        Assert.Contains(name, exception.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void A_pipeline_that_is_not_supported_is_named()
    {
        using var folder = new TemporaryFolder();
        File.WriteAllText(folder.At("model_index.json"), """{"_class_name":"DreamPipeline"}""");
        Assert.Contains(
            "DreamPipeline", Assert.Throws<CheckpointException>(() => DiffusionPipeline.Load(folder.Path)).Message,
            StringComparison.Ordinal);
        Assert.Throws<CheckpointException>(() => DiffusionPipeline.Load(folder.At("nothing")));
    }

    [Fact]
    public void A_png_is_what_was_written()
    {
        var pixels = new byte[7 * 5 * 3];
        new Random(1).NextBytes(pixels);
        using var stream = new MemoryStream();
        Png.Write(new Image(7, 5, pixels), stream, KeyValuePair.Create("parameters", "a pandá"));
        Assert.Equal(pixels, PngReader.Read(stream.ToArray(), out var texts));
        Assert.Equal("a pandá", texts["parameters"]);
        Assert.Throws<ArgumentException>(() => Png.Write(new Image(7, 5, pixels), stream, KeyValuePair.Create("", "x")));
    }

    /// <summary>A rule that adds nothing and tells where it is asked.</summary>
    private sealed record CountingRule : GuidanceRule, IAttentionCorrection
    {
        public Action<string>? Seen { get; init; }

        public Action<AttentionFacts>? Facts { get; init; }

        public void AddTo(Tensor output, AttentionFacts facts)
        {
            Seen?.Invoke(facts.Call.Site.Path);
            Facts?.Invoke(facts);
        }
    }
}

/// <summary>Just enough of a PNG reader to check the writer: chunk checksums, inflation and filters.</summary>
internal static class PngReader
{
    public static byte[] Read(byte[] file, out Dictionary<string, string> texts)
    {
        texts = [];
        using var data = new MemoryStream();
        int width = 0, height = 0;
        for (int at = 8; at < file.Length;)
        {
            int length = System.Buffers.Binary.BinaryPrimitives.ReadInt32BigEndian(file.AsSpan(at));
            string type = System.Text.Encoding.ASCII.GetString(file, at + 4, 4);
            var body = file.AsSpan(at + 8, length);
            Assert.Equal(
                Crc(file.AsSpan(at + 4, length + 4)),
                System.Buffers.Binary.BinaryPrimitives.ReadUInt32BigEndian(file.AsSpan(at + 8 + length)));
            if (type == "IHDR")
                (width, height) = (
                    System.Buffers.Binary.BinaryPrimitives.ReadInt32BigEndian(body),
                    System.Buffers.Binary.BinaryPrimitives.ReadInt32BigEndian(body[4..]));
            else if (type == "IDAT")
                data.Write(body);
            else if (type == "iTXt")
                texts[
                    System.Text.Encoding.Latin1.GetString(
                        body[..body.IndexOf((byte)0)])] = System.Text.Encoding.UTF8.GetString(body[(body.IndexOf((byte)0) + 5)..]);
            at += length + 12;
        }
        data.Position = 0;
        using var zlib = new System.IO.Compression.ZLibStream(data, System.IO.Compression.CompressionMode.Decompress);
        using var plain = new MemoryStream();
        zlib.CopyTo(plain);
        byte[] rows = plain.ToArray();
        int stride = width * 3;
        var pixels = new byte[stride * height];
        for (int y = 0; y < height; y++)
        {
            for (int i = 0; i < stride; i++)
            {
                int left = i < 3
                    ? 0
                    : pixels[y * stride + i - 3], up = y == 0 ? 0
                    : pixels[(y - 1) * stride + i], corner = i < 3 || y == 0 ? 0
                    : pixels[(y - 1) * stride + i - 3];
                int p = left + up - corner, pa = Math.Abs(p - left), pb = Math.Abs(p - up), pc = Math.Abs(p - corner);
                int predicted = rows[y * (stride + 1)] switch {
                    0 => 0, 1 => left, 2 => up, 4 => pa <= pb && pa <= pc ? left : pb <= pc ? up : corner,
                    _ => throw new InvalidDataException() };
                pixels[y * stride + i] = (byte)(rows[y * (stride + 1) + 1 + i] + predicted);
            }
        }
        return pixels;
    }

    private static uint Crc(ReadOnlySpan<byte> data)
    {
        uint crc = 0xFFFFFFFF;
        foreach (byte value in data)
        {
            crc ^= value;
            for (int bit = 0; bit < 8; bit++)
                crc = (crc & 1) != 0 ? 0xEDB88320 ^ (crc >> 1) : crc >> 1;
        }
        return ~crc;
    }
}
