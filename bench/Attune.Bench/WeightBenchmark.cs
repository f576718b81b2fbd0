using Attune.Attention;
using Attune.Tensors;

namespace Attune.Bench;

/// <summary>
/// What it costs to compute with weights of few bits: FLUX blocks of real size, and the product of a single row, with each format in turn
/// with bfloat16, in one run.
/// </summary>
public static class WeightBenchmark
{
    /// <summary>The formats that are measured unless others are named.</summary>
    public static readonly string[] Formats = ["Q8_0", "Q4_0", "Q4_K", "Q6_K", "F8_E4M3"];

    private const int Outputs = 18432;
    private const int Inputs = 3072;

    /// <summary>The rows, and outputs, of the product that is compared with ggml's.</summary>
    private const int Rows = 1280;
    private const int Side = 3072;

    /// <summary>Measures and prints a table.</summary>
    /// <param name="device">What computes.</param>
    /// <param name="formats">Names of formats; none are <see cref="Formats"/>.</param>
    /// <param name="latents">Latent tokens of the blocks; 0 leaves the blocks out.</param>
    /// <param name="text">Text tokens.</param>
    /// <param name="rounds">Samples of each.</param>
    /// <param name="ggml">A folder with ggml's libraries, to be measured in the same run; null leaves them out.</param>
    /// <param name="output">Where to print.</param>
    public static int Run(
        Device device, IReadOnlyList<string> formats, int latents, int text, int rounds, string? ggml, TextWriter output)
    {
        WeightFormat[] all = [
            WeightFormat.BFloat16,
            .. (formats.Count == 0 ? Formats : formats).Select(name => WeightFormat.Find(name.ToUpperInvariant())
                ?? throw new ArgumentException($"--format is '{name}', expected of {string.Join(", ", RandomWeights.Formats)}."))];
        PeakProbe.WarmUp();
        output.WriteLine(
            FormattableString.Invariant($"{Workers.MaxThreads} threads, device: {device.Description}, {PeakProbe.Highest:0} GFLOP/s"));
        MeasureRow(device, all, rounds, output);
        if (ggml != null)
            MeasureBesideGgml(device, all, rounds, ggml, output);
        if (latents > 0)
            MeasureBlocks(device, all, latents, text, rounds, output);
        return 0;
    }

    private static void MeasureRow(Device device, WeightFormat[] formats, int rounds, TextWriter output)
    {
        using var scope = new TensorScope();
        var (x, y) = (Noise.Of([1, Inputs], 1), Tensor.Empty(device, [1, Outputs]));
        PreparedWeight[] weights = [.. formats.Select(format =>
            device.Prepare(new RandomWeights(1, format).Find("w.weight", [Outputs, Inputs])!, WeightRole.Matrix))];
        var times = Timing.Interleave([.. weights.Select(weight => (Action)(() => x.Linear(weight, into: y)))], rounds);
        output.WriteLine(FormattableString.Invariant($"product 1 x {Outputs} x {Inputs}"));
        for (int i = 0; i < formats.Length; i++)
        {
            double seconds = times[i].Seconds;
            output.WriteLine(
                FormattableString.Invariant(
                    $"  {formats[i].Name,-8} {1e3 * seconds,8:0.00} ms {weights[i].StoredBytes / seconds / 1e9,6:0.0} GB/s")
                        + FormattableString.Invariant($"  {times[0].Seconds / seconds:0.00} times as fast as BF16"));
            weights[i].Dispose();
        }
    }

    /// <summary>
    /// A product of many rows, ours and ggml's in turn. ggml rounds the rows to eight bits first, so that its result is not ours: it must
    /// come near.
    /// </summary>
    private static void MeasureBesideGgml(Device device, WeightFormat[] formats, int rounds, string folder, TextWriter output)
    {
        const double Near = 0.05;
        using var scope = new TensorScope();
        using var ggml = new Ggml(folder, Workers.MaxThreads);
        var (x, y) = (Noise.Of([Rows, Side], 1), Tensor.Empty(device, [Rows, Side]));
        float[] values = x.ToArray(), theirs = new float[Rows * Side];
        output.WriteLine(FormattableString.Invariant($"product {Rows} x {Side} x {Side}, beside ggml's in {folder}"));
        foreach (var format in formats)
        {
            if (!Ggml.Has(format))
            {
                output.WriteLine($"  {format.Name,-8} ggml has no such type");
                continue;
            }
            using var stored = new RandomWeights(1, format).Find("w.weight", [Side, Side])!;
            using var product = ggml.Product(format, stored.Bytes.Read(0, (int)stored.Bytes.Length), values, Rows, Side, Side);
            using var weight = device.Prepare(new RandomWeights(1, format).Find("w.weight", [Side, Side])!, WeightRole.Matrix);
            var times = Timing.Interleave([() => x.Linear(weight, into: y), product.Compute], rounds);
            product.Read(theirs);
            float[] ours = y.ToArray();
            double error = Math.Sqrt(ours.Zip(theirs, (a, b) => Math.Pow(a - b, 2)).Sum() / ours.Sum(value => Math.Pow(value, 2)));
            if (!(error < Near))
                throw new InvalidOperationException(FormattableString.Invariant($"{format.Name}: ggml's product is off by {error:0.000}."));
            double work = 2e-9 * Rows * Side * Side;
            output.WriteLine(
                FormattableString.Invariant(
                    $"  {format.Name,-8} {1e3 * times[0].Seconds,8:0.0} ms ({work / times[0].Seconds:0} GFLOP/s), ggml ")
                        + FormattableString.Invariant($"{1e3 * times[1].Seconds:0.0} ms ({work / times[1].Seconds:0} GFLOP/s): ")
                        + FormattableString.Invariant($"{times[1].Seconds / times[0].Seconds:0.00} times as fast, {error:0.0000} apart"));
        }
    }

    private static void MeasureBlocks(Device device, WeightFormat[] formats, int latents, int text, int rounds, TextWriter output)
    {
        using var scope = new TensorScope();
        var random = new TorchRandom(2);
        FluxBlocks[] blocks = [
            .. formats.Select(format => new FluxBlocks(device, latents, text, 0, shape => Noise.Normal(device, random, shape), format))];
        long[] peaks = [.. blocks.Select(Peak)];
        var times = Timing.Interleave(
            [.. blocks.Select(block => (Action)(() => block.Pass(PlainAttention.Instance, negative: false)))], rounds);
        output.WriteLine(FormattableString.Invariant($"{FluxBlocks.Description}, {latents} latents, {text} text tokens"));
        for (int i = 0; i < formats.Length; i++)
        {
            output.WriteLine(
                FormattableString.Invariant(
                    $"  {formats[i].Name,-8} {times[i].Seconds,8:0.000} s  {times[i].Seconds / times[0].Seconds:0.000} of BF16's time,")
                        + FormattableString.Invariant($" {(peaks[i] - peaks[0]) / 1048576.0:+0.0;-0.0;0} MiB more activations"));
        }

        static long Peak(FluxBlocks block)
        {
            long before = TensorMemory.LiveBytes;
            TensorMemory.ResetPeak();
            block.Pass(PlainAttention.Instance, negative: false);
            return TensorMemory.PeakBytes - before;
        }
    }
}
