using Attune.Generation;
using Attune.Tensors;
using Attune.Tensors.Tests;
using Attune.Tests;

namespace Attune.Torch.Tests;

/// <summary>Whole guided generations on torch:cpu: against the managed device, without a leak, cancelled, four at a time.</summary>
[NoLeaks]
public class GenerationTests
{
    public static TheoryData<string, string> Models() => new()
    {
        { "models/scenes-flux-schnell", "nag+gag" },
        { "tests/golden/checkpoints/sd15", "nag+cfg" },
    };

    /// <summary>Float32 on both sides, sums in another order: a level of 256 of some pixels.</summary>
    [Theory]
    [MemberData(nameof(Models))]
    public async Task Pictures_are_those_of_the_managed_device(string model, string guidance)
    {
        TorchCpu.Require();
        using var there = Guided.Load(model, TorchCpu.Device);
        using var here = Guided.Load(model, Devices.Managed);
        byte[] expected = await Guided.Pixels(here, 7, guidance), actual = await Guided.Pixels(there, 7, guidance);
        Assert.All(expected.Zip(actual), pair => Assert.InRange(pair.First - pair.Second, -1, 1));
    }

    /// <summary>
    /// A guided generation of a trained model is cancelled in every block there is, of the encoders, of the denoiser and of the decoder: a
    /// run ends with the block in which it was cancelled, and the next one is cancelled at the first primitive after that.
    /// </summary>
    [Fact]
    public async Task Nothing_is_left_behind_at_whichever_block_a_run_is_cancelled()
    {
        var device = TorchCpu.Device;
        var (bytes, handles) = (device.LiveBytes, device.LiveHandles);
        int primitives = 0;
        using (var pipeline = Guided.Load("models/scenes-flux-schnell", device))
        {
            device.Watch = _ => primitives++;
            byte[] expected = await Guided.Pixels(pipeline, 7, steps: 1);
            int all = primitives, stops = 0;
            var (withWeights, weightHandles) = (device.LiveBytes, device.LiveHandles);
            for (int at = 1; at <= all; at = primitives + 1)
            {
                using var source = new CancellationTokenSource();
                primitives = 0;
                device.Watch = _ =>
                {
                    if (++primitives == at)
                        source.Cancel();
                };
                var problem = await Record.ExceptionAsync(() => Guided.Pixels(pipeline, 7, "nag", 1, source.Token));
                Assert.True(problem is OperationCanceledException || (problem == null && primitives == all), $"{at} of {all}: {problem}");
                Assert.InRange(primitives, at, all);
                Assert.Equal((withWeights, weightHandles), (device.LiveBytes, device.LiveHandles));
                stops += problem == null ? 0 : 1;
            }

            // 2 double- and 4 single-stream blocks, and the blocks of two encoders and a decoder.
            Assert.InRange(stops, 2 + 4 + 3, all / 2);
            device.Watch = null;
            Assert.Equal(expected, await Guided.Pixels(pipeline, 7, steps: 1));
            Assert.Equal((withWeights, weightHandles), (device.LiveBytes, device.LiveHandles));
        }
        Assert.Equal(handles, device.LiveHandles);
        Assert.Equal(bytes, device.LiveBytes);
    }

    [Fact]
    public async Task Four_requests_at_a_time_give_the_pictures_of_four_in_turn()
    {
        using var pipeline = Guided.Load("tests/golden/checkpoints/flux-schnell", TorchCpu.Device);
        var expected = new List<byte[]>();
        for (int seed = 0; seed < 4; seed++)
            expected.Add(await Guided.Pixels(pipeline, seed));
        byte[][] together = await Task.WhenAll(Enumerable.Range(0, 4).Select(seed => Task.Run(() => Guided.Pixels(pipeline, seed))));
        for (int seed = 0; seed < 4; seed++)
            Assert.Equal(expected[seed], together[seed]);
        Assert.NotEqual(expected[0], expected[1]);
    }

    /// <summary>A budget with room for a part of the model changes no bit; text encoders have left when the prompt is encoded.</summary>
    [Fact]
    public async Task A_model_beyond_the_budget_makes_the_same_pictures()
    {
        TorchCpu.Require();
        byte[] expected;
        using (var pipeline = Guided.Load("tests/golden/checkpoints/flux-schnell", TorchCpu.Device))
            expected = await Guided.Pixels(pipeline, 7);
        long whole;
        using (var device = TorchDevice.Open("torch:cpu", memory: 1L << 30))
        {
            using var pipeline = Guided.Load("tests/golden/checkpoints/flux-schnell", device);
            Assert.Equal(expected, await Guided.Pixels(pipeline, 7));
            whole = device.LiveBytes;
            Assert.True(device.PeakBytes > whole);
        }
        using (var device = TorchDevice.Open("torch:cpu", memory: whole))
        {
            using var pipeline = Guided.Load("tests/golden/checkpoints/flux-schnell", device);
            Assert.Equal(expected, await Guided.Pixels(pipeline, 7));
            Assert.True(device.LiveBytes < whole);
            Assert.True(device.Residency.CopiedBytes > whole);
        }
    }
}

/// <summary>Small guided generations.</summary>
internal static class Guided
{
    public static DiffusionPipeline Load(string model, Device device) =>
        DiffusionPipeline.Load(Path.Combine(Repository.Root, model), new LoadOptions { Device = device });

    /// <summary>The pixels of a picture of 64 x 64 after a few steps.</summary>
    public static async Task<byte[]> Pixels(
        DiffusionPipeline pipeline, int seed, string guidance = "nag", int steps = 2, CancellationToken cancellation = default)
    {
        var request = new GenerationRequest
        {
            Prompt = "a panda with sunglasses", NegativePrompt = "sunglasses", Width = 64, Height = 64, Steps = steps, Seed = (ulong)seed,
            Guidance = GuidanceChoice.Parse(guidance),
        };
        return [.. (await pipeline.GenerateAsync(request, cancellation: cancellation))[0].Rgb.ToArray()];
    }
}
