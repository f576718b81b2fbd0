namespace Attune.Tensors.Tests;

/// <summary>
/// Norms, softmax, rotations, permutations and elementwise primitives against double precision, at odd shapes and in views, with extreme
/// numbers.
/// </summary>
[NoLeaks]
public class ElementwiseTests
{
    private static readonly int[] Widths = [1, 3, 8, 15, 16, 17, 31, 33, 40, 64, 77, 130, 320];

    /// <summary>What rounding to the smallest denormal numbers may lose.</summary>
    private const double HalfDenormal = 0.71e-45;

    private readonly Random _random = new(11);

    private Tensor Noise(Shape shape, double scale = 1, double offset = 0)
    {
        var tensor = Tensor.Empty(Host, shape);
        foreach (ref float value in tensor.Span)
            value = (float)(
                offset + scale * Math.Sqrt(-2 * Math.Log(1 - _random.NextDouble())) * Math.Cos(2 * Math.PI * _random.NextDouble()));
        return tensor;
    }

    /// <summary>Rows of a tensor with gaps between them.</summary>
    private Tensor Gapped(int batch, int rows, int columns, double scale = 1, double offset = 0) =>
        Noise([batch, rows, columns + 3], scale, offset).Slice(2, 2, columns);

    private static void Close(Func<int, int, double[]> expected, Tensor actual, double tolerance = 2e-6)
    {
        for (int b = 0; b < actual.Shape[0]; b++)
        {
            for (int i = 0; i < actual.Shape[1]; i++)
            {
                double[] row = expected(b, i);
                double largest = row.Select(Math.Abs).Max();
                for (int c = 0; c < row.Length; c++)
                    Assert.True(
                        row[c] == actual.Row(b, i)[c] || Math.Abs(row[c] - actual.Row(b, i)[c]) <= tolerance * largest + HalfDenormal,
                        $"[{b}, {i}, {c}] of {actual.Shape}: {actual.Row(b, i)[c]}, expected {row[c]}");
            }
        }
    }

    private static double[] Wide(Tensor x, int b, int i) => [.. x.Row(b, i).ToArray().Select(value => (double)value)];

    [Theory]
    [InlineData(1, 0)]
    [InlineData(1e-3, 1)]
    [InlineData(1e-20, 0)]
    [InlineData(1e-36, 0)]
    [InlineData(1e8, 3e8)]
    public void Norms_of_rows(double scale, double offset)
    {
        foreach (int columns in Widths)
        {
            using var scope = new TensorScope();
            var x = Gapped(2, 3, columns, scale, offset);
            var (a, b) = (Noise([2, columns]), Noise([2, columns]));
            var (weight, bias) = (TestWeight.Of(a.Slice(0, 0, 1).Reshape(columns)), TestWeight.Of(b.Slice(0, 0, 1).Reshape(columns)));
            double[] Normal(int item, int i)
            {
                double[] row = Wide(x, item, i);
                double mean = row.Average();
                double deviation = Math.Sqrt(row.Select(value => (value - mean) * (value - mean)).Average() + 1e-5);
                return [.. row.Select(value => (value - mean) / deviation)];
            }
            Close(Normal, x.LayerNorm(null, null, 1e-5f));
            Close((item, i) => [.. Normal(item, i).Select((value, c) => value * a.Row(0)[c])], x.LayerNorm(weight, null, 1e-5f));
            Close((item, i) => [.. Normal(item, i).Select((value, c) => value + b.Row(0)[c])], x.LayerNorm(null, bias, 1e-5f));
            Close(
                (item, i) => [.. Normal(item, i).Select((value, c) => value * a.Row(0)[c] + b.Row(0)[c])],
                x.LayerNorm(weight, bias, 1e-5f));
            Close(
                (item, i) => [.. Normal(item, i).Select((value, c) => value * (1 + (double)a.Row(item)[c]) + b.Row(item)[c])],
                x.ModulatedLayerNorm(a, b, 1e-5f));
            double[] Root(int item, int i)
            {
                double[] row = Wide(x, item, i);
                double root = Math.Sqrt(row.Select(value => value * value).Average() + 1e-6);
                return [.. row.Select(value => value / root)];
            }
            Close(Root, x.RmsNorm(null, 1e-6f));
            Close((item, i) => [.. Root(item, i).Select((value, c) => value * a.Row(0)[c])], x.RmsNorm(weight, 1e-6f));
            var inPlace = x.Clone();
            var apart = x.LayerNorm(weight, bias, 1e-5f);
            inPlace.LayerNorm(weight, bias, 1e-5f, inPlace);
            Assert.Equal(apart.ToArray(), inPlace.ToArray());
        }
    }

