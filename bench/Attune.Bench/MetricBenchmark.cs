using System.Diagnostics;
using System.Globalization;
using Attune.Evaluation.Metrics;

namespace Attune.Bench;

/// <summary>Distances of sets of features as large as papers take them: time of each part, and memory.</summary>
public static class MetricBenchmark
{
    /// <summary>Directions in which features vary most: those of pictures are far from independent.</summary>
    private const int Directions = 64;

    /// <summary>Measures and prints a table, or one line of JSON.</summary>
    /// <param name="pictures">Of each of two sets.</param>
    /// <param name="features">Of each picture.</param>
    /// <param name="subsets">Of the kernel distance.</param>
    /// <param name="size">Pictures of each set in each subset.</param>
    /// <param name="json">Print JSON.</param>
    /// <param name="output">Where to print.</param>
    public static int Run(int pictures, int features, int subsets, int size, bool json, TextWriter output)
    {
        var parts = new List<(string Name, double Seconds, double? Value)>();
        T Timed<T>(string name, Func<T> run, Func<T, double>? value = null)
        {
            long start = Stopwatch.GetTimestamp();
            var result = run();
            parts.Add((name, Stopwatch.GetElapsedTime(start).TotalSeconds, value?.Invoke(result)));
            return result;
        }

        var (a, b) = (Features(pictures, features, 1), Features(pictures, features, 2));
        var first = Timed("moments of a set", () => FeatureMoments.Of(a));
        var second = FeatureMoments.Of(b);
        Timed("Frechet distance of moments", () => Distances.Frechet(first, second), value => value);
        int few = Math.Min(pictures, features);
        if (few > 1)
            Timed($"Frechet distance of {few} and {few} pictures", () => Distances.Frechet(a[..few], b[..few]), value => value);
        size = Math.Min(size, pictures);
        Timed(
            $"kernel distance, {subsets} subsets of {size}",
            () => Distances.KernelOfSubsets(a, b, KernelSubsets.TorchFidelity, subsets, size), value => value.Mean);
        using var process = Process.GetCurrentProcess();
        long peak = process.PeakWorkingSet64;
        if (json)
        {
            output.WriteLine(Json.Line(line =>
            {
                line.WriteNumber("pictures", pictures);
                line.WriteNumber("features", features);
                line.WriteNumber("threads", Environment.ProcessorCount);
                line.WriteNumber("peak_bytes", peak);
                line.WriteStartArray("parts");
                foreach (var (name, seconds, value) in parts)
                {
                    line.WriteStartObject();
                    line.WriteString("name", name);
                    line.WriteNumber("seconds", Math.Round(seconds, 3));
                    if (value is { } number)
                        line.WriteNumber("value", number);
                    line.WriteEndObject();
                }
                line.WriteEndArray();
            }));
            return 0;
        }
        output.WriteLine(string.Create(
            CultureInfo.InvariantCulture,
            $"two sets of {pictures} pictures, {features} features each, {Environment.ProcessorCount} threads; "
                + $"peak of memory {peak / 1073741824.0:0.00} GiB"));
        foreach (var (name, seconds, value) in parts)
            output.WriteLine(string.Create(CultureInfo.InvariantCulture, $"{name,-46} {seconds,9:0.00} s   {value:R}"));
        return 0;
    }

    /// <summary>Features of pictures: none below 0, as after a ReLU, some directions much stronger than others.</summary>
    private static float[][] Features(int pictures, int features, ulong seed)
    {
        var random = new TorchRandom(seed);
        var mix = new float[Directions * features];
        random.Normal(mix);
        var result = new float[pictures][];
        var strengths = new float[Directions];
        for (int i = 0; i < pictures; i++)
        {
            random.Normal(strengths);
            float[] row = new float[features];
            random.Normal(row);
            for (int k = 0; k < Directions; k++)
                System.Numerics.Tensors.TensorPrimitives.MultiplyAdd(
                    mix.AsSpan(k * features, features), strengths[k] / (1 + k), row, row);
            System.Numerics.Tensors.TensorPrimitives.Max<float>(row, 0, row);
            result[i] = row;
        }
        return result;
    }
}
