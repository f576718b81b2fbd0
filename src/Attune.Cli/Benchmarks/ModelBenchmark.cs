using System.Diagnostics;
using Attune.Attention;
using Attune.Guidance;
using Attune.Models;
using Attune.Models.Unet;
using Attune.Tensors;

namespace Attune.Cli.Benchmarks;

/// <summary>A whole denoiser of real size with random bfloat16 weights: the time of one evaluation, as a step without classifier-free guidance has it, and its memory.</summary>
internal static class ModelBenchmark
{
    /// <summary>Measures and prints; the last line states the seconds of a step, unguided and with NAG, and the peak of activations.</summary>
    /// <param name="shape">sdxl or sd15.</param>
    /// <param name="size">The side of the image in pixels; null is what the model was trained for.</param>
    /// <param name="rounds">How often each is run, interleaved, of which medians are taken; one more run before them warms up.</param>
    /// <param name="output">Where the lines go.</param>
    public static int Run(string shape, int? size, int rounds, TextWriter output)
    {
        var config = shape switch
        {
            "sdxl" => UnetConfig.StableDiffusionXL,
            "sd15" => UnetConfig.StableDiffusion15,
            _ => throw new ArgumentException($"--shape is '{shape}', expected sdxl or sd15."),
        };
        int side = size is { } pixels ? pixels % 8 == 0 ? pixels / 8 : throw new ArgumentException($"--size is {pixels}, expected a multiple of 8.") : config.SampleSize!.Value;
        using var scope = new TensorScope();
        using var model = new Unet2DConditionModel(RandomWeights.Checkpoint(seed: 1), config);
        var random = new TorchRandom(2);
        Tensor Noise(Shape axes)
        {
            var tensor = Tensor.Empty(axes);
            random.Normal(tensor.Span);
            return tensor;
        }

        Conditioning Prompt() => new(
            Noise([1, 77, config.CrossAttentionDim]), config.HasTextTime ? Noise([1, config.ProjectionClassEmbeddingsInputDim - 6 * config.AdditionTimeEmbedDim]) : null);
        using var positive = Prompt();
        using var negative = Prompt();
        var ids = config.HasTextTime ? Tensor.From([8 * side, 8 * side, 0, 0, 8 * side, 8 * side], [1, 6]) : null;
        var plain = new UnetInput(Noise([1, side, side, config.InChannels]), [500], positive, TimeIds: ids);
        var nag = new GuidanceSchedule(new NormalizedAttentionGuidance()).At(0, 1).Steering;
        (UnetInput Input, Steering Steering)[] passes = [(plain, Steering.Plain), (plain with { Negative = negative }, nag)];
        var seconds = passes.Select(_ => new List<double>()).ToArray();
        long before = TensorMemory.LiveBytes;
        TensorMemory.ResetPeak();
        for (int round = -1; round < rounds; round++)
        {
            for (int i = 0; i < passes.Length; i++)
            {
                long start = Stopwatch.GetTimestamp();
                model.Predict(passes[i].Input, passes[i].Steering).Dispose();
                if (round >= 0)
                    seconds[i].Add(Stopwatch.GetElapsedTime(start).TotalSeconds);
            }
        }
        double[] medians = [.. seconds.Select(list => list.Order().ElementAt(list.Count / 2))];
        output.WriteLine(FormattableString.Invariant($"{shape} UNet, {8 * side} x {8 * side} pixels, 77 text tokens, bf16 weights, {Workers.MaxThreads} threads, medians of {rounds} rounds"));
        output.WriteLine(FormattableString.Invariant($"step {medians[0]:0.000} s nag {medians[1]:0.000} s peak of activations {(TensorMemory.PeakBytes - before) / 1048576.0:0} MiB"));
        return 0;
    }
}
