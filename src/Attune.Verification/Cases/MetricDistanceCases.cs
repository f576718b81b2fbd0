using System.Runtime.InteropServices;
using Attune.Evaluation.Metrics;
using Attune.Tensors;

namespace Attune.Verification;

/// <summary>The Frechet distance of features, or of statistics. All packages' numbers are ours within their tolerances.</summary>
internal sealed class FrechetCase()
    : MetricCase("fid", ["force_eps"], "features.a", "features.b", "mu.a", "mu.b", "sigma.a", "sigma.b")
{
    private static readonly string[] Packages = ["fid", "torch_fidelity", "torchmetrics", "pytorch_fid", "clean_fid"];

    public override bool Knows(string input, GoldenCase golden) => Inputs.Contains(input);

    public override void Run(GoldenCase golden, Comparison results)
    {
        double distance;
        double epsilon = golden.OptionalDouble("force_eps") ?? 0;
        if (golden.HasInput("features.a") && epsilon == 0)
        {
            var (a, b) = (Rows(golden, "features.a"), Rows(golden, "features.b"));
            distance = Distances.Frechet(a, b);
            CheckStatistics(results, "a", FeatureMoments.Of(a).ToStatistics());
            CheckStatistics(results, "b", FeatureMoments.Of(b).ToStatistics());
        }
        else
            distance = Distances.Frechet(Statistics(golden, "a"), Statistics(golden, "b"), epsilon);
        foreach (string package in Packages)
            results.Check(package, [(float)distance]);
    }

    internal static void CheckStatistics(Comparison results, string set, FeatureStatistics statistics)
    {
        results.Check("mu." + set, Array.ConvertAll(statistics.Mean, value => (float)value));
        results.Check("sigma." + set, [.. statistics.Covariance.Cast<double>().Select(value => (float)value)]);
    }

    private static FeatureStatistics Statistics(GoldenCase golden, string set)
    {
        double[] mean = Array.ConvertAll(golden.Input("mu." + set).ToArray(), value => (double)value);
        var covariance = new double[mean.Length, mean.Length];
        Array.ConvertAll(golden.Input("sigma." + set).ToArray(), value => (double)value)
            .CopyTo(MemoryMarshal.CreateSpan(ref covariance[0, 0], covariance.Length));
        return new FeatureStatistics(mean, covariance);
    }
}

/// <summary>The kernel distance over subsets, and which rows they are.</summary>
internal sealed class KernelCase() : MetricCase("kid", ["package", "subsets", "subset_size", "seed"], "features.a", "features.b")
{
    public override bool Knows(string input, GoldenCase golden) => Inputs.Contains(input);

    public override void Run(GoldenCase golden, Comparison results)
    {
        var (a, b) = (Rows(golden, "features.a"), Rows(golden, "features.b"));
        int size = golden.Int("subset_size", 0);
        int subsets = golden.Int("subsets", 0);
        if (golden.OptionalText("package") is not { } name)
        {
            results.Require(subsets == 1 && size == a.Length && size == b.Length, "without a package there is one subset, of all rows");
            results.Check("kid_mean", [(float)Distances.Kernel(a, b)]);
            return;
        }
        var package = name switch
        {
            "torch-fidelity" => KernelSubsets.TorchFidelity,
            "torchmetrics" => KernelSubsets.TorchMetrics,
            "clean-fid" => KernelSubsets.CleanFid,
            _ => throw new UnsupportedCaseException($"package {name}"),
        };
        int seed = golden.Int("seed", 2020);
        var estimate = Distances.KernelOfSubsets(a, b, package, subsets, size, seed);
        results.Check("kid_mean", [(float)estimate.Mean]);
        results.Check("kid_std", [(float)estimate.Deviation]);
        double[] values = Distances.KernelsOfSubsets(a, b, package, subsets, size, seed);
        results.Check("kid_subset", Array.ConvertAll(values, value => (float)value));
        var draws = new KernelDraws(package, seed);
        var rows = new List<long>();
        for (int i = 0; i < subsets; i++)
        {
            var (first, second) = draws.Next(a.Length, b.Length, size);
            rows.AddRange(first.Concat(second).Select(row => (long)row));
        }
        results.CheckIntegers("subset_indices", [.. rows]);
    }
}

/// <summary>Statistics of the Python tools' files.</summary>
internal sealed class StatisticsCase() : MetricCase("statistics", ["files", "fid_of"])
{
    public override void Run(GoldenCase golden, Comparison results)
    {
        foreach (string file in golden.Texts("files")!)
        {
            var arrays = NumpyFile.Read(Path.Combine(golden.Checkpoint, file), "mu", "sigma", "feats");
            results.Require(arrays.Count > 0, $"{file} has no arrays");
            foreach (var (name, array) in arrays)
            {
                string output = $"{Path.GetFileNameWithoutExtension(file)}.{name}";
                results.Require(
                    golden.ExpectedShape(output) == Shape.Create([.. array.Axes]), $"{output} is [{string.Join(", ", array.Axes)}]");
                results.Check(output, Array.ConvertAll(array.Values, value => (float)value));
            }
        }
        if (golden.Texts("fid_of") is [var a, var b])
        {
            FeatureStatistics Load(string file) => FeatureStatistics.Load(Path.Combine(golden.Checkpoint, file));
            results.Check("fid", [(float)Distances.Frechet(Load(a), Load(b))]);
        }
    }
}
