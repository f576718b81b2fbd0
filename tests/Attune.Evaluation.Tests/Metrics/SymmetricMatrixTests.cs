using Attune.Evaluation.Metrics;
using MathNet.Numerics.LinearAlgebra;

namespace Attune.Evaluation.Tests.Metrics;

public class SymmetricMatrixTests
{
    /// <summary>A matrix X X' of vectors of so many numbers: its rank is the smaller of both.</summary>
    private static Matrix<double> Made(int size, int rank)
    {
        var random = new TorchRandom((ulong)size);
        float[] values = new float[size * rank];
        random.Normal(values);
        var x = Matrix<double>.Build.Dense(size, rank, (i, j) => values[i * rank + j]);
        return x * x.Transpose();
    }

    private static double[][] Rows(Matrix<double> matrix) => matrix.ToRowArrays();

    [Theory]
    [InlineData(1, 1)]
    [InlineData(2, 2)]
    [InlineData(7, 7)]
    [InlineData(40, 13)]
    [InlineData(150, 150)]
    [InlineData(150, 3)]
    public void Eigenvalues_are_those_of_another_library(int size, int rank)
    {
        var matrix = Made(size, rank);
        double[] expected = [.. matrix.Evd(Symmetricity.Symmetric).EigenValues.Select(value => value.Real).Order()];
        double[] actual = [.. SymmetricMatrix.Eigenvalues(Rows(matrix)).Order()];
        double scale = expected[^1];
        Assert.All(expected.Zip(actual), pair => Assert.Equal(pair.First, pair.Second, 1e-12 * scale));
    }

    [Fact]
    public void Diagonals_and_zeros_are_their_own_eigenvalues()
    {
        Assert.Equal([0, 0, 0], SymmetricMatrix.Eigenvalues([[0, 0, 0], [0, 0, 0], [0, 0, 0]]));
        Assert.Equal([-1, 2, 3], SymmetricMatrix.Eigenvalues([[3, 0, 0], [0, -1, 0], [0, 0, 2]]).Order());
        Assert.Equal([-1, 1], SymmetricMatrix.Eigenvalues([[0, 1], [1, 0]]).Order().Select(value => Math.Round(value, 14)));
    }

    [Theory]
    [InlineData(5, 5)]
    [InlineData(40, 13)]
    [InlineData(300, 290)]
    public void Factors_make_the_matrix(int size, int rank)
    {
        var matrix = Made(size, rank);
        double[][] factors = SymmetricMatrix.Factor(Rows(matrix));
        Assert.Equal(rank, factors.Length);
        var f = Matrix<double>.Build.DenseOfRowArrays(factors);
        Assert.True((f.Transpose() * f - matrix).Enumerate().Max(Math.Abs) <= 1e-12 * matrix.Enumerate().Max());
        Assert.Empty(SymmetricMatrix.Factor([[0, 0], [0, 0]]));
    }

    [Fact]
    public void Congruent_is_the_product()
    {
        var (v, m) = (Made(21, 30), Made(21, 21));
        var expected = v * m * v.Transpose();
        var actual = Matrix<double>.Build.DenseOfRowArrays(SymmetricMatrix.Congruent(Rows(v), Rows(m)));
        Assert.True((expected - actual).Enumerate().Max(Math.Abs) <= 1e-12 * expected.Enumerate().Max(Math.Abs));
    }

    [Theory]
    [InlineData(1, 1, 1)]
    [InlineData(1, 5, 1)]
    [InlineData(5, 1, 1)]
    [InlineData(8, 8, 8)]
    [InlineData(7, 30, 7)]
    [InlineData(30, 7, 7)]
    [InlineData(150, 140, 140)]
    [InlineData(140, 150, 9)]
    public void Singular_values_are_those_of_another_library(int rows, int columns, int rank)
    {
        var random = new TorchRandom((ulong)(rows * columns));
        Matrix<double> Random(int height, int width)
        {
            float[] values = new float[height * width];
            random.Normal(values);
            return Matrix<double>.Build.Dense(height, width, (i, j) => values[i * width + j]);
        }

        var matrix = Random(rows, rank) * Random(rank, columns);
        double[] expected = [.. matrix.Svd(computeVectors: false).S.OrderDescending()];
        double[] actual = SymmetricMatrix.SingularValues(Rows(matrix));
        Assert.Equal(expected.Length, actual.Length);
        Assert.All(expected.Zip(actual), pair => Assert.Equal(pair.First, pair.Second, 1e-13 * rows * expected[0]));
        Assert.Equal([0, 0], SymmetricMatrix.SingularValues([[0, 0, 0], [0, 0, 0]]));
        Assert.Equal([3, 2], SymmetricMatrix.SingularValues([[0, -2], [3, 0]]).Select(value => Math.Round(value, 14)));
    }

    [Theory]
    [InlineData(1, 1, 1)]
    [InlineData(5, 3, 7)]
    [InlineData(67, 131, 600)]
    public void Row_products_are_the_product(int rows, int others, int length)
    {
        var random = new TorchRandom(3);
        double[][] Random(int count) => [.. Enumerable.Range(0, count).Select(_ =>
        {
            float[] values = new float[length];
            random.Normal(values);
            return Array.ConvertAll(values, value => (double)value);
        })];
        double[][] x = Random(rows), y = Random(others);
        double Dot(double[] a, double[] b) => a.Zip(b, (first, second) => first * second).Sum();
        double[][] products = RowProducts.Of(x, y), own = RowProducts.OfSymmetric(x, x);
        for (int i = 0; i < rows; i++)
        {
            Assert.All(y, (row, j) => Assert.Equal(Dot(x[i], row), products[i][j], 1e-12 * length));
            Assert.All(x, (row, j) => Assert.Equal(Dot(x[i], row), own[i][j], 1e-12 * length));
        }
    }
}
