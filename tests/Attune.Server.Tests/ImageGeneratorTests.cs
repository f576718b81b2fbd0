using System.ClientModel;
using System.Diagnostics;
using System.Diagnostics.Metrics;
using System.Drawing;
using System.Text.Json;
using Attune.Extensions.AI;
using Attune.Generation;
using Attune.Imaging;
using Attune.Media.Skia;
using Microsoft.Extensions.AI;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Logging;
using Image = Attune.Imaging.Image;

namespace Attune.Server.Tests;

/// <summary>A program's services: one model without a key, one with.</summary>
public sealed class GeneratorServices : IAsyncDisposable
{
    private readonly ServiceProvider _services;

    public GeneratorServices()
    {
        SkiaFormats.Register();
        var services = new ServiceCollection();
        services.AddLogging(logging => logging.SetMinimumLevel(LogLevel.Debug).AddProvider(new Collector(Log)));
        services.AddAttune(TestServer.Model(TestServer.Flux).Path);
        services.AddAttuneImageGenerator().UseOpenTelemetry(sourceName: "test").UseLogging();
        services.AddKeyedAttune("sd", options => options.Model = TestServer.Model(TestServer.Sd).Path);
        services.AddKeyedAttuneImageGenerator("sd");
        _services = services.BuildServiceProvider(new ServiceProviderOptions { ValidateScopes = true, ValidateOnBuild = true });
    }

    public IServiceProvider Services => _services;

    internal List<string> Log { get; } = [];

    public ValueTask DisposeAsync() => _services.DisposeAsync();

    private sealed class Collector(List<string> lines) : ILoggerProvider, ILogger
    {
        public ILogger CreateLogger(string categoryName) => this;

        public void Dispose()
        {
        }

        public IDisposable? BeginScope<TState>(TState state)
            where TState : notnull => null;

        public bool IsEnabled(LogLevel logLevel) => true;

        public void Log<TState>(
            LogLevel logLevel, EventId eventId, TState state, Exception? exception, Func<TState, Exception?, string> formatter)
        {
            lock (lines)
                lines.Add(formatter(state, exception));
        }
    }
}

/// <summary>Attune behind Microsoft.Extensions.AI: in the process and over the wire.</summary>
public sealed class ImageGeneratorTests(GeneratorServices given) : IClassFixture<GeneratorServices>
{
    private readonly IServiceProvider _services = given.Services;

    private IImageGenerator Generator => _services.GetRequiredService<IImageGenerator>();

    private AttuneImageGenerator Own => _services.GetRequiredService<AttuneImageGenerator>();

    private IImageGenerator Sd => _services.GetRequiredKeyedService<IImageGenerator>("sd");

    /// <summary>A request of one step and 32 pixels.</summary>
    private static AttuneImageGenerationOptions Quick => new()
    {
        ImageSize = new Size(32, 32), Steps = 1, Seed = 7, AdditionalProperties = new() { ["max_sequence_length"] = 16 },
    };

    private static byte[] Bytes(ImageGenerationResponse response, int index = 0) =>
        Assert.IsType<DataContent>(response.Contents[index]).Data.ToArray();

    private static byte[] Pixels(ImageGenerationResponse response, int index = 0) => Image.Read(Bytes(response, index), "x").Rgb.ToArray();

    private static DataContent Picture(int side = 32)
    {
        var stream = new MemoryStream();
        Png.Write(new Image(side, side, [.. Enumerable.Range(0, side * side * 3).Select(i => (byte)i)]), stream);
        return new DataContent(stream.ToArray(), "image/png");
    }

    private async Task<string> RefusedAsync(
        ImageGenerationOptions options, ImageGenerationRequest? request = null, IImageGenerator? generator = null)
    {
        var refused = await Assert.ThrowsAsync<ArgumentException>(
            () => (generator ?? Generator).GenerateAsync(request ?? new ImageGenerationRequest("a red cat"), options));
        return refused.Message;
    }

