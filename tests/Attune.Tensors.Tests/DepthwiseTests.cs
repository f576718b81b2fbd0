namespace Attune.Tensors.Tests;

/// <summary>Convolutions of each channel alone, and linear attention, against sums in double precision.</summary>
[NoLeaks]
public class DepthwiseTests
{
    [Theory]
    [InlineData(1, 4, 5, 8, 3, 3, true)]
    [InlineData(2, 3, 2, 21, 3, 3, false)]
    [InlineData(2, 1, 1, 16, 5, 5, true)]
    [InlineData(1, 2, 7, 5, 5, 1, false)]
    [InlineData(1, 3, 3, 2500, 3, 5, true)]
    public void A_depthwise_convolution_is_a_sum_over_its_window(
        int batch, int height, int width, int channels, int rows, int columns, bool biased)
    {
        var random = new Random(41);
        using var scope = new TensorScope();
        foreach (var device in new Device[] { Host, new DetachedDevice(fused: false) })
        {
            var x = Noise([batch, height, width, channels], random, device);
            var kernel = Noise([rows, columns, channels], random, device);
            var bias = biased ? Noise([channels], random, device) : null;
            float[] values = x.ToArray(), taps = kernel.ToArray(), result = x.DepthwiseConv2d(kernel, bias).ToArray();
            float[]? offsets = bias?.ToArray();
            double largest = 0;
            for (int i = 0; i < result.Length; i++)
            {
                int c = i % channels, column = i / channels % width, row = i / channels / width % height;
                int item = i / channels / width / height;
                double sum = offsets?[c] ?? 0;
                for (int ky = 0; ky < rows; ky++)
                {
                    for (int kx = 0; kx < columns; kx++)
                    {
                        var (y, at) = (row + ky - rows / 2, column + kx - columns / 2);
                        if (y >= 0 && y < height && at >= 0 && at < width)
                        {
                            double value = values[((item * height + y) * width + at) * channels + c];
                            sum += value * taps[(ky * columns + kx) * channels + c];
                        }
                    }
                }
                largest = Math.Max(largest, Math.Abs(result[i] - sum));
            }
            Assert.True(largest < 1e-5, FormattableString.Invariant($"{device.Name}: {largest}"));
        }
    }

    [Theory]
    [InlineData(1, 6, 2, 8)]
    [InlineData(2, 300, 3, 32)]
    [InlineData(1, 1, 1, 5)]
    [InlineData(2, 129, 1, 13)]
    public void Linear_attention_is_the_weighted_mean_of_the_values(int batch, int tokens, int heads, int channels)
    {
        const double Epsilon = 1e-15;
        var random = new Random(42);
        using var scope = new TensorScope();
        foreach (var device in new Device[] { Host, new DetachedDevice(fused: false) })
        {
            // Views on tensors with more channels, as models cut them.
            var all = Noise([batch, tokens, heads, 3 * channels], random, device);
            Tensor Part(int i) => all.Slice(3, i * channels, channels);
            var (q, k) = (Part(0).Activate(Activation.Relu), Part(1).Activate(Activation.Relu));
            float[] queries = q.ToArray(), keys = k.ToArray(), values = Part(2).Clone().ToArray();
            float[] result = q.LinearAttention(k, Part(2), (float)Epsilon).ToArray();
            int At(int item, int token, int head, int c) => ((item * tokens + token) * heads + head) * channels + c;
            double largest = 0;
            for (int item = 0; item < batch; item++)
            {
                for (int head = 0; head < heads; head++)
                {
                    for (int i = 0; i < tokens; i++)
                    {
                        double[] weights = [.. Enumerable.Range(0, tokens).Select(j => Enumerable.Range(0, channels)
                            .Sum(c => (double)queries[At(item, i, head, c)] * keys[At(item, j, head, c)]))];
                        double sum = weights.Sum() + Epsilon;
                        for (int c = 0; c < channels; c++)
                        {
                            double mean = weights.Select((weight, j) => weight * values[At(item, j, head, c)]).Sum() / sum;
                            largest = Math.Max(largest, Math.Abs(mean - result[At(item, i, head, c)]));
                        }
                    }
                }
            }
            Assert.True(largest < 1e-5, FormattableString.Invariant($"{device.Name}: {largest}"));
        }
    }

    [Fact]
    public void Shapes_that_do_not_fit_are_errors()
    {
        using var scope = new TensorScope();
        var x = Tensor.Zeros(Host, [1, 4, 4, 8]);
        Assert.Throws<ArgumentException>(() => x.DepthwiseConv2d(Tensor.Zeros(Host, [3, 3, 4])));
        Assert.Throws<ArgumentException>(() => x.DepthwiseConv2d(Tensor.Zeros(Host, [2, 3, 8])));
        Assert.Throws<ArgumentException>(() => x.DepthwiseConv2d(Tensor.Zeros(Host, [3, 3, 8]), Tensor.Zeros(Host, [4])));
        Assert.Throws<ArgumentException>(() => x.LinearAttention(x.Slice(1, 0, 2), x, 1e-15f));
    }

    private static Tensor Noise(Shape shape, Random random, Device device) =>
        Tensor.From(device, [.. Enumerable.Range(0, (int)shape.Count).Select(_ => random.NextSingle() - 0.5f)], shape);
}
