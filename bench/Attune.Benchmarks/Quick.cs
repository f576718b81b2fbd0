using System.Globalization;
using Attune.Bench;
using Attune.Tensors;

namespace Attune.Benchmarks;

/// <summary>
/// <c>--quick [rounds] [shapes...]</c>: GFLOP/s of products and convolutions of any shape, in turn with OpenBLAS; see
/// <see cref="Workload.Parse"/> for shapes.
/// </summary>
internal static class Quick
{
    private static readonly string[] Shapes =
    [
        "4096x4096x4096 f32", "1280x3072x3072 bf16", "1280x3072x12288 bf16", "1280x12288x3072 bf16", "256x3072x3072 bf16",
        "1024x3072x9216 bf16",
        "4096x320x320 f16", "1024x1280x1280 f16", "77x768x320 f16", "16x3072x3072 bf16", "1x3072x18432 bf16",
        "conv 320>320@64 f16", "conv 640>640@32 f16", "conv 1280>1280@16 f16", "conv 1280>1280@8 f16", "conv 128>128@512 f32",
        "conv 512>512@64 f32",
        "conv 4>320@64 f16", "conv 320>320@64k3s2 f16", "conv 640>320@64k1 f16",
    ];

    public static int Run(string[] args)
    {
        var (rounds, shapes) = Rounds(args, 20);
        PeakProbe.WarmUp();
        Console.WriteLine($"{Workers.MaxThreads} threads; GFLOP/s{(OpenBlas.Available ? "" : "; no OpenBLAS")}");
        Console.WriteLine($"{"shape",-36} {"good",4} {"best",7} {"median",7} {"peak",7} {"of peak",8} {"OpenBLAS",9} {"ratio",6}");
        foreach (string shape in shapes.Length > 0 ? shapes : Shapes)
        {
            using var workload = Workload.Parse(shape);
            var reference = OpenBlas.Available ? workload.Reference : null;
            var times = Timing.Interleave(reference == null ? [workload.Run] : [workload.Run, reference], rounds);
            double Rate(double seconds) => workload.Operations / seconds * 1e-9;
            string line = string.Create(
                CultureInfo.InvariantCulture,
                $"{shape,-36} {times[0].Counted,4} {Rate(times[0].Best),7:f1} {Rate(times[0].Seconds),7:f1} {PeakProbe.Highest,7:f1} "
                    + $"{Rate(times[0].Seconds) / PeakProbe.Highest,8:p0}");
            if (reference != null)
                line += string.Create(
                    CultureInfo.InvariantCulture, $" {Rate(times[1].Seconds),9:f1} {times[1].Seconds / times[0].Seconds,6:f2}");
            Console.WriteLine(line);
        }
        return 0;
    }

    /// <summary>The number in front of the arguments, and the others.</summary>
    public static (int Rounds, string[] Others) Rounds(string[] args, int otherwise) =>
        args.Length > 0 && int.TryParse(args[0], CultureInfo.InvariantCulture, out int rounds) ? (rounds, args[1..]) : (otherwise, args);

    /// <summary>One thread, then as many as the machine has.</summary>
    public static void ForThreads(Action<int> run)
    {
        int all = Workers.MaxThreads;
        try
        {
            foreach (int threads in all == 1 ? [1] : new[] { 1, all })
            {
                Workers.MaxThreads = threads;
                PeakProbe.WarmUp();
                run(threads);
            }
        }
        finally
        {
            Workers.MaxThreads = all;
        }
    }
}
