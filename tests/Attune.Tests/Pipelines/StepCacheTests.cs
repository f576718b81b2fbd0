using Attune.Attention;
using Attune.Caching;
using Attune.Generation;
using Attune.Guidance;
using Attune.Schedulers;
using Attune.Tensors;

namespace Attune.Tests.Pipelines;

/// <summary>Beside the golden cases of the group caches: the rule by itself, and when a run forgets.</summary>
[NoLeaks]
public class StepCacheTests
{
    private static Tensor Rows(params float[] values) => Tensor.From(Host, values, [1, values.Length / 2, 2]);

    /// <summary>A pass over three blocks: what the first adds, and what the others add if they run.</summary>
    /// <returns>The rows at the end.</returns>
    private static float[] Pass(FirstBlockCache cache, Tensor start, Tensor first, Tensor others)
    {
        BlockPoint At(int index) => new($"blocks.{index}", index, 3);
        Assert.Equal(BlockDecision.Run, cache.Before(At(0), start));
        var rows = start.Add(first);
        cache.After(At(0), rows);
        if (cache.Before(At(1), rows).Residual is { } residual)
            return rows.Add(residual).ToArray();
        cache.After(At(1), rows);
        Assert.Equal(BlockDecision.Run, cache.Before(At(2), rows));
        rows = rows.Add(others);
        cache.After(At(2), rows);
        return rows.ToArray();
    }

    [Fact]
    public void What_the_others_added_is_added_again_while_the_first_block_changes_little()
    {
        using var scope = new TensorScope();
        using var cache = new FirstBlockCache(threshold: 0.25);
        Assert.Equal([11, 13, 15, 17], Pass(cache, Rows(0, 1, 2, 3), Rows(1, 2, 3, 4), Rows(10, 10, 10, 10)));
        Assert.Equal((null, true), (cache.Measure, cache.Computed));

        // |r - r'| = 0 + 0 + 1 + 1, |r'| = 10: the same residual, after this pass's own first block.
        Assert.Equal([16, 17, 19, 20], Pass(cache, Rows(5, 5, 5, 5), Rows(1, 2, 4, 5), Rows(-1, -1, -1, -1)));
        Assert.Equal((0.2, false), (cache.Measure, cache.Computed));

        // Compared with the last pass that was computed, not with the last one: 4 / 10 is too much.
        Assert.Equal([1, 2, 5, 6], Pass(cache, Rows(0, 0, 0, 0), Rows(1, 2, 5, 6), Rows(0, 0, 0, 0)));
        Assert.Equal((0.4, true), (cache.Measure, cache.Computed));
        Pass(cache, Rows(0, 0, 0, 0), Rows(1, 2, 5, 6), Rows(9, 9, 9, 9));
        Assert.Equal((0, false), (cache.Measure, cache.Computed));

        cache.Reset();
        Assert.Equal([10, 11, 14, 15], Pass(cache, Rows(0, 0, 0, 0), Rows(1, 2, 5, 6), Rows(9, 9, 9, 9)));
        Assert.Equal((null, true), (cache.Measure, cache.Computed));
    }

    [Fact]
    public void A_pass_that_was_broken_off_is_not_remembered()
    {
        using var scope = new TensorScope();
        using var cache = new FirstBlockCache(threshold: 100);
        cache.Before(new BlockPoint("blocks.0", 0, 3), Rows(0, 0));
        cache.Before(new BlockPoint("blocks.1", 1, 3), Rows(1, 1));
        Assert.Equal([3, 3], Pass(cache, Rows(0, 0), Rows(1, 1), Rows(2, 2)));
        Assert.True(cache.Computed);
        Assert.Equal([3, 3], Pass(cache, Rows(0, 0), Rows(1, 1), Rows(7, 7)));
        Assert.False(cache.Computed);
    }

    /// <summary>
    /// With a threshold that nothing exceeds, a pass is computed in its first step, where rules begin or cease to act inside it, and after
    /// a gap. Passes that leave out blocks are not cached.
    /// </summary>
    [Theory]
    [InlineData("none", "1000000")]
    [InlineData("nag:steps=2-4", "1010100")]
    [InlineData("nag:steps=2-4+gag:steps=3-", "1011100")]
    [InlineData("cfg:steps=1-3+norm-keeping", "1000000", "-10----")]
    [InlineData("pag:steps=2-5", "1000000", "--100--")]
    [InlineData("slg:layers=1,stop=1", "1000000")]
    public async Task A_run_forgets_at_the_edges_of_windows(string guidance, params string[] expected)
    {
        using var pipeline = DiffusionPipeline.Load(Repository.Golden("checkpoints", "flux-schnell"));
        var steps = new List<IReadOnlyList<CachedPass>>();
        var watching = new Watching { Stepped = step => steps.Add(step.Caches) };
        var request = new GenerationRequest
        {
            Prompt = "a panda", NegativePrompt = "sunglasses", Width = 32, Height = 32, Steps = 7, MaxSequenceLength = 16,
            Guidance = GuidanceChoice.Parse(guidance), Cache = StepCacheChoice.FirstBlock(1e9),
        };
        await pipeline.GenerateAsync(request, watching);
        var kinds = steps.SelectMany(step => step).Select(pass => pass.Kind).Distinct().Order().ToArray();
        Assert.Equal(expected, kinds.Select(kind => string.Concat(steps.Select(
            step => step.FirstOrDefault(pass => pass.Kind == kind) is { } pass ? pass.Computed ? "1" : "0" : "-"))));

    }

