using System.Diagnostics;
using System.Runtime.InteropServices;
using System.Runtime.Intrinsics;
using Attune.Tensors;

namespace Attune.Cli.Benchmarks;

/// <summary>Matrix products beside OpenBLAS, and attention beside the machine's measured peak, in one run.</summary>
internal static unsafe class KernelBenchmark
{
    private const int Repeats = 7;

    public static int Run(TextWriter output)
    {
        // The peer must run its AVX-512 kernels: Debian's OpenBLAS knows no processor newer than itself, and takes a core's name from the
        // environment that the process starts with.
        if (Environment.GetEnvironmentVariable("OPENBLAS_CORETYPE") != "SkylakeX" && Vector512.IsHardwareAccelerated && Environment.ProcessPath is { } self)
        {
            var start = new ProcessStartInfo(self, Environment.GetCommandLineArgs().Skip(1)) { Environment = { ["OPENBLAS_CORETYPE"] = "SkylakeX" } };
            using var process = Process.Start(start)!;
            process.WaitForExit();
            return process.ExitCode;
        }
        double peak = Peak();
        output.WriteLine(FormattableString.Invariant($"{Workers.MaxThreads} threads, measured fp32 peak {peak:0} GFLOP/s"));
        bool peer = NativeLibrary.TryLoad("libopenblas.so.0", out nint library) && NativeLibrary.TryGetExport(library, "cblas_sgemm", out _);
        if (!peer)
            output.WriteLine("OpenBLAS was not found (Debian: libopenblas0-pthread); no peer is measured.");
        foreach (var (m, n, k) in new[] { (4096, 4096, 4096), (1280, 3072, 3072), (1280, 12288, 3072), (1280, 3072, 12288), (256, 3072, 3072), (4096, 320, 320), (77, 768, 320) })
            MatrixProduct(m, n, k, peak, peer ? library : 0, output);
        Attention(1, 24, 4608, 4608, 128, peak, output);
        Attention(1, 24, 1280, 1280, 128, peak, output);
        Attention(2, 8, 4096, 4096, 40, peak, output);
        Attention(1, 8, 4096, 77, 40, peak, output);
        return 0;
    }

    private static void MatrixProduct(int m, int n, int k, double peak, nint library, TextWriter output)
    {
        using var scope = new TensorScope();
        var random = new TorchRandom(1);
        Tensor Noise(Shape shape)
        {
            var tensor = Tensor.Empty(shape);
            random.Normal(tensor.Span);
            return tensor;
        }

        var (x, w, ours, theirs) = (Noise([m, k]), Noise([n, k]), Tensor.Empty([m, n]), Tensor.Empty([m, n]));
        var weight = new Weight("w", w);
        double operations = 2.0 * m * n * k;
        var times = new List<double>[] { [], [] };
        for (int i = 0; i <= Repeats; i++)
        {
            double a = Time(() => x.Linear(weight, into: ours));
            double b = library == 0 ? double.PositiveInfinity : Time(() =>
            {
                var sgemm = (delegate* unmanaged[Cdecl]<int, int, int, int, int, int, float, float*, int, float*, int, float, float*, int, void>)NativeLibrary.GetExport(library, "cblas_sgemm");
                sgemm(101, 111, 112, m, n, k, 1, x.Pointer, k, w.Pointer, k, 0, theirs.Pointer, n);
            });
            if (i > 0)
            {
                times[0].Add(a);
                times[1].Add(b);
            }
        }
        double rate = operations / Median(times[0]) / 1e9;
        string beside = "";
        if (library != 0)
        {
            double other = operations / Median(times[1]) / 1e9;
            beside = FormattableString.Invariant($"  OpenBLAS {other,5:0} GFLOP/s  ratio {rate / other:0.00}");
        }
        output.WriteLine(FormattableString.Invariant($"matmul {m}x{n}x{k} f32: {rate,5:0} GFLOP/s  {rate / peak:0.00} of the peak{beside}"));
    }

    private static void Attention(int batch, int heads, int queries, int keys, int channels, double peak, TextWriter output)
    {
        using var scope = new TensorScope();
        var random = new TorchRandom(1);
        Tensor Noise(Shape shape)
        {
            var tensor = Tensor.Empty(shape);
            random.Normal(tensor.Span);
            return tensor;
        }

        var (q, k, v, result) = (Noise([batch, queries, heads, channels]), Noise([batch, keys, heads, channels]), Noise([batch, keys, heads, channels]), Tensor.Empty([batch, queries, heads, channels]));
        var logSumExp = Tensor.Empty([batch, queries, heads]);
        var times = new List<double>();
        for (int i = 0; i <= Repeats; i++)
        {
            double time = Time(() => q.Attention(k, v, 1 / MathF.Sqrt(channels), into: result, logSumExp: logSumExp));
            if (i > 0)
                times.Add(time);
        }
        double rate = 4.0 * batch * heads * queries * keys * channels / Median(times) / 1e9;
        output.WriteLine(FormattableString.Invariant($"attention ({batch}, {heads}, {queries} x {keys}, {channels}): {rate,5:0} GFLOP/s  {rate / peak:0.00} of the peak"));
    }

    /// <summary>Fused multiply-adds on registers alone, all threads, the best of many short samples.</summary>
    private static double Peak()
    {
        const int Rounds = 1 << 20;
        double best = double.PositiveInfinity;
        int threads = Workers.MaxThreads;
        var sink = new float[threads];
        for (int sample = 0; sample < 25; sample++)
            best = Math.Min(best, Time(() => Workers.For(threads, i => sink[i] = Spin(Rounds))));
        int lanes = Vector512.IsHardwareAccelerated ? 16 : 8;
        return 2.0 * lanes * 12 * Rounds * threads / best / 1e9;
    }

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

    private static double Time(Action action)
    {
        long start = Stopwatch.GetTimestamp();
        action();
        return Stopwatch.GetElapsedTime(start).TotalSeconds;
    }

    private static double Median(List<double> values)
    {
        double[] sorted = [.. values.Order()];
        return sorted[sorted.Length / 2];
    }
}