    [Fact]
    public async Task It_makes_pictures_that_say_how_they_were_made()
    {
        var options = Quick;
        options.Count = 2;
        options.NegativePrompt = "sunglasses";
        var response = await Generator.GenerateImagesAsync("a red cat", options);
        Assert.Equal(2, response.Contents.Count);
        var second = Assert.IsType<DataContent>(response.Contents[1]);
        Assert.Equal(("image/png", "8.png"), (second.MediaType, second.Name));
        Assert.Equal(8ul, second.AdditionalProperties!["seed"]);
        using var parameters = JsonDocument.Parse((string)second.AdditionalProperties["parameters"]!);
        Assert.Equal("sunglasses", parameters.RootElement.GetProperty("negative_prompt").GetString());
        Assert.Equal(TestServer.Flux, parameters.RootElement.GetProperty("model").GetString());
        Assert.Contains(Png.ReadTexts(second.Data.Span, "x"), text => text.Key == "attune");
        Assert.Equal(16, response.Usage!.InputTokenCount / 2);
        var result = Assert.IsType<AttuneImageGenerationResult>(response.RawRepresentation);
        Assert.Equal([7ul, 8ul], result.Requests.Select(request => request.Request.Seed));

        // Each of several can be made again alone.
        options.Count = null;
        options.Seed = 8;
        Assert.Equal(second.Data.ToArray(), Bytes(await Generator.GenerateImagesAsync("a red cat", options)));
    }

    /// <summary>The same picture by every road: typed options, additional properties, JSON, a request as the raw representation.</summary>
    [Fact]
    public async Task All_ways_of_asking_are_one()
    {
        byte[] typed = Pixels(
            await Generator.GenerateImagesAsync("a red cat", new AttuneImageGenerationOptions
            {
                ImageSize = new Size(32, 32), Steps = 2, Seed = 7, NegativePrompt = "sunglasses", Guidance = "nag:scale=3",
                Scheduler = "euler", AdditionalProperties = new() { ["max_sequence_length"] = 16 },
            }));
        var additional = new ImageGenerationOptions
        {
            ImageSize = new Size(32, 32),
            AdditionalProperties = new()
            {
                ["num_inference_steps"] = 2, ["seed"] = 7L, ["negative_prompt"] = "sunglasses", ["attune.guidance"] = "nag:scale=3",
                ["scheduler"] = "euler", ["max_sequence_length"] = 16,
            },
        };
        Assert.Equal(typed, Pixels(await Generator.GenerateImagesAsync("a red cat", additional)));
        var sent = JsonSerializer.Deserialize<ImageGenerationOptions>(
            JsonSerializer.Serialize(additional, AIJsonUtilities.DefaultOptions), AIJsonUtilities.DefaultOptions)!;
        Assert.IsType<JsonElement>(sent.AdditionalProperties!["seed"]);
        Assert.Equal(typed, Pixels(await Generator.GenerateImagesAsync("a red cat", sent)));
        var raw = new ImageGenerationOptions
        {
            RawRepresentationFactory = _ => new GenerationRequest
            {
                Prompt = "", Width = 32, Height = 32, Steps = 2, Seed = 7, NegativePrompt = "sunglasses",
                Guidance = GuidanceChoice.Parse("nag:scale=3"), Scheduler = Schedulers.SchedulerChoice.Parse("euler"),
                MaxSequenceLength = 16,
            },
            AdditionalProperties = new() { ["seed"] = 9, ["steps"] = 3 },          // the request says them
        };
        Assert.Equal(typed, Pixels(await Generator.GenerateImagesAsync("a red cat", raw)));
    }

    [Fact]
    public async Task It_makes_what_the_server_makes()
    {
        await using var server = await TestServer.StartAsync();
        byte[] here = Pixels(await Generator.GenerateImagesAsync("a red cat", Quick));
        var (_, json) = await server.PostAsync("/v1/images/generations", TestServer.Quick());
        Assert.Equal(here, Image.Read(json.GetProperty("data")[0].GetProperty("b64_json").GetBytesFromBase64(), "x").Rgb.ToArray());

        // Over the wire, through the same abstraction.
        using var far = server.Sdk().GetImageClient(TestServer.Flux).AsIImageGenerator();
        using var pipeline = far.AsBuilder().UseLogging(_services.GetRequiredService<ILoggerFactory>()).UseOpenTelemetry().Build();
        var options = new ImageGenerationOptions
        {
            ImageSize = new Size(32, 32),
            RawRepresentationFactory = _ => System.ClientModel.Primitives.ModelReaderWriter.Read<OpenAI.Images.ImageGenerationOptions>(
                BinaryData.FromString("""{"steps": 1, "seed": 7, "max_sequence_length": 16}""")),
        };
        var answer = await pipeline.GenerateImagesAsync("a red cat", options);
        Assert.Equal("image/png", Assert.IsType<DataContent>(answer.Contents[0]).MediaType);
        Assert.Equal(here, Pixels(answer));
        var edited = await server.Sdk().GetImageClient(TestServer.Sd).AsIImageGenerator()
            .EditImageAsync(Picture(), "a red cat", new ImageGenerationOptions { ImageSize = new Size(32, 32) });
        Assert.Equal(32, Image.Read(Bytes(edited), "x").Width);
        await Assert.ThrowsAsync<ClientResultException>(
            () => pipeline.GenerateImagesAsync("a red cat", new ImageGenerationOptions { ImageSize = new Size(33, 33) }));
    }

