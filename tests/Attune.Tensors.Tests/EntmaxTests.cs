namespace Attune.Tensors.Tests;

/// <summary>alpha-entmax against its definition in double precision, and the theorems that hold for it.</summary>
[NoLeaks]
public class EntmaxTests
{
    /// <summary>What the docstring of <see cref="Device.Entmax"/> promises.</summary>
    private const double Bound = 1e-6;

    private readonly Random _random = new(11);

    private double Normal() => Math.Sqrt(-2 * Math.Log(1 - _random.NextDouble())) * Math.Cos(2 * Math.PI * _random.NextDouble());

    private float[] Row(int count, double scale = 1, double offset = 0) =>
        [.. Enumerable.Range(0, count).Select(_ => (float)(Normal() * scale + offset))];

    /// <summary>[(alpha - 1) z - tau]+ ^ (1 / (alpha - 1)), with tau by bisection.</summary>
    internal static double[] Reference(IReadOnlyList<double> z, double alpha)
    {
        double maximum = z.DefaultIfEmpty(double.NegativeInfinity).Max();
        if (double.IsNegativeInfinity(maximum))
            return new double[z.Count];
        double[] x = [.. z.Select(value => value - maximum)];
        double[] Weights(double tau) =>
            [.. x.Select(value => alpha == 1 ? Math.Exp(value) : Math.Pow(Math.Max((alpha - 1) * value - tau, 0), 1 / (alpha - 1)))];
        var (low, high) = (-1.0, 0.0);
        for (int i = 0; i < 200; i++)
            (low, high) = Weights((low + high) / 2).Sum() >= 1 ? ((low + high) / 2, high) : (low, (low + high) / 2);
        double[] weights = Weights(low);
        return [.. weights.Select(weight => weight / weights.Sum())];
    }

    private static double[] Entmax(float[] z, float alpha)
    {
        using var scope = new TensorScope();
        return [.. Tensor.From(Host, z, [1, z.Length]).Entmax(alpha).ToArray().Select(value => (double)value)];
    }

    private static void Close(double[] expected, double[] actual, double bound = Bound)
    {
        for (int i = 0; i < expected.Length; i++)
            Assert.True(Math.Abs(expected[i] - actual[i]) <= bound, $"{i}: {actual[i]}, expected {expected[i]}");
    }

    [Theory]
    [InlineData(1.5f, new[] { 1, .5f, 0, -.5f }, new[] { .6234335741, .2911445247, .0838554753, .0015664259 })]
    [InlineData(2f, new[] { 1, .5f, 0, -.5f }, new[] { .75, .25, 0, 0 })]
    [InlineData(1.5f, new[] { .3f, .1f, -.2f, 0, .25f }, new[] { .2949184237, .1963056392, .0858864625, .1544992470, .2683902276 })]
    [InlineData(2f, new[] { .3f, .1f, -.2f, 0, .25f }, new[] { .3875, .1875, 0, .0875, .3375 })]
    [InlineData(1.5f, new[] { 3, 1, .2f, -1 }, new[] { 1.0, 0, 0, 0 })]
    [InlineData(2f, new[] { -7f, -7, -7 }, new[] { 1 / 3.0, 1 / 3.0, 1 / 3.0 })]
    public void Worked_examples(float alpha, float[] logits, double[] expected) => Close(expected, Entmax(logits, alpha), 2e-7);

    [Fact]
    public void Weights_are_those_of_the_definition()
    {
        foreach (float alpha in new[] { 1, 1.01f, 1.25f, 1.5f, 1.75f, 1.999f, 2, 2.5f, 4 })
        {
            for (int trial = 0; trial < 60; trial++)
            {
                float[] z = Row(_random.Next(1, trial % 10 == 0 ? 3000 : 600), Math.Pow(10, _random.Next(-3, 5)), trial % 3 == 0 ? 300 : 0);
                double[] weights = Entmax(z, alpha);
                Close(Reference([.. z.Select(value => (double)value)], alpha), weights);
                Assert.Equal(1, weights.Sum(), 2e-6);
            }
        }
    }

