using System.Text.Json;
using Attune.Evaluation.Experiments;
using Attune.Evaluation.Metrics;
using Attune.Evaluation.Reports;
using Attune.Generation;
using Attune.Guidance;
using Attune.Guidance.Diagnostics;
using Attune.Imaging;
using Attune.Schedulers;
using Attune.Tensors;

namespace Attune.Tests.Docs;

/// <summary>
/// The examples of the documentation. Pages show what stands between <c>// example NAME</c> and <c>// end</c>; here it is compiled and run.
/// </summary>
public sealed class ExampleTests : IDisposable
{
    private static readonly string Model = Path.Combine(Repository.Root, "models", "scenes-flux-schnell");
    private static readonly string Sdxl = Repository.Golden("checkpoints", "sdxl");
    private readonly TemporaryFolder _folder = new();
    private readonly StringWriter _console = new();

    public void Dispose() => _folder.Dispose();

    private static GenerationRequest Small() => new()
    {
        Prompt = "a panda on a blue background", NegativePrompt = "sunglasses", Width = 64, Height = 64, Steps = 2,
    };

    [Fact]
    public async Task Readme()
    {
        string model = Model;
        string file = _folder.At("panda.png");
        CancellationToken cancellation = default;
        var Console = _console;

        // example readme
        using var pipeline = DiffusionPipeline.Load(model);         // a diffusers folder, or a single file
        var request = new GenerationRequest
        {
            Prompt = "a panda on a blue background",
            NegativePrompt = "sunglasses",
            Guidance = GuidanceChoice.Of(new NormalizedAttentionGuidance { Scale = 4, Tau = 2.5f, Alpha = 0.25f }),
        };
        await foreach (var step in pipeline.DenoiseAsync(request, cancellation: cancellation))
        {
            Console.WriteLine($"{step.Index + 1} of {step.Count}");
            if (step.IsLast)
                Png.Save((await step.DecodeAsync(cancellation))[0], file);
        }
        // end

        Assert.StartsWith("1 of 4", _console.ToString(), StringComparison.Ordinal);
        Assert.Equal(128, Image.Load(file).Width);
    }

    [Fact]
    public void Load_options()
    {
        string model = Repository.Golden("checkpoints", "sd15");
        const string Layer = "unet.mid_block.attentions.0.transformer_blocks.0.attn2.to_q";
        string style = new Weights.SafetensorsWriter()
            .Add($"{Layer}.lora_A.weight", new float[2 * 32], 2, 32)
            .Add($"{Layer}.lora_B.weight", new float[32 * 2], 32, 2)
            .Add("unet.no.such.layer.lora_A.weight", new float[2 * 32], 2, 32)
            .Add("unet.no.such.layer.lora_B.weight", new float[32 * 2], 32, 2)
            .Write(_folder.At("style.safetensors"));
        string taesd = Repository.Golden("checkpoints", "autoencoders", "taesd");
        var Console = _console;

        // example load-options
        var options = new LoadOptions
        {
            Loras = [new LoraWeights(style, Scale: 0.8f)],
            MergeLora = true,                       // false computes the low-rank part beside the mapped weights: slower, no memory
            LenientLora = true,                     // keys that match nothing are a warning
            Warning = Console.WriteLine,
            PreviewVae = taesd,                     // a small autoencoder for pictures of single steps
        };
        using var pipeline = DiffusionPipeline.Load(model, options);
        Console.WriteLine(pipeline.Facts.ClassName);
        // end

        Assert.Contains("no.such.layer", _console.ToString(), StringComparison.Ordinal);
        Assert.Contains("StableDiffusionPipeline", _console.ToString(), StringComparison.Ordinal);
    }