    [Fact]
    public void Softmax_with_infinities_and_denormals()
    {
        foreach (int columns in Widths)
        {
            using var scope = new TensorScope();
            var x = Gapped(2, 4, columns, 20);
            x.Row(0, 0).Fill(float.NegativeInfinity);
            x.Row(0, 1).Fill(1e-42f);
            for (int c = 0; c < columns; c += 2)
                x.Row(0, 2)[c] = c + 1 < columns ? float.NegativeInfinity : 0;
            x.Row(1, 0)[0] = -1e30f;
            var y = x.Softmax();
            Close((b, i) =>
            {
                double[] row = Wide(x, b, i);
                double maximum = row.Max();
                return double.IsNegativeInfinity(maximum) ? new double[columns]
                    : [.. row.Select(value => Math.Exp(value - maximum) / row.Sum(other => Math.Exp(other - maximum)))];
            }, y);
            var inPlace = x.Clone();
            Assert.Equal(y.ToArray(), inPlace.Softmax(inPlace).ToArray());
        }
    }

    [Fact]
    public void Elementwise_primitives_over_views()
    {
        foreach (int columns in Widths)
        {
            using var scope = new TensorScope();
            var (x, y) = (Gapped(2, 5, columns), Gapped(2, 5, columns, 1e-39));
            var (a, b) = (Noise([1, columns]), Noise([1, columns]));
            foreach (var (p, q) in new[] { (x, y), (x.Clone(), y.Clone()) })
            {
                double[] Of(int item, int i, Func<double, double, int, double> f) =>
                    [.. Wide(x, item, i).Select((value, c) => f(value, y.Row(item, i)[c], c))];
                Close((item, i) => Of(item, i, (u, v, _) => u + v), p.Add(q));
                Close((item, i) => Of(item, i, (u, v, _) => u * v), p.Multiply(q));
                Close((item, i) => Of(item, i, (u, _, _) => 3 * u - 2), p.Affine(3, -2));
                Close((item, i) => Of(item, i, (u, _, _) => 3 * u), p.Affine(3));
                Close((item, i) => Of(item, i, (u, v, _) => 0.5 * u - 2 * v), TensorOperations.Combine(0.5f, p, -2, q));
                Close((item, i) => Of(item, i, (u, _, c) => u * (1 + (double)a.Row(0)[c]) + b.Row(0)[c]), p.Modulate(a, b));
                Close((item, i) => Of(item, i, (u, v, c) => u + (double)a.Row(0)[c] * v), p.AddGated(a, q));
                var sum = p.Clone();
                Assert.Equal(p.AddGated(a, q).ToArray(), sum.AddGated(a, q, sum).ToArray());
                Assert.Equal(x.ToArray(), p.Clone().ToArray());
            }
        }
    }

    [Fact]
    public void Permutations_move_every_element()
    {
        foreach (int columns in Widths)
        {
            using var scope = new TensorScope();
            var x = Noise([2, 19, 3, columns + 1]).Slice(3, 1, columns);
            foreach (
                int[] axes in new int[][] {
                    [0, 1, 2, 3], [0, 2, 1, 3], [0, 1, 3, 2], [0, 3, 2, 1], [3, 2, 1, 0], [2, 3, 0, 1], [0, 2, 3, 1] })
            {
                var y = x.Permute(axes);
                float[] values = y.ToArray();
                int at = 0;
                int[] index = new int[4];
                for (int i = 0; i < y.Shape[0]; i++)
                {
                    for (int j = 0; j < y.Shape[1]; j++)
                    {
                        for (int k = 0; k < y.Shape[2]; k++)
                        {
                            for (int l = 0; l < y.Shape[3]; l++)
                            {
                                (index[axes[0]], index[axes[1]], index[axes[2]], index[axes[3]]) = (i, j, k, l);
                                Assert.Equal(x.Row(index[0], index[1], index[2])[index[3]], values[at++]);
                            }
                        }
                    }
                }
            }
        }
    }

