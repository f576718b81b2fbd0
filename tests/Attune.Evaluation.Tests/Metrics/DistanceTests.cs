using System.Text.Json;
using Attune.Evaluation.Metrics;

namespace Attune.Evaluation.Tests.Metrics;

public class DistanceTests
{
    private static readonly Fixture Values = new("distances.safetensors");
    private static readonly float[][] X = Values.Rows("x");
    private static readonly float[][] Y = Values.Rows("y");
    private static readonly JsonElement Expected = JsonDocument.Parse(File.ReadAllText(Fixture.At("distances.json"))).RootElement;

    [Fact]
    public void Moments_are_those_of_numpy()
    {
        var moments = FeatureMoments.Of(X);
        Assert.Equal((40, 7), (moments.Count, moments.Features));
        AssertClose(Numbers("mean"), moments.Mean(), 1e-14);
        AssertClose(Numbers("covariance"), moments.Covariance().Cast<double>(), 1e-13);
    }

    [Fact]
    public void Moments_of_parts_make_those_of_the_whole()
    {
        var (first, second, third) = (FeatureMoments.Of(X[..1]), FeatureMoments.Of(X[1..30]), FeatureMoments.Of(X[30..]));
        var merged = new FeatureMoments(7);
        merged.Add(third);
        merged.Add(new FeatureMoments(7));
        merged.Add(first);
        merged.Add(second);
        Assert.Equal(40, merged.Count);
        AssertClose(Numbers("mean"), merged.Mean(), 1e-14);
        AssertClose(Numbers("covariance"), merged.Covariance().Cast<double>(), 1e-13);
        Assert.Equal(10, third.Count);
    }

    [Fact]
    public void Covariances_survive_a_mean_far_from_zero()
    {
        // The spacing of floats at 4096 is 2^-11: such values are exact.
        var moments = FeatureMoments.Of([[4096], [4096 + 1f / 2048], [4096 + 2f / 2048]]);
        Assert.Equal(1d / 2048 / 2048, moments.Covariance()[0, 0], 1e-18);
    }

    [Fact]
    public void Moments_refuse_what_is_no_sample()
    {
        var moments = new FeatureMoments(2);
        Assert.StartsWith(
            "The vector has 3 features, expected 2.", Assert.Throws<ArgumentException>(() => moments.Add([1, 2, 3])).Message,
            StringComparison.Ordinal);
        Assert.StartsWith(
            "Feature 1 is NaN, expected a finite number.", Assert.Throws<ArgumentException>(() => moments.Add([1, float.NaN])).Message,
            StringComparison.Ordinal);
        Assert.Equal(0, moments.Count);
        Assert.Throws<InvalidOperationException>(() => moments.Mean());
        moments.Add([1, 2]);
        Assert.Equal([1, 2], moments.Mean());
        Assert.Throws<InvalidOperationException>(() => moments.Covariance());
        Assert.Throws<ArgumentException>(() => moments.Add(new FeatureMoments(3)));
        Assert.Throws<ArgumentException>(() => FeatureMoments.Of([]));
        Assert.Contains(
            "not symmetric: 1 at [1, 0] and 2 at [0, 1]",
            Assert.Throws<ArgumentException>(() => FeatureMoments.From(9, [0, 0], new double[,] { { 3, 2 }, { 1, 3 } })).Message,
            StringComparison.Ordinal);
        Assert.Throws<ArgumentException>(() => FeatureMoments.From(9, [0], new double[,] { { 3, 2 }, { 2, 3 } }));
        Assert.Throws<ArgumentOutOfRangeException>(() => FeatureMoments.From(1, [0], new double[,] { { 3 } }));
    }

    [Fact]
    public void Known_moments_are_kept()
    {
        var moments = FeatureMoments.From(11, [1, -2], new double[,] { { 3, 0.5 }, { 0.5, 2 } });
        Assert.Equal(11, moments.Count);
        Assert.Equal([1, -2], moments.Mean());
        AssertClose([3, 0.5, 0.5, 2], moments.Covariance().Cast<double>(), 1e-15);
    }

