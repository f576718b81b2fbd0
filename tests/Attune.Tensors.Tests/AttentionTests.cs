namespace Attune.Tensors.Tests;

/// <summary>Attention and norms against naive double precision, at random odd shapes.</summary>
[NoLeaks]
public class AttentionTests
{
    private static readonly Random Random = new(7);

    private static Tensor Noise(Shape shape, double scale = 1)
    {
        var tensor = Tensor.Empty(Host, shape);
        foreach (ref float value in tensor.Span)
            value = (float)(scale * Math.Sqrt(-2 * Math.Log(1 - Random.NextDouble())) * Math.Cos(2 * Math.PI * Random.NextDouble()));
        return tensor;
    }

    private static void Close(double[] expected, Tensor actual, double tolerance = 2e-6)
    {
        float[] values = actual.ToArray();
        double largest = expected.Where(double.IsFinite).Select(Math.Abs).DefaultIfEmpty(0).Max();
        for (int i = 0; i < expected.Length; i++)
            Assert.True(
                expected[i] == values[i] || Math.Abs(expected[i] - values[i]) <= tolerance * largest,
                $"{i}: {values[i]}, expected {expected[i]}");
    }

    [Fact]
    public void Attention_over_odd_shapes_with_masks()
    {
        for (int trial = 0; trial < 46; trial++)
        {
            using var scope = new TensorScope();
            var (batch, queries, keys, group, keyHeads) = (
                Random.Next(1, 3), Random.Next(1, 140), Random.Next(0, 600), Random.Next(1, 3), Random.Next(1, 3));
            var (heads, channels) = (group * keyHeads, (trial < 40 ? 8 : 1) * Random.Next(1, 21));
            bool causal = trial % 4 == 1;
            if (causal)
                keys = Math.Max(keys, queries);
            var packed = Noise([batch, queries + keys, heads, channels]);
            var (q, k, v) = (
                packed.Slice(1, 0, queries), Noise([batch, keys, keyHeads, channels]), Noise([batch, keys, keyHeads, channels]));
            Tensor? counted = null;
            if (trial % 4 == 2)
            {
                counted = Tensor.Zeros(Host, [batch, keys]);
                for (int i = 0; i < counted.Count; i++)
                    counted.Span[i] = Random.Next(3) == 0 || trial == 2 ? 0 : 1;
            }
            var bias = trial % 4 == 3 ? Noise([1, heads, queries, keys]) : null;
            var mask = new AttentionMask { Keys = counted, Bias = bias, Causal = causal, Window = causal && trial % 8 == 1 ? 5 : 0 };
            var sums = Tensor.Empty(Host, [batch, queries, heads]);
            var output = q.Attention(k, v, 1 / MathF.Sqrt(channels), mask, null, sums);

            var expected = new double[batch * queries * heads * channels];
            var expectedSums = new double[batch * queries * heads];
            for (int row = 0; row < expectedSums.Length; row++)
            {
                var (b, i, h) = (row / heads / queries, row / heads % queries, row % heads);
                var z = new double[keys];
                for (int j = 0; j < keys; j++)
                {
                    for (int c = 0; c < channels; c++)
                        z[j] += (double)q.Row(b, i, h)[c] * k.Row(b, j, h / group)[c] / Math.Sqrt(channels);
                    z[j] += bias?.Row(0, h, i)[j] ?? 0;
                    int distance = i + keys - queries - j;
                    if (counted?.Row(b)[j] == 0 || (causal && (distance < 0 || (mask.Window > 0 && distance >= mask.Window))))
                        z[j] = double.NegativeInfinity;
                }
                double maximum = z.DefaultIfEmpty(double.NegativeInfinity).Max();
                double total = double.IsNegativeInfinity(maximum) ? 0 : z.Sum(x => Math.Exp(x - maximum));
                expectedSums[row] = total == 0 ? double.NegativeInfinity : maximum + Math.Log(total);
                for (int c = 0; c < channels && total > 0; c++)
                {
                    for (int j = 0; j < keys; j++)
                        expected[row * channels + c] += Math.Exp(z[j] - expectedSums[row]) * v.Row(b, j, h / group)[c];
                }
            }
            Close(expected, output);
            Close(expectedSums, sums);
        }
    }

