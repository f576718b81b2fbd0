using System.Numerics.Tensors;
using System.Runtime.InteropServices;

namespace Attune.Evaluation.Metrics;

/// <summary>
/// Distances between distributions of features. Both are 0 for equal distributions; their scale is that of the features, so that only
/// values of one judge can be compared.
/// </summary>
public static class Distances
{
    /// <summary>Rows whose products with all others are in memory at a time.</summary>
    private const int KernelRows = 1024;

    /// <summary>
    /// The Frechet distance of the two normal distributions with the given moments: |m1 - m2|^2 + tr(C1 + C2 - 2 (C1 C2)^(1/2)), a square
    /// (Heusel et al., "GANs Trained by a Two Time-Scale Update Rule Converge to a Local Nash Equilibrium", 2017). Few samples make it too
    /// large, by an amount that depends on their number: compare sets of one size.
    /// </summary>
    /// <returns>0 or more.</returns>
    /// <exception cref="ArgumentException">The numbers of features differ, or one of the moments is of fewer than two samples.</exception>
    public static double Frechet(FeatureMoments a, FeatureMoments b)
    {
        ArgumentNullException.ThrowIfNull(a);
        ArgumentNullException.ThrowIfNull(b);
        if (a.Features != b.Features)
            throw new ArgumentException($"The samples have {a.Features} and {b.Features} features, expected the same number.", nameof(b));
        if (a.Count < 2 || b.Count < 2)
            throw new ArgumentException(
                $"The Frechet distance needs 2 samples of each at least, not {a.Count} and {b.Count}.",
                a.Count < 2 ? nameof(a) : nameof(b));
        return Frechet(a.ToStatistics(), b.ToStatistics());
    }

    /// <summary>The Frechet distance of statistics that were kept; see <see cref="Frechet(FeatureMoments, FeatureMoments)"/>.</summary>
    /// <param name="a">Of one set.</param>
    /// <param name="b">Of the other.</param>
    /// <param name="epsilon">
    /// Added to both diagonals inside of the root alone: what pytorch-fid and clean-fid do, with 1e-6, where their root is not finite. Ours
    /// always is.
    /// </param>
    /// <exception cref="ArgumentException">The numbers of features differ.</exception>
    public static double Frechet(FeatureStatistics a, FeatureStatistics b, double epsilon = 0)
    {
        ArgumentNullException.ThrowIfNull(a);
        ArgumentNullException.ThrowIfNull(b);
        ArgumentOutOfRangeException.ThrowIfNegative(epsilon);
        if (a.Mean.Length != b.Mean.Length)
            throw new ArgumentException(
                $"The statistics have {a.Mean.Length} and {b.Mean.Length} features, expected the same number.", nameof(b));
        double distance = SquaredDistance(a.Mean, b.Mean);
        for (int i = 0; i < a.Mean.Length; i++)
            distance += a.Covariance[i, i] + b.Covariance[i, i];
        return Math.Max(0, distance - 2 * TraceOfRootOfProduct(Plus(a.Covariance, epsilon), Plus(b.Covariance, epsilon)));
    }

    /// <summary>
    /// The Frechet distance of two sets; see <see cref="Frechet(FeatureMoments, FeatureMoments)"/>. With no more vectors than features the
    /// covariances are singular, and the root is taken without them: tr (C1 C2)^(1/2) is the sum of the singular values of X Y', X and Y
    /// being the centred vectors over (n - 1)^(1/2). Nothing cancels there, where roots of eigenvalues near 0 are off by 1e-7.
    /// </summary>
    /// <exception cref="ArgumentException">There are fewer than two vectors in a set, or the numbers of features differ.</exception>
    public static double Frechet(IReadOnlyList<float[]> a, IReadOnlyList<float[]> b)
    {
        Check(a, b, "Frechet");
        if (Math.Max(a.Count, b.Count) > a[0].Length)
            return Frechet(FeatureMoments.Of(a), FeatureMoments.Of(b));
        double[][] x = [.. a.Select(Widen)], y = [.. b.Select(Widen)];
        double distance = SquaredDistance(Centre(x), Centre(y)) + x.Concat(y).Sum(row => TensorPrimitives.SumOfSquares<double>(row));
        return Math.Max(0, distance - 2 * SymmetricMatrix.SingularValues(RowProducts.Of(x, y)).Sum());
    }

