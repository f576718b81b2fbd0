using System.Text.Json;
using Attune.Guidance;
using Attune.Caching;
using Attune.Generation;
using Attune.Imaging;
using Attune.Models;
using Attune.Prompts;
using Attune.Schedulers;
using Attune.Tensors;

namespace Attune.Verification;

/// <summary>Prompt to image: embeddings, noise, every prediction, latents after every step, and the image.</summary>
internal sealed class PipelineCase : CaseKind
{
    public override string Kind => "pipeline";

    public override IReadOnlyCollection<string> Arguments { get; } =
    [
        "prompt", "negative_prompt", "steps", "height", "width", "seed", "count", "max_sequence_length", "negative_max_sequence_length",
        "guidance_scale", "guidance",
        "scheduler", "timesteps", "strength", "original_size", "crops_coords_top_left", "target_size",
        "cache", "previous_call", "cfg_normalization", "cfg_truncation", "mask",
        "use_resolution_binning", "clean_caption", "complex_human_instruction", "max_timesteps", "intermediate_timesteps",
        "num_frames", "batch_layout", "output_resolution", "embeddings", .. EditingArguments.Names,
    ];

    /// <summary>The last two are what the seed's draws and the image give; the latents at the start depend on them.</summary>
    protected override IReadOnlyCollection<string> Inputs { get; } =
        ["noise", "step_noise.i", "image", "posterior_noise", "init_latents", "image.i", .. EditingArguments.Inputs];

    public override bool Takes(string? className) => DiffusionPipeline.SupportedClasses.Contains(className ?? "");

    public override void Run(GoldenCase golden, Comparison results)
    {
        // Pictures have the size, and prompts the words, that are asked for.
        foreach (string change in new[] { "use_resolution_binning", "clean_caption" })
        {
            if (golden.Flag(change, missing: false))
                throw new UnsupportedCaseException(change);
        }
        CheckAngles(golden);
        string[] prompts = golden.Texts("prompt") ?? [golden.Text("prompt")];
        string[]? negatives = golden.Texts("negative_prompt");
        bool batch = golden.Texts("prompt") != null;
        int count = golden.Int("count", 1);

        // The reference makes as many pictures as it is given noise for.
        if (golden.OptionalInput("noise")?.Shape[0] is { } images && images != count * prompts.Length)
            count = images / prompts.Length;
        using var model = CaseModel.Of(golden);
        using var pipeline = Supported(() => DiffusionPipeline.Load(
                model.Path, new LoadOptions { Device = golden.Device, Embeddings = [.. TextualInversionCase.Embeddings(golden)] }));
        var request = new GenerationRequest
        {
            Prompt = prompts[0],
            NegativePrompt = negatives == null ? golden.OptionalText("negative_prompt") : negatives[0],
            Steps = golden.Int("steps", 1),
            Height = golden.Int("height", 0),
            Width = golden.Int("width", 0),
            Seed = unchecked((ulong)golden.Arguments.GetProperty("seed").GetInt64()),
            Count = count,
            Frames = golden.OptionalDouble("num_frames") is { } frames ? (int)frames : null,
            MaxSequenceLength = golden.OptionalDouble("max_sequence_length") is { } maximum ? (int)maximum : null,
            NegativeMaxSequenceLength = golden.OptionalDouble("negative_max_sequence_length") is { } length ? (int)length : null,
            GuidanceScale = pipeline.Denoiser.EmbedsGuidanceScale ? (float?)golden.OptionalDouble("guidance_scale") : null,
            Guidance = new GuidanceSchedule(GuidanceArguments.Rules(golden)),
            Scheduler = SchedulerOf(golden),
            Timesteps = golden.Arguments.TryGetProperty("timesteps", out var timesteps)
                ? [.. timesteps.EnumerateArray().Select(timestep => timestep.GetInt32())]
                : null,
            Images = new InputImages
            {
                InitialTensor = golden.OptionalInput("image")?.Permute(0, 2, 3, 1),
                Strength = (float?)golden.OptionalDouble("strength"),
                ReferenceSize = golden.OptionalDouble("output_resolution") is { } side ? (int)side : null,
            },
            SizeConditioning = SizesOf(golden),
            NegativeAsDiffusers = pipeline.Facts.Takes(ModelOption.ClipSkip),
            Cache = CacheOf(golden),
            Instruction = InstructionOf(golden),
            AdditiveTextMask = golden.OptionalText("mask") == "additive",
        };
        request = EditingArguments.WithPictures(golden, results, request);
        EditingArguments.CheckDraws(golden, results);
        if (golden.Arguments.TryGetProperty("previous_call", out var previous))
            CallBefore(pipeline, request, previous);
        if (!batch)
        {
            RunAsync(golden, results, pipeline, request).GetAwaiter().GetResult();
            return;
        }

        // A batch of different prompts is a request for each: all see the noise of one draw.
        if (count != 1)
            throw new UnsupportedCaseException($"count {count} of each of several prompts");
        CheckDraw(golden, results, request.Seed);
        request = PaddedAs(golden, pipeline, request, prompts, negatives);
        for (int i = 0; i < prompts.Length; i++)
        {
            using var scope = new TensorScope();
            var own = request with
            {
                Prompt = prompts[i],
                NegativePrompt = negatives == null ? request.NegativePrompt : negatives[i],
                InitialNoise = Pictures(golden.Input("noise")).Slice(0, i, 1).Permute(0, 2, 3, 1).Clone(),
            };
            results.Item = (i, prompts.Length);
            RunAsync(golden, results, pipeline, own).GetAwaiter().GetResult();
        }
        results.Item = null;
    }

