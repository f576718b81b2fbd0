using System.Numerics.Tensors;

namespace Attune.Evaluation.Metrics;

/// <summary>
/// Count, mean and covariance of feature vectors, in double precision. Takes one vector after the other (Welford's recurrence) and other
/// moments (Chan, Golub and LeVeque, "Updating Formulae and a Pairwise Algorithm for Computing Sample Variances", 1979), so that parts of a
/// set can be summed apart; the order matters to rounding alone.
/// </summary>
public sealed class FeatureMoments
{
    /// <summary>Vectors that share a pass over the sums: these are too large for a cache.</summary>
    private const int Together = 256;

    private readonly double[] _mean;

    /// <summary>
    /// Sums of products of deviations from the mean, [features][features], of which what lies on and below the diagonal counts.
    /// </summary>
    private readonly double[][] _scatter;
    private readonly double[] _deviation;

    /// <summary>Moments of no vectors.</summary>
    /// <param name="features">The number of features of each vector, from 1.</param>
    public FeatureMoments(int features)
    {
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(features);
        Features = features;
        _mean = new double[features];
        _scatter = [.. Enumerable.Range(0, features).Select(_ => new double[features])];
        _deviation = new double[features];
    }

    /// <summary>The number of features of each vector.</summary>
    public int Features { get; }

    /// <summary>The number of vectors.</summary>
    public long Count { get; private set; }

    /// <summary>The moments of a set.</summary>
    /// <exception cref="ArgumentException">There is none, or two differ in size.</exception>
    public static FeatureMoments Of(IReadOnlyList<float[]> samples)
    {
        ArgumentNullException.ThrowIfNull(samples);
        if (samples.Count == 0)
            throw new ArgumentException("There are no feature vectors.", nameof(samples));
        var moments = new FeatureMoments(samples[0].Length);
        for (int start = 0; start < samples.Count; start += Together)
            moments.Add(samples, start, Math.Min(Together, samples.Count - start));
        return moments;
    }

    /// <summary>Moments that are known.</summary>
    /// <param name="count">Of how many vectors, from 2.</param>
    /// <param name="mean">[features].</param>
    /// <param name="covariance">[features, features], symmetric; the unbiased one, sums divided by count - 1.</param>
    /// <exception cref="ArgumentException">The sizes do not fit, or the covariance is not symmetric.</exception>
    public static FeatureMoments From(long count, ReadOnlySpan<double> mean, double[,] covariance)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(count, 2);
        ArgumentNullException.ThrowIfNull(covariance);
        var moments = new FeatureMoments(mean.Length) { Count = count };
        if (covariance.GetLength(0) != mean.Length || covariance.GetLength(1) != mean.Length)
            throw new ArgumentException(
                $"The covariance is [{covariance.GetLength(0)}, {covariance.GetLength(1)}], expected [{mean.Length}, {mean.Length}].",
                nameof(covariance));
        mean.CopyTo(moments._mean);
        for (int i = 0; i < mean.Length; i++)
        {
            for (int j = 0; j <= i; j++)
            {
                double scale = Math.Sqrt(Math.Abs(covariance[i, i] * covariance[j, j]));
                if (!(Math.Abs(covariance[i, j] - covariance[j, i]) <= 1e-9 * scale))
                    throw new ArgumentException(
                        $"The covariance is not symmetric: {covariance[i, j]} at [{i}, {j}] and {covariance[j, i]} at [{j}, {i}].",
                        nameof(covariance));
                moments._scatter[i][j] = covariance[i, j] * (count - 1);
            }
        }
        return moments;
    }

    /// <summary>Adds a vector.</summary>
    /// <exception cref="ArgumentException">It has another number of features, or holds NaN or infinity.</exception>
    public void Add(ReadOnlySpan<float> sample)
    {
        RequireSample(sample);
        for (int i = 0; i < sample.Length; i++)
            _deviation[i] = sample[i] - _mean[i];
        Merge(1);
    }

    private void RequireSample(ReadOnlySpan<float> sample)
    {
        if (sample.Length != Features)
            throw new ArgumentException($"The vector has {sample.Length} features, expected {Features}.", nameof(sample));
        for (int i = 0; i < sample.Length; i++)
        {
            if (!float.IsFinite(sample[i]))
                throw new ArgumentException($"Feature {i} is {sample[i]}, expected a finite number.", nameof(sample));
        }
    }

    /// <summary>
    /// Adds some vectors of a list as one part: their mean, and the sums around it. Each row of sums has one order, whatever the threads.
    /// </summary>
    private void Add(IReadOnlyList<float[]> samples, int start, int count)
    {
        var mean = new double[Features];
        var rows = new double[count][];
        for (int i = 0; i < count; i++)
        {
            RequireSample(samples[start + i]);
            rows[i] = Array.ConvertAll(samples[start + i], value => (double)value);
            TensorPrimitives.Add(mean, rows[i], mean);
        }
        TensorPrimitives.Divide(mean, count, mean);
        var deviations = new double[Features][];
        for (int i = 0; i < Features; i++)
        {
            var deviation = new double[count];
            for (int j = 0; j < count; j++)
                deviation[j] = rows[j][i] - mean[i];
            deviations[i] = deviation;
        }
        RowProducts.AddSymmetric(deviations, _scatter);
        TensorPrimitives.Subtract(mean, _mean, _deviation);
        Merge(count);
    }

    /// <summary>Adds the vectors that other moments were taken of.</summary>
    /// <exception cref="ArgumentException">They have another number of features.</exception>
    public void Add(FeatureMoments other)
    {
        ArgumentNullException.ThrowIfNull(other);
        if (other.Features != Features)
            throw new ArgumentException($"The vectors have {other.Features} features, expected {Features}.", nameof(other));
        if (other.Count == 0)
            return;
        TensorPrimitives.Subtract(other._mean, _mean, _deviation);
        for (int i = 0; i < Features; i++)
            TensorPrimitives.Add(_scatter[i], other._scatter[i], _scatter[i]);
        Merge(other.Count);
    }

    /// <summary>The mean, [features].</summary>
    /// <exception cref="InvalidOperationException">There are no vectors.</exception>
    public double[] Mean() => Count > 0 ? [.. _mean] : throw new InvalidOperationException("No vectors have no mean.");

    /// <summary>The unbiased covariance, [features, features].</summary>
    /// <exception cref="InvalidOperationException">There are fewer than two vectors.</exception>
    public double[,] Covariance()
    {
        if (Count < 2)
            throw new InvalidOperationException($"A covariance needs 2 vectors at least, not {Count}.");
        var result = new double[Features, Features];
        for (int i = 0; i < Features; i++)
        {
            for (int j = 0; j <= i; j++)
                result[i, j] = result[j, i] = _scatter[i][j] / (Count - 1);
        }
        return result;
    }

    /// <summary>Mean and covariance, as files keep them.</summary>
    /// <exception cref="InvalidOperationException">There are fewer than two vectors.</exception>
    public FeatureStatistics ToStatistics() => new(Mean(), Covariance()) { Count = Count };

    /// <summary>Counts vectors whose mean deviates from the mean so far by what <see cref="_deviation"/> holds.</summary>
    private void Merge(long count)
    {
        long total = Count + count;
        double factor = (double)Count * count / total;
        for (int i = 0; factor > 0 && i < Features; i++)
        {
            var row = _scatter[i].AsSpan(0, i + 1);
            TensorPrimitives.MultiplyAdd(_deviation.AsSpan(0, i + 1), factor * _deviation[i], row, row);
        }
        TensorPrimitives.MultiplyAdd(_deviation, (double)count / total, _mean, _mean);
        Count = total;
    }
}