    /// <summary>
    /// What makes sparsemax shed one element at a time, ties, one element, and an alpha at which ties have thresholds that no number can
    /// tell from the maximum.
    /// </summary>
    [Fact]
    public void Extreme_rows()
    {
        float[] staircase = [.. Enumerable.Range(0, 200).Select(i => -1 / (1f + i))];
        foreach (float alpha in new[] { 1.1f, 1.5f, 2, 3 })
        {
            Close(Reference([.. staircase.Select(value => (double)value)], alpha), Entmax(staircase, alpha));
            Close([1], Entmax([-1e4f], alpha));
            Close(Enumerable.Repeat(1 / 4096.0, 4096).ToArray(), Entmax([.. Enumerable.Repeat(1e4f, 4096)], alpha), 1e-9);
            Close([0, 1, 0], Entmax([-1e30f, 1e30f, float.NegativeInfinity], alpha));
        }
        Close([.5, .5, 0], Entmax([2, 2, -5], 200));
    }

    [Fact]
    public void Masked_elements_get_nothing_and_rows_without_any_become_zeros()
    {
        float[] z = [.5f, float.NegativeInfinity, .25f, -.25f, float.NegativeInfinity];
        foreach (float alpha in new[] { 1, 1.3f, 1.5f, 2, 3 })
        {
            double[] weights = Entmax(z, alpha);
            double[] kept = Reference([.5, .25, -.25], alpha);
            Close([kept[0], 0, kept[1], kept[2], 0], weights);
            Assert.Equal([0.0, 0], Entmax([float.NegativeInfinity, float.NegativeInfinity], alpha));
        }
    }

    [Fact]
    public void Strided_rows_and_in_place()
    {
        using var scope = new TensorScope();
        var whole = Tensor.From(Host, Row(6 * 50), [6, 50]);
        var copy = whole.Clone();
        var part = whole.Slice(0, 1, 4);
        var expected = copy.Slice(0, 1, 4).Clone().Entmax(1.5f);
        part.Entmax(1.5f, part);
        Assert.Equal(expected.ToArray(), part.ToArray());
        Assert.Equal(copy.Slice(0, 5, 1).ToArray(), whole.Slice(0, 5, 1).ToArray());
        Assert.Throws<ArgumentOutOfRangeException>(() => copy.Entmax(.9f));
        Assert.Throws<ArgumentOutOfRangeException>(() => copy.Entmax(float.NaN));
    }

    /// <summary>
    /// p_alpha / p_softmax does not fall with the logit, so the largest weights together never lose, and entropy never grows.
    /// </summary>
    [Fact]
    public void Sparse_weights_sharpen_dense_ones()
    {
        for (int trial = 0; trial < 300; trial++)
        {
            float[] z = [.. Row(_random.Next(2, 80), .3 + trial % 5).OrderDescending()];
            double[] dense = Reference([.. z.Select(value => (double)value)], 1);
            foreach (float alpha in new[] { 1.25f, 1.5f, 2 })
            {
                double[] sparse = Entmax(z, alpha);
                for (int i = 1; i < z.Length; i++)
                {
                    if (sparse[i] > 1e-3)
                        Assert.True(
                            sparse[i] / dense[i] <= sparse[i - 1] / dense[i - 1] * (1 + 1e-3), $"{alpha}: {i} of [{string.Join(' ', z)}]");
                    Assert.True(sparse[..i].Sum() >= dense[..i].Sum() - 2e-6);
                }
                static double Entropy(double[] p) => p.Where(value => value > 0).Sum(value => -value * Math.Log(value));
                Assert.True(Entropy(sparse) <= Entropy(dense) + 1e-5);
                Assert.Equal(0, sparse.Sum() - dense.Sum(), 2e-6);
            }
        }
    }

    /// <summary>&lt;z, p_alpha - p_softmax&gt; is not negative: the discrepancy never points against the query.</summary>
    [Fact]
    public void The_discrepancy_points_along_the_query()
    {
        for (int trial = 0; trial < 500; trial++)
        {
            float[] z = Row(_random.Next(1, 100), Math.Pow(10, _random.Next(-2, 3)));
            double[] dense = Reference([.. z.Select(value => (double)value)], 1);
            foreach (float alpha in new[] { 1.25f, 1.5f, 2 })
            {
                double[] sparse = Entmax(z, alpha);
                Assert.True(z.Select((value, i) => value * (sparse[i] - dense[i])).Sum() >= -1e-6 * z.Max(Math.Abs) * z.Length);
            }
        }
    }

