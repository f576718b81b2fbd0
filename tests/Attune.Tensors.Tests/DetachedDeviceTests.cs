namespace Attune.Tensors.Tests;

/// <summary>A device needs the primitives alone, and memory of its own: what is composed agrees with the CPU's own kernels.</summary>
[NoLeaks]
public class DetachedDeviceTests : DeviceConformance
{
    private readonly Random _random = new(5);
    private readonly DetachedDevice _device = new(fused: false);

    /// <inheritdoc/>
    protected override Device Device => _device;

    [Fact]
    public void Compositions_that_only_put_primitives_together_give_the_same_bits()
    {
        var shape = new Shape[] { [2, 5, 24], [2, 1, 7], [1, 3, 40] };
        foreach (var s in shape)
        {
            Shape vectors = [s[0], s[2]], one = [1, s[2]];
            Same(0, x => x[0].Affine(1.7f, -.3f), s);
            Same(0, x => x[0].Affine(-2), s);
            Same(0, x => x[0].Clamp(-.5f, .25f), s);
            Same(0, x => x[0].Clamp(float.NegativeInfinity, 0), s);
            Same(0, x => x[0].Modulate(x[1], x[2]), s, vectors, one);
            Same(0, x => x[0].AddGated(x[1], x[2]), s, vectors, s);
            Same(0, x => x[0].ModulatedLayerNorm(x[1], x[2], 1e-6f), s, one, vectors);
            Same(0, x => x[0].LimitRatio(x[1].Multiply(x[1])), s, s);
            Same(0, x => x[0].RowShares(x[1]), s, s);
        }
    }

    [Fact]
    public void Rows_are_normed_multiplied_and_added_by_their_formulas()
    {
        foreach (int columns in new[] { 1, 7, 16, 40, 3072, 20000 })
        {
            using var scope = new TensorScope();
            var (x, y, into) = (Noise([2, 3, columns]), Noise([2, 3, columns]), Noise([2, 3, columns]));
            var (a, b) = (Noise([2, 3, 1]), Noise([2, 3, 1]));
            var before = into.Clone();
            into.AddRows(a, x, b, y);
            var (own, pushed) = (before.Clone().AddRows(a, x), before.Clone().AddRows(null, x, b, y));
            for (int row = 0; row < 6; row++)
            {
                var (p, q, r) = (Row(x, row), Row(y, row), Row(before, row));
                double[] far = [.. p.Zip(q, (u, v) => u + 1.5 * (u - v))];
                Near(p.Sum(Math.Abs), x.RowNorms(1), row);
                Near(Math.Sqrt(p.Sum(u => u * u)), x.RowNorms(), row);
                Near(far.Sum(Math.Abs), x.RowNorms(1, 1.5f, y), row);
                Near(Math.Sqrt(far.Sum(u => u * u)), x.RowNorms(2, 1.5f, y), row);
                double product = p.Zip(q, (u, v) => u * v).Sum();
                Assert.Equal(product, x.RowDots(y).ToArray()[row], 2e-6 * columns);
                Assert.Equal(product / q.Sum(v => v * v), x.RowShares(y).ToArray()[row], 2e-6 * columns);
                var (f, g) = (a.ToArray()[row], b.ToArray()[row]);
                var (both, first, second) = (Row(into, row), Row(own, row), Row(pushed, row));
                for (int i = 0; i < columns; i++)
                {
                    Assert.Equal(r[i] + f * p[i] + g * (p[i] - q[i]), both[i], 1e-5);
                    Assert.Equal(r[i] + f * p[i], first[i], 1e-5);
                    Assert.Equal(r[i] + g * (p[i] - q[i]), second[i], 1e-5);
                }
            }
            var unchanged = before.Clone().AddRows(a.Affine(0), x, b.Affine(0), y);
            Assert.Equal(before.ToArray(), unchanged.ToArray());
        }

        static double[] Row(Tensor x, int row) => [.. x.ToArray().Skip(row * x.Shape[^1]).Take(x.Shape[^1]).Select(value => (double)value)];
        static void Near(double expected, Tensor actual, int row) =>
            Assert.Equal(expected, actual.ToArray()[row], 2e-6 * Math.Max(1, expected));
    }

    [Fact]
    public void Norms_and_shares_hold_what_float32_cannot_square()
    {
        foreach (float scale in new[] { 1e-30f, 1e30f })
        {
            using var scope = new TensorScope();
            var x = Noise([4, 40]);
            float[] expected = x.RowNorms().ToArray();
            float[] actual = x.Affine(scale).RowNorms().ToArray();
            for (int i = 0; i < expected.Length; i++)
                Assert.Equal(expected[i], actual[i] / scale, 1e-5f);
            var y = Noise([4, 40]);
            float[] shares = x.RowShares(y).ToArray();
            float[] scaled = x.Affine(scale).RowShares(y.Affine(scale)).ToArray();
            for (int i = 0; i < shares.Length; i++)
                Assert.Equal(shares[i], scaled[i], 1e-5f);
            Assert.All(x.RowShares(y.Affine(0)).ToArray(), share => Assert.Equal(0, share));
        }
    }

    [Fact]
    public void What_the_host_may_not_do_throws()
    {
        using var scope = new TensorScope();
        var x = Tensor.From(_device, [1, 2, 3], [3]);
        var other = Tensor.From(Devices.Managed, [1, 2, 3], [3]);
        Assert.Contains(
            "no kernel of 'detached'", Assert.Throws<InvalidOperationException>(() => x.Add(other)).Message, StringComparison.Ordinal);
        Assert.Contains(
            "'detached', out of the host's reach", Assert.Throws<InvalidOperationException>(() => other.Add(x)).Message,
            StringComparison.Ordinal);
        Assert.Throws<InvalidOperationException>(() => new DetachedDevice(fused: true).Softmax(x, x));
        using (x.Read())
            Assert.Contains(
                "while the host looks", Assert.Throws<InvalidOperationException>(() => x.Add(x)).Message, StringComparison.Ordinal);
        Assert.Equal([2f, 4, 6], x.Add(x).ToArray());
    }

    /// <summary>Computes the same on the CPU and on the device that composes.</summary>
    /// <param name="tolerance">The largest difference, relative to the largest value or to 1; 0 for the same bits.</param>
    /// <param name="compute">What to compute of noise.</param>
    /// <param name="shapes">Those of the noise.</param>
    private void Same(double tolerance, Func<Tensor[], Tensor> compute, params Shape[] shapes)
    {
        using var scope = new TensorScope();
        Tensor[] here = [.. shapes.Select(Noise)];
        Tensor[] there = [.. here.Select(x => Tensor.From(_device, x.ToArray(), x.Shape))];
        float[] actual = compute(there).ToArray();
        float[] expected = compute(here).ToArray();
        double largest = expected.Select(Math.Abs).Append(1).Max();
        for (int i = 0; i < expected.Length; i++)
            Assert.True(
                tolerance == 0 ? expected[i].Equals(actual[i]) : Math.Abs(expected[i] - actual[i]) <= tolerance * largest,
                $"{i}: {actual[i]}, expected {expected[i]}");
    }

    private Tensor Noise(Shape shape) =>
        Tensor.From(Devices.Managed, [.. Enumerable.Range(0, (int)shape.Count).Select(_ => 4 * _random.NextSingle() - 2)], shape);
}