    [Fact]
    public void Infinite_biases_soft_caps_and_numbers_that_are_none()
    {
        using var scope = new TensorScope();
        const int queries = 53, keys = 141, channels = 24;
        var (q, k, v) = (Noise([1, queries, 1, channels]), Noise([1, keys, 1, channels]), Noise([1, keys, 1, channels]));
        var bias = Noise([1, 1, queries, keys]);
        for (int i = 0; i < queries; i++)
        {
            for (int j = 0; j < keys; j++)
            {
                // Some queries see nothing, some nothing of the first block of keys, some one key in two.
                if (i % 5 == 0 || (i % 5 == 1 && j < 130) || (i % 5 == 2 && j % 2 == 0))
                    bias.Row(0, 0, i)[j] = float.NegativeInfinity;
            }
        }
        var mask = new AttentionMask { Bias = bias, SoftCap = 2 };
        var (sums, sparseSums, dense) = (q.Like([1, queries, 1]), q.Like([1, queries, 1]), q.Like(q.Shape));
        var output = q.Attention(k, v, 0.7f, mask, null, sums);
        var sparse = q.EntmaxAttention(k, v, 0.7f, 1.5f, mask, null, dense, sparseSums);
        var (expected, expectedSums) = (new double[queries * channels], new double[queries]);
        for (int i = 0; i < queries; i++)
        {
            double[] z = [.. Enumerable.Range(0, keys).Select(j =>
                2 * Math.Tanh(
                    Enumerable.Range(0, channels).Sum(c => (double)q.Row(0, i, 0)[c] * k.Row(0, j, 0)[c]) * 0.7f / 2) + bias.Row(0, 0,
                    i)[j])];
            double total = z.Sum(Math.Exp);
            expectedSums[i] = Math.Log(total);
            for (int c = 0; c < channels && total > 0; c++)
                expected[i * channels + c] = Enumerable.Range(0, keys).Sum(j => Math.Exp(z[j]) / total * v.Row(0, j, 0)[c]);
        }
        Close(expected, output);
        Close(expected, dense);
        Close(expectedSums, sums);
        Close(expectedSums, sparseSums);
        Assert.True(sparse.ToArray().Chunk(channels).Where((_, i) => i % 5 == 0).All(row => row.All(value => value == 0)));

        q.Row(0, 3, 0)[1] = float.NaN;
        q.Attention(k, v, 0.7f, null, output, sums);
        Assert.Equal([.. Enumerable.Range(0, queries).Select(i => i == 3)], sums.ToArray().Select(float.IsNaN));
        Assert.Equal(
            [.. Enumerable.Range(0, queries).Select(i => i == 3)], output.ToArray().Chunk(channels).Select(row => row.All(float.IsNaN)));
        Assert.Equal(queries - 1, output.ToArray().Chunk(channels).Count(row => row.All(float.IsFinite)));
    }

    [Fact]
    public void Partials_over_a_split_of_the_keys_merge_to_the_whole()
    {
        using var scope = new TensorScope();
        var (q, k, v) = (Noise([2, 37, 3, 24]), Noise([2, 301, 3, 24]), Noise([2, 301, 3, 24]));
        var whole = q.Attention(k, v, 0.3f);
        foreach (int split in new[] { 0, 1, 150, 301 })
        {
            var (l1, l2) = (Tensor.Empty(Host, [2, 37, 3]), Tensor.Empty(Host, [2, 37, 3]));
            var first = q.Attention(k.Slice(1, 0, split), v.Slice(1, 0, split), 0.3f, logSumExp: l1);
            var second = q.Attention(k.Slice(1, split, 301 - split), v.Slice(1, split, 301 - split), 0.3f, logSumExp: l2);
            q.Device.MergeAttention(first, l1, second, l2, first, l1);
            Close([.. whole.ToArray().Select(x => (double)x)], first);
        }
    }

    [Fact]
    public void Norms_over_odd_shapes()
    {
        for (int trial = 0; trial < 12; trial++)
        {
            using var scope = new TensorScope();
            var (rows, groups, size) = (Random.Next(1, 9), Random.Next(1, 9), Random.Next(1, 30));
            int channels = groups * size;
            var x = Noise([2, rows, channels], 3);
            var (w, b) = (Noise([channels]), Noise([channels]));
            var (weight, bias) = (TestWeight.Of(w), TestWeight.Of(b));
            var (layer, rms, group) = (new double[x.Count], new double[x.Count], new double[x.Count]);
            for (int i = 0; i < x.Count; i++)
            {
                var (item, row, c) = (i / channels / rows, i / channels % rows, i % channels);
                double[] line = [.. x.Row(item, row).ToArray().Select(value => (double)value)];
                double[] members = [
                    .. Enumerable.Range(0, rows)
                        .SelectMany(r => x.Row(item, r).Slice(c / size * size, size).ToArray())
                        .Select(value => (double)value)];
                double Normal(double[] all) =>
                    (line[c] - all.Average()) / Math.Sqrt(all.Select(value => Math.Pow(value - all.Average(), 2)).Average() + 1e-5);
                layer[i] = Normal(line) * w.Span[c] + b.Span[c];
                group[i] = Normal(members) * w.Span[c] + b.Span[c];
                rms[i] = line[c] / Math.Sqrt(line.Select(value => value * value).Average() + 1e-5) * w.Span[c];
            }
            Close(layer, x.LayerNorm(weight, bias, 1e-5f));
            Close(rms, x.RmsNorm(weight, 1e-5f));
            Close(group, x.GroupNorm(groups, weight, bias, 1e-5f));
        }
    }
}
