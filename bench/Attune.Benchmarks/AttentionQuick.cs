using System.Diagnostics;
using System.Globalization;
using Attune.Tensors;

namespace Attune.Benchmarks;

/// <summary>
/// <c>--attention [seconds per shape] [batch x heads x queries x keys x channels ...]</c>: partial attention on one and on all threads, as
/// a share of the machine's peak with as many threads, probed around every sample. <c>entmax</c> in front of a shape takes entmax-1.5 with
/// softmax beside it.
/// </summary>
internal static class AttentionQuick
{
    private static readonly string[] Shapes =
    [
        "1x24x4608x4608x128", "2x8x4096x4096x40", "2x10x4096x4096x64", "2x20x1024x1024x64", "2x8x1024x1024x80", "2x8x256x256x160",
        "2x8x4096x77x40", "2x20x1024x77x64", "1x24x1024x256x128", "1x12x77x77x64", "1x1x4096x4096x512", "entmax 2x8x4096x77x40",
        "entmax 2x20x1024x77x64", "entmax 1x24x1024x256x128",
    ];

    public static int Run(string[] args)
    {
        double seconds = 1;
        if (args.Length > 0 && double.TryParse(args[0], CultureInfo.InvariantCulture, out double given))
            (seconds, args) = (given, args[1..]);
        int all = Workers.MaxThreads;
        Console.WriteLine("shape                        threads   best ms   GFLOP/s     peak  of peak  median of peak");
        foreach (string shape in args.Length > 0 ? args : Shapes)
        {
            bool entmax = shape.StartsWith("entmax ", StringComparison.Ordinal);
            int[] n = [.. shape.Split(' ')[^1].Split('x').Select(p => int.Parse(p, CultureInfo.InvariantCulture))];
            using var scope = new TensorScope();
            var (q, k, v) = (Random([n[0], n[2], n[1], n[4]], 1), Random([n[0], n[3], n[1], n[4]], 2), Random([n[0], n[3], n[1], n[4]], 3));
            var (output, dense, sums) = (Tensor.Empty(q.Shape), Tensor.Empty(q.Shape), Tensor.Empty(q.Shape.Take(..3)));
            double operations = (entmax ? 6.0 : 4.0) * n[0] * n[1] * n[2] * n[3] * n[4];
            float scale = 1 / MathF.Sqrt(n[4]);
            foreach (int threads in all == 1 ? [1] : new[] { 1, all })
            {
                Workers.MaxThreads = threads;
                var (best, highest) = (double.MaxValue, 0.0);
                var shares = new List<double>();
                Sample();
                long begin = Stopwatch.GetTimestamp();
                double before = PeakProbe.Measure(3);
                while (shares.Count < 3 || Stopwatch.GetElapsedTime(begin).TotalSeconds < seconds)
                {
                    double time = Sample();
                    double after = PeakProbe.Measure(3);
                    best = Math.Min(best, time);
                    highest = Math.Max(highest, after);
                    shares.Add(operations / time * 1e-9 / Math.Max(before, after));
                    before = after;
                }
                shares.Sort();
                Console.WriteLine(string.Create(CultureInfo.InvariantCulture,
                    $"{shape,-28} {threads,7} {best * 1e3,9:f3} {operations / best * 1e-9,9:f1} {highest,8:f1} "
                        + $"{operations / best * 1e-9 / highest,8:f3} {shares[shares.Count / 2],15:f3}"));
            }
            Workers.MaxThreads = all;

            double Sample()
            {
                int count = (int)Math.Max(1, 0.002 * 2e11 / operations);
                long begin = Stopwatch.GetTimestamp();
                for (int i = 0; i < count; i++)
                {
                    if (entmax)
                        q.EntmaxAttention(k, v, scale, 1.5f, null, output, dense, sums);
                    else
                        q.Attention(k, v, scale, null, output, sums);
                }
                return Stopwatch.GetElapsedTime(begin).TotalSeconds / count;
            }
        }
        return 0;
    }

    internal static unsafe Tensor Random(Shape shape, int seed)
    {
        var tensor = Tensor.Empty(shape);
        var random = new Random(seed);
        float* p = tensor.Pointer;
        for (long i = 0; i < tensor.Count; i++)
            p[i] = i < 4096 ? 3 * (random.NextSingle() - 0.5f) : p[i - 4095];
        return tensor;
    }
}