    /// <summary>
    /// A Hopfield update lowers E(xi) = -Psi*(beta X xi) / beta + |xi|^2 / 2, where Psi*(z) = max over p of &lt;p, z&gt; + (1 - sum
    /// p^alpha) / (alpha (alpha - 1)).
    /// </summary>
    [Fact]
    public void Updates_descend_the_energy()
    {
        for (int trial = 0; trial < 200; trial++)
        {
            var (patterns, size) = (_random.Next(2, 30), 8);
            double beta = 1 / Math.Sqrt(size);
            float[][] x = [.. Enumerable.Range(0, patterns).Select(_ => Row(size, 1.5))];
            double[] state = [.. Row(size, 2).Select(value => (double)value)];
            foreach (float alpha in new[] { 1.5f, 2 })
            {
                double[] Weights(double[] at) =>
                    Entmax([.. x.Select(pattern => (float)(beta * pattern.Select((value, c) => value * at[c]).Sum()))], alpha);
                double Energy(double[] at)
                {
                    double[] p = Weights(at);
                    double conjugate = p.Select((weight, i) => weight * beta * x[i].Select((value, c) => value * at[c]).Sum()).Sum()
                        + (1 - p.Sum(weight => Math.Pow(weight, alpha))) / (alpha * (alpha - 1));
                    return -conjugate / beta + at.Sum(value => value * value) / 2;
                }

                double[] weights = Weights(state);
                double[] next = [.. Enumerable.Range(0, size).Select(c => weights.Select((weight, i) => weight * x[i][c]).Sum())];
                Assert.True(Energy(next) <= Energy(state) + 1e-4, $"{alpha}: {Energy(state)} -> {Energy(next)}");
            }
        }
    }

    /// <summary>|p(z) - p(z')| is at most L |z - z'| with L = 1/2, 1/sqrt 2 and 1 for softmax, entmax-1.5 and sparsemax.</summary>
    [Fact]
    public void Weights_change_no_faster_than_their_bound()
    {
        foreach (var (alpha, bound) in new[] { (1f, .5), (1.5f, Math.Sqrt(.5)), (2f, 1.0) })
        {
            for (int trial = 0; trial < 500; trial++)
            {
                float[] z = Row(_random.Next(2, 12));
                float[] other = [.. z.Select(value => value + (float)(.2 * Normal()))];
                var (p, q) = (Entmax(z, alpha), Entmax(other, alpha));
                double change = Math.Sqrt(p.Zip(q, (a, b) => (a - b) * (a - b)).Sum());
                double distance = Math.Sqrt(z.Zip(other, (a, b) => (double)(a - b) * (a - b)).Sum());
                Assert.True(change <= bound * distance + 2e-6, $"{alpha}: {change / distance}");
            }
        }
    }

