using System.Diagnostics;
using System.Globalization;
using Attune.Evaluation.Metrics;
using MathNet.Numerics.LinearAlgebra;

namespace Attune.Benchmarks;

/// <summary>
/// <c>--eigenvalues [sizes...]</c>: eigenvalues of a covariance, singular values of products, and products of matrices by
/// <see cref="SymmetricMatrix"/> and <see cref="RowProducts"/> beside MathNet.Numerics: seconds, and the largest difference by the largest
/// value.
/// </summary>
internal static class EigenvaluesQuick
{
    public static int Run(string[] args)
    {
        foreach (string text in args.DefaultIfEmpty("512"))
        {
            int n = int.Parse(text, CultureInfo.InvariantCulture);
            var random = new TorchRandom(1);
            float[] values = new float[n * n];
            random.Normal(values);
            var x = Matrix<double>.Build.Dense(n, n, (i, j) => values[i * n + j] / (1 + j));
            double[][] rows = x.ToRowArrays();
            Compare("product X X'", n, () => RowProducts.OfSymmetric(rows, rows)[0], () => (x * x.Transpose()).ToRowArrays()[0]);
            double[][] covariance = RowProducts.OfSymmetric(rows, rows);
            var matrix = Matrix<double>.Build.DenseOfRowArrays(covariance);
            Compare(
                "eigenvalues", n, () => SymmetricMatrix.Eigenvalues([.. covariance.Select(row => (double[])row.Clone())]),
                () => [.. matrix.Evd(Symmetricity.Symmetric).EigenValues.Select(value => value.Real)]);
            Compare(
                "singular values", n, () => SymmetricMatrix.SingularValues([.. rows.Select(row => (double[])row.Clone())]),
                () => [.. x.Svd(computeVectors: false).S]);
        }
        return 0;
    }

    private static void Compare(string name, int n, Func<double[]> own, Func<double[]> library)
    {
        double Time(Func<double[]> run, out double[] result)
        {
            long start = Stopwatch.GetTimestamp();
            result = [.. run().Order()];
            return Stopwatch.GetElapsedTime(start).TotalSeconds;
        }

        double mine = Time(own, out double[] a), theirs = Time(library, out double[] b);
        double difference = a.Zip(b, (first, second) => Math.Abs(first - second)).Max() / b.Max(Math.Abs);
        Console.WriteLine(string.Create(
            CultureInfo.InvariantCulture,
            $"{name,-16} {n,5}: own {mine,8:0.00} s, MathNet {theirs,8:0.00} s, ratio {theirs / mine,6:0.0}, "
                + $"difference {difference:0.0e+0}"));
    }
}