    /// <summary>
    /// Where pads count in positions, the prompts of a batch are as long as the longest of them, if the case says that; else each is as if
    /// it ran alone.
    /// </summary>
    private static GenerationRequest PaddedAs(
        GoldenCase golden, DiffusionPipeline pipeline, GenerationRequest request, string[] prompts, string[]? negatives)
    {
        switch (golden.OptionalText("batch_layout"))
        {
            case null or "own":
                return request;
            case "padded":
                var rows = new RowCounts();
                for (int i = 0; i < prompts.Length; i++)
                    rows.Add(pipeline, request with { Prompt = prompts[i], NegativePrompt = negatives?[i] ?? request.NegativePrompt });
                return request with { MaxSequenceLength = rows.Positive, NegativeMaxSequenceLength = rows.Negative };
            case var other:
                throw new UnsupportedCaseException($"batch_layout {other}");
        }
    }

    /// <summary>The rows of the longest prompt and of the longest negative prompt of several requests.</summary>
    private sealed class RowCounts : RunObserver
    {
        public int Positive { get; private set; }

        public int? Negative { get; private set; }

        public void Add(DiffusionPipeline pipeline, GenerationRequest request) => AddAsync(pipeline, request).GetAwaiter().GetResult();

        public override void Begin(RunStart start)
        {
            Positive = Math.Max(Positive, start.Positive.Text.Shape[1]);
            if (start.Negative is { } negative)
                Negative = Math.Max(Negative ?? 0, negative.Text.Shape[1]);
        }

        private async Task AddAsync(DiffusionPipeline pipeline, GenerationRequest request)
        {
            await foreach (var _ in pipeline.DenoiseAsync(request, this).ConfigureAwait(false))
                return;
        }
    }

    /// <summary>What is said before the prompt; a case that knows such a thing and has none wants none.</summary>
    private static string? InstructionOf(GoldenCase golden) => golden.Texts("complex_human_instruction") is { } lines
        ? string.Join('\n', lines) : golden.Arguments.TryGetProperty("complex_human_instruction", out _) ? "" : null;

    /// <summary>Angles of trigonometric flow begin at pi / 2; of two steps, the second begins at 1.3.</summary>
    private static void CheckAngles(GoldenCase golden)
    {
        if (golden.OptionalDouble("max_timesteps") is { } first && Math.Abs(first - 1.5708) > 1e-9)
            throw new UnsupportedCaseException(FormattableString.Invariant($"max_timesteps {first}"));
        if (golden.Arguments.TryGetProperty("intermediate_timesteps", out _)
            && golden.OptionalDouble("intermediate_timesteps") != (golden.Int("steps", 1) == 2 ? 1.3 : null))
            throw new UnsupportedCaseException("intermediate_timesteps");
    }

