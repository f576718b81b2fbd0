using Attune.Attention;
using Attune.Autoencoders;
using Attune.Generation;
using Attune.Guidance;
using Attune.Guidance.Diagnostics;
using Attune.Imaging;
using Attune.Models;
using Attune.Models.Wan;
using Attune.Tensors;

namespace Attune.Tests.Pipelines;

/// <summary>Videos: frames as results, two networks by noise level, memory that does not grow with the number of frames.</summary>
[NoLeaks]
public class VideoTests
{
    private static readonly string Checkpoint = Repository.Golden("checkpoints", "wan-2.2");

    private static readonly GenerationRequest Small = new()
    {
        Prompt = "a panda on a blue background", NegativePrompt = "sunglasses", Width = 48, Height = 32, Frames = 5, Steps = 4, Seed = 3,
        MaxSequenceLength = 16,
    };

    [Fact]
    public async Task Frames_that_are_decoded_piece_by_piece_are_those_that_are_decoded_at_once()
    {
        using var pipeline = DiffusionPipeline.Load(Checkpoint);
        var decoded = new List<(int, int)>();
        await foreach (var step in pipeline.DenoiseAsync(Small with { Count = 2, Frames = 9, Steps = 1 }))
        {
            var videos = await step.DecodeFramesAsync((done, count) => decoded.Add((done, count)));
            Assert.Equal(Enumerable.Range(1, 9).Select(done => (done, 9)), decoded);
            Assert.Equal([9, 9], videos.Select(video => video.Count));
            Assert.All(videos, video => Assert.Equal((48, 32, 16), (video.Width, video.Height, video.Rate)));
            Assert.Equal(videos.SelectMany(video => video).Select(Bytes), (await step.DecodeAsync()).Select(Bytes));
            using var tensor = step.DecodeTensor();
            Assert.Equal([2, 9, 32, 48, 3], tensor.Shape);
        }
    }

    [Fact]
    public async Task A_picture_is_one_frame_and_a_video_of_one_frame_a_picture()
    {
        using var pipeline = DiffusionPipeline.Load(Repository.Golden("checkpoints", "sd15"));
        var request = new GenerationRequest { Prompt = "a panda", Width = 64, Height = 64, Steps = 1, Count = 2 };
        var videos = await pipeline.GenerateFramesAsync(request);
        var pictures = await pipeline.GenerateAsync(request);
        Assert.Equal([1, 1], videos.Select(video => video.Count));
        Assert.All(videos, video => Assert.Null(video.Rate));
        Assert.Equal(pictures.Select(Bytes), videos.Select(video => Bytes(video[0])));
        Assert.Contains(
            "does not take it",
            Assert.Throws<ArgumentException>(() => pipeline.Resolve(request with { Frames = 5 })).Message, StringComparison.Ordinal);

        using var video = DiffusionPipeline.Load(Checkpoint);
        Assert.Single(await video.GenerateAsync(Small with { Frames = 1, Steps = 1 }));
    }

    [Theory]
    [InlineData(4, "as 1 or 5")]
    [InlineData(80, "as 77 or 81")]
    [InlineData(0, "Frames is 0")]
    public void A_number_of_frames_that_no_latents_stand_for_is_an_error(int frames, string message)
    {
        using var pipeline = DiffusionPipeline.Load(Checkpoint);
        Assert.Contains(
            message, Assert.Throws<ArgumentException>(() => pipeline.Resolve(Small with { Frames = frames })).Message,
            StringComparison.Ordinal);
    }

    [Fact]
    public void What_a_request_leaves_open_is_as_the_model_was_trained()
    {
        using var pipeline = DiffusionPipeline.Load(Checkpoint);
        var resolved = pipeline.Resolve(new GenerationRequest { Prompt = "a panda" });
        Assert.Equal((832, 480, 81, 40), (
            resolved.Request.Width, resolved.Request.Height, resolved.Request.Frames, resolved.Request.Steps));
        Assert.Equal((21, 30, 52), (resolved.Grid.Frames, resolved.Grid.Height, resolved.Grid.Width));
        Assert.Equal("cfg:scale=4,scale_2=3", string.Join('+', resolved.Guidance.Rules.Select(RuleCatalog.Format)));
    }