    /// <summary>
    /// The kernel distance of two sets: the unbiased estimate of the squared maximum mean discrepancy with the kernel (x y / features +
    /// 1)^3, over all pairs (Binkowski et al., "Demystifying MMD GANs", 2018). It does not depend on the number of samples but for its
    /// scatter, and may be a little below 0.
    /// </summary>
    /// <param name="a">Feature vectors, two at least; time grows with the square of their number: see
    /// <see cref="KernelOfSubsets(IReadOnlyList{float[]}, IReadOnlyList{float[]}, int, int, long)"/>.</param>
    /// <param name="b">Feature vectors, two at least.</param>
    /// <exception cref="ArgumentException">There are fewer than two vectors in a set, the numbers of features differ, or one is NaN or
    /// infinite.</exception>
    public static double Kernel(IReadOnlyList<float[]> a, IReadOnlyList<float[]> b)
    {
        Check(a, b, "kernel");
        return Kernel([.. a.Select(Widen)], [.. b.Select(Widen)]);
    }

    /// <summary>
    /// The kernel distance as the mean over subsets, for sets whose pairs are too many; see
    /// <see cref="Kernel(IReadOnlyList{float[]}, IReadOnlyList{float[]})"/>.
    /// </summary>
    /// <param name="a">Feature vectors.</param>
    /// <param name="b">Feature vectors.</param>
    /// <param name="subsets">How many subsets, from 1.</param>
    /// <param name="size">Vectors of each set in each subset, from 2, drawn without replacement; no more than the smaller set has.</param>
    /// <param name="seed">Of the draws; its low 32 bits count. The same seed gives the same subsets, on any machine.</param>
    /// <exception cref="ArgumentException">A set has fewer vectors than a subset, the numbers of features differ, or one is NaN or
    /// infinite.</exception>
    public static KernelEstimate KernelOfSubsets(
        IReadOnlyList<float[]> a, IReadOnlyList<float[]> b, int subsets = 100, int size = 1000, long seed = 0)
    {
        CheckForSubsets(a, b, subsets, size);
        var draws = new Draws(seed);
        float[][] x = [.. a], y = [.. b];
        var values = new double[subsets];
        for (int i = 0; i < subsets; i++)
        {
            draws.Choose(x, size);
            draws.Choose(y, size);
            values[i] = Kernel([.. x.Take(size).Select(Widen)], [.. y.Take(size).Select(Widen)]);
        }
        return Estimate(values);
    }

    /// <summary>
    /// The kernel distance as the mean over the very subsets that a package draws; see
    /// <see cref="KernelOfSubsets(IReadOnlyList{float[]}, IReadOnlyList{float[]}, int, int, long)"/>.
    /// </summary>
    /// <param name="a">Feature vectors; real ones in torchmetrics.</param>
    /// <param name="b">Feature vectors.</param>
    /// <param name="package">Whose draws.</param>
    /// <param name="subsets">How many subsets, from 1.</param>
    /// <param name="size">Vectors of each set in each subset, from 2.</param>
    /// <param name="seed">Of the draws; torch-fidelity's is 2020.</param>
    /// <exception cref="ArgumentException">As above.</exception>
    public static KernelEstimate KernelOfSubsets(
        IReadOnlyList<float[]> a, IReadOnlyList<float[]> b, KernelSubsets package, int subsets = 100, int size = 1000, long seed = 2020) =>
        Estimate(KernelsOfSubsets(a, b, package, subsets, size, seed));

    /// <summary>The kernel distance of each subset.</summary>
    internal static double[] KernelsOfSubsets(
        IReadOnlyList<float[]> a, IReadOnlyList<float[]> b, KernelSubsets package, int subsets, int size, long seed)
    {
        CheckForSubsets(a, b, subsets, size);
        var draws = new KernelDraws(package, seed);
        var values = new double[subsets];
        for (int i = 0; i < subsets; i++)
        {
            var (first, second) = draws.Next(a.Count, b.Count, size);
            values[i] = Kernel([.. first.Select(row => Widen(a[row]))], [.. second.Select(row => Widen(b[row]))]);
        }
        return values;
    }

    private static KernelEstimate Estimate(double[] values)
    {
        double mean = values.Average();
        double variance = values.Sum(value => (value - mean) * (value - mean)) / values.Length;
        return new KernelEstimate(mean, Math.Sqrt(variance));
    }

