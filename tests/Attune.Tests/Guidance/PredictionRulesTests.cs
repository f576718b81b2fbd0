using Attune.Guidance;
using Attune.Generation;
using Attune.Tests.Pipelines;
using Attune.Tensors;

namespace Attune.Tests.Guidance;

/// <summary>
/// What the golden cases of single rules do not show: rules in a pipeline, their state, and arithmetic against direct sums.
/// </summary>
[NoLeaks]
public class PredictionRulesTests
{
    private static readonly string Model = Repository.Golden("checkpoints", "flux-schnell");

    private static GenerationRequest Request(string rules, int steps = 2) => new()
    {
        Prompt = "a panda on a blue background",
        NegativePrompt = "sunglasses",
        Width = 64,
        Height = 96,
        Steps = steps,
        Seed = 5,
        MaxSequenceLength = 16,
        Guidance = new GuidanceSchedule(RuleCatalog.Parse(rules)),
    };

    private static void Near(double expected, float actual, double scale) =>
        Assert.True(Math.Abs(expected - actual) <= 1e-5 * scale, $"{actual}, expected {expected}");

    [Fact]
    public async Task Terms_add_up_on_top_of_the_contrast()
    {
        using var pipeline = DiffusionPipeline.Load(Model);
        foreach (
            var step in await Watching.Steps(
                pipeline, Request(
                    "nag+cfg:scale=3+pag:scale=2+seg:scale=1.5,sigma=0.7,layers=single+autoguidance:scale=2.5,layers=single.1")))
        {
            var passes = step.Perturbed;
            var (positive, negative, prediction) = (step.Positive, step.Negative!, step.Guided);
            Assert.Equal(["autoguidance", "pag", "seg"], passes.Keys.Order());
            Assert.All(passes.Values, perturbed => Assert.NotEqual(positive, perturbed));
            double scale = prediction.Max(Math.Abs);
            for (int i = 0; i < prediction.Length; i++)
            {
                double p = positive[i];
                Near(
                    negative[i] + 3 * (p - negative[i]) + 2 * (p - passes["pag"][i]) + 1.5 * (p - passes["seg"][i]) + 1.5 * (
                        p - passes["autoguidance"][i]),
                    prediction[i], scale);
            }
        }
    }

    [Fact]
    public async Task Perturbed_passes_carry_no_corrections_and_leave_unselected_layers_alone()
    {
        using var pipeline = DiffusionPipeline.Load(Model);
        async Task<float[]> Perturbed(string rules)
        {
            var steps = await Watching.Steps(pipeline, Request(rules, steps: 1));
            return steps.Single().Perturbed.Values.Single();
        }

        Assert.Equal(await Perturbed("pag:layers=double.0"), await Perturbed("pag:layers=double.0+nag"));
        Assert.NotEqual(await Perturbed("pag:layers=double.0"), await Perturbed("pag:layers=double.1"));

        Assert.NotEqual(await Perturbed("autoguidance:layers=single"), await Perturbed("autoguidance:layers=double"));
    }

    [Fact]
    public async Task Skip_layer_guidance_acts_strictly_inside_of_its_window()
    {
        using var pipeline = DiffusionPipeline.Load(Model);
        foreach (var step in await Watching.Steps(pipeline, Request("slg:scale=2,layers=1,start=0.01,stop=0.6", steps: 4)))
        {
            // Steps 1 and 2 lie between 0.04 and 2.4.
            Assert.Equal(step.Index is 1 or 2 ? 1 : 0, step.Perturbed.Count);
            float[] plain = step.Positive;
            if (step.Perturbed.Values.SingleOrDefault() is not { } skipped)
            {
                Assert.Equal(plain, step.Guided);
                continue;
            }
            float[] prediction = step.Guided;
            for (int i = 0; i < plain.Length; i++)
                Near(plain[i] + 2 * (plain[i] - (double)skipped[i]), prediction[i], prediction.Max(Math.Abs));
        }
    }

    [Fact]
    public async Task Momentum_lives_in_the_run()
    {
        using var pipeline = DiffusionPipeline.Load(Model);
        var request = Request("apg:scale=4,eta=0.2,norm=3,momentum=-0.5", steps: 3);
        async Task<float[]> Final()
        {
            float[] latents = [];
            await foreach (var step in pipeline.DenoiseAsync(request))
                latents = step.Latents.ToArray();
            return latents;
        }

        float[] first = await Final();
        var both = await Task.WhenAll(Final(), Final());
        Assert.Equal(first, both[0]);
        Assert.Equal(first, both[1]);
    }

