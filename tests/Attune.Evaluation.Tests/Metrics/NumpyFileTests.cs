using System.IO.Compression;
using System.Text;
using Attune.Evaluation.Metrics;
using Attune.Weights;

namespace Attune.Evaluation.Tests.Metrics;

/// <summary>Statistics in NumPy's files.</summary>
public sealed class NumpyFileTests : IDisposable
{
    private readonly string _folder = Directory.CreateTempSubdirectory("attune-numpy-").FullName;

    public void Dispose() => Directory.Delete(_folder, true);

    [Fact]
    public void What_is_written_is_read()
    {
        string path = Path.Combine(_folder, "a.npz");
        var statistics = FeatureMoments.Of([[1, 2], [3, 5], [4, 4]]).ToStatistics();
        statistics.Save(path);
        var read = FeatureStatistics.Load(path);
        Assert.Equal(statistics.Mean, read.Mean);
        Assert.Equal(statistics.Covariance, read.Covariance);
        Assert.Equal(0, Distances.Frechet(statistics, read), 1e-6);
        byte[] first = File.ReadAllBytes(path);
        statistics.Save(path);
        Assert.Equal(first, File.ReadAllBytes(path));
    }

    [Fact]
    public void Parts_merge_to_the_statistics_of_the_whole()
    {
        var random = new TorchRandom(5);
        float[][] rows = [.. Enumerable.Range(0, 90).Select(_ => new float[6])];
        foreach (float[] row in rows)
            random.Normal(row);
        string File(int i) => Path.Combine(_folder, $"{i}.npz");
        foreach (var (i, part) in new[] { rows[..2], rows[2..50], rows[50..] }.Index())
            (FeatureMoments.Of(part).ToStatistics() with { Preparation = "clean-fid" }).Save(File(i));
        var merged = FeatureStatistics.Merge([.. Enumerable.Range(0, 3).Select(i => FeatureStatistics.Load(File(i)))]);
        var whole = FeatureMoments.Of(rows).ToStatistics();
        Assert.Equal((90L, "clean-fid"), (merged.Count, merged.Preparation));
        Assert.All(whole.Mean.Zip(merged.Mean), pair => Assert.Equal(pair.First, pair.Second, 1e-14));
        Assert.All(
            whole.Covariance.Cast<double>().Zip(merged.Covariance.Cast<double>()), pair => Assert.Equal(pair.First, pair.Second, 1e-14));

        var unknown = FeatureStatistics.Load(File(0)) with { Count = null };
        Assert.Contains(
            "do not say of how many pictures", Assert.Throws<ArgumentException>(() => FeatureStatistics.Merge([merged, unknown])).Message,
            StringComparison.Ordinal);
        var other = merged with { Preparation = "patch" };
        Assert.Contains(
            "clean-fid and as patch", Assert.Throws<ArgumentException>(() => FeatureStatistics.Merge([merged, other])).Message,
            StringComparison.Ordinal);
        Assert.Throws<ArgumentException>(() => FeatureStatistics.Merge([]));
    }

    [Fact]
    public void Headers_are_as_numpy_writes_them()
    {
        string path = Path.Combine(_folder, "a.npz");
        NumpyFile.Write(path, [new("mu", new NumpyArray([3], [1, 2, 3]))]);
        using var zip = ZipFile.OpenRead(path);
        using var stream = zip.GetEntry("mu.npy")!.Open();
        byte[] start = new byte[128];
        stream.ReadExactly(start);
        Assert.Equal((byte)'\n', start[127]);
        Assert.StartsWith(
            "{'descr': '<f8', 'fortran_order': False, 'shape': (3,), }", Encoding.ASCII.GetString(start, 10, 118),
            StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("|O", "(2,)", "is of type |O")]
    [InlineData("<f8", "(3,)", "has")]
    [InlineData("<f8", "(99999999, 99999999)", "too large")]
    [InlineData("<f8", "(2, x)", "is not understood")]
    public void What_is_no_array_of_numbers_is_refused(string type, string shape, string message)
    {
        string path = Path.Combine(_folder, "a.npz");
        using (var zip = new ZipArchive(File.Create(path), ZipArchiveMode.Create))
        {
            using var stream = zip.CreateEntry("mu.npy").Open();
            string header = $"{{'descr': '{type}', 'fortran_order': False, 'shape': {shape}, }}\n";
            stream.Write([0x93, .. "NUMPY"u8, 1, 0, (byte)header.Length, 0, .. Encoding.ASCII.GetBytes(header), .. new byte[16]]);
        }
        Assert.Contains(
            message, Assert.Throws<CheckpointException>(() => NumpyFile.Read(path, "mu")).Message, StringComparison.Ordinal);
    }

    [Fact]
    public void A_file_that_is_no_zip_or_lacks_an_array_is_refused()
    {
        string path = Path.Combine(_folder, "a.npz");
        File.WriteAllText(path, "no zip");
        void Refused(string message) => Assert.Contains(
            message, Assert.Throws<CheckpointException>(() => FeatureStatistics.Load(path)).Message, StringComparison.Ordinal);
        Refused("no .npz");
        NumpyFile.Write(path, [new("mu", new NumpyArray([1], [1]))]);
        Refused("no array sigma");
        NumpyFile.Write(path, [new("mu", new NumpyArray([2], [1, 2])), new("sigma", new NumpyArray([2, 2], [1, 0.5, 0.25, 1]))]);
        Refused("no covariance");
    }

    [Fact]
    public void A_mean_has_an_interval_around_it()
    {
        var estimate = MeanEstimate.Of([1, 2, 3, 4]);
        Assert.Equal(2.5, estimate.Mean);
        Assert.Equal(Math.Sqrt(5d / 3), estimate.Deviation, 1e-12);
        Assert.InRange(estimate.Interval.Low, 1, 2);
        Assert.InRange(estimate.Interval.High, 3, 4);
        Assert.Equal(estimate, MeanEstimate.Of([1, 2, 3, 4]));
    }

    /// <summary>Far from each other the distance of two sets of one direction is that of their means and deviations.</summary>
    [Fact]
    public void Singular_sets_have_the_distance_of_the_formula()
    {
        float[][] a = [[0, 0, 0], [2, 0, 0]], b = [[5, 0, 0], [11, 0, 0]];
        double root1 = Math.Sqrt(2), root2 = Math.Sqrt(18);
        double expected = 49 + (root1 - root2) * (root1 - root2);
        Assert.Equal(expected, Distances.Frechet(a, b), 1e-12);
        Assert.Equal(expected, Distances.Frechet(FeatureMoments.Of(a), FeatureMoments.Of(b)), 1e-6);
        Assert.Equal(0, Distances.Frechet(a, a), 1e-12);
    }
}