    [Fact]
    public async Task It_begins_with_pictures_where_the_model_does()
    {
        var options = new AttuneImageGenerationOptions { ImageSize = new Size(32, 32), Steps = 2, Seed = 7, Strength = 0.5f };
        byte[] edited = Pixels(await Sd.EditImageAsync(Picture(), "a red cat", options));
        options.Strength = 1;
        Assert.NotEqual(edited, Pixels(await Sd.EditImageAsync(Picture(), "a red cat", options)));
        options.Strength = null;
        options.AdditionalProperties = new() { ["strength"] = 0.5 };
        var data = new UriContent(Picture().Uri, "image/png");
        Assert.Equal(edited, Pixels(await Sd.EditImagesAsync([data], "a red cat", options)));

        Assert.Contains(
            "takes one", await RefusedAsync(options, new ImageGenerationRequest("a cat", [Picture(), Picture()]), Sd),
            StringComparison.Ordinal);
        Assert.Contains(
            "nothing is fetched",
            await RefusedAsync(
                options, new ImageGenerationRequest("a cat", [new UriContent("https://example.org/x.png", "image/png")]), Sd),
            StringComparison.Ordinal);
        Assert.Contains(
            "expected a DataContent", await RefusedAsync(options, new ImageGenerationRequest("a cat", [new TextContent("x")]), Sd),
            StringComparison.Ordinal);
        Assert.Contains(
            "OriginalImages[0]",
            await RefusedAsync(options, new ImageGenerationRequest("a cat", [new DataContent(new byte[] { 1, 2, 3 }, "image/png")]), Sd),
            StringComparison.Ordinal);
        using var textOnly = new AttuneImageGenerator(
            DiffusionPipeline.Load(Attune.Tests.Repository.Golden("checkpoints", "pixart-sigma")),
            new AttuneImageGeneratorSettings { OwnsPipeline = true });
        var request = new ImageGenerationRequest("a cat", [Picture()]);
        Assert.Contains(
            "from text only", await RefusedAsync(new ImageGenerationOptions(), request, textOnly), StringComparison.Ordinal);
        Assert.Contains(
            "from text only", await RefusedAsync(new AttuneImageGenerationOptions { Strength = 0.5f }, generator: textOnly),
            StringComparison.Ordinal);
    }

    public static TheoryData<string, Action<AttuneImageGenerationOptions>> Refusals => new()
    {
        { "ModelId is 'gpt-image-1'; this generator has 'flux-tiny-random'", options => options.ModelId = "gpt-image-1" },
        { "ResponseFormat is Uri", options => options.ResponseFormat = ImageGenerationResponseFormat.Uri },
        { "ResponseFormat is Hosted", options => options.ResponseFormat = ImageGenerationResponseFormat.Hosted },
        { "MediaType is 'image/avif', expected image/png", options => options.MediaType = "image/avif" },
        { "Count is 0", options => options.Count = 0 },
        { "StreamingCount is -1", options => options.StreamingCount = -1 },
        { "StreamingCount is 2, and nobody receives", options => options.StreamingCount = 2 },
        { "Steps is 0", options => options.Steps = 0 },
        { "Width is 33", options => options.ImageSize = new Size(33, 32) },
        { "did you mean 'nag'", options => options.Guidance = "nga" },
        { "no scheduler", options => options.Scheduler = "quick" },
        { "sdxl", options => options.Preset = "unheard of" },
        { "There is no attune.negativ_prompt (did you mean 'negative_prompt'?)", Set("attune.negativ_prompt", "x") },
        { "say it with Count", Set("n", 2) },
        { "say it with ImageSize", Set("width", 32) },
        { "say it with the request's OriginalImages", Set("image_to_image", "/etc/passwd") },
        { "eta", Set("eta", "high") },
        { "expected a text or a number", Set("guidance", new object()) },
        { "has cfg itself", options => Set("true_cfg_scale", 3)(With(options, "cfg:scale=2")) },
        { "RawRepresentationFactory gives a System.String", options => options.RawRepresentationFactory = _ => "x" },
        {
            "has Count 2",
            options => options.RawRepresentationFactory = _ => new GenerationRequest { Prompt = "x", Count = 2 }
        },
    };

