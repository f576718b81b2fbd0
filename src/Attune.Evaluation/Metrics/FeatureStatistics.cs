using System.Runtime.InteropServices;
using Attune.Weights;

namespace Attune.Evaluation.Metrics;

/// <summary>
/// Mean and covariance of features, as pytorch-fid and clean-fid keep them in <c>.npz</c> files: what a Frechet distance needs of a set.
/// </summary>
/// <param name="Mean">[features].</param>
/// <param name="Covariance">[features, features], symmetric, unbiased.</param>
public sealed record FeatureStatistics(double[] Mean, double[,] Covariance)
{
    /// <summary>Of how many pictures they are; null where a file does not say, as those of the Python tools. Parts merge by it.</summary>
    public long? Count { get; init; }

    /// <summary>How the pictures were made ready (<see cref="Metrics.Preparation.Name"/>); null where a file does not say.</summary>
    public string? Preparation { get; init; }

    /// <summary>Reads <c>mu</c> and <c>sigma</c>, and where they are there <c>count</c> and <c>preparation</c>.</summary>
    /// <exception cref="CheckpointException">The file is damaged, lacks one of them, or they do not fit.</exception>
    public static FeatureStatistics Load(string path)
    {
        var arrays = NumpyFile.Read(path, "mu", "sigma", "count");
        if (!arrays.TryGetValue("mu", out var mean) || !arrays.TryGetValue("sigma", out var covariance))
            throw new CheckpointException($"'{path}' has no array {(arrays.ContainsKey("mu") ? "sigma" : "mu")}; expected mu and sigma.");
        int features = mean.Values.Length;
        if (mean.Axes.Count != 1 || features == 0 || !covariance.Axes.SequenceEqual([features, features]))
            throw new CheckpointException(
                $"'{path}': mu is [{string.Join(", ", mean.Axes)}] and sigma [{string.Join(", ", covariance.Axes)}], expected [n] and "
                    + "[n, n].");
        var matrix = new double[features, features];
        covariance.Values.CopyTo(MemoryMarshal.CreateSpan(ref matrix[0, 0], matrix.Length));
        for (int i = 0; i < features; i++)
        {
            for (int j = 0; j <= i; j++)
            {
                double scale = Math.Sqrt(Math.Abs(matrix[i, i] * matrix[j, j]));
                if (!(Math.Abs(matrix[i, j] - matrix[j, i]) <= 1e-5 * scale) || !double.IsFinite(mean.Values[i]))
                    throw new CheckpointException(
                        $"'{path}': sigma is no covariance: {matrix[i, j]} at [{i}, {j}], {matrix[j, i]} at [{j}, {i}].");
            }
        }
        long? count = null;
        if (arrays.TryGetValue("count", out var stored))
        {
            count = stored.Values is [>= 2 and < 1L << 53 and var number] && number == Math.Floor(number) ? (long)number
                : throw new CheckpointException(
                    $"'{path}': count is {string.Join(", ", stored.Values.Take(3))}, expected a number from 2.");
        }
        return new FeatureStatistics(mean.Values, matrix) { Count = count, Preparation = NumpyFile.ReadText(path, "preparation") };
    }

    /// <summary>
    /// The statistics of the union of sets, from those of each: as if all had been one set, up to rounding. Each must say how many pictures
    /// it is of; preparations that are known must be one.
    /// </summary>
    /// <exception cref="ArgumentException">There are none, one does not say its count, or two do not fit together.</exception>
    public static FeatureStatistics Merge(IReadOnlyList<FeatureStatistics> parts)
    {
        ArgumentNullException.ThrowIfNull(parts);
        if (parts.Count == 0)
            throw new ArgumentException("There are no statistics.", nameof(parts));
        var moments = new FeatureMoments(parts[0].Mean.Length);
        string? preparation = null;
        foreach (var part in parts)
        {
            long count = part.Count ?? throw new ArgumentException(
                "Statistics do not say of how many pictures they are, which merging needs; those that Attune saves do.", nameof(parts));
            preparation ??= part.Preparation;
            if (part.Preparation != null && part.Preparation != preparation)
                throw new ArgumentException(
                    $"Statistics are of pictures made ready as {preparation} and as {part.Preparation}, expected one preparation.",
                    nameof(parts));
            moments.Add(FeatureMoments.From(count, part.Mean, part.Covariance));
        }
        return moments.ToStatistics() with { Preparation = preparation };
    }

    /// <summary>Writes <c>mu</c>, <c>sigma</c> and what is known else, for the Python tools too, which read the first two.</summary>
    /// <exception cref="IOException">The file cannot be written.</exception>
    public void Save(string path) => NumpyFile.Write(path, Arrays, Preparation == null ? [] : [new("preparation", Preparation)]);

    /// <summary>What files hold.</summary>
    internal IReadOnlyList<KeyValuePair<string, NumpyArray>> Arrays =>
    [
        new("mu", new NumpyArray([Mean.Length], Mean)),
        new("sigma", new NumpyArray([Mean.Length, Mean.Length], [.. Covariance.Cast<double>()])),
        .. Count is { } count ? [new("count", new NumpyArray([], [count]))] : (KeyValuePair<string, NumpyArray>[])[],
    ];
}