    /// <summary>Whether the first ended, or was broken off.</summary>
    [Theory]
    [InlineData("fb:1e9")]
    [InlineData("taylor:before=1")]
    [InlineData("taylor:of=attention,before=1")]
    [InlineData("static:before=1")]
    [InlineData("mag:ratios=1,retention=0,threshold=1e9")]
    [InlineData("broadcast:above=-1,below=1e9")]
    public async Task A_second_request_knows_nothing_of_the_first(string cache)
    {
        using var pipeline = DiffusionPipeline.Load(Repository.Golden("checkpoints", "flux-schnell"));
        var first = new GenerationRequest
        {
            Prompt = "a fox", Width = 32, Height = 32, Steps = 4, Seed = 3, MaxSequenceLength = 16, Cache = StepCacheChoice.Parse(cache),
        };
        var second = first with { Prompt = "a panda", Seed = 4 };
        byte[] expected = (await pipeline.GenerateAsync(second)).Single().Pixels.ToArray();
        await pipeline.GenerateAsync(first);
        await foreach (var step in pipeline.DenoiseAsync(first))
        {
            if (step.Index == 1)
                break;
        }
        Assert.Equal(expected, (await pipeline.GenerateAsync(second)).Single().Pixels.ToArray());
    }

    /// <summary>
    /// Where every step is computed a cache changes no bit; where it leaves out steps it does what it says, and the pictures differ.
    /// </summary>
    [Theory]
    [MemberData(nameof(Models))]
    public async Task Every_model_takes_every_kind(string model)
    {
        using var pipeline = DiffusionPipeline.Load(Repository.Golden("checkpoints", model));
        var request = new GenerationRequest
        {
            Prompt = "a panda", NegativePrompt = "sunglasses", Width = 32, Height = 32, Steps = 6,
            Frames = pipeline.FrameMultiple == 1 ? null : 5,
            MaxSequenceLength = 16, Guidance = GuidanceChoice.Parse("nag:steps=0-"),
            Scheduler = pipeline.Denoiser.HasSkipConnections ? SchedulerChoice.Parse("ddim") : null,
        };
        var plain = await Latents(pipeline, request);
        bool isUnet = pipeline.Denoiser.HasSkipConnections;
        foreach (var (text, computed) in new[]
        {
            ("taylor:interval=1,before=0", "111111"), ("taylor:before=2,interval=3,order=2", "110100"),
            ("taylor:of=attention,interval=1", "111111"), ("taylor:of=attention,before=2,interval=2,after=5", "110101"),
            ("taylor:of=self-attention,before=1,interval=4,order=0", "101000"), ("static:every=1", "111111"),
            ("static:every=3,before=1,after=5", "100101"), ("fb:0", "111111"), ("mag:ratios=calibrate", "111111"),
            ("mag:ratios=1/1.1,retention=0.34,threshold=0.15,skips=9", "110010"), ("broadcast:self=1,cross=1", "111111"),
            ("broadcast:self=3,cross=2,above=-1,below=1e9", "100100"), ("faster:self=2,below=1e9", "101010"),
        })
        {
            var asked = request with { Cache = StepCacheChoice.Parse(text) };
            if (isUnet && !text.StartsWith("taylor:before", StringComparison.Ordinal) && text != "taylor:interval=1,before=0")
            {
                Assert.Contains(
                    "needs a model whose blocks are one stack", Assert.Throws<ArgumentException>(() => pipeline.Resolve(asked)).Message,
                    StringComparison.Ordinal);
                continue;
            }
            var done = new List<CachedPass>();
            var cached = await Latents(pipeline, asked, step => done.AddRange(step.Caches));
            // What one network left is of no use for the other.
            if (pipeline.Denoiser.Experts == 1)
                Assert.Equal((text, computed), (text, string.Concat(done.Select(pass => pass.Computed ? 1 : 0))));
            Assert.Equal((text, !computed.Contains('0')), (text, plain.SequenceEqual(cached)));
            Assert.All(cached, value => Assert.True(float.IsFinite(value)));
            Assert.Equal(text.EndsWith("calibrate", StringComparison.Ordinal), done[^1].Magnitude != null);
        }
    }