    [Fact]
    public void Frechet_distances_are_those_of_numpy()
    {
        Assert.Equal(Expected.GetProperty("frechet").GetDouble(), Distances.Frechet(FeatureMoments.Of(X), FeatureMoments.Of(Y)), 1e-10);
        Assert.Equal(Expected.GetProperty("frechet").GetDouble(), Distances.Frechet(FeatureMoments.Of(Y), FeatureMoments.Of(X)), 1e-10);
    }

    [Fact]
    public void Critics_are_those_of_numpy()
    {
        Assert.Equal(Expected.GetProperty("critic").GetDouble(), FeatureCritic.Accuracy(Y, X), 1e-12);
        Assert.Equal(Expected.GetProperty("critic_other").GetDouble(), FeatureCritic.Accuracy(X[..33], Y[..21]), 1e-12);
    }

    [Fact]
    public void Critics_tell_what_differs_and_nothing_else()
    {
        float[][] far = [.. X.Select(row => row.Select(value => value + 100).ToArray())];
        Assert.Equal(1, FeatureCritic.Accuracy(far, X));
        float[][] constant = [.. X.Select(row => (float[])[.. row, 7])];    // nothing to divide by
        Assert.Equal(FeatureCritic.Accuracy(X[20..], X[..20]), FeatureCritic.Accuracy(constant[20..], constant[..20]), 1e-12);
        Assert.Equal(.5, FeatureCritic.Accuracy(X, X));                     // each picture stands against itself
        Assert.Contains(
            "5 pictures of each set at least, not 40 and 4",
            Assert.Throws<ArgumentException>(() => FeatureCritic.Accuracy(X, X[..4])).Message, StringComparison.Ordinal);
        Assert.Contains(
            "7 and 8 features", Assert.Throws<ArgumentException>(() => FeatureCritic.Accuracy(X, constant)).Message,
            StringComparison.Ordinal);
    }

    [Fact]
    public void Frechet_distances_need_no_full_rank()
    {
        // The root of a rounding error is 1e-8 of the covariances.
        Assert.Equal(
            Expected.GetProperty("frechet_few").GetDouble(), Distances.Frechet(FeatureMoments.Of(X[..4]), FeatureMoments.Of(Y[..6])), 1e-5);
        Assert.Equal(0, Distances.Frechet(FeatureMoments.Of(X[..4]), FeatureMoments.Of(X[..4])), 1e-5);
    }

    [Fact]
    public void Equal_moments_are_at_no_distance() => Assert.Equal(0, Distances.Frechet(FeatureMoments.Of(X), FeatureMoments.Of(X)), 1e-10);

    [Fact]
    public void Frechet_distances_of_one_feature_have_a_closed_form()
    {
        var a = FeatureMoments.From(100, [1], new double[,] { { 9 } });
        var b = FeatureMoments.From(50, [5], new double[,] { { 4 } });
        Assert.Equal(16 + 1, Distances.Frechet(a, b), 1e-12);
        var point = FeatureMoments.From(50, [5], new double[,] { { 0 } });
        Assert.Equal(16 + 9, Distances.Frechet(a, point), 1e-12);
        Assert.Equal(0, Distances.Frechet(point, point), 1e-12);
    }

    [Fact]
    public void Frechet_distances_of_commuting_covariances_have_a_closed_form()
    {
        // One orthogonal basis, made of three rotations; the distance is that of the deviations along it.
        double[] deviations1 = [3, 1, 0.5, 2], deviations2 = [1, 1, 2, 0.25];
        double[,] basis = Rotations(4);
        double[] mean1 = [1, 2, 3, 4], mean2 = [1, 0, 3, 3];
        double expected = 4 + 1 + deviations1.Zip(deviations2, (s, t) => (s - t) * (s - t)).Sum();
        var a = FeatureMoments.From(10, mean1, Covariance(basis, deviations1));
        var b = FeatureMoments.From(10, mean2, Covariance(basis, deviations2));
        Assert.Equal(expected, Distances.Frechet(a, b), 1e-12);
    }