    [Fact]
    public async Task Each_network_has_its_scale()
    {
        using var pipeline = DiffusionPipeline.Load(Checkpoint);
        Assert.Equal(2, pipeline.Denoiser.Experts);
        var one = await Predictions("cfg:scale=4,scale_2=scale");
        Assert.Equal([0, 0, 1, 1], one.Select(step => step.Expert));
        var two = await Predictions("cfg:scale=4,scale_2=2");
        Assert.Equal(one.Take(2).Select(step => step.Prediction), two.Take(2).Select(step => step.Prediction));
        Assert.NotEqual(one[2].Prediction, two[2].Prediction);
        Assert.Equal(
            (await Predictions("cfg:scale=4,scale_2=4")).Select(step => step.Prediction), one.Select(step => step.Prediction));

        // A scale of 1 in the first leaves the second its own.
        var rule = (ClassifierFreeGuidance)RuleCatalog.Parse("cfg:guidance_scale=1,guidance_scale_2=3")[0];
        Assert.False(rule.IsNeutral);
        Assert.True((rule with { Scale2 = null }).IsNeutral);
        Assert.Throws<ArgumentOutOfRangeException>(() => new GuidanceSchedule(rule with { Scale2 = -1 }));

        async Task<List<(int Expert, float[] Prediction)>> Predictions(string guidance)
        {
            var steps = new List<(int, float[])>();
            var watch = new Watching { Stepped = step => steps.Add((step.Facts.Expert, step.Prediction.ToArray())) };
            await foreach (var _ in pipeline.DenoiseAsync(Small with { Guidance = GuidanceChoice.Parse(guidance) }, watch))
            {
            }
            return steps;
        }
    }