    /// <summary>Of two passes each goes on from its own outputs: with equal prompts CFG does not move anything.</summary>
    [Theory]
    [InlineData("broadcast:self=2,above=-1,below=1e9")]
    [InlineData("faster:self=2,below=1e9")]
    [InlineData("taylor:of=attention,before=1,interval=2")]
    public async Task Passes_keep_apart_what_attention_gave(string cache)
    {
        using var pipeline = DiffusionPipeline.Load(Repository.Golden("checkpoints", "flux-schnell"));
        var request = new GenerationRequest
        {
            Prompt = "a panda", NegativePrompt = "a fox", Width = 32, Height = 32, Steps = 5, MaxSequenceLength = 16,
            Guidance = GuidanceChoice.Parse("none"), Cache = StepCacheChoice.Parse(cache),
        };
        var positive = await Predictions(pipeline, request);
        var negative = await Predictions(pipeline, request with { Prompt = "a fox" });
        Assert.NotEqual(positive[0], negative[0]);

        // At scale 1 the prompt's prediction goes on alone, and so do its latents.
        var both = await Predictions(pipeline, request with { Guidance = GuidanceChoice.Parse("cfg:scale=1") });
        Assert.Equal(positive, both);
    }

    private static async Task<float[][]> Predictions(DiffusionPipeline pipeline, GenerationRequest request)
    {
        var predictions = new List<float[]>();
        await pipeline.GenerateAsync(request, new Watching { Stepped = step => predictions.Add(step.Facts.Positive.ToArray()) });
        return [.. predictions];
    }

    private static async Task<float[]> Latents(
        DiffusionPipeline pipeline, GenerationRequest request, Action<StepObservation>? stepped = null)
    {
        float[] latents = [];
        await pipeline.GenerateAsync(request, new Watching
        {
            Stepped = step =>
            {
                latents = step.Latents.ToArray();
                stepped?.Invoke(step);
            },
        });
        return latents;
    }

    public static TheoryData<string> Models =>
        [
            .. Directory.GetFiles(Repository.Golden("checkpoints"), "model_index.json", SearchOption.AllDirectories)
                .Select(file => Path.GetFileName(Path.GetDirectoryName(file))!)
                .Order(StringComparer.Ordinal)];

    /// <summary>A quadratic series is extrapolated exactly once three values are known, however far apart.</summary>
    [Fact]
    public void A_series_of_order_two_follows_a_parabola()
    {
        using var scope = new TensorScope();
        using var series = new TaylorSeries(order: 2, rounds: false);
        float[] Values(int step) => [3, 2f * step - 1];
        foreach (int step in new[] { 0, 1, 3 })
            series.Update(Tensor.From(Host, Values(step), [2]), step);
        Assert.Equal(Values(5), series.At(5).ToArray());
        Assert.Equal(Values(3), series.At(3).ToArray());

        // f0 = 16, f1 = (16 - 4) / 2 = 6, f2 = (6 - 4 / 2) / 2 = 2: 16 + 6 d + 2 d^2 / 2.
        using var squares = new TaylorSeries(order: 2, rounds: false);
        foreach (int step in new[] { 0, 2, 4 })
            squares.Update(Tensor.From(Host, [(float)step * step], [1]), step);
        Assert.Equal([16 + 18 + 9], squares.At(7).ToArray());
    }

    [Fact]
    public void Ratios_of_other_numbers_of_steps_are_the_nearest_ones()
    {
        Assert.Equal([1, 3, 5], MagCache.Resample([1, 2, 3, 4, 5], 3));
        Assert.Equal([1, 1, 2, 3, 3], MagCache.Resample([1, 2, 3], 5));        // .5 and 1.5: halves to even
        Assert.Equal([7], MagCache.Resample([7, 8], 1));
        Assert.Equal([7, 8], MagCache.Resample([7, 8], 2));
    }