    [Fact]
    public async Task Requests()
    {
        using var pipeline = DiffusionPipeline.Load(Sdxl);
        string file = _folder.At("start.png");
        Png.Save(new Image(64, 64, new byte[3 * 64 * 64]), file);

        // example requests
        var first = new GenerationRequest { Prompt = "a red panda", Width = 64, Height = 64, Steps = 4, Seed = 7, Count = 2 };
        var second = first with
        {
            NegativePrompt = "sunglasses",
            Guidance = GuidanceChoice.Parse("nag:scale=3,steps=0%-50%+cfg"),
            Scheduler = SchedulerChoice.Parse("euler:timestep_spacing=trailing"),
            Images = new InputImages { Initial = Image.Load(file), Strength = 0.5f },
        };
        var pictures = await Task.WhenAll(pipeline.GenerateAsync(first), pipeline.GenerateAsync(second));
        // end

        Assert.All(pictures, images => Assert.Equal(2, images.Count));
        Assert.False(pictures[0][0].Rgb.SequenceEqual(pictures[1][0].Rgb));
    }

    [Fact]
    public void Resolving()
    {
        using var pipeline = DiffusionPipeline.Load(Sdxl);
        var Console = _console;

        // example resolve
        var request = new GenerationRequest { Prompt = "a panda", Preset = "sdxl-dmd2", Guidance = GuidanceChoice.Parse("nag") };
        var resolved = pipeline.Resolve(request);
        Console.WriteLine(RuleCatalog.Format(resolved.Guidance.Rules[0]));
        Console.WriteLine(string.Join(", ", resolved.Request.Timesteps!));
        Console.WriteLine(resolved.Scheduler.ClassName);
        // end

        Assert.Contains("999, 749, 499, 249", _console.ToString(), StringComparison.Ordinal);
        Assert.Contains("LCMScheduler", _console.ToString(), StringComparison.Ordinal);
        Assert.Contains("nag:scale=2,", _console.ToString(), StringComparison.Ordinal);
    }

    [Fact]
    public async Task Observing()
    {
        using var pipeline = DiffusionPipeline.Load(Model);
        var request = Small() with { Guidance = GuidanceChoice.Parse("cfg:scale=3") };
        var Console = _console;

        // example observe
        var observer = new PredictionLog(Console);
        var images = await pipeline.GenerateAsync(request, observer);
        // end

        Assert.Equal((await pipeline.GenerateAsync(request))[0].Rgb, images[0].Rgb);
        Assert.Equal(2, _console.ToString().Split("guidance moved the prediction by").Length - 1);
    }

    // example observer
    /// <summary>Writes by how much guidance changes the prediction of each step.</summary>
    private sealed class PredictionLog(TextWriter log) : RunObserver
    {
        public override void Warn(string message) => log.WriteLine($"warning: {message}");

        public override void EndStep(StepObservation step)
        {
            // Tensors are valid only during the call.
            float[] plain = step.Facts.Positive.ToArray();
            float[] guided = step.Prediction.ToArray();
            double moved = Math.Sqrt(plain.Zip(guided, (a, b) => (a - b) * (a - b)).Average());
            log.WriteLine($"step {step.Facts.Point.Index}: guidance moved the prediction by {moved:0.000}");
        }
    }
    // end

    [Fact]
    public async Task Tracing()
    {
        using var pipeline = DiffusionPipeline.Load(Model);
        var request = Small() with { Guidance = GuidanceChoice.Parse("nag") };
        var Console = _console;

        // example trace
        var trace = new GuidanceTrace();
        await pipeline.GenerateAsync(request, new TraceObserver(trace));
        foreach (var series in trace.Series)
            Console.WriteLine($"{series.Quantity.Title}: {series.Quantity.Definition}");
        // end

        Assert.Contains(": ", _console.ToString(), StringComparison.Ordinal);
    }

    [Fact]
    public async Task Previewing_and_stopping()
    {
        await using var pipeline = DiffusionPipeline.Load(Model);
        var request = Small();
        var folder = _folder;

        // example stop
        using var timeout = new CancellationTokenSource(TimeSpan.FromMinutes(5));
        await foreach (var step in pipeline.DenoiseAsync(request, cancellation: timeout.Token))
        {
            Png.Save((await step.DecodePreviewAsync(timeout.Token))[0], folder.At($"step-{step.Index}.png"));
            if (step.Index == 0)
                break;                              // leaving the loop ends the run, too
        }
        // end

        Assert.Single(Directory.GetFiles(_folder.Path));
    }