    /// <summary>[count, channels, height, width], of noise that may have an axis of frames.</summary>
    private static Tensor Pictures(Tensor noise)
    {
        var s = noise.Shape;
        return s.Rank == 4 ? noise : noise.Reshape(s[0], s[1] * s[2], s[3], s[4]);
    }

    /// <summary>The noise of several prompts is one draw of the seed.</summary>
    private static void CheckDraw(GoldenCase golden, Comparison results, ulong seed)
    {
        using var scope = new TensorScope();
        float[] given = golden.Input("noise").ToArray();
        var drawn = Tensor.Empty(golden.Device, golden.InputShape("noise"));
        new TorchRandom(seed).Normal(drawn);
        float largest = drawn.ToArray().Zip(given).Max(pair => Math.Abs(pair.First - pair.Second));
        results.Require(largest <= 1e-6f, FormattableString.Invariant($"noise: what the seed gives differs by {largest}"));
    }

    private static SchedulerChoice? SchedulerOf(GoldenCase golden)
    {
        if (!golden.Arguments.TryGetProperty("scheduler", out var scheduler))
            return null;
        string? name = scheduler.GetProperty("_class_name").GetString();
        return Scheduler.SupportedClasses.Contains(name) ? SchedulerChoice.Replace(scheduler.GetRawText())
            : throw new UnsupportedCaseException($"scheduler {name}");
    }

    private static SizeConditioning? SizesOf(GoldenCase golden)
    {
        (int First, int Second)? Pair(string key) =>
            golden.Arguments.TryGetProperty(key, out var pair) ? (pair[0].GetInt32(), pair[1].GetInt32()) : null;
        var (original, crop, target) = (Pair("original_size"), Pair("crops_coords_top_left"), Pair("target_size"));
        return original == null && crop == null && target == null ? null : new SizeConditioning
        {
            OriginalSize = original is { } o ? new PixelSize(o.First, o.Second) : null,
            TargetSize = target is { } t ? new PixelSize(t.First, t.Second) : null,
            CropTop = crop?.First ?? 0,
            CropLeft = crop?.Second ?? 0,
        };
    }

    private static StepCacheChoice? CacheOf(GoldenCase golden)
    {
        if (!golden.Arguments.TryGetProperty("cache", out var cache))
            return null;
        string? kind = cache.GetProperty("kind").GetString();
        bool calibrates = cache.TryGetProperty("calibrate", out var calibrate) && calibrate.GetBoolean();
        string? subject = kind == "taylor-seer" ? cache.GetProperty("modules").GetString() : null;
        string Given(string key, string name) => cache.TryGetProperty(key, out var value) ? $",{name}={value.GetRawText()}" : "";
        return StepCacheChoice.Parse(kind switch
        {
            "first-block" => "first-block:threshold=" + cache.GetProperty("threshold").GetRawText(),
            "taylor-seer" => "taylor:of=" + (subject == "lite" ? "prediction" : subject)
                + Given("cache_interval", "interval") + Given("max_order", "order") + Given("disable_cache_before_step", "before")
                + Given("disable_cache_after_step", "after")
                + (cache.GetProperty("factors").GetString() == "bfloat16" ? ",factors=bf16" : ""),
            "mag" when calibrates => "mag:ratios=calibrate",
            "mag" => "mag:ratios=" + string.Join('/', cache.GetProperty("mag_ratios").EnumerateArray().Select(ratio => ratio.GetRawText()))
                + Given("threshold", "threshold") + Given("max_skip_steps", "skips") + Given("retention_ratio", "retention"),
            "pyramid-attention-broadcast" => "broadcast:self=" + cache.GetProperty("spatial").GetRawText() + Given("cross", "cross")
                + Range(cache),
            "faster" => "faster:self=" + cache.GetProperty("skip_range").GetRawText() + Range(cache) + Given("weight", "weight"),
            _ => throw new UnsupportedCaseException($"cache {kind}"),
        });
    }

    private static string Range(JsonElement cache)
    {
        var range = cache.GetProperty("timesteps");
        return $",above={range[0].GetRawText()},below={range[1].GetRawText()}";
    }

