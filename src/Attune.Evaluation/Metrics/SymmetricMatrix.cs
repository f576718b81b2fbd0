using System.Numerics.Tensors;

namespace Attune.Evaluation.Metrics;

/// <summary>
/// What the Frechet distance needs of symmetric matrices, by rows. Each row is computed by one thread in one order, so that results do not
/// depend on the number of threads.
/// </summary>
internal static class SymmetricMatrix
{
    /// <summary>Columns that a thread takes.</summary>
    private const int Columns = 256;

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
    public static double[][] Congruent(double[][] vectors, double[][] matrix) =>
        RowProducts.OfSymmetric(RowProducts.Of(vectors, matrix), vectors);

    /// <summary>
    /// The eigenvalues, in no order: Householder's reduction to three diagonals, and the QL algorithm with implicit shifts (Golub and Van
    /// Loan, "Matrix Computations", 1996, section 8.3).
    /// </summary>
    /// <param name="matrix">All of its rows, which are used up.</param>
    public static double[] Eigenvalues(double[][] matrix)
    {
        int n = matrix.Length;
        var (diagonal, beside) = (new double[n], new double[n]);
        // What the step before left to be subtracted from rows, v p' + p v', of the columns from k on: it goes along with the next pass.
        double[] v = [], p = [];
        for (int k = 0; k < n; k++)
        {
            var (before, left) = (v, p);
            void Subtract(Span<double> row, int place)
            {
                if (before.Length == 0)
                    return;
                int start = before.Length - row.Length;
                TensorPrimitives.MultiplyAdd(left.AsSpan(start), -before[place], row, row);
                TensorPrimitives.MultiplyAdd(before.AsSpan(start), -left[place], row, row);
            }

            Subtract(matrix[k].AsSpan(k), 0);
            diagonal[k] = matrix[k][k];
            int size = n - k - 1;
            if (size == 0)
                break;
            double[] normal = matrix[k][(k + 1)..];
            beside[k] = Reflector(normal, out double beta);
            var product = new double[size];
            Rows(size, i =>
            {
                var row = matrix[k + 1 + i].AsSpan(k + 1);
                Subtract(row, i + 1);
                product[i] = beta * TensorPrimitives.Dot<double>(row, normal);
            });
            TensorPrimitives.MultiplyAdd(normal, -beta / 2 * TensorPrimitives.Dot<double>(product, normal), product, product);
            (v, p) = beta == 0 ? ([], []) : (normal, product);
        }
        Diagonalise(diagonal, beside);
        return diagonal;
    }

    /// <summary>
    /// The singular values of any matrix, in no order, to the precision of the largest: Householder's reduction to two diagonals (Golub
    /// and Kahan, "Calculating the Singular Values and Pseudo-Inverse of a Matrix", 1965). With zeros on its diagonal, and those two in
    /// turn beside it, a symmetric matrix has them and their negatives as eigenvalues, which nothing was squared for.
    /// </summary>
    /// <param name="matrix">Its rows, which are used up.</param>
    public static double[] SingularValues(double[][] matrix)
    {
        if (matrix.Length == 0)
            return [];
        int rows = matrix.Length, columns = matrix[0].Length, count = Math.Min(rows, columns);
        // Of a matrix with fewer columns than rows, one more number lies below the square.
        var beside = new double[2 * count + 1];
        for (int k = 0; k < count; k++)
        {
            beside[2 * k] = FoldRow(matrix, k);
            beside[2 * k + 1] = k + 1 < rows ? FoldColumn(matrix, k) : 0;
        }
        var values = new double[beside.Length];
        Diagonalise(values, beside);
        return [.. values.Select(Math.Abs).OrderDescending().Where((_, i) => i % 2 == 0).Take(count)];
    }

    /// <summary>Reflects columns so that row k ends on the diagonal; gives what is there then.</summary>
    private static double FoldRow(double[][] matrix, int k)
    {
        double[] v = matrix[k][k..];
        double end = Reflector(v, out double beta);
        if (beta != 0)
        {
            Rows(matrix.Length - k - 1, i =>
            {
                var row = matrix[k + 1 + i].AsSpan(k);
                TensorPrimitives.MultiplyAdd(v, -beta * TensorPrimitives.Dot<double>(row, v), row, row);
            });
        }
        return end;
    }

    /// <summary>Reflects the rows below k so that column k ends below the diagonal; gives what is there then.</summary>
    private static double FoldColumn(double[][] matrix, int k)
    {
        int size = matrix.Length - k - 1, width = matrix[0].Length - k - 1;
        var v = new double[size];
        for (int i = 0; i < size; i++)
            v[i] = matrix[k + 1 + i][k];
        double end = Reflector(v, out double beta);
        if (beta == 0 || width == 0)
            return end;
        var sums = new double[width];
        Parallel.For(0, (width + Columns - 1) / Columns, part =>
        {
            int start = part * Columns, length = Math.Min(Columns, width - start);
            var own = sums.AsSpan(start, length);
            for (int i = 0; i < size; i++)
                TensorPrimitives.MultiplyAdd(matrix[k + 1 + i].AsSpan(k + 1 + start, length), beta * v[i], own, own);
        });
        Rows(size, i =>
        {
            var row = matrix[k + 1 + i].AsSpan(k + 1);
            TensorPrimitives.MultiplyAdd(sums, -v[i], row, row);
        });
        return end;
    }

    /// <summary>
    /// Householder's reflection that brings a vector to its first axis: the vector becomes the reflection's normal, beta its factor (0
    /// where nothing is to be done), and the result is the length on the axis, with its sign.
    /// </summary>
    private static double Reflector(double[] v, out double beta)
    {
        double rest = Math.Sqrt(TensorPrimitives.SumOfSquares<double>(v.AsSpan(1)));
        beta = 0;
        if (rest == 0)
            return v[0];
        double length = Math.Sqrt(v[0] * v[0] + rest * rest);
        double end = v[0] > 0 ? -length : length;
        v[0] -= end;
        beta = 2 / TensorPrimitives.SumOfSquares<double>(v);
        return end;
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