    [Fact]
    public void A_second_scale_for_a_model_of_one_network_is_an_error()
    {
        using var pipeline = DiffusionPipeline.Load(Repository.Golden("checkpoints", "sd15"));
        var request = new GenerationRequest { Prompt = "a panda", Guidance = GuidanceChoice.Parse("cfg:scale=4,scale_2=3") };
        Assert.Contains(
            "scale_2 is 3", Assert.Throws<ArgumentException>(() => pipeline.Resolve(request)).Message, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("nag")]
    [InlineData("nag+gag")]
    [InlineData("nasa")]
    [InlineData("vsf")]
    [InlineData("pladis")]
    public async Task Rules_act_in_both_networks(string guidance)
    {
        using var pipeline = DiffusionPipeline.Load(Checkpoint);
        foreach (string steps in new[] { "0-2", "2-4" })
        {
            string rules = string.Join('+', guidance.Split('+').Select(rule => $"{rule}:steps={steps}"));
            Assert.NotEqual(await Run("none"), await Run(rules));
        }

        async Task<byte[]> Run(string rules) => [
            .. (await pipeline.GenerateAsync(Small with { Guidance = GuidanceChoice.Parse(rules) })).SelectMany(Bytes)];
    }

    /// <summary>Keys and values of both prompts cost one product for each layer and prompt, however many steps there are.</summary>
    [Fact]
    public async Task The_texts_are_projected_once_for_a_request()
    {
        var device = new TextProjections();
        using var pipeline = DiffusionPipeline.Load(Checkpoint, new LoadOptions { Device = device });
        await pipeline.GenerateAsync(Small with { Guidance = GuidanceChoice.Parse("nag+cfg") });

        // Two networks of two blocks, keys and values, two prompts.
        Assert.Equal(2 * 2 * 2 * 2, device.Count);
    }

    [Fact]
    public async Task Frames_are_the_same_on_any_number_of_threads()
    {
        int threads = Workers.MaxThreads;
        using var pipeline = DiffusionPipeline.Load(Checkpoint);
        try
        {
            Workers.MaxThreads = 1;
            var alone = await pipeline.GenerateAsync(Small with { Guidance = GuidanceChoice.Parse("nag+cfg") });
            Workers.MaxThreads = 2;
            var both = await pipeline.GenerateAsync(Small with { Guidance = GuidanceChoice.Parse("nag+cfg") });
            Assert.Equal(alone.Select(Bytes), both.Select(Bytes));
        }
        finally
        {
            Workers.MaxThreads = threads;
        }
    }

    [Fact]
    public void Decoding_more_frames_takes_no_more_memory()
    {
        using var vae = AutoencoderKlCausal.Load(Path.Combine(Checkpoint, "vae"), Host);
        long Peak(int frames)
        {
            using var scope = new TensorScope();
            var latents = Tensor.Empty(Host, [1, 1 + (frames - 1) / vae.FramesPerLatent, 8, 12, vae.LatentChannels]);
            new TorchRandom(1).Normal(latents);
            int received = 0;
            long before = TensorMemory.LiveBytes;
            TensorMemory.ResetPeak();
            vae.DecodeFrames(latents, video => received += video.Shape[1]);
            Assert.Equal(frames, received);
            return TensorMemory.PeakBytes - before;
        }

        // Each thread has a scratch buffer while it works; how many work at a time is chance.
        int threads = Workers.MaxThreads;
        try
        {
            Workers.MaxThreads = 1;
            double shorter = Peak(41);
            Assert.InRange(Peak(81) / shorter, 0.95, 1.05);
        }
        finally
        {
            Workers.MaxThreads = threads;
        }
    }

    /// <summary>Means over the places of an axis are the mean over all tokens, at each layer's own place of a step.</summary>
    [Fact]
    public async Task A_trace_says_in_which_frames_rows_and_columns_guidance_acts()
    {
        using var pipeline = DiffusionPipeline.Load(Checkpoint);
        var trace = new GuidanceTrace();
        var request = Small with { Width = 64, Frames = 9, Guidance = GuidanceChoice.Parse("nag:steps=1-3") };
        await pipeline.GenerateAsync(request, new TraceObserver(trace));
        var places = Assert.Single(trace.Places);
        Assert.Equal((3, 2, 4), (places.Grid.Frames, places.Grid.Height, places.Grid.Width));
        var change = trace.Series.Single(series => series.Quantity.Name == "attention.change");
        for (int step = 0; step < 4; step++)
        {
            foreach (double[] axis in new[] { places.ByFrame[step], places.ByRow[step], places.ByColumn[step] })
            {
                if (step is 0 or 3)
                {
                    Assert.All(axis, mean => Assert.True(double.IsNaN(mean)));
                    continue;
                }
                double expected = change.Entries.Where(entry => entry.Step == step).Average(entry => entry.Values.Mean);
                Assert.Equal(expected, axis.Average(), tolerance: 1e-9);
                Assert.True(axis.Max() - axis.Min() > 1e-6);
            }
        }
    }

    /// <summary>What is said of memory before a run is what decoding takes.</summary>
    [Fact]
    public async Task The_estimate_is_what_decoding_takes()
    {
        using var pipeline = DiffusionPipeline.Load(Checkpoint);
        await foreach (var step in pipeline.DenoiseAsync(Small with { Width = 192, Height = 128, Frames = 13, Steps = 1, Count = 2 }))
        {
            long before = TensorMemory.LiveBytes;
            TensorMemory.ResetPeak();
            await step.DecodeFramesAsync();
            double ratio = (double)pipeline.EstimateActivations(step.Resolved) / (TensorMemory.PeakBytes - before);
            Assert.InRange(ratio, 0.6, 1.2);
        }
    }

    /// <summary>Denoising a long video takes more than decoding it, and is what is said then.</summary>
    [Fact]
    public void The_estimate_is_what_denoising_many_frames_takes()
    {
        using var pipeline = DiffusionPipeline.Load(Checkpoint);
        var request = Small with { Width = 64, Height = 64, Frames = 801 };
        var resolved = pipeline.Resolve(request);
        long estimate = pipeline.EstimateActivations(resolved);
        Assert.True(estimate > pipeline.EstimateActivations(pipeline.Resolve(request with { Frames = 401 })));
        Assert.Equal(2 * estimate, pipeline.EstimateActivations(pipeline.Resolve(request with { Count = 2 })));
        int threads = Workers.MaxThreads;
        try
        {
            Workers.MaxThreads = 1;         // each thread has a scratch buffer
            using var scope = new TensorScope();
            using var prompt = new WanConditioning(Tensor.Zeros(Host, [1, 4, 32]));
            var grid = resolved.Grid;
            long before = TensorMemory.LiveBytes;
            TensorMemory.ResetPeak();
            var latents = Tensor.Zeros(Host, [1, grid.Frames, 2 * grid.Height, 2 * grid.Width, 16]);
            pipeline.Denoiser.Predict(new DenoiserInput(latents, grid, [900], prompt), Steering.Plain);
            Assert.InRange((double)estimate / (TensorMemory.PeakBytes - before), 0.7, 1.2);
        }
        finally
        {
            Workers.MaxThreads = threads;
        }
    }

    private static byte[] Bytes(Image image) => image.Rgb.ToArray();

    /// <summary>Counts products with the weights that make keys and values of texts.</summary>
    private sealed class TextProjections() : DelegatingDevice(Host)
    {
        public int Count { get; private set; }

        public override void Linear(Tensor x, PreparedWeight weight, PreparedWeight? bias, Activation activation, Tensor output)
        {
            if (weight.Name.Contains("attn2.to_k", StringComparison.Ordinal)
                || weight.Name.Contains("attn2.to_v", StringComparison.Ordinal))
                Count++;
            base.Linear(x, weight, bias, activation, output);
        }
    }
}