    [Fact]
    public void Frechet_distances_of_two_features_have_a_closed_form()
    {
        // tr (C1 C2)^(1/2) = sqrt(tr(C1 C2) + 2 sqrt(det C1 det C2)) for 2 x 2, commuting or not.
        double[,] c1 = { { 2, 0.7 }, { 0.7, 1 } }, c2 = { { 0.5, -0.4 }, { -0.4, 3 } };
        double traceOfProduct = 2 * 0.5 + 2 * 0.7 * -0.4 + 1 * 3;
        double trace = Math.Sqrt(traceOfProduct + 2 * Math.Sqrt((2 * 1 - 0.7 * 0.7) * (0.5 * 3 - 0.4 * 0.4)));
        Assert.Equal(
            2 + 1 + 0.5 + 3 - 2 * trace, Distances.Frechet(FeatureMoments.From(5, [0, 0], c1), FeatureMoments.From(5, [0, 0], c2)), 1e-12);
    }

    [Fact]
    public void Frechet_distances_of_many_features_do_not_depend_on_threads()
    {
        // As many features as a judge has. A shift alone is at the distance of its square.
        const int Features = 160;
        var values = new float[300 * Features];
        new TorchRandom(1).Normal(values);
        float[][] samples = [.. values.Chunk(Features)];
        float[][] shifted = [.. samples.Select(sample => sample.Select((value, i) => value + i % 2).ToArray())];
        double Distance(int threads)
        {
            MathNet.Numerics.Control.MaxDegreeOfParallelism = threads;
            return Distances.Frechet(FeatureMoments.Of(samples[..200]), FeatureMoments.Of(samples[200..]));
        }
        Assert.Equal(Features / 2, Distances.Frechet(FeatureMoments.Of(samples), FeatureMoments.Of(shifted)), 1e-4);
        int before = MathNet.Numerics.Control.MaxDegreeOfParallelism;
        try
        {
            Assert.Equal(Distance(1), Distance(4));
        }
        finally
        {
            MathNet.Numerics.Control.MaxDegreeOfParallelism = before;
        }
    }

    [Fact]
    public void Distances_refuse_too_few_samples()
    {
        var many = FeatureMoments.Of(X);
        var one = FeatureMoments.Of(X[..1]);
        Assert.StartsWith(
            "The Frechet distance needs 2 samples of each at least, not 40 and 1.",
            Assert.Throws<ArgumentException>(() => Distances.Frechet(many, one)).Message, StringComparison.Ordinal);
        Assert.StartsWith(
            "The samples have 7 and 3 features",
            Assert.Throws<ArgumentException>(() => Distances.Frechet(many, new FeatureMoments(3))).Message, StringComparison.Ordinal);
        Assert.StartsWith(
            "The kernel distance needs 2 samples of each at least, not 1 and 30.",
            Assert.Throws<ArgumentException>(() => Distances.Kernel(X[..1], Y)).Message, StringComparison.Ordinal);
        Assert.StartsWith(
            "Vector 1 of b has 2 features, expected 7.",
            Assert.Throws<ArgumentException>(() => Distances.Kernel(X, [Y[0], [1, 2]])).Message, StringComparison.Ordinal);
        Assert.StartsWith(
            "Feature 1 of vector 0 of a is NaN",
            Assert.Throws<ArgumentException>(() => Distances.Kernel([[1, float.NaN], [1, 2]], [[1, 2], [3, 4]])).Message,
            StringComparison.Ordinal);
        Assert.StartsWith(
            "Subsets of 31 cannot be drawn from 40 and 30 vectors.",
            Assert.Throws<ArgumentException>(() => Distances.KernelOfSubsets(X, Y, size: 31)).Message, StringComparison.Ordinal);
        Assert.Throws<ArgumentOutOfRangeException>(() => Distances.KernelOfSubsets(X, Y, size: 1));
    }