    /// <summary>An earlier call of the same pipeline, which leaves nothing behind.</summary>
    private static void CallBefore(DiffusionPipeline pipeline, GenerationRequest request, JsonElement call)
    {
        var earlier = request with
        {
            Prompt = call.GetProperty("prompt").GetString()!, Steps = call.GetProperty("steps").GetInt32(),
            Seed = unchecked((ulong)call.GetProperty("seed").GetInt64()), Height = call.GetProperty("height").GetInt32(),
            Width = call.GetProperty("width").GetInt32(),
        };
        pipeline.GenerateAsync(earlier).GetAwaiter().GetResult();
    }

    /// <summary>As the reference has it: images and latents channels first.</summary>
    internal static Tensor AsReference(Tensor value) => value.Shape.Rank switch
    {
        4 => value.Permute(0, 3, 1, 2),
        5 => value.Permute(0, 4, 1, 2, 3),
        _ => value,
    };

    private static async Task RunAsync(GoldenCase golden, Comparison results, DiffusionPipeline pipeline, GenerationRequest request)
    {
        var checks = new Checks(golden, results, pipeline.Denoiser);
        await foreach (var step in pipeline.DenoiseAsync(request, checks).ConfigureAwait(false))
        {
            if (!step.IsLast)
                continue;
            using var scope = new TensorScope();
            if (results.Wants("vae_latents"))
            {
                using var given = step.DecoderInput();
                results.Check("vae_latents", AsReference(given));
            }
            using var image = EditingArguments.Decode(golden, step);
            if (image.Shape.Rank == 5)
                results.Check("video", image.Permute(0, 1, 4, 2, 3));
            else
                results.Check("image", image.Permute(0, 3, 1, 2));
        }
        checks.Complete();
    }

    /// <summary>Compares what a run computes on its way.</summary>
    private sealed class Checks(GoldenCase golden, Comparison results, Denoiser denoiser) : RunObserver
    {
        private readonly List<long> _computed = [];
        private readonly List<long> _experts = [];
        private int _step;
        private readonly List<float> _measures = [];
        private readonly List<float> _magnitudes = [];

        /// <summary>What is only known when the run is done.</summary>
        public void Complete()
        {
            results.CheckIntegers("experts", [.. _experts]);
            if (_computed.Count == 0)
                return;
            results.CheckIntegers("computed", [.. _computed]);
            results.Check("measure", [.. _measures]);
            results.Check("mag_ratios", [.. _magnitudes]);
            if (results.Wants("resampled"))
            {
                float[] ratios = [
                    .. golden.Arguments.GetProperty("cache").GetProperty("mag_ratios").EnumerateArray().Select(ratio => ratio.GetSingle())];
                results.Check("resampled", MagCache.Resample(ratios, golden.Int("steps", 0)));
            }
        }

        /// <summary>What the network gives, where the denoiser makes something else of it.</summary>
        public override Action<string, Tensor> Watch => (name, value) =>
        {
            if (name == "model_output")
                results.Check(FormattableString.Invariant($"{name}.{_step}"), AsReference(value));
        };

        public override void BeginStep(StepPoint point) => _step = point.Index;

        public override void Begin(RunStart start)
        {
            using var scope = new TensorScope();
            results.Check("timesteps", start.Timesteps.ToArray());
            results.Check("sigmas", start.Sigmas.ToArray());
            if (start.ImageLatents is { } image)
                results.Check("init_latents", AsReference(image));
            results.Check("latents.start", AsReference(start.Latents));
            for (int i = 0; i < start.Pictures.Count; i++)
                results.CheckIntegers(FormattableString.Invariant($"resized_image.{i}"), [.. Bytes(start.Pictures[i])]);
            EditingArguments.Check(golden, results, start, denoiser);
            Embeddings("", start.Positive);
            if (start.Negative is { } negative)
                Embeddings("negative_", negative);
            if (results.Item == null)
                CheckNoise(golden, results, "noise", start.Noise);
        }