    private static Action<AttuneImageGenerationOptions> Set(string name, object value) =>
        options => (options.AdditionalProperties ??= [])[name] = value;

    private static AttuneImageGenerationOptions With(AttuneImageGenerationOptions options, string guidance)
    {
        Set("guidance", guidance)(options);
        return options;
    }

    /// <summary>What cannot be done is refused: never another picture than the one that was asked for.</summary>
    [Theory]
    [MemberData(nameof(Refusals))]
    public async Task What_cannot_be_done_is_refused(string expected, Action<AttuneImageGenerationOptions> change)
    {
        var options = Quick;
        change(options);
        Assert.Contains(expected, await RefusedAsync(options), StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_request_without_a_prompt_is_refused() =>
        Assert.Contains("Prompt is empty", await RefusedAsync(Quick, new ImageGenerationRequest()), StringComparison.Ordinal);

    /// <summary>Other steps of a pipeline may have properties of their own; what looks like a slip of the pen is said.</summary>
    [Fact]
    public async Task Properties_of_others_are_left_alone_and_said()
    {
        var options = Quick;
        Set("tenant", "x")(options);
        Set("negativ_prompt", "sunglasses")(options);
        Set("nothing", null!)(options);
        Assert.Single((await Generator.GenerateImagesAsync("a red cat", options)).Contents);
        Assert.Contains(given.Log, line => line.Contains("'negativ_prompt' (did you mean 'negative_prompt'?)", StringComparison.Ordinal));
    }

    /// <summary>Steps of a pipeline copy options: what a class adds survives only if it copies itself.</summary>
    [Fact]
    public async Task Options_survive_a_pipeline_that_changes_them()
    {
        var options = Quick;
        options.StreamingCount = 2;
        options.Previews = new Sink([]);
        options.NegativePrompt = "n";
        options.Guidance = "nag";
        options.Preset = "flux-schnell";
        options.Scheduler = "euler";
        options.Strength = 0.5f;
        options.Count = 3;
        options.MediaType = "image/png";
        options.ModelId = "m";
        options.ResponseFormat = ImageGenerationResponseFormat.Data;
        options.RawRepresentationFactory = _ => null;
        var copy = Assert.IsType<AttuneImageGenerationOptions>(options.Clone());
        foreach (var property in typeof(AttuneImageGenerationOptions).GetProperties())
        {
            if (property.Name == nameof(ImageGenerationOptions.AdditionalProperties))
                Assert.Equal(options.AdditionalProperties, copy.AdditionalProperties);
            else
                Assert.Equal(property.GetValue(options), property.GetValue(copy));
            Assert.NotNull(property.GetValue(copy));
        }
        Assert.NotSame(options.AdditionalProperties, copy.AdditionalProperties);

        // It is not disposed: that would end the generator below it, which the other tests share.
        var pipeline = Own.AsBuilder().ConfigureOptions(given => given.Count = 2).Build();
        var response = await pipeline.GenerateImagesAsync("a red cat", Quick);
        Assert.Equal(2, response.Contents.Count);
        Assert.Equal(7ul, response.Contents[0].AdditionalProperties!["seed"]);
    }

    [Fact]
    public async Task Previews_come_as_often_as_they_are_wanted()
    {
        var seen = new List<DenoisingPreview>();
        var options = Quick;
        options.Steps = 5;
        options.Count = 2;
        options.Previews = new Sink(seen);
        await Generator.GenerateImagesAsync("a red cat", options);
        Assert.Empty(seen);
        options.StreamingCount = 3;
        await Generator.GenerateImagesAsync("a red cat", options);
        Assert.Equal(
            [(0, 1), (0, 2), (0, 4), (1, 1), (1, 2), (1, 4)], seen.Select(preview => (preview.Image, preview.Step)));
        Assert.All(seen, preview => Assert.Equal((5, 7ul + (ulong)preview.Image), (preview.Steps, preview.Seed)));
        Assert.All(seen, preview => Assert.Equal(32, Image.Read(preview.Content.Data.Span, "x").Height));
    }

    [Fact]
    public async Task Other_formats_are_made_where_something_writes_them()
    {
        var options = Quick;
        options.MediaType = "image/webp";
        var content = Assert.IsType<DataContent>((await Generator.GenerateImagesAsync("a red cat", options)).Contents[0]);
        Assert.Equal(("image/webp", "7.webp"), (content.MediaType, content.Name));
        Assert.Equal("WEBP"u8.ToArray(), content.Data[8..12].ToArray());
    }

    [Fact]
    public async Task A_seed_by_chance_is_said_and_makes_the_picture_again()
    {
        var options = Quick;
        options.Seed = null;
        var first = await Generator.GenerateImagesAsync("a red cat", options);
        options.Seed = (ulong)first.Contents[0].AdditionalProperties!["seed"]!;
        Assert.True(options.Seed < 1ul << 53);
        Assert.Equal(Bytes(first), Bytes(await Generator.GenerateImagesAsync("a red cat", options)));
        options.Seed = null;
        Assert.NotEqual(
            first.Contents[0].AdditionalProperties!["seed"],
            (await Generator.GenerateImagesAsync("a red cat", options)).Contents[0].AdditionalProperties!["seed"]);
    }

    [Fact]
    public async Task Scales_of_other_tools_are_those_of_classifier_free_guidance()
    {
        var options = Quick;
        Set("guidance_scale", 3.5)(options);
        var result = (AttuneImageGenerationResult)(await Generator.GenerateImagesAsync("a red cat", options)).RawRepresentation!;
        Assert.Contains("cfg:scale=3.5", Guidance.RuleCatalog.Format(result.Requests[0].Guidance.Rules[0]), StringComparison.Ordinal);
        Set("guidance_scale", 1)(options);
        result = (AttuneImageGenerationResult)(await Generator.GenerateImagesAsync("a red cat", options)).RawRepresentation!;
        Assert.Empty(result.Requests[0].Guidance.Rules);
    }

    [Fact]
    public async Task Cancelling_stops_within_a_block_and_frees_the_turn()
    {
        using var stop = new CancellationTokenSource();
        var options = Quick;
        options.Steps = 150;
        options.ImageSize = new Size(256, 256);
        options.StreamingCount = 149;
        var begun = new TaskCompletionSource();
        options.Previews = new Sink([], () => begun.TrySetResult());
        var running = Generator.GenerateImagesAsync("a red cat", options, stop.Token);
        await await Task.WhenAny(begun.Task, running);
        using var impatient = new CancellationTokenSource();
        var waiting = Generator.GenerateImagesAsync("a red cat", Quick, impatient.Token);
        await impatient.CancelAsync();
        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => waiting);
        await stop.CancelAsync();
        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => running);
        Assert.Single((await Generator.GenerateImagesAsync("a red cat", Quick)).Contents);
    }

