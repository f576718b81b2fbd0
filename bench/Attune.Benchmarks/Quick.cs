using System.Diagnostics;
using System.Globalization;
using Attune.Tensors;

namespace Attune.Benchmarks;

/// <summary>
/// <c>--quick [seconds per shape] [shapes...]</c>: GFLOP/s of products and convolutions, best and median of many short samples, beside
/// OpenBLAS in the same moment and the peak of the machine before and after.
/// </summary>
internal static class Quick
{
    private static readonly string[] Shapes =
    [
        "4096x4096x4096 f32", "1280x3072x3072 bf16", "1280x3072x12288 bf16", "1280x12288x3072 bf16", "256x3072x3072 bf16", "1024x3072x9216 bf16",
        "4096x320x320 f16", "1024x1280x1280 f16", "77x768x320 f16", "16x3072x3072 bf16", "1x3072x18432 bf16",
        "conv 320>320@64 f16", "conv 640>640@32 f16", "conv 1280>1280@16 f16", "conv 1280>1280@8 f16", "conv 128>128@512 f32", "conv 512>512@64 f32",
        "conv 4>320@64 f16", "conv 320>320@64k3s2 f16", "conv 640>320@64k1 f16",
    ];

    public static int Run(string[] args)
    {
        double seconds = 0.7;
        if (args.Length > 0 && double.TryParse(args[0], CultureInfo.InvariantCulture, out double given))
            (seconds, args) = (given, args[1..]);
        var shapes = args.Length > 0 ? args : Shapes;
        Console.WriteLine($"{Workers.MaxThreads} threads; GFLOP/s{(OpenBlas.Available ? "" : "; no OpenBLAS")}");
        Console.WriteLine($"{"shape",-28} {"best",7} {"median",7} {"peak",7} {"of peak",8} {"OpenBLAS",9} {"ratio",6}");
        foreach (string shape in shapes)
        {
            using var workload = Workload.Parse(shape);
            var reference = OpenBlas.Available ? workload.Reference : null;
            var ours = new List<double>();
            var theirs = new List<double>();
            double peak = PeakProbe.Measure();
            workload.Run();
            reference?.Invoke();
            long begin = Stopwatch.GetTimestamp();
            while (ours.Count < 3 || Stopwatch.GetElapsedTime(begin).TotalSeconds < seconds)
            {
                ours.Add(Sample(workload.Run, workload.Operations));
                if (reference != null)
                    theirs.Add(Sample(reference, workload.Operations));
            }
            peak = Math.Max(peak, PeakProbe.Measure());
            string line = string.Create(CultureInfo.InvariantCulture, $"{shape,-28} {ours.Max(),7:f1} {Median(ours),7:f1} {peak,7:f1} {ours.Max() / peak,8:p0}");
            if (theirs.Count > 0)
                line += string.Create(CultureInfo.InvariantCulture, $" {theirs.Max(),9:f1} {ours.Max() / theirs.Max(),6:f2}");
            Console.WriteLine(line);
        }
        return 0;
    }

    /// <summary>One run, or as many as take two milliseconds.</summary>
    private static double Sample(Action run, double operations)
    {
        int count = (int)Math.Max(1, 0.002 * 3e11 / operations);
        long begin = Stopwatch.GetTimestamp();
        for (int i = 0; i < count; i++)
            run();
        return operations * count / Stopwatch.GetElapsedTime(begin).TotalSeconds * 1e-9;
    }

    private static double Median(List<double> values) => values.Order().ElementAt(values.Count / 2);
}