    private static void CheckForSubsets(IReadOnlyList<float[]> a, IReadOnlyList<float[]> b, int subsets, int size)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(subsets, 1);
        ArgumentOutOfRangeException.ThrowIfLessThan(size, 2);
        Check(a, b, "kernel");
        if (a.Count < size || b.Count < size)
            throw new ArgumentException($"Subsets of {size} cannot be drawn from {a.Count} and {b.Count} vectors.", nameof(size));
    }

    private static double SquaredDistance(double[] a, double[] b) => a.Zip(b, (x, y) => (x - y) * (x - y)).Sum();

    private static double[,] Plus(double[,] covariance, double epsilon)
    {
        if (epsilon == 0)
            return covariance;
        var result = (double[,])covariance.Clone();
        for (int i = 0; i < result.GetLength(0); i++)
            result[i, i] += epsilon;
        return result;
    }

    /// <summary>Subtracts the mean of the vectors from each, divides by the root of their number less one, and gives the mean.</summary>
    private static double[] Centre(double[][] rows)
    {
        var mean = new double[rows[0].Length];
        foreach (double[] row in rows)
            TensorPrimitives.Add(mean, row, mean);
        TensorPrimitives.Divide(mean, rows.Length, mean);
        double root = Math.Sqrt(rows.Length - 1);
        foreach (double[] row in rows)
        {
            TensorPrimitives.Subtract(row, mean, row);
            TensorPrimitives.Divide(row, root, row);
        }
        return mean;
    }

    private static double Kernel(double[][] x, double[][] y)
    {
        double within1 = SumOfPairs(x) / ((double)x.Length * (x.Length - 1));
        double within2 = SumOfPairs(y) / ((double)y.Length * (y.Length - 1));
        double between = 0;
        foreach (double[][] part in x.Chunk(KernelRows))
            between += RowProducts.Of(part, y).Sum(products => Sum(products, x[0].Length));
        return within1 + within2 - 2 * between / ((double)x.Length * y.Length);
    }

    /// <summary>The sum of the kernel over all pairs of two vectors of a set.</summary>
    private static double SumOfPairs(double[][] x)
    {
        double sum = 0;
        for (int start = 0; start < x.Length; start += KernelRows)
        {
            int end = Math.Min(x.Length, start + KernelRows);
            double[][] products = RowProducts.Of(x[start..end], x[..end]);
            for (int i = start; i < end; i++)
                sum += Sum(products[i - start].AsSpan(0, i), x[0].Length);
        }
        return 2 * sum;
    }

    private static double Sum(ReadOnlySpan<double> products, int features)
    {
        double sum = 0;
        foreach (double product in products)
        {
            double value = product / features + 1;
            sum += value * value * value;
        }
        return sum;
    }

    /// <summary>There are two vectors or more in each set, all of one length and finite.</summary>
    private static void Check(IReadOnlyList<float[]> a, IReadOnlyList<float[]> b, string distance)
    {
        ArgumentNullException.ThrowIfNull(a);
        ArgumentNullException.ThrowIfNull(b);
        if (a.Count < 2 || b.Count < 2)
            throw new ArgumentException(
                $"The {distance} distance needs 2 samples of each at least, not {a.Count} and {b.Count}.",
                a.Count < 2 ? nameof(a) : nameof(b));
        int features = a[0].Length;
        CheckSet(a, nameof(a));
        CheckSet(b, nameof(b));

        void CheckSet(IReadOnlyList<float[]> samples, string name)
        {
            for (int i = 0; i < samples.Count; i++)
            {
                if (samples[i].Length != features || features == 0)
                    throw new ArgumentException(
                        $"Vector {i} of {name} has {samples[i].Length} features, expected {Math.Max(features, 1)}.", name);
                if (Array.FindIndex(samples[i], value => !float.IsFinite(value)) is >= 0 and var wrong)
                    throw new ArgumentException(
                        $"Feature {wrong} of vector {i} of {name} is {samples[i][wrong]}, expected a finite number.", name);
            }
        }
    }

    private static double[] Widen(float[] sample)
    {
        var result = new double[sample.Length];
        TensorPrimitives.ConvertTruncating<float, double>(sample, result);
        return result;
    }

    /// <summary>
    /// tr (C1 C2)^(1/2). The product is not symmetric, but has the eigenvalues of F' C2 F, which is, with C1 = F F'.
    /// </summary>
    private static double TraceOfRootOfProduct(double[,] covariance1, double[,] covariance2)
    {
        double[][] product = SymmetricMatrix.Congruent(SymmetricMatrix.Factor(ToRows(covariance1)), ToRows(covariance2));
        // Rounding may leave some a little below 0.
        return SymmetricMatrix.Eigenvalues(product).Sum(value => Math.Sqrt(Math.Max(0, value)));
    }

    private static double[][] ToRows(double[,] matrix) =>
        [.. Enumerable.Range(0, matrix.GetLength(0))
            .Select(row => MemoryMarshal.CreateSpan(ref matrix[row, 0], matrix.GetLength(1)).ToArray())];
}

/// <summary>A kernel distance over subsets.</summary>
/// <param name="Mean">The mean over the subsets.</param>
/// <param name="Deviation">The standard deviation among the subsets (of which two may share vectors).</param>
public readonly record struct KernelEstimate(double Mean, double Deviation);