    [Fact]
    public void Options_by_name()
    {
        using var pipeline = DiffusionPipeline.Load(Model);
        string json = """{ "prompt": "a panda", "guidance": "nag:scale=2", "steps": 2, "width": 64, "height": 64 }""";
        var Console = _console;

        // example options
        var request = new GenerationRequest { Prompt = "" };
        foreach (var member in JsonDocument.Parse(json).RootElement.EnumerateObject())
        {
            var option = OptionCatalog.Find(member.Name) ?? throw new FormatException($"{member.Name} is no option.");
            request = option.Set(request, member.Value);
        }
        foreach (var option in OptionCatalog.All.Where(option => option.ModelOption is not { } taken || pipeline.Facts.Takes(taken)))
            Console.WriteLine($"{option.Name} = {option.Get(request) ?? "(the model's)"}");
        // end

        Assert.Equal((2, 64), (request.Steps, request.Width));
        Assert.Contains("seed = 0", _console.ToString(), StringComparison.Ordinal);
        Assert.DoesNotContain("clip-skip", _console.ToString(), StringComparison.Ordinal);
    }

    [Fact]
    public void Presets()
    {
        using var pipeline = DiffusionPipeline.Load(Model);
        var Console = _console;

        // example presets
        Console.WriteLine(string.Join(", ", GuidancePresets.Families));
        if (pipeline.Preset?.Find("nag") is { } published)
            Console.WriteLine($"{RuleCatalog.Format(published.Rule)} ({published.Origin}: {published.Source})");
        // end

        Assert.Contains("sdxl-dmd2", _console.ToString(), StringComparison.Ordinal);
        Assert.Contains("nag:scale=", _console.ToString(), StringComparison.Ordinal);
    }

    [Fact]
    public async Task Latents_as_tensors()
    {
        using var pipeline = DiffusionPipeline.Load(Model);
        var request = Small();
        var Console = _console;

        // example tensors
        await foreach (var step in pipeline.DenoiseAsync(request))
        {
            using var scope = new TensorScope();        // disposes what is made inside
            var latents = step.Latents;                 // the run's: valid until the next step
            Console.WriteLine($"{latents.Shape}: largest {latents.ToArray().Max(MathF.Abs):0.00}");
        }
        // end

        Assert.StartsWith("[1, ", _console.ToString(), StringComparison.Ordinal);
    }

    [Fact]
    public async Task Evaluating()
    {
        var Console = _console;
        string file = _folder.At("experiment.json");
        File.WriteAllText(file, JsonSerializer.Serialize(new
        {
            name = "Two methods", model = Model, judge = Path.Combine(Repository.Root, "models", "scenes-judge"),
            methods = new[] { new { name = "none", rules = "none" }, new { name = "nag", rules = "nag" } },
            baseline = "none", steps = new[] { 1 }, seeds = new { count = 1 }, prompts = new[] { new { prompt = "a panda" } },
        }));
        string results = _folder.At("results");

        // example evaluate
        var experiment = Experiment.Load(file);
        using var pipeline = DiffusionPipeline.Load(experiment.Model);
        using var judge = Judge.Load(experiment.Judge!, pipeline.Device);
        var reader = new JudgeReader(judge, null);
        await new ExperimentRunner(ExperimentPlan.Create(experiment, pipeline, reader), pipeline, reader).RunAsync(results, Shard.Whole);
        foreach (var cell in ExperimentReport.Create(experiment, results).Cells)
        {
            string shares = $"{cell.Presence.Value:P0} unwanted, {cell.Retention.Value:P0} wanted";
            Console.WriteLine($"{cell.Variant.Name} at {cell.Steps} steps: {shares}");
        }
        // end

        Assert.Contains("nag at 1 steps", _console.ToString(), StringComparison.Ordinal);
    }
}
