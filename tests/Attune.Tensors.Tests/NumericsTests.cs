namespace Attune.Tensors.Tests;

/// <summary>Where other engines are known to lose accuracy or to give NaN: what this one gives there, by value.</summary>
[NoLeaks]
public class NumericsTests
{
    private readonly Random _random = new(31);

    private double Normal() => Math.Sqrt(-2 * Math.Log(1 - _random.NextDouble())) * Math.Cos(2 * Math.PI * _random.NextDouble());

    private Tensor Noise(Shape shape, double scale = 1, double mean = 0)
    {
        var tensor = Tensor.Empty(Host, shape);
        foreach (ref float value in tensor.Span)
            value = (float)(mean + (scale * Normal()));
        return tensor;
    }

    /// <summary>A variance from one pass over float32 loses everything here: errors of 25, or NaN.</summary>
    [Fact]
    public void A_group_norm_bears_a_mean_of_ten_thousand_deviations()
    {
        using var scope = new TensorScope();
        const int Side = 64, Channels = 32, Groups = 8, Size = Channels / Groups;
        var x = Noise([1, Side, Side, Channels], 0.1, 1000);
        float[] result = x.GroupNorm(Groups, null, null, 1e-5f).ToArray(), values = x.ToArray();
        for (int group = 0; group < Groups; group++)
        {
            int[] members = [.. Enumerable.Range(0, values.Length).Where(i => i % Channels / Size == group)];
            double mean = members.Average(i => (double)values[i]);
            double variance = members.Average(i => (values[i] - mean) * (values[i] - mean));
            Assert.InRange(members.Max(i => Math.Abs(result[i] - ((values[i] - mean) / Math.Sqrt(variance + 1e-5)))), 0, 1e-3);
            Assert.InRange(Math.Sqrt(members.Average(i => (double)result[i] * result[i])), 0.99, 1.01);
        }
    }

    /// <summary>
    /// Zeros where nothing may be seen, for keys that do not count and for minus infinity; the average where everything is only very
    /// unlikely. A usual row stands beside each.
    /// </summary>
    [Theory]
    [InlineData(1)]
    [InlineData(40)]
    public void A_row_without_keys_is_zero_and_one_of_unlikely_keys_the_average(int repeat)
    {
        using var scope = new TensorScope();
        const int Keys = 77, Channels = 16;
        int queries = 3 * repeat;
        var (q, k, v) = (Noise([2, queries, 1, Channels]), Noise([2, Keys, 1, Channels]), Noise([2, Keys, 1, Channels]));
        var counted = Tensor.Full(Host, [2, Keys], 1);
        counted.Row(1).Clear();
        var bias = Tensor.Zeros(Host, [1, 1, queries, Keys]);
        for (int i = 0; i < queries; i++)
            bias.Row(0, 0, i).Fill(i % 3 == 0 ? float.NegativeInfinity : i % 3 == 1 ? float.MinValue : 0);
        var output = q.Attention(k, v, 0.25f, new AttentionMask { Keys = counted, Bias = bias });
        var sparse = q.EntmaxAttention(k, v, 0.25f, 1.5f, new AttentionMask { Keys = counted, Bias = bias });
        for (int i = 0; i < queries; i++)
        {
            foreach (var result in new[] { output, sparse })
            {
                Assert.All(result.Row(1, i, 0).ToArray(), value => Assert.Equal(0, value));
                if (i % 3 == 0)
                    Assert.All(result.Row(0, i, 0).ToArray(), value => Assert.Equal(0, value));
            }
            for (int c = 0; c < Channels && i % 3 == 1; c++)
            {
                double average = Enumerable.Range(0, Keys).Average(j => (double)v.Row(0, j, 0)[c]);
                Assert.InRange(output.Row(0, i, 0)[c] - average, -1e-6, 1e-6);
                Assert.InRange(sparse.Row(0, i, 0)[c] - average, -1e-6, 1e-6);
            }
            for (int c = 0; c < Channels && i % 3 == 2; c++)
                Assert.InRange(output.Row(0, i, 0)[c] - Exact(q, k, v, 0.25, 0, i, c, Keys), -1e-5, 1e-5);
        }
    }

    /// <summary>Prompts of 20 to 27 of 77 tokens: what minus infinity or the lowest number masks is as if it were not there.</summary>
    [Fact]
    public void Masked_keys_are_as_if_they_were_not_there()
    {
        using var scope = new TensorScope();
        const int Keys = 77, Channels = 8, Queries = 8;
        var (q, k, v) = (Noise([1, Queries, 1, Channels]), Noise([1, Keys, 1, Channels]), Noise([1, Keys, 1, Channels]));
        foreach (float low in new[] { float.NegativeInfinity, float.MinValue })
        {
            var bias = Tensor.Zeros(Host, [1, 1, Queries, Keys]);
            for (int i = 0; i < Queries; i++)
                bias.Row(0, 0, i)[(20 + i)..].Fill(low);
            var output = q.Attention(k, v, 0.5f, new AttentionMask { Bias = bias });
            for (int i = 0; i < Queries; i++)
            {
                for (int c = 0; c < Channels; c++)
                    Assert.InRange(output.Row(0, i, 0)[c] - Exact(q, k, v, 0.5, 0, i, c, 20 + i), -1e-5, 1e-5);
            }
        }
    }