        public override void EndStep(StepObservation step)
        {
            using var scope = new TensorScope();
            int index = step.Facts.Point.Index;
            void Check(string name, Tensor? value)
            {
                if (value != null)
                    results.Check(FormattableString.Invariant($"{name}.{index}"), AsReference(value));
            }

            // Of a model that predicts a variance too, no more than what it predicts of the latents goes on.
            void Pass(string name, Tensor? value)
            {
                if (value != null)
                    results.CheckChannels(FormattableString.Invariant($"{name}.{index}"), AsReference(value));
            }

            _experts.Add(step.Facts.Expert + 1);
            Check("prediction", step.Prediction);
            Pass("positive_prediction", step.Facts.Positive);
            Pass("negative_prediction", step.Facts.Negative);
            foreach (var pass in step.Guidance.Passes)
            {
                if (pass.Rule is { } rule)
                    Check(rule is SkipLayerGuidance ? "skip_prediction" : "perturbed_prediction", step.Facts.Perturbed(rule));
            }
            if (results.Wants(FormattableString.Invariant($"denoised.{index}")))
                Check("denoised", step.Facts.ToCleanSample(step.Prediction));
            Check("latents", step.Latents);
            foreach (var pass in step.Caches.OrderBy(pass => pass.Kind))
            {
                _computed.Add(pass.Computed ? 1 : 0);
                if (pass.Measure is { } measure)
                    _measures.Add((float)measure);
                if (pass.Magnitude is { } magnitude)
                    _magnitudes.Add((float)magnitude);
            }
            CheckNoise(golden, results, FormattableString.Invariant($"step_noise.{index}"), step.Noise);
        }

        /// <summary>Red, green, blue and alpha of each pixel.</summary>
        private static IEnumerable<long> Bytes(Image image) => Enumerable.Range(0, 4 * image.Width * image.Height).Select(i =>
            i % 4 < 3 ? (long)image.Rgb[i / 4 * 3 + i % 4] : image.Alpha.IsEmpty ? 255 : image.Alpha[i / 4]);

        /// <summary>Conditionings are computed once for all images of a request.</summary>
        private void Embeddings(string prefix, Conditioning conditioning)
        {
            foreach (var (part, value) in conditioning.Parts)
            {
                string name = part switch
                {
                    "text" => prefix + "prompt_embeds",
                    "pooled" => prefix + "pooled_prompt_embeds",
                    _ => prefix + part,
                };
                if (part == "text" && conditioning.Slots.Count > 0)
                    results.CheckFlags(prefix + "image_slots", conditioning.Slots);
                if (part == "text" && results.Wants(name + "_mask") && value.Shape.Rank == 4)
                {
                    results.CheckWithoutPads(name, name + "_mask", value);
                    continue;
                }
                if (part == "text" && results.Wants(name + "_mask"))
                    results.CheckLength(name + "_mask", value.Shape[1]);
                if (part == "text")
                {
                    results.CheckLength(prefix + "attention_mask", conditioning.CountedRows);
                    results.CheckLength(prefix + "prompt_attention_mask", conditioning.CountedRows);
                    results.CheckCount(prefix + "prompt_lengths", conditioning.CountedRows);
                }
                if (results.Item != null)
                    results.Check(name, value);
                else if (results.Wants(name))
                {
                    // Some families have no axis of images in their embeddings; others have zeros for pads, which are no rows here.
                    var expected = golden.ExpectedShape(name);
                    bool masked = part == "text" && results.Wants(prefix + "prompt_attention_mask");
                    var rows = masked ? value.WithPads(expected[1]) : value;
                    results.Check(
                        name, expected.Rank == rows.Shape.Rank - 1 ? rows.Reshape(rows.Shape[1], rows.Shape[2])
                            : TensorOperations.Concatenate(0, [.. Enumerable.Repeat(rows, expected[0])]));
                }
            }
        }
    }

    /// <summary>
    /// Noise is drawn from the seed, not taken from the case: it must be the same, and there must be none where the reference draws none.
    /// </summary>
    private static void CheckNoise(GoldenCase golden, Comparison results, string name, Tensor? drawn)
    {
        results.Require(golden.HasInput(name) == (drawn != null), $"{name} is {(drawn == null ? "missing" : "not expected")}");
        if (drawn == null || !golden.HasInput(name))
            return;
        float[] given = golden.Input(name).ToArray();
        float[] own = AsReference(drawn).ToArray();
        float largest = given.Length == own.Length ? 0 : float.PositiveInfinity;
        for (int i = 0; largest == 0 && i < given.Length; i++)
            largest = Math.Max(largest, Math.Abs(given[i] - own[i]) > 1e-6f ? Math.Abs(given[i] - own[i]) : 0);
        results.Require(largest == 0, FormattableString.Invariant($"{name}: what the seed gives differs by {largest}"));
    }
}