    [Theory]
    [InlineData(RotaryPairing.Adjacent)]
    [InlineData(RotaryPairing.Halves)]
    [InlineData(RotaryPairing.HalvesByNeighbours)]
    public void Rotations_of_any_even_number_of_channels(RotaryPairing pairing)
    {
        foreach (int channels in new[] { 2, 4, 6, 8, 20, 40, 64, 128, 138 })
        {
            using var scope = new TensorScope();
            int half = channels / 2;
            var x = Noise([2, 5, 9, channels]).Slice(2, 3, 4);
            var (cosine, sine) = (Noise([5, half]), Noise([5, half]));
            using var rotary = new RotaryEmbedding(TensorScope.Detach(cosine), TensorScope.Detach(sine), pairing);
            var y = x.Rotate(rotary);
            for (int row = 0; row < 2 * 5 * 4; row++)
            {
                var (b, token, head) = (row / 20, row / 4 % 5, row % 4);
                for (int pair = 0; pair < half; pair++)
                {
                    var (first, second) = pairing == RotaryPairing.Adjacent ? (2 * pair, 2 * pair + 1) : (pair, pair + half);
                    var (even, odd) = ((double)x.Row(b, token, head)[first], (double)x.Row(b, token, head)[second]);
                    (double Cosine, double Sine) Angle(int channel)
                    {
                        int at = pairing == RotaryPairing.HalvesByNeighbours ? channel / 2 : pair;
                        return (rotary.Cosine.Row(token)[at], rotary.Sine.Row(token)[at]);
                    }

                    var (a, z) = (Angle(first), Angle(second));
                    double sizes = Math.Abs(a.Cosine) + Math.Abs(a.Sine) + Math.Abs(z.Cosine) + Math.Abs(z.Sine);
                    double bound = 2e-7 * (Math.Abs(even) + Math.Abs(odd)) * sizes;
                    Assert.InRange(y.Row(b, token, head)[first] - (even * a.Cosine - odd * a.Sine), -bound, bound);
                    Assert.InRange(y.Row(b, token, head)[second] - (odd * z.Cosine + even * z.Sine), -bound, bound);
                }
            }
        }
    }

    [Fact]
    public void Results_do_not_depend_on_the_number_of_threads()
    {
        using var scope = new TensorScope();
        var x = Noise([2, 1031, 328]);
        var heads = x.Reshape(2, 1031, 41, 8);
        var (a, b) = (Noise([2, 328]), Noise([2, 328]));
        var sums = Noise([2, 1031, 41]);
        var merged = Tensor.Empty(Host, sums.Shape);
        var (q, k) = (heads.Slice(2, 0, 4), heads.Slice(1, 0, 300).Slice(2, 4, 4));
        Func<Tensor>[] primitives =
        [
            () =>
                x.LayerNorm(null, null, 1e-5f), () => x.RmsNorm(null, 1e-5f), () => x.ModulatedLayerNorm(a, b, 1e-5f),
                () => x.GroupNorm(8, null, null, 1e-5f, Activation.Silu),
            () => x.Softmax(), () => x.Activate(Activation.Gelu), () => x.Permute(0, 2, 1), () => x.AddGated(a, x),
            () => q.Attention(k, k, 0.3f), () => q.EntmaxAttention(k, k, 0.3f, 1.5f),
            () =>
            {
                var output = Tensor.Empty(Host, heads.Shape);
                x.Device.MergeAttention(heads, sums, heads, sums, output, merged);
                return output;
            },
        ];
        int threads = Workers.MaxThreads;
        try
        {
            foreach (var primitive in primitives)
            {
                Workers.MaxThreads = 1;
                float[] alone = primitive().ToArray();
                Workers.MaxThreads = threads;
                Assert.Equal(alone, primitive().ToArray());
            }
        }
        finally
        {
            Workers.MaxThreads = threads;
        }
    }
}