    [Fact]
    public async Task Services_are_found_and_owners_dispose()
    {
        var pipeline = _services.GetRequiredService<DiffusionPipeline>();
        Assert.Same(pipeline, Generator.GetService<DiffusionPipeline>());
        Assert.Same(Own, Generator.GetService<AttuneImageGenerator>());
        Assert.Null(Generator.GetService<string>());
        Assert.Null(Generator.GetService(typeof(DiffusionPipeline), "key"));
        var metadata = Generator.GetRequiredService<ImageGeneratorMetadata>();
        Assert.Equal(("attune", TestServer.Flux), (metadata.ProviderName, metadata.DefaultModelId));

        // A generator that is disposed leaves the pipeline to whoever opened it.
        var other = new AttuneImageGenerator(pipeline);
        other.Dispose();
        await Assert.ThrowsAsync<ObjectDisposedException>(() => other.GenerateImagesAsync("a red cat", Quick));
        Assert.Single((await Generator.GenerateImagesAsync("a red cat", Quick)).Contents);
        var own = DiffusionPipeline.Load(TestServer.Model(TestServer.Flux).Path);
        new AttuneImageGenerator(own, new AttuneImageGeneratorSettings { OwnsPipeline = true }).Dispose();
        await Assert.ThrowsAsync<ObjectDisposedException>(() => own.GenerateAsync(new GenerationRequest { Prompt = "x" }));
        Assert.Throws<ArgumentOutOfRangeException>(
            () => new AttuneImageGenerator(pipeline, new AttuneImageGeneratorSettings { Concurrency = 0 }));

        using var wrong = new ServiceCollection().AddAttune(options => options.Concurrency = 0).BuildServiceProvider();
        var exception = Assert.Throws<Microsoft.Extensions.Options.OptionsValidationException>(
            wrong.GetRequiredService<AttuneImageGenerator>);
        Assert.Contains("Model of Attune's options is empty", exception.Message, StringComparison.Ordinal);
        Assert.Contains("Concurrency", exception.Message, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Telemetry_has_the_conventions_names()
    {
        var activities = new List<Activity>();
        using var listener = new ActivityListener
        {
            ShouldListenTo = source => source.Name is "test" or AttuneServiceCollectionExtensions.TelemetryName,
            Sample = (ref ActivityCreationOptions<ActivityContext> _) => ActivitySamplingResult.AllDataAndRecorded,
            ActivityStopped = activity =>
            {
                lock (activities)
                    activities.Add(activity);
            },
        };
        ActivitySource.AddActivityListener(listener);
        var measured = new List<string>();
        using var meter = new MeterListener
        {
            InstrumentPublished = (instrument, listening) =>
            {
                if (instrument.Meter.Name == AttuneServiceCollectionExtensions.TelemetryName)
                    listening.EnableMeasurementEvents(instrument);
            },
        };
        meter.SetMeasurementEventCallback<long>((instrument, _, _, _) => Note(instrument));
        meter.SetMeasurementEventCallback<double>((instrument, _, _, _) => Note(instrument));
        meter.Start();
        using (var parent = new ActivitySource("test").StartActivity("of this test"))
        {
            await Generator.GenerateImagesAsync("a red cat", Quick);
            var wrong = Quick;
            wrong.Steps = 0;
            await RefusedAsync(wrong);
            lock (activities)
                activities.RemoveAll(activity => activity.TraceId != parent!.TraceId);
        }
        Activity[] inner = [
            .. activities.Where(activity => activity.Source.Name == AttuneServiceCollectionExtensions.TelemetryName)];
        Assert.Equal(2, inner.Length);
        Assert.Equal($"generate_content {TestServer.Flux}", inner[0].OperationName);
        foreach (var (name, value) in new (string, object)[]
        {
            ("gen_ai.operation.name", "generate_content"), ("gen_ai.output.type", "image"), ("gen_ai.provider.name", "attune"),
            ("gen_ai.request.model", TestServer.Flux), ("gen_ai.request.seed", 7ul), ("gen_ai.request.choice.count", 1),
            ("gen_ai.request.image.width", 32), ("attune.steps", 1),
        })
            Assert.Equal(value, inner[0].GetTagItem(name));
        Assert.Equal(ActivityStatusCode.Error, inner[1].Status);
        Assert.Equal("System.ArgumentException", inner[1].GetTagItem("error.type"));
        Assert.DoesNotContain(inner.SelectMany(activity => activity.TagObjects), tag => Equals(tag.Value, "a red cat"));
        lock (measured)
            Assert.Superset(new HashSet<string> { "attune.images", "attune.step.duration" }, measured.ToHashSet());

        void Note(Instrument instrument)
        {
            lock (measured)
                measured.Add(instrument.Name);
        }
    }

    private sealed class Sink(List<DenoisingPreview> seen, Action? also = null) : IProgress<DenoisingPreview>
    {
        public void Report(DenoisingPreview value)
        {
            seen.Add(value);
            also?.Invoke();
        }
    }
}
