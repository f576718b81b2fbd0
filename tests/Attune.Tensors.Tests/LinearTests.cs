using Attune.Tensors.Cpu;

namespace Attune.Tensors.Tests;

/// <summary>
/// Linear layers against sums in double precision. The kernels for processors without 512-bit vectors are chosen by a switch; the same
/// holds for a whole run with DOTNET_EnableAVX512=0 (256-bit vectors) or DOTNET_EnableHWIntrinsic=0 (none).
/// </summary>
[NoLeaks]
public class LinearTests
{
    private static readonly WeightFormat[] Types = [WeightFormat.Float32, WeightFormat.BFloat16, WeightFormat.Float16];

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void Any_shape_and_stored_type_agrees_with_double_precision(bool narrow)
    {
        var random = new Random(5);
        int[] rowCounts = [1, 2, 3, 4, 5, 7, 8, 9, 12, 16, 17, 77, 100];
        int[] widths = [1, 2, 3, 15, 16, 17, 31, 33, 47, 48, 49, 63, 65, 97, 130, 200, 257, 400];
        int[] depths = [1, 2, 3, 15, 16, 17, 31, 32, 33, 63, 64, 65, 100, 320, 639, 640, 641, 700, 1281, 2100];
        for (int trial = 0; trial < 150; trial++)
            Check(Pick(random, rowCounts), Pick(random, depths), Pick(random, widths), Types[trial % 3], random, narrow);
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void Pieces_of_large_products_fit_together(bool narrow)
    {
        var random = new Random(6);
        Check(1100, 700, 500, WeightFormat.BFloat16, random, narrow);
        Check(530, 1300, 97, WeightFormat.Float16, random, narrow);
        Check(4, 20000, 9, WeightFormat.BFloat16, random, narrow);
        Check(9, 20000, 50, WeightFormat.Float32, random, narrow);
        Check(3, 64, 5000, WeightFormat.Float16, random, narrow);
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void Subnormal_and_special_values_survive(bool narrow)
    {
        foreach (var type in Types)
        {
            float tiny = type == WeightFormat.Float16 ? 6e-8f : 1e-40f;
            float[] samples = [tiny, -3 * tiny, 0, 17 * tiny, float.PositiveInfinity, float.NaN, 1, -0.0f];
            foreach (int rows in new[] { 1, 20 })
            {
                using var scope = new TensorScope();
                int at = 0;
                using var stored = new TestWeight([samples.Length, 64], type, 1, () => at++ % 64 == 37 ? samples[at / 64] : 0);
                using var mode = new Mode(narrow);
                var result = Tensor.Full(Host, [rows, 64], 1).Linear(stored.Weight);
                for (int i = 0; i < rows; i++)
                    Assert.Equal(Enumerable.Range(0, samples.Length).Select(n => stored.Values[n * 64 + 37]), result.Row(i).ToArray());
            }
        }
    }

    [Fact]
    public void Threads_do_not_change_a_bit()
    {
        var random = new Random(7);
        foreach (var (rows, inputs, outputs) in new[] { (1, 999, 700), (6, 512, 333), (77, 768, 320), (700, 1300, 200), (33, 4000, 65) })
        {
            using var scope = new TensorScope();
            using var stored = new TestWeight([outputs, inputs], WeightFormat.BFloat16, 2, () => random.NextSingle() - 0.5f);
            var x = RandomTensor([rows, inputs], random);
            var many = x.Linear(stored.Weight, activation: Activation.Silu);
            using var mode = new Mode(false, threads: 1);
            Assert.Equal(x.Linear(stored.Weight, activation: Activation.Silu).ToArray(), many.ToArray());
        }
    }

    [Fact]
    public void Rows_do_not_depend_on_their_place()
    {
        var random = new Random(8);
        using var scope = new TensorScope();
        using var stored = new TestWeight([130, 700], WeightFormat.Float16, 0, () => random.NextSingle() - 0.5f);
        var x = RandomTensor([1000, 700], random);
        var whole = x.Linear(stored.Weight);
        var part = x.Slice(0, 391, 57).Linear(stored.Weight);
        Assert.Equal(whole.Slice(0, 391, 57).ToArray(), part.ToArray());
        var columns = x.Linear(stored.Weight.Rows(51, 60));
        Assert.Equal(whole.Slice(1, 51, 60).ToArray(), columns.ToArray());
    }

    [Fact]
    public void No_rows_give_an_empty_result()
    {
        using var scope = new TensorScope();
        var memory = Tensor.Zeros(Host, [4, 3]);
        Assert.Equal([0, 4], Tensor.Empty(Host, [0, 3]).Linear(TestWeight.Of(memory)).Shape);
    }

    private static void Check(int rows, int inputs, int outputs, WeightFormat type, Random random, bool narrow)
    {
        using var scope = new TensorScope();
        using var mode = new Mode(narrow);
        float Next() => random.Next(20) == 0 ? random.NextSingle() * 1e-39f : random.NextSingle() - 0.4f;
        using var stored = new TestWeight([outputs, inputs], type, random.Next(70), Next);
        using var bias = random.Next(2) == 0 ? new TestWeight([outputs], Types[random.Next(3)], random.Next(5), Next) : null;
        var activation = random.Next(3) == 0 ? Activation.Relu : Activation.None;
        // Evenly strided rows, unevenly strided ones, and contiguous ones.
        int pad = random.Next(3) == 0 ? random.Next(1, 40) : 0;
        int outer = random.Next(2) == 0 && rows % 2 == 0 ? 2 : 1;
        var x = Strided(outer, rows / outer, inputs, pad, random);
        var y = Strided(outer, rows / outer, outputs, pad, random);
        var residual = activation == Activation.None && random.Next(2) == 0 ? Strided(outer, rows / outer, outputs, pad, random) : null;
        if (residual != null && random.Next(2) == 0)
            y = residual;
        float[]? added = residual?.ToArray();
        if (y != residual)
            y.Fill(float.NaN);
        Assert.Same(
            y,
            residual == null ? x.Linear(stored.Weight, bias?.Weight, activation, y)
                : residual.AddLinear(x, stored.Weight, bias?.Weight, y));

        float[] left = x.ToArray();
        float[] actual = y.ToArray();
        var expected = new double[actual.Length];
        double largest = 0;
        for (int i = 0; i < rows; i++)
        {
            for (int n = 0; n < outputs; n++)
            {
                double sum = (bias?.Values[n] ?? 0) + (double)(added?[i * outputs + n] ?? 0);
                for (int k = 0; k < inputs; k++)
                    sum += (double)left[i * inputs + k] * stored.Values[n * inputs + k];
                largest = Math.Max(largest, Math.Abs(sum));
                expected[i * outputs + n] = activation == Activation.Relu ? Math.Max(sum, 0) : sum;
            }
        }
        double error = actual.Zip(expected, (a, e) => Math.Abs(a - e)).Max();
        Assert.True(
            error <= 2e-6 * largest,
            $"[{rows}, {inputs}] x {type} [{outputs}, {inputs}]: {error / largest:e2} relative, pad {pad}, outer {outer}");
    }

    private static Tensor Strided(int outer, int rows, int columns, int pad, Random random)
    {
        var whole = RandomTensor([outer, rows + (pad > 0 ? 1 : 0), columns + pad], random);
        return whole.Slice(1, 0, rows).Slice(2, pad / 2, columns);
    }

    internal static Tensor RandomTensor(Shape shape, Random random, Device? device = null)
    {
        var tensor = Tensor.Empty(device ?? Host, shape);
        foreach (ref float value in tensor.Span)
            value = random.NextSingle() - 0.5f;
        return tensor;
    }

    private static int Pick(Random random, int[] values) => values[random.Next(values.Length)];

    /// <summary>Kernels and threads for the length of a test.</summary>
    internal sealed class Mode : IDisposable
    {
        private readonly int _threads = Workers.MaxThreads;

        public Mode(bool narrow, int threads = 0)
        {
            Gemm.ForceNarrow = narrow;
            if (threads > 0)
                Workers.MaxThreads = threads;
        }

        public void Dispose()
        {
            Gemm.ForceNarrow = false;
            Workers.MaxThreads = _threads;
        }
    }
}