    [Fact]
    public void A_pass_that_did_not_run_in_the_step_before_is_computed()
    {
        using var scope = new TensorScope();
        using var caches = new StepCaches(StepCacheChoice.FirstBlock(1e9));
        bool Computes(int step, PassKinds kind, int expert = 0)
        {
            var cache = (FirstBlockCache)caches.Of(new StepPoint(step, 9, 0, 0), kind, null, expert, [], Steering.Plain)!;
            Pass(cache, Rows(0, 0), Rows(1, 1), Rows(2, 2));
            return cache.Computed;
        }

        Assert.True(Computes(0, PassKinds.Negative));
        Assert.False(Computes(1, PassKinds.Negative));
        Assert.True(Computes(1, PassKinds.Empty));
        Assert.True(Computes(3, PassKinds.Negative));
        Assert.False(Computes(4, PassKinds.Negative));
        Assert.True(Computes(5, PassKinds.Negative, expert: 1));
        Assert.Equal([PassKinds.Negative], caches.DoneIn(5).Select(pass => pass.Kind));
    }

    [Fact]
    public async Task The_images_of_a_request_decide_together()
    {
        using var pipeline = DiffusionPipeline.Load(Repository.Golden("checkpoints", "flux-dev"));
        var request = new GenerationRequest
        {
            Prompt = "a panda", Width = 32, Height = 32, Steps = 3, Count = 2, MaxSequenceLength = 16,
            Cache = StepCacheChoice.FirstBlock(),
        };
        using var bag = new TensorBag();
        Tensor? noise = null;
        async Task<double> SecondMeasure(GenerationRequest asked)
        {
            var measures = new List<double?>();
            await pipeline.GenerateAsync(asked, new Watching
            {
                Started = start => bag.Set(ref noise, start.Noise.Clone()), Stepped = step => measures.Add(step.Caches[0].Measure),
            });
            return measures[1]!.Value;
        }

        double together = await SecondMeasure(request);
        var alone = new double[2];
        var both = noise!.ToArray();
        var shape = noise.Shape.With(0, 1);
        for (int i = 0; i < 2; i++)
        {
            using var one = Tensor.From(Host, both.AsSpan(i * both.Length / 2, both.Length / 2), shape);
            alone[i] = await SecondMeasure(request with { Count = 1, InitialNoise = one });
        }
        Assert.NotEqual(alone[0], alone[1]);
        Assert.InRange(together, alone.Min() * (1 - 1e-6), alone.Max() * (1 + 1e-6));
    }

    [Fact]
    public async Task A_model_without_a_stack_of_blocks_refuses_a_cache_of_blocks()
    {
        using var pipeline = DiffusionPipeline.Load(Repository.Golden("checkpoints", "sd15"));
        var request = new GenerationRequest { Prompt = "a panda", Cache = StepCacheChoice.FirstBlock() };
        string message = (await Assert.ThrowsAsync<ArgumentException>(() => pipeline.GenerateAsync(request))).Message;
        Assert.StartsWith("Cache is first-block:threshold=0.05, which needs a model whose blocks", message, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("first-block", "first-block:threshold=0.05")]
    [InlineData("first-block:threshold=0.12", "first-block:threshold=0.12")]
    [InlineData("fb:0.5", "first-block:threshold=0.5")]
    [InlineData("taylor", "taylor:of=prediction,interval=3,order=1,before=3,after=never,factors=f32")]
    [InlineData("taylor:attention,order=2", "taylor:of=attention,interval=3,order=2,before=3,after=never,factors=f32")]
    [InlineData("mag:ratios=1/0.98", "mag:threshold=0.06,skips=3,retention=0.2,ratios=1/0.98")]
    [InlineData("broadcast:3", "broadcast:self=3,cross=none,above=100,below=800")]
    [InlineData("none", null)]
    public void A_cache_has_a_text_form(string text, string? expected) =>
        Assert.Equal(expected, StepCacheChoice.Parse(text)?.ToString());

    [Theory]
    [InlineData("")]
    [InlineData("tea")]
    [InlineData("first-block:")]
    [InlineData("first-block:threshold=-1")]
    [InlineData("first-block:threshold=nan")]
    [InlineData("first-block:rate=1")]
    [InlineData("first-block:0.1,0.2")]
    [InlineData("taylor:interval=0")]
    [InlineData("taylor:order=5")]
    [InlineData("taylor:interval=2,interval=3")]
    [InlineData("mag")]
    [InlineData("mag:ratios=1/x")]
    [InlineData("mag:ratios=nobody")]
    [InlineData("static:every=-1")]
    [InlineData("faster:weight=x")]
    public void A_cache_that_there_is_not_is_named(string text) =>
        Assert.Contains($"'{text}'", Assert.Throws<FormatException>(() => StepCacheChoice.Parse(text)).Message, StringComparison.Ordinal);

    [Fact]
    public void A_negative_threshold_is_named() => Assert.Contains(
        "expected 0 or more", Assert.Throws<ArgumentOutOfRangeException>(() => StepCacheChoice.FirstBlock(-0.1)).Message,
        StringComparison.Ordinal);
}
