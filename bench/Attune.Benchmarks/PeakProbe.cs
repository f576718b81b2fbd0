using System.Diagnostics;
using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using Attune.Tensors;

namespace Attune.Benchmarks;

/// <summary>What the processors reach at this moment: a loop of independent fused multiply-adds on all threads.</summary>
internal static class PeakProbe
{
    private static float _sink;

    /// <summary>GFLOP/s over a few milliseconds.</summary>
    public static double Measure(int milliseconds = 20)
    {
        int threads = Workers.MaxThreads;
        long deadline = Stopwatch.GetTimestamp() + milliseconds * Stopwatch.Frequency / 1000;
        long rounds = 0;
        double begin = Clock.Seconds;
        Workers.For(threads, _ =>
        {
            long mine = 0;
            while (Stopwatch.GetTimestamp() < deadline)
            {
                _sink = Spin(1000);
                mine += 1000;
            }
            Interlocked.Add(ref rounds, mine);
        });
        double seconds = Clock.Seconds - begin;
        return rounds * 12 * 2.0 * Vector512<float>.Count / seconds * 1e-9;
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static float Spin(int rounds)
    {
        var x = Vector512.Create(0.999f);
        Vector512<float> a = x, b = x, c = x, d = x, e = x, f = x, g = x, h = x, i = x, j = x, k = x, l = x;
        for (int r = 0; r < rounds; r++)
        {
            a = Vector512.FusedMultiplyAdd(a, x, x);
            b = Vector512.FusedMultiplyAdd(b, x, x);
            c = Vector512.FusedMultiplyAdd(c, x, x);
            d = Vector512.FusedMultiplyAdd(d, x, x);
            e = Vector512.FusedMultiplyAdd(e, x, x);
            f = Vector512.FusedMultiplyAdd(f, x, x);
            g = Vector512.FusedMultiplyAdd(g, x, x);
            h = Vector512.FusedMultiplyAdd(h, x, x);
            i = Vector512.FusedMultiplyAdd(i, x, x);
            j = Vector512.FusedMultiplyAdd(j, x, x);
            k = Vector512.FusedMultiplyAdd(k, x, x);
            l = Vector512.FusedMultiplyAdd(l, x, x);
        }
        return Vector512.Sum(a + b + c + d + e + f + g + h + i + j + k + l);
    }
}
