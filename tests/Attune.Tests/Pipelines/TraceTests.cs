using Attune.Attention;
using Attune.Guidance;
using Attune.Guidance.Diagnostics;
using Attune.Generation;
using Attune.Tensors;
using static Attune.Tests.Pipelines.Pictures;

namespace Attune.Tests.Pipelines;

/// <summary>Traces of whole runs.</summary>
[NoLeaks]
public class TraceTests
{
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

    [Theory]
    [InlineData("flux-schnell", "none")]
    [InlineData("flux-schnell", "nag")]
    [InlineData("flux-schnell", "gag+nag:layers=single.1,steps=1-,norm=2+cfg:scale=2+pag:scale=1,layers=0")]
    [InlineData("flux-schnell", "nag:latents=forked+cfg-zero-star")]
    [InlineData("flux-schnell", "vsf:steps=0-1")]
    [InlineData("sd15", "pladis+gag:layers=up+cfg:scale=4+freeu")]
    [InlineData("sdxl", "nag+cfg:scale=4+seg:layers=mid")]
    public async Task A_trace_changes_no_bit_and_does_not_depend_on_threads(string model, string rules)
    {
        using var pipeline = DiffusionPipeline.Load(Repository.Golden("checkpoints", model));
        var request = Request([.. RuleCatalog.Parse(rules)]);
        byte[] plain = await Pixels(pipeline, request);
        var trace = new GuidanceTrace();
        Assert.Equal(plain, await Pixels(pipeline, request, new TraceObserver(trace)));
        Assert.Equal(trace.Steps[0].Count, trace.Steps.Count);      // evaluations: some schedulers take more than one in a step
        Assert.Equal(
            pipeline.Denoiser.Sites.Where(site => site.Kind is AttentionKind.Cross or AttentionKind.Joint)
                .Select(site => site.Path)
                .Order(),
            trace.Layers.Select(site => site.Path).Order());
        Assert.NotEmpty(trace.Series);
        int threads = Workers.MaxThreads;
        try
        {
            Workers.MaxThreads = 1;
            var alone = new GuidanceTrace();
            _ = await Pixels(pipeline, request, new TraceObserver(alone));
            Assert.Equal(trace.Series.Select(series => series.Quantity), alone.Series.Select(series => series.Quantity));
            Assert.All(trace.Series.Zip(alone.Series), pair => Assert.Equal(pair.First.Entries, pair.Second.Entries));
        }
        finally
        {
            Workers.MaxThreads = threads;
        }
        await Assert.ThrowsAsync<InvalidOperationException>(() => Pixels(pipeline, request, new TraceObserver(trace)));
    }

    [Fact]
    public async Task A_trace_measures_predictions()
    {
        using var pipeline = DiffusionPipeline.Load(Repository.Golden("checkpoints", "flux-schnell"));
        var rule = new PerturbedAttentionGuidance { Scale = 1 };
        var trace = new GuidanceTrace();
        double[] Of(Tensor x, int item) => [.. x.ToArray().Chunk((int)x.Count / 2).ElementAt(item).Select(value => (double)value)];
        double Norm(double[] x) => Math.Sqrt(x.Sum(value => value * value));
        double[] Minus(double[] a, double[] b) => [.. a.Zip(b, (x, y) => x - y)];
        double RootMeanSquare(Tensor x, Tensor y, int item) => Norm(Minus(Of(x, item), Of(y, item))) / Math.Sqrt(x.Count / 2);
        var values = new Dictionary<string, List<double[]>>();
        var watch = new Watching
        {
            Stepped = step =>
            {
                var (facts, prediction) = (step.Facts, step.Prediction);
                foreach (var (name, expected) in new (string, Func<int, double>)[]
                {
                    ("prediction.difference", item => RootMeanSquare(facts.Positive, facts.Negative!, item)),
                    ("prediction.perturbation", item => RootMeanSquare(facts.Positive, facts.Perturbed(rule), item)),
                    ("prediction.norm", item => Norm(Of(prediction, item)) / Norm(Of(facts.Positive, item))),
                    (
                        "prediction.change",
                        item => Norm(Minus(Of(prediction, item), Of(facts.Positive, item))) / Norm(Of(facts.Positive, item))),
                })
                {
                    values.TryAdd(name, []);
                    values[name].Add([expected(0), expected(1)]);
                }
            },
        };
        var request = Request(rule, new ClassifierFreeGuidance { Scale = 3 }) with { Count = 2 };
        await pipeline.GenerateAsync(request, watch);
        await pipeline.GenerateAsync(request, new TraceObserver(trace));
        Assert.Equal(4, values.Count);
        foreach (var (name, steps) in values)
        {
            var series = trace.Series.Single(series => series.Quantity.Name == name);
            for (int i = 0; i < steps.Count; i++)
            {
                var entry = series.Entries[i];
                Assert.Equal((i, null), (entry.Step, entry.Layer));
                Assert.Equal(
                    steps[i].Order(), [entry.Values.Minimum, entry.Values.Maximum], (a, b) => Math.Abs(a - b) < 1e-6 * Math.Abs(a));
            }
        }
    }
}
