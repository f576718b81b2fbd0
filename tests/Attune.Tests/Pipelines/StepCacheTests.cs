using Attune.Attention;
using Attune.Generation;
using Attune.Guidance;
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

        // A second request knows nothing of the first.
        steps.Clear();
        await pipeline.GenerateAsync(request, watching);
        Assert.True(steps[0][0].Computed);
        Assert.Null(steps[0][0].Measure);
    }

    [Fact]
    public void A_pass_that_did_not_run_in_the_step_before_is_computed()
    {
        using var scope = new TensorScope();
        using var caches = new StepCaches(StepCacheChoice.FirstBlock(1e9));
        bool Computes(int step, PassKinds kind, int expert = 0)
        {
            var cache = (FirstBlockCache)caches.Of(step, kind, null, expert, [], Steering.Plain).Blocks!;
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
    public async Task A_model_without_a_stack_of_blocks_refuses_a_cache()
    {
        using var pipeline = DiffusionPipeline.Load(Repository.Golden("checkpoints", "sd15"));
        var request = new GenerationRequest { Prompt = "a panda", Cache = StepCacheChoice.FirstBlock() };
        string message = (await Assert.ThrowsAsync<ArgumentException>(() => pipeline.GenerateAsync(request))).Message;
        Assert.StartsWith("Cache: StableDiffusionPipeline does not take it", message, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("first-block", "first-block:threshold=0.05")]
    [InlineData("first-block:threshold=0.12", "first-block:threshold=0.12")]
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
    public void A_cache_that_there_is_not_is_named(string text) =>
        Assert.Contains($"'{text}'", Assert.Throws<FormatException>(() => StepCacheChoice.Parse(text)).Message, StringComparison.Ordinal);

    [Fact]
    public void A_negative_threshold_is_named() => Assert.Contains(
        "expected 0 or more", Assert.Throws<ArgumentOutOfRangeException>(() => StepCacheChoice.FirstBlock(-0.1)).Message,
        StringComparison.Ordinal);
}
