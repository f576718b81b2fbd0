using System.Diagnostics;
using Attune.Attention;
using Attune.Guidance;
using Attune.Models.Flux;
using Attune.Tensors;

namespace Attune.Cli.Benchmarks;

/// <summary>
/// One double-stream and two single-stream FLUX.1 blocks of real size (24 heads of 128 channels) with random bfloat16 weights: unguided, with NAG on shared latents, and
/// with a second pass (true CFG), interleaved. No block is the last: all rows are computed.
/// </summary>
internal static class NagBenchmark
{
    public static int Run(int latents, int text, int rounds, TextWriter output)
    {
        using var scope = new TensorScope();
        var config = FluxConfig.Real;
        var weights = RandomWeights.Checkpoint(seed: 1);
        var first = new DoubleStreamBlock(weights.Root.At("transformer_blocks.0"), config);
        var second = Enumerable.Range(0, 2).Select(i => new SingleStreamBlock(weights.Root.At("single_transformer_blocks", i), config)).ToArray();
        var random = new TorchRandom(2);
        Tensor Noise(Shape shape)
        {
            var tensor = Tensor.Empty(shape);
            random.Normal(tensor.Span);
            return tensor;
        }

        var (positive, negative) = (Noise([1, config.Width]), Noise([1, config.Width]));
        var hidden = Noise([1, 2 * text + latents, config.Width]);
        var ids = Tensor.Zeros([latents, 3]);
        for (int i = 0, columns = (int)Math.Sqrt(latents); i < latents; i++)
            (ids.Row(i)[1], ids.Row(i)[2]) = (i / columns, i % columns);

        void Pass(IAttention attention, int negativeText)
        {
            using var inner = new TensorScope();
            var rows = hidden.Slice(1, text - negativeText, negativeText + text + latents).Clone();
            var sequence = new FluxTransformer.Sequence(rows, negativeText, text, latents, config, ids);
            first.Apply(sequence, positive, negative, attention, keepNegative: true);
            foreach (var block in second)
                block.Apply(sequence, positive, negative, attention, keepNegative: true, keepText: true);
        }

        var nag = new GuidanceSchedule(new NormalizedAttentionGuidance()).At(0, 1).Steering.Attention;
        Action[] methods =
        [
            () => Pass(PlainAttention.Instance, 0),
            () => Pass(nag, text),
            () =>
            {
                Pass(PlainAttention.Instance, 0);
                Pass(PlainAttention.Instance, 0);
            },
        ];
        string[] names = ["unguided", "nag", "cfg"];
        foreach (var method in methods)
            method();           // warm-up: the JIT, and every buffer's first touch
        var seconds = methods.Select(_ => new List<double>()).ToArray();
        for (int round = 0; round < rounds; round++)
        {
            for (int i = 0; i < methods.Length; i++)
            {
                long start = Stopwatch.GetTimestamp();
                methods[i]();
                seconds[i].Add(Stopwatch.GetElapsedTime(start).TotalSeconds);
            }
        }

        double[] medians = [.. seconds.Select(Median)];
        double plain = Operations(config, latents, text, 0);
        double guided = Operations(config, latents, text, text);
        output.WriteLine(FormattableString.Invariant($"FLUX.1 blocks (1 double, 2 single), {latents} latents, {text} + {text} text tokens, bf16 weights, {Workers.MaxThreads} threads, medians of {rounds} rounds"));
        for (int i = 0; i < methods.Length; i++)
        {
            double operations = i == 0 ? plain : i == 1 ? guided : 2 * plain;
            output.WriteLine(FormattableString.Invariant($"{names[i],-10}{medians[i],8:0.000} s  {operations / medians[i] / 1e9,7:0} GFLOP/s"));
        }
        output.WriteLine(FormattableString.Invariant($"nag {medians[1] / medians[0]:0.000} floor {guided / plain:0.000} cfg {medians[2] / medians[0]:0.000}"));
        return 0;
    }

    /// <summary>24 d^2 operations for each token of a block's linear layers, 4 d for each pair of query and key.</summary>
    private static double Operations(FluxConfig config, double latents, double text, double negative)
    {
        double d = config.Width;
        double tokens = latents + text + negative;
        double pairs = (latents + text) * (latents + text) + negative * (negative + latents) + latents * negative;
        return 3 * (24 * d * d * tokens + 4 * d * pairs);
    }

    private static double Median(List<double> values)
    {
        double[] sorted = [.. values.Order()];
        return sorted.Length % 2 == 1 ? sorted[sorted.Length / 2] : (sorted[sorted.Length / 2 - 1] + sorted[sorted.Length / 2]) / 2;
    }
}