    /// <summary>Sums of weighted values are float32 however few queries there are, also where half precision would lose them.</summary>
    [Theory]
    [InlineData(1)]
    [InlineData(63)]
    [InlineData(64)]
    public void Few_queries_sum_as_exactly_as_many(int queries)
    {
        using var scope = new TensorScope();
        const int Keys = 4096, Channels = 8;
        var (q, k, v) = (Noise([1, queries, 1, Channels]), Noise([1, Keys, 1, Channels]), Noise([1, Keys, 1, Channels], 1, 1));
        foreach (float size in new[] { 1, 70_000f })
        {
            foreach (ref float value in v.Span)
                value = (float)(Half)(value / MathF.Max(MathF.Abs(value), 1)) * size;
            var output = q.Attention(k, v, 0.3f);
            foreach (int i in new[] { 0, queries / 2, queries - 1 })
            {
                for (int c = 0; c < Channels; c++)
                {
                    double exact = Exact(q, k, v, 0.3, 0, i, c, Keys);
                    Assert.InRange((output.Row(0, i, 0)[c] - exact) / exact, -1e-5, 1e-5);
                }
            }
        }
    }

    private static double Exact(Tensor q, Tensor k, Tensor v, double scale, int batch, int query, int channel, int keys)
    {
        double Product(int j)
        {
            double sum = 0;
            for (int c = 0; c < q.Shape[3]; c++)
                sum += (double)q.Row(batch, query, 0)[c] * k.Row(batch, j, 0)[c];
            return sum * scale;
        }
        double[] weights = [.. Enumerable.Range(0, keys).Select(j => Math.Exp(Product(j)))];
        return Enumerable.Range(0, keys).Sum(j => weights[j] * v.Row(batch, j, 0)[channel]) / weights.Sum();
    }

    /// <summary>Activations are float32, whatever the weights are: what half precision does not hold stays finite and exact.</summary>
    [Theory]
    [InlineData("F32", 1)]
    [InlineData("F32", 3)]
    [InlineData("F16", 1)]
    [InlineData("F16", 3)]
    [InlineData("BF16", 3)]
    public void Convolutions_bear_activations_beyond_half_precision(string format, int kernel)
    {
        using var scope = new TensorScope();
        const int Inputs = 32, Outputs = 24, Side = 16;
        var kind = WeightFormat.All.Single(known => known.Name == format);
        using var weight = new TestWeight([Outputs, Inputs, kernel, kernel], kind, 0, () => (float)Normal());
        var x = Noise([1, Side, Side, Inputs], 5000, 70_000);
        var output = x.Conv2d(weight.Weight, null, Conv2dGeometry.Same(kernel / 2));
        double largest = 0;
        for (int y = 0; y < Side; y += 5)
        {
            for (int o = 0; o < Outputs; o++)
            {
                var (exact, size) = (0.0, 0.0);
                for (int tap = 0; tap < kernel * kernel * Inputs; tap++)
                {
                    var (c, dy, dx) = (tap / kernel / kernel, tap / kernel % kernel, tap % kernel);
                    var (fromY, fromX) = (y + dy - (kernel / 2), 7 + dx - (kernel / 2));
                    double term = fromY is < 0 or >= Side ? 0
                        : (double)weight.Values[(((((o * Inputs) + c) * kernel) + dy) * kernel) + dx] * x.Row(0, fromY, fromX)[c];
                    (exact, size) = (exact + term, size + Math.Abs(term));
                }
                largest = Math.Max(largest, Math.Abs(output.Row(0, y, 7)[o] - exact) / size);
            }
        }
        Assert.InRange(largest, 0, 1e-6);
    }

    /// <summary>Weights of long rows still sum to one; in half precision they would be off by 5 %.</summary>
    [Theory]
    [InlineData(1f)]
    [InlineData(1.5f)]
    [InlineData(2f)]
    public void Weights_of_long_rows_sum_to_one(float alpha)
    {
        using var scope = new TensorScope();
        float[] weights = Noise([4, 4096], 0.02).Entmax(alpha).ToArray();
        foreach (float[] row in weights.Chunk(4096))
            Assert.InRange(row.Sum(value => (double)value), 1 - 1e-5, 1 + 1e-5);
    }
}
