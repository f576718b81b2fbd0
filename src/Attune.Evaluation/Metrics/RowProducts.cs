using System.Numerics;
using System.Numerics.Tensors;

namespace Attune.Evaluation.Metrics;

/// <summary>
/// The products of all rows of one matrix with all of another, X Y', in double precision. Each is summed in one order, so that results do
/// not depend on the number of threads. What Frechet and kernel distances of thousands of features spend their time on.
/// </summary>
internal static class RowProducts
{
    /// <summary>Rows that a thread takes, rows of the other matrix that stay in its cache beside them, and how much of each.</summary>
    private const int Rows = 32, Others = 64, Depth = 512;

    /// <summary>Rows of one matrix and of the other whose products share registers.</summary>
    private const int High = 4, Wide = 2;

    /// <summary>X Y': [rows of x][rows of y].</summary>
    public static double[][] Of(double[][] x, double[][] y)
    {
        double[][] result = [.. x.Select(_ => new double[y.Length])];
        Add(x, y, result, symmetric: false);
        return result;
    }

    /// <summary>Adds X X' to a matrix of whole rows, of which what lies on and below the diagonal counts alone.</summary>
    public static void AddSymmetric(double[][] x, double[][] result) => Add(x, x, result, symmetric: true);

    /// <summary>X Y', where that is symmetric, as for X X': a half is computed, and copied.</summary>
    public static double[][] OfSymmetric(double[][] x, double[][] y)
    {
        double[][] result = [.. x.Select(_ => new double[y.Length])];
        Add(x, y, result, symmetric: true);
        for (int i = 0; i < result.Length; i++)
        {
            for (int j = 0; j < i; j++)
                result[j][i] = result[i][j];
        }
        return result;
    }

    private static void Add(double[][] x, double[][] y, double[][] result, bool symmetric)
    {
        int blocks = (x.Length + Rows - 1) / Rows;
        Parallel.For(0, blocks, block =>
        {
            // The last rows have the most to do: they come first.
            int first = (blocks - 1 - block) * Rows, last = Math.Min(x.Length, first + Rows);
            int end = symmetric ? last : y.Length;
            for (int j = 0; j < end; j += Others)
                Multiply(x, first, last, y, j, Math.Min(end, j + Others), result);
        });
    }

    private static void Multiply(double[][] x, int first, int last, double[][] y, int start, int end, double[][] result)
    {
        int length = x[first].Length;
        for (int at = 0; at < length; at += Depth)
        {
            int depth = Math.Min(Depth, length - at);
            for (int i = first; i < last; i += High)
            {
                for (int j = start; j < end; j += Wide)
                {
                    if (i + High <= last && j + Wide <= end)
                        MultiplyTile(x.AsSpan(i, High), y.AsSpan(j, Wide), at, depth, result.AsSpan(i, High), j);
                    else
                        MultiplyEdge(x, i, Math.Min(last, i + High), y, j, Math.Min(end, j + Wide), at, depth, result);
                }
            }
        }
    }

    private static void MultiplyEdge(
        double[][] x, int first, int last, double[][] y, int start, int end, int at, int depth, double[][] result)
    {
        for (int i = first; i < last; i++)
        {
            for (int j = start; j < end; j++)
                result[i][j] += TensorPrimitives.Dot<double>(x[i].AsSpan(at, depth), y[j].AsSpan(at, depth));
        }
    }

    private static void MultiplyTile(
        ReadOnlySpan<double[]> x, ReadOnlySpan<double[]> y, int at, int depth, ReadOnlySpan<double[]> result, int column)
    {
        ref double x0 = ref x[0].AsSpan(at, depth)[0], x1 = ref x[1].AsSpan(at, depth)[0];
        ref double x2 = ref x[2].AsSpan(at, depth)[0], x3 = ref x[3].AsSpan(at, depth)[0];
        ref double y0 = ref y[0].AsSpan(at, depth)[0], y1 = ref y[1].AsSpan(at, depth)[0];
        Vector<double> a0 = default, a1 = default, b0 = default, b1 = default, c0 = default, c1 = default, d0 = default, d1 = default;
        int whole = depth - depth % Vector<double>.Count;
        for (nuint k = 0; k < (nuint)whole; k += (nuint)Vector<double>.Count)
        {
            var (first, second) = (Vector.LoadUnsafe(ref y0, k), Vector.LoadUnsafe(ref y1, k));
            var row = Vector.LoadUnsafe(ref x0, k);
            (a0, a1) = (Vector.MultiplyAddEstimate(row, first, a0), Vector.MultiplyAddEstimate(row, second, a1));
            row = Vector.LoadUnsafe(ref x1, k);
            (b0, b1) = (Vector.MultiplyAddEstimate(row, first, b0), Vector.MultiplyAddEstimate(row, second, b1));
            row = Vector.LoadUnsafe(ref x2, k);
            (c0, c1) = (Vector.MultiplyAddEstimate(row, first, c0), Vector.MultiplyAddEstimate(row, second, c1));
            row = Vector.LoadUnsafe(ref x3, k);
            (d0, d1) = (Vector.MultiplyAddEstimate(row, first, d0), Vector.MultiplyAddEstimate(row, second, d1));
        }
        ReadOnlySpan<Vector<double>> sums = [a0, a1, b0, b1, c0, c1, d0, d1];
        for (int i = 0; i < High; i++)
        {
            for (int j = 0; j < Wide; j++)
            {
                double sum = Vector.Sum(sums[i * Wide + j]);
                for (int k = at + whole; k < at + depth; k++)
                    sum += x[i][k] * y[j][k];
                result[i][column + j] += sum;
            }
        }
    }
}
