using System.Globalization;
using Attune.Bench;
using Attune.Tensors;

namespace Attune.Benchmarks;

/// <summary>
/// <c>--attention [rounds] [batch x heads x queries x keys x channels ...]</c>: partial attention on one and on all threads, as a share of
/// the machine's peak with as many threads. <c>entmax</c> in front of a shape takes entmax-1.5 with softmax beside it.
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
        var (rounds, shapes) = Quick.Rounds(args, 10);
        Console.WriteLine("shape                        threads   best ms   GFLOP/s   median     peak  of peak");
        foreach (string shape in shapes.Length > 0 ? shapes : Shapes)
        {
            bool entmax = shape.StartsWith("entmax ", StringComparison.Ordinal);
            int[] n = [.. shape.Split(' ')[^1].Split('x').Select(p => int.Parse(p, CultureInfo.InvariantCulture))];
            using var scope = new TensorScope();
            var (q, k, v) = (
                Noise.Of([n[0], n[2], n[1], n[4]], 1, 3), Noise.Of([n[0], n[3], n[1], n[4]], 2, 3),
                Noise.Of([n[0], n[3], n[1], n[4]], 3, 3));
            var (output, dense, sums) = (q.Like(q.Shape), q.Like(q.Shape), q.Like(q.Shape.Take(..3)));
            double operations = (entmax ? 6.0 : 4.0) * n[0] * n[1] * n[2] * n[3] * n[4];
            float scale = 1 / MathF.Sqrt(n[4]);
            Action run = entmax ? () => q.EntmaxAttention(k, v, scale, 1.5f, null, output, dense, sums)
                : () => q.Attention(k, v, scale, null, output, sums);
            Quick.ForThreads(threads =>
            {
                var time = Timing.Interleave([run], rounds)[0];
                double median = operations / time.Seconds * 1e-9;
                Console.WriteLine(
                    string.Create(
                        CultureInfo.InvariantCulture,
                        $"{shape,-28} {threads,7} {time.Best * 1e3,9:f3} {operations / time.Best * 1e-9,9:f1} {median,8:f1} "
                            + $"{PeakProbe.Highest,8:f1} {median / PeakProbe.Highest,8:f3}"));
            });
        }
        return 0;
    }
}
