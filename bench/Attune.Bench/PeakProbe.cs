using System.Runtime.Intrinsics;
using Attune.Tensors;

namespace Attune.Bench;

/// <summary>
/// What the machine can do: fused multiply-adds on registers alone, and copies of memory, on all threads. The first also tells whether it
/// does so now: on shared machines two virtual processors together give one core's peak for seconds at a time.
/// </summary>
internal static unsafe class PeakProbe
{
    private const int Rounds = 1 << 16;
    private static readonly float[] Sink = new float[Environment.ProcessorCount];
    private static readonly Dictionary<int, double> Peaks = [];

    /// <summary>GFLOP/s of the best sample so far with as many threads as now: the machine's peak.</summary>
    public static double Highest => Peaks.GetValueOrDefault(Workers.MaxThreads);

    /// <summary>GFLOP/s of one sample, which takes about a quarter of a millisecond for each unit of length.</summary>
    public static double Sample(int length = 4)
    {
        int threads = Workers.MaxThreads;
        double start = Clock.Seconds;
        Workers.For(threads, i => Sink[i] = Spin(Rounds * length));
        double rate = 2.0 * Lanes * 12 * Rounds * length * threads / (Clock.Seconds - start) / 1e9;
        Peaks[threads] = Math.Max(Highest, rate);
        return rate;
    }

    /// <summary>Takes many samples, for a first value of <see cref="Highest"/>.</summary>
    public static void WarmUp()
    {
        for (int i = 0; i < 100; i++)
            Sample(2 + i / 4);
    }

    /// <summary>GB/s of copying so many bytes, reads and writes counted: the best of many samples.</summary>
    public static double CopyBandwidth(long bytes)
    {
        using var source = TensorScope.Detach(Tensor.Full(Devices.Managed, [checked((int)(bytes / sizeof(float)))], 1));
        using var target = TensorScope.Detach(source.Like(source.Shape));
        double best = double.PositiveInfinity;
        int repeats = (int)Math.Clamp((1L << 24) / bytes, 1, 64);
        for (int i = 0; i < 20; i++)
        {
            double start = Clock.Seconds;
            for (int repeat = 0; repeat < repeats; repeat++)
                Copy(source, target);
            best = Math.Min(best, (Clock.Seconds - start) / repeats);
        }
        return 2 * bytes / best / 1e9;
    }

    /// <summary>Copies a contiguous tensor of the managed device into another on all threads, and does nothing else.</summary>
    public static void Copy(Tensor source, Tensor target)
    {
        var (from, to, bytes) = ((nint)source.Pointer, (nint)target.Pointer, sizeof(float) * source.Count);
        int pieces = 4 * Workers.MaxThreads;
        Workers.For(pieces, piece =>
        {
            long at = bytes / pieces * piece;
            long size = piece == pieces - 1 ? bytes - at : bytes / pieces;
            Buffer.MemoryCopy((byte*)from + at, (byte*)to + at, size, size);
        });
    }

    private static int Lanes => Vector512.IsHardwareAccelerated ? 16 : 8;

    private static float Spin(int rounds)
    {
        if (Vector512.IsHardwareAccelerated)
        {
            var (x, y) = (Vector512.Create(0.999f), Vector512.Create(1e-3f));
            Vector512<float> a = x, b = x, c = x, d = x, e = x, f = x, g = x, h = x, p = x, q = x, r = x, s = x;
            for (int i = 0; i < rounds; i++)
            {
                a = Vector512.FusedMultiplyAdd(a, x, y); b = Vector512.FusedMultiplyAdd(b, x, y); c = Vector512.FusedMultiplyAdd(c, x, y);
                d = Vector512.FusedMultiplyAdd(d, x, y); e = Vector512.FusedMultiplyAdd(e, x, y); f = Vector512.FusedMultiplyAdd(f, x, y);
                g = Vector512.FusedMultiplyAdd(g, x, y); h = Vector512.FusedMultiplyAdd(h, x, y); p = Vector512.FusedMultiplyAdd(p, x, y);
                q = Vector512.FusedMultiplyAdd(q, x, y); r = Vector512.FusedMultiplyAdd(r, x, y); s = Vector512.FusedMultiplyAdd(s, x, y);
            }
            return Vector512.Sum(a + b + c + d + e + f + g + h + p + q + r + s);
        }
        else
        {
            var (x, y) = (Vector256.Create(0.999f), Vector256.Create(1e-3f));
            Vector256<float> a = x, b = x, c = x, d = x, e = x, f = x, g = x, h = x, p = x, q = x, r = x, s = x;
            for (int i = 0; i < rounds; i++)
            {
                a = Vector256.FusedMultiplyAdd(a, x, y); b = Vector256.FusedMultiplyAdd(b, x, y); c = Vector256.FusedMultiplyAdd(c, x, y);
                d = Vector256.FusedMultiplyAdd(d, x, y); e = Vector256.FusedMultiplyAdd(e, x, y); f = Vector256.FusedMultiplyAdd(f, x, y);
                g = Vector256.FusedMultiplyAdd(g, x, y); h = Vector256.FusedMultiplyAdd(h, x, y); p = Vector256.FusedMultiplyAdd(p, x, y);
                q = Vector256.FusedMultiplyAdd(q, x, y); r = Vector256.FusedMultiplyAdd(r, x, y); s = Vector256.FusedMultiplyAdd(s, x, y);
            }
            return Vector256.Sum(a + b + c + d + e + f + g + h + p + q + r + s);
        }
    }
}
