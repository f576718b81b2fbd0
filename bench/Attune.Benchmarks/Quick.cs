using System.Diagnostics;
using System.Globalization;
using Attune.Tensors;

namespace Attune.Benchmarks;

/// <summary>
/// <c>--quick [seconds per shape] [shapes...]</c>: GFLOP/s of products and convolutions, best and median of many short samples, beside
/// OpenBLAS in the same moments; only samples around which the machine reached its peak count.
/// </summary>
internal static class Quick
{
    private const int ProbeMilliseconds = 3;

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
        double seconds = 0.7;
        if (args.Length > 0 && double.TryParse(args[0], CultureInfo.InvariantCulture, out double given))
            (seconds, args) = (given, args[1..]);
        var shapes = args.Length > 0 ? args : Shapes;
        Console.WriteLine($"{Workers.MaxThreads} threads; GFLOP/s{(OpenBlas.Available ? "" : "; no OpenBLAS")}");
        Console.WriteLine($"{"shape",-36} {"good",4} {"best",7} {"median",7} {"peak",7} {"of peak",8} {"OpenBLAS",9} {"ratio",6}");
        foreach (string shape in shapes)
        {
            using var workload = Workload.Parse(shape);
            var reference = OpenBlas.Available ? workload.Reference : null;
            var ours = new List<Measured>();
            var theirs = new List<Measured>();
            workload.Run();
            reference?.Invoke();
            double probe = PeakProbe.Measure(ProbeMilliseconds);
            long begin = Stopwatch.GetTimestamp();
            while (ours.Count < 3 || Stopwatch.GetElapsedTime(begin).TotalSeconds < seconds)
            {
                ours.Add(Sample(workload.Run, workload.Operations, ref probe));
                if (reference != null)
                    theirs.Add(Sample(reference, workload.Operations, ref probe));
            }
            double peak = ours.Concat(theirs).Max(sample => sample.Peak);
            double[] good = Good(ours, peak);
            string line = string.Create(
                CultureInfo.InvariantCulture,
                $"{shape,-36} {good.Length,4} {good[^1],7:f1} {Median(good),7:f1} {peak,7:f1} {Median(good) / peak,8:p0}");
            if (theirs.Count > 0)
            {
                double[] other = Good(theirs, peak);
                line += string.Create(CultureInfo.InvariantCulture, $" {Median(other),9:f1} {Median(good) / Median(other),6:f2}");
            }
            Console.WriteLine(line);
        }
        return 0;
    }

    /// <summary>One run, or as many as take two milliseconds, with the lower of the peaks before and after.</summary>
    private static Measured Sample(Action run, double operations, ref double probe)
    {
        int count = (int)Math.Max(1, 0.002 * 3e11 / operations);
        double begin = Clock.Seconds;
        for (int i = 0; i < count; i++)
            run();
        double rate = operations * count / (Clock.Seconds - begin) * 1e-9;
        double before = probe;
        probe = PeakProbe.Measure(ProbeMilliseconds);
        return new Measured(rate, Math.Min(before, probe));
    }

    /// <summary>
    /// The rates of samples around which the machine was at its best, sorted. Others share it, or it is throttled: such samples tell
    /// nothing. When it never was, the three with the best peaks.
    /// </summary>
    private static double[] Good(List<Measured> samples, double peak)
    {
        var good = samples.Where(sample => sample.Peak > 0.93 * peak).ToList();
        if (good.Count < 3)
            good = [.. samples.OrderByDescending(sample => sample.Peak).Take(3)];
        return [.. good.Select(sample => sample.Rate).Order()];
    }

    private static double Median(double[] sorted) => sorted[sorted.Length / 2];

    private readonly record struct Measured(double Rate, double Peak);
}
