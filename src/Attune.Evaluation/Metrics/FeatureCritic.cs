using System.Numerics.Tensors;

namespace Attune.Evaluation.Metrics;

/// <summary>
/// How well a linear classifier tells made pictures from true ones by a judge's features: a classifier two-sample test (Lopez-Paz and
/// Oquab, "Revisiting Classifier Two-Sample Tests", 2017, section 3). It is trained anew on each set, so that nothing can be tuned to it
/// beforehand, but it sees only what the judge's features hold: pictures can pass that people would not.
/// </summary>
public static class FeatureCritic
{
    /// <summary>Each fifth of the pictures is told apart by a classifier of the other four.</summary>
    internal const int Folds = 5;

    /// <summary>What the ridge adds to the diagonal, for features of deviation 1.</summary>
    private const double Ridge = 30;

    private const double LeastDeviation = 1e-6;

    /// <summary>
    /// The share of pictures that are told rightly, the mean of that of the made and of the true ones. As many of both take part as the
    /// smaller set has, the larger one's evenly spaced. Features are brought to mean 0 and deviation 1 over both.
    /// </summary>
    /// <param name="made">Features of made pictures, rows of one length.</param>
    /// <param name="truth">Those of true pictures.</param>
    /// <returns>0 to 1; about .5 where nothing tells them apart, which is best.</returns>
    /// <exception cref="ArgumentException">One set has fewer than 5 pictures, or the numbers of features differ.</exception>
    public static double Accuracy(IReadOnlyList<float[]> made, IReadOnlyList<float[]> truth)
    {
        ArgumentNullException.ThrowIfNull(made);
        ArgumentNullException.ThrowIfNull(truth);
        int count = Math.Min(made.Count, truth.Count);
        if (count < Folds)
            throw new ArgumentException(
                $"A critic needs {Folds} pictures of each set at least, not {made.Count} and {truth.Count}.",
                made.Count < Folds ? nameof(made) : nameof(truth));
        int features = truth[0].Length;
        if (made.Concat(truth).FirstOrDefault(row => row.Length != features) is { } other)
            throw new ArgumentException(
                $"The pictures have {other.Length} and {features} features, expected the same number.", nameof(made));
        double[][] rows = [.. Spaced(truth, count).Concat(Spaced(made, count)).Select(WithOne)];
        Standardise(rows, features);
        var right = new int[2];
        for (int fold = 0; fold < Folds; fold++)
        {
            double[] weights = Train(rows, fold, features + 1);
            for (int i = fold; i < count; i += Folds)
            {
                right[0] += TensorPrimitives.Dot<double>(rows[i], weights) > 0 ? 1 : 0;
                right[1] += TensorPrimitives.Dot<double>(rows[count + i], weights) > 0 ? 0 : 1;
            }
        }
        return (right[0] + right[1]) / (2.0 * count);
    }

    /// <summary>So many of the rows, evenly spaced.</summary>
    internal static IEnumerable<float[]> Spaced(IReadOnlyList<float[]> rows, int count) =>
        Enumerable.Range(0, count).Select(i => rows[(int)((long)i * rows.Count / count)]);

    /// <summary>A row in double precision with a 1 behind it, for what is added to every score.</summary>
    private static double[] WithOne(float[] row) => [.. row.Select(value => (double)value), 1];

    private static void Standardise(double[][] rows, int features)
    {
        for (int j = 0; j < features; j++)
        {
            double mean = rows.Average(row => row[j]);
            double variance = rows.Sum(row => (row[j] - mean) * (row[j] - mean)) / (rows.Length - 1);
            double deviation = Math.Max(Math.Sqrt(variance), LeastDeviation);
            foreach (double[] row in rows)
                row[j] = (row[j] - mean) / deviation;
        }
    }

    /// <summary>The weights of least squares on all folds but one, 1 for true pictures (the first half) and -1 for made ones.</summary>
    private static double[] Train(double[][] rows, int without, int width)
    {
        int count = rows.Length / 2;
        var squares = new double[width][];
        for (int i = 0; i < width; i++)
        {
            squares[i] = new double[width];
            squares[i][i] = Ridge;
        }
        var target = new double[width];
        for (int at = 0; at < rows.Length; at++)
        {
            if (at % count % Folds == without)
                continue;
            double[] row = rows[at];
            for (int i = 0; i < width; i++)
                TensorPrimitives.MultiplyAdd(row.AsSpan(0, i + 1), row[i], squares[i].AsSpan(0, i + 1), squares[i].AsSpan(0, i + 1));
            TensorPrimitives.MultiplyAdd(row, at < count ? 1.0 : -1.0, target, target);
        }
        return Solve(squares, target);
    }

    /// <summary>The solution of a positive definite system by Cholesky's factor, which takes the place of the lower half.</summary>
    private static double[] Solve(double[][] matrix, double[] right)
    {
        int n = right.Length;
        for (int i = 0; i < n; i++)
        {
            for (int j = 0; j <= i; j++)
            {
                double rest = matrix[i][j] - TensorPrimitives.Dot<double>(matrix[i].AsSpan(0, j), matrix[j].AsSpan(0, j));
                matrix[i][j] = i == j ? Math.Sqrt(rest) : rest / matrix[j][j];
            }
            right[i] = (right[i] - TensorPrimitives.Dot<double>(matrix[i].AsSpan(0, i), right.AsSpan(0, i))) / matrix[i][i];
        }
        for (int i = n - 1; i >= 0; i--)
        {
            right[i] /= matrix[i][i];
            for (int k = 0; k < i; k++)
                right[k] -= matrix[i][k] * right[i];
        }
        return right;
    }
}