    [Fact]
    public async Task Perp_neg_takes_three_prompts()
    {
        using var pipeline = DiffusionPipeline.Load(Model);
        foreach (var step in await Watching.Steps(pipeline, Request("perp-neg:scale=5,negative_scale=0.7")))
        {
            var (c, n, e, prediction) = (
                step.Positive, step.Negative!, step.Empty!, step.Guided);
            double dot = c.Index().Sum(pair => (pair.Item - (double)e[pair.Index]) * (n[pair.Index] - (double)e[pair.Index]));
            double square = c.Index().Sum(pair => Math.Pow(pair.Item - (double)e[pair.Index], 2));
            for (int i = 0; i < c.Length; i++)
                Near(
                    e[i] + 5 * (c[i] - e[i] - 0.7 * (n[i] - e[i] - dot / square * (c[i] - e[i]))), prediction[i], prediction.Max(Math.Abs));
        }
    }

    [Fact]
    public async Task Normalisation_sees_the_sum_and_the_plain_prediction()
    {
        using var pipeline = DiffusionPipeline.Load(Model);
        foreach (var step in await Watching.Steps(pipeline, Request("cfg:scale=6+rescale:share=1", steps: 1)))
        {
            static double Deviation(float[] x) => Math.Sqrt(x.Sum(v => Math.Pow(v - x.Average(), 2)) / (x.Length - 1));
            Assert.Equal(Deviation(step.Positive), Deviation(step.Guided), 1e-4);
        }
    }

    [Fact]
    public async Task Thresholding_bounds_the_clean_sample()
    {
        using var pipeline = DiffusionPipeline.Load(Model);
        await foreach (var step in pipeline.DenoiseAsync(Request("dynamic-thresholding:ratio=0.9,max=1", steps: 1)))
        {
            // One step of flow matching from sigma 1 to 0 ends at the clean sample.
            Assert.InRange(step.Latents.ToArray().Max(Math.Abs), 0.99f, 1.0001f);
        }
    }

    /// <summary>Against the definition: transform, shift, scale a box of the spectrum, transform back, in double precision.</summary>
    [Theory]
    [InlineData(6, 8)]
    [InlineData(5, 7)]
    [InlineData(1, 4)]
    [InlineData(2, 1)]
    public void FreeU_damps_what_the_definition_damps(int height, int width)
    {
        using var scope = new TensorScope();
        var random = new TorchRandom(4);
        var (hidden, skip) = (Tensor.Empty(Host, [2, height, width, 6]), Tensor.Empty(Host, [2, height, width, 3]));
        random.Normal(hidden.Span);
        random.Normal(skip.Span);
        var rule = new FreeU { S1 = 0.4f, B1 = 1.5f };
        var (amplified, damped) = rule.Adjust("up_blocks.0", hidden, skip);
        for (int item = 0; item < 2; item++)
        {
            for (int channel = 0; channel < 3; channel++)
            {
                for (int y = 0; y < height; y++)
                {
                    for (int x = 0; x < width; x++)
                        Near(DampedPixel(skip, item, channel, y, x, 0.4), damped.Row(item, y, x)[channel], 4);
                }
            }
        }
        Assert.Equal(hidden.Row(1, height - 1, 0)[2] * 1.5f, amplified.Row(1, height - 1, 0)[2]);
        Assert.Equal(hidden.Row(1, height - 1, 0)[3], amplified.Row(1, height - 1, 0)[3]);
        Assert.Equal((hidden, skip), rule.Adjust("up_blocks.2", hidden, skip));
    }

    private static double DampedPixel(Tensor image, int item, int channel, int y, int x, double scale)
    {
        var (height, width) = (image.Shape[1], image.Shape[2]);
        System.Numerics.Complex sum = 0;
        for (int row = 0; row < height; row++)
        {
            for (int column = 0; column < width; column++)
            {
                // Shifted index -> frequency; the box is [centre - 1, centre + 1).
                System.Numerics.Complex coefficient = 0;
                var (u, v) = (row - height / 2, column - width / 2);
                for (int b = 0; b < height; b++)
                {
                    for (int a = 0; a < width; a++)
                        coefficient += image.Row(item, b, a)[channel] * System.Numerics.Complex.Exp(
                            new(0, -2 * Math.PI * ((double)u * b / height + (double)v * a / width)));
                }
                bool inside = row >= Math.Max(height / 2 - 1, 0)
                    && row < height / 2 + 1 && column >= Math.Max(width / 2 - 1, 0) && column < width / 2 + 1;
                sum += (inside ? scale : 1) * coefficient * System.Numerics.Complex.Exp(
                    new(0, 2 * Math.PI * ((double)u * y / height + (double)v * x / width)));
            }
        }
        return sum.Real / (height * width);
    }
}