    [Fact]
    public void Kernel_distances_are_those_of_numpy()
    {
        Assert.Equal(Expected.GetProperty("kernel").GetDouble(), Distances.Kernel(X, Y), 1e-10);
        Assert.Equal(Expected.GetProperty("kernel").GetDouble(), Distances.Kernel(Y, X), 1e-10);
        Assert.Equal(Expected.GetProperty("kernel_few").GetDouble(), Distances.Kernel(X[..4], Y[..6]), 1e-10);
    }

    [Fact]
    public void Kernel_distances_follow_their_definition()
    {
        // k(0, 0) = 1, k(1, 1) = 8, k(0, 1) = 1, k(1, -1) = 0: {0, 1} and {1, -1}: 1 + 0 - 2 (1 + 1 + 8 + 0) / 4.
        Assert.Equal(1 + 0 - 2 * 10 / 4.0, Distances.Kernel([[0], [1]], [[1], [-1]]), 1e-14);
    }

    [Fact]
    public void Subsets_of_everything_are_the_whole()
    {
        var estimate = Distances.KernelOfSubsets(X[..30], Y, subsets: 3, size: 30);
        double exact = Distances.Kernel(X[..30], Y);
        Assert.Equal(exact, estimate.Mean, 1e-10);
        Assert.Equal(0, estimate.Deviation, 1e-10);
    }

    [Fact]
    public void Subsets_estimate_the_whole_without_bias()
    {
        var estimate = Distances.KernelOfSubsets(X, Y, subsets: 2000, size: 5, seed: 1);
        Assert.Equal(Expected.GetProperty("kernel").GetDouble(), estimate.Mean, 4 * estimate.Deviation / Math.Sqrt(2000));
        Assert.True(estimate.Deviation > 0);
    }

    [Fact]
    public void A_seed_gives_its_subsets()
    {
        var estimate = Distances.KernelOfSubsets(X, Y, subsets: 5, size: 10, seed: 7);
        Assert.Equal(estimate, Distances.KernelOfSubsets(X, Y, subsets: 5, size: 10, seed: 7));
        Assert.NotEqual(estimate, Distances.KernelOfSubsets(X, Y, subsets: 5, size: 10, seed: 8));
    }

    private static double[] Numbers(string key) => [.. Expected.GetProperty(key).EnumerateArray().Select(value => value.GetDouble())];

    private static void AssertClose(IEnumerable<double> expected, IEnumerable<double> actual, double tolerance)
    {
        double[] e = [.. expected], a = [.. actual];
        Assert.Equal(e.Length, a.Length);
        double scale = e.Max(Math.Abs);
        for (int i = 0; i < e.Length; i++)
            Assert.Equal(e[i], a[i], tolerance * scale);
    }

    private static double[,] Rotations(int n)
    {
        var basis = new double[n, n];
        for (int i = 0; i < n; i++)
            basis[i, i] = 1;
        for (int i = 0; i + 1 < n; i++)
        {
            var (sine, cosine) = Math.SinCos(0.6 + i);
            for (int row = 0; row < n; row++)
                (basis[row, i], basis[row, i + 1]) = (
                    cosine * basis[row, i] - sine * basis[row, i + 1], sine * basis[row, i] + cosine * basis[row, i + 1]);
        }
        return basis;
    }

    private static double[,] Covariance(double[,] basis, double[] deviations)
    {
        int n = deviations.Length;
        var result = new double[n, n];
        for (int i = 0; i < n; i++)
        {
            for (int j = 0; j < n; j++)
            {
                for (int k = 0; k < n; k++)
                    result[i, j] += basis[i, k] * deviations[k] * deviations[k] * basis[j, k];
            }
        }
        return result;
    }
}
