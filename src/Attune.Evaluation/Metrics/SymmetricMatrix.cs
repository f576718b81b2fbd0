using System.Numerics.Tensors;

namespace Attune.Evaluation.Metrics;

/// <summary>
/// What the Frechet distance needs of symmetric matrices, by rows. Each row is computed by one thread in one order, so that results do not
/// depend on the number of threads.
/// </summary>
internal static class SymmetricMatrix
{
    /// <summary>Columns that a thread takes, and vectors that share a pass over a matrix.</summary>
    private const int Columns = 256, Together = 8;

    /// <summary>
    /// Vectors whose products with themselves add up to a positive semi-definite matrix (Cholesky's factor with pivoting; Higham, "Accuracy
    /// and Stability of Numerical Algorithms", 2002, section 10.3). There are as many as its rank.
    /// </summary>
    /// <param name="matrix">Rows; they are not changed.</param>
    public static double[][] Factor(double[][] matrix)
    {
        int n = matrix.Length;
        var factors = new List<double[]>();
        double[] diagonal = [.. matrix.Select((row, i) => row[i])];
        double least = n * 2.3e-16 * Math.Max(0, diagonal.DefaultIfEmpty().Max());
        for (int rank = 0; rank < n; rank++)
        {
            int pivot = TensorPrimitives.IndexOfMax<double>(diagonal);
            if (!(diagonal[pivot] > least))
                break;
            double root = Math.Sqrt(diagonal[pivot]);
            double[] factor = [.. matrix[pivot]];
            Parallel.For(0, (n + Columns - 1) / Columns, part =>
            {
                int start = part * Columns, length = Math.Min(Columns, n - start);
                var own = factor.AsSpan(start, length);
                foreach (double[] earlier in factors)
                    TensorPrimitives.MultiplyAdd(earlier.AsSpan(start, length), -earlier[pivot], own, own);
                TensorPrimitives.Divide(own, root, own);
            });
            for (int i = 0; i < n; i++)
                diagonal[i] -= factor[i] * factor[i];
            diagonal[pivot] = 0;
            factors.Add(factor);
        }
        return [.. factors];
    }

    /// <summary>V M V', the products of vectors in the measure of a symmetric matrix.</summary>
    /// <param name="vectors">Rows of V.</param>
    /// <param name="matrix">Rows of M.</param>
    public static double[][] Congruent(double[][] vectors, double[][] matrix)
    {
        var result = vectors.Select(_ => new double[vectors.Length]).ToArray();
        Parallel.For(0, (vectors.Length + Together - 1) / Together, block =>
        {
            int first = block * Together, last = Math.Min(vectors.Length, first + Together);
            var images = Enumerable.Range(first, last - first).Select(_ => new double[matrix.Length]).ToArray();
            for (int i = 0; i < matrix.Length; i++)
            {
                for (int k = first; k < last; k++)
                    images[k - first][i] = TensorPrimitives.Dot<double>(matrix[i], vectors[k]);
            }
            for (int j = 0; j < last; j++)
            {
                for (int k = Math.Max(first, j); k < last; k++)
                    result[k][j] = TensorPrimitives.Dot<double>(images[k - first], vectors[j]);
            }
        });
        for (int i = 0; i < result.Length; i++)
        {
            for (int j = 0; j < i; j++)
                result[j][i] = result[i][j];
        }
        return result;
    }

    /// <summary>
    /// The eigenvalues, in no order: Householder's reduction to three diagonals, and the QL algorithm with implicit shifts (Golub and Van
    /// Loan, "Matrix Computations", 1996, section 8.3).
    /// </summary>
    /// <param name="matrix">All of its rows, which are used up.</param>
    public static double[] Eigenvalues(double[][] matrix)
    {
        int n = matrix.Length;
        var (diagonal, beside) = (new double[n], new double[n]);
        for (int k = 0; k < n; k++)
        {
            diagonal[k] = matrix[k][k];
            int size = n - k - 1;
            if (size == 0)
                break;
            double[] v = matrix[k][(k + 1)..];
            double length = Math.Sqrt(TensorPrimitives.SumOfSquares<double>(v.AsSpan(1)));
            if (length == 0)
            {
                beside[k] = v[0];
                continue;
            }
            length = Math.Sqrt(v[0] * v[0] + length * length);
            beside[k] = v[0] > 0 ? -length : length;
            v[0] -= beside[k];
            double beta = 2 / TensorPrimitives.SumOfSquares<double>(v);
            var p = new double[size];
            Rows(size, i => p[i] = beta * TensorPrimitives.Dot<double>(matrix[k + 1 + i].AsSpan(k + 1), v));
            TensorPrimitives.MultiplyAdd(v, -beta / 2 * TensorPrimitives.Dot<double>(p, v), p, p);
            Rows(size, i =>
            {
                var row = matrix[k + 1 + i].AsSpan(k + 1);
                TensorPrimitives.MultiplyAdd(p, -v[i], row, row);
                TensorPrimitives.MultiplyAdd(v, -p[i], row, row);
            });
        }
        Diagonalise(diagonal, beside);
        return diagonal;
    }

    private static void Rows(int count, Action<int> row)
    {
        if (count < 128)
        {
            for (int i = 0; i < count; i++)
                row(i);
        }
        else
            Parallel.For(0, count, row);
    }

    /// <summary>The eigenvalues of a matrix of three diagonals take the place of the middle one.</summary>
    private static void Diagonalise(double[] d, double[] e)
    {
        const double Precision = 2.3e-16;
        const int MostSteps = 200;
        double floor = 0;
        for (int i = 0; i < d.Length; i++)
            floor = Math.Max(floor, Math.Abs(d[i]) + Math.Abs(e[i]));
        floor *= Precision * Precision;
        for (int first = 0; first < d.Length; first++)
        {
            for (int step = 0; ; step++)
            {
                int last = first;
                while (last < d.Length - 1
                    && Math.Abs(e[last]) > Math.Max(floor, Precision * (Math.Abs(d[last]) + Math.Abs(d[last + 1]))))
                    last++;
                if (last == first)
                    break;
                if (step == MostSteps)
                    throw new InvalidOperationException("The eigenvalues of a covariance were not found: is it finite?");
                double g = (d[first + 1] - d[first]) / (2 * e[first]);
                double r = double.Hypot(g, 1);
                g = d[last] - d[first] + e[first] / (g + (g >= 0 ? r : -r));
                double sine = 1, cosine = 1, p = 0;
                int i = last - 1;
                for (; i >= first; i--)
                {
                    double f = sine * e[i], b = cosine * e[i];
                    r = double.Hypot(f, g);
                    e[i + 1] = r;
                    if (r == 0)
                    {
                        d[i + 1] -= p;
                        e[last] = 0;
                        break;
                    }
                    (sine, cosine) = (f / r, g / r);
                    g = d[i + 1] - p;
                    r = (d[i] - g) * sine + 2 * cosine * b;
                    p = sine * r;
                    d[i + 1] = g + p;
                    g = cosine * r - b;
                }
                if (r == 0 && i >= first)
                    continue;
                d[first] -= p;
                e[first] = g;
                e[last] = 0;
            }
        }
    }
}