    [Fact]
    public void Attention_over_odd_shapes_with_masks()
    {
        for (int trial = 0; trial < 46; trial++)
        {
            using var scope = new TensorScope();
            var (batch, queries, keys, group, keyHeads) = (
                _random.Next(1, 3), _random.Next(1, 120), trial < 30 ? _random.Next(0, 100) : _random.Next(200, 700), _random.Next(1, 3),
                _random.Next(1, 3));
            var (heads, channels) = (group * keyHeads, (trial < 40 ? 8 : 1) * _random.Next(1, 21));
            int keyBatch = trial % 5 == 0 ? 1 : batch;
            float alpha = new[] { 1.5f, 2, 1.25f, 1, 3 }[trial % 5];
            Tensor Noise(Shape shape) => Tensor.From(Host, Row((int)shape.Count), shape);
            var packed = Noise([batch, queries + 3, heads, channels]);
            var (q, k, v) = (
                packed.Slice(1, 2, queries), Noise([keyBatch, keys, keyHeads, channels]), Noise([keyBatch, keys, keyHeads, channels]));
            Tensor? counted = null;
            if (trial % 4 == 2)
            {
                counted = Tensor.Zeros(Host, [batch, keys]);
                for (int i = 0; i < counted.Count; i++)
                    counted.Span[i] = _random.Next(3) == 0 || trial == 2 ? 0 : 1;
            }
            var bias = trial % 4 == 3 ? Noise([1, heads, queries, keys]) : null;
            var mask = new AttentionMask { Keys = counted, Bias = bias };
            float scale = 2 / MathF.Sqrt(channels);
            var (dense, sums, support) = (
                Tensor.Empty(Host, q.Shape), Tensor.Empty(Host, [batch, queries, heads]), Tensor.Empty(Host, [batch, queries, heads]));
            var output = q.EntmaxAttention(k, v, scale, alpha, mask, null, dense, sums, support);
            var sparseAlone = q.EntmaxAttention(k, v, scale, alpha, mask);
            Assert.Equal(output.ToArray(), sparseAlone.ToArray());

            var plainSums = Tensor.Empty(Host, sums.Shape);
            var plain = q.Attention(k, v, scale, mask, null, plainSums);
            Close([.. plain.ToArray().Select(value => (double)value)], [.. dense.ToArray().Select(value => (double)value)], 4e-6);
            for (int i = 0; i < sums.Count; i++)
                Assert.True(
                    sums.Span[i] == plainSums.Span[i]
                        || Math.Abs(sums.Span[i] - plainSums.Span[i]) < 4e-6 * Math.Max(1, Math.Abs(plainSums.Span[i])));

            for (int row = 0; row < sums.Count; row++)
            {
                var (b, i, h) = (row / heads / queries, row / heads % queries, row % heads);
                int keyItem = keyBatch == 1 ? 0 : b;
                var z = new double[keys];
                for (int j = 0; j < keys; j++)
                {
                    for (int c = 0; c < channels; c++)
                        z[j] += (double)scale * q.Row(b, i, h)[c] * k.Row(keyItem, j, h / group)[c];
                    z[j] += bias?.Row(0, h, i)[j] ?? 0;
                    if (counted?.Row(b)[j] == 0)
                        z[j] = double.NegativeInfinity;
                }
                double[] p = Reference(z, alpha);
                double[] expected = [
                    .. Enumerable.Range(0, channels).Select(c => p.Select((weight, j) => weight * v.Row(keyItem, j, h / group)[c]).Sum())];
                // beyond 2, weights near 0 magnify the rounding of logits
                Close(expected, [.. output.Row(b, i, h).ToArray().Select(value => (double)value)], alpha > 2 ? 1e-3 : 2e-5);
                Assert.InRange(
                    support.Row(b, i)[h], p.Count(weight => weight > 1e-5),
                    p.Count(weight => weight > 0) + p.Count(weight => weight is > 0 and < 1e-5));
            }
        }
    }

    [Fact]
    public void Huge_logits_stay_finite()
    {
        using var scope = new TensorScope();
        var (q, k, v) = (
            Tensor.From(Host, Row(40 * 16, 400), [1, 40, 1, 16]), Tensor.From(Host, Row(30 * 16, 400), [1, 30, 1, 16]),
            Tensor.From(Host, Row(30 * 16), [1, 30, 1, 16]));
        var (dense, sums) = (Tensor.Empty(Host, q.Shape), Tensor.Empty(Host, [1, 40, 1]));
        foreach (float alpha in new[] { 1, 1.25f, 1.5f, 2, 3 })
        {
            Assert.All(
                q.EntmaxAttention(k, v, .25f, alpha, dense: dense, logSumExp: sums).ToArray(), value => Assert.True(Math.Abs(value) < 10));
            Assert.All(dense.ToArray(), value => Assert.True(Math.Abs(value) < 10));
        }
    }

    [Fact]
    public void Results_do_not_depend_on_the_number_of_threads()
    {
        using var scope = new TensorScope();
        var (q, k, v) = (
            Tensor.From(Host, Row(300 * 4 * 24), [1, 300, 4, 24]), Tensor.From(Host, Row(77 * 4 * 24), [1, 77, 4, 24]),
            Tensor.From(Host, Row(77 * 4 * 24), [1, 77, 4, 24]));
        int threads = Workers.MaxThreads;
        try
        {
            Workers.MaxThreads = 1;
            float[] alone = q.EntmaxAttention(k, v, .3f, 1.5f).ToArray();
            float[] rows = q.Entmax(1.5f).ToArray();
            Workers.MaxThreads = threads;
            Assert.Equal(alone, q.EntmaxAttention(k, v, .3f, 1.5f).ToArray());
            Assert.Equal(rows, q.Entmax(1.5f).ToArray());
        }
        finally
        {
            Workers.MaxThreads = threads;
        }
    }
}
