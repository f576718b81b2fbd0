namespace Attune.Tensors.Tests;

[NoLeaks]
public class GroupNormTests
{
    [Theory]
    [InlineData(1, 1, 1, 8, 4, 0)]
    [InlineData(2, 70, 9, 20, 5, 0)]
    [InlineData(1, 33, 1, 40, 8, 100)]
    [InlineData(3, 17, 16, 33, 3, -1000)]
    public void Blocks_of_pixels_make_one_mean_and_one_variance(int batch, int height, int width, int channels, int groups, float offset)
    {
        using var scope = new TensorScope();
        var random = new Random(1);
        var wide = Tensor.Empty(Host, [batch, height, width, channels + 3]);
        for (int i = 0; i < wide.Count; i++)
            wide.Span[i] = (float)random.NextDouble() + offset;
        var x = wide.Slice(3, 2, channels);         // rows that do not follow each other
        var expected = new double[x.Count];
        float[] values = x.ToArray();
        int size = channels / groups;
        for (int item = 0; item < batch; item++)
        {
            for (int group = 0; group < groups; group++)
            {
                int[] members = [
                    .. Enumerable.Range(0, height * width)
                        .SelectMany(
                            pixel => Enumerable.Range(0, size).Select(c => (item * height * width + pixel) * channels + group * size + c))];
                double mean = members.Average(i => (double)values[i]);
                double variance = members.Average(i => (values[i] - mean) * (values[i] - mean));
                foreach (int i in members)
                    expected[i] = (values[i] - mean) / Math.Sqrt(variance + 1e-5);
            }
        }

        // The largest are about 2, wherever the mean is.
        const double tolerance = 1e-6;
        var result = x.GroupNorm(groups, null, null, 1e-5f);
        for (int i = 0; i < expected.Length; i++)
            Assert.InRange(result.Span[i] - expected[i], -tolerance * 4, tolerance * 4);

        float[] activated = x.GroupNorm(groups, null, null, 1e-5f, Activation.Silu).ToArray();
        Assert.Equal(result.Activate(Activation.Silu).ToArray(), activated);
        int threads = Workers.MaxThreads;
        try
        {
            Workers.MaxThreads = 1;
            Assert.Equal(activated, x.GroupNorm(groups, null, null, 1e-5f, Activation.Silu).ToArray());
        }
        finally
        {
            Workers.MaxThreads = threads;
        }
        x.GroupNorm(groups, null, null, 1e-5f, Activation.Silu, into: x);
        Assert.Equal(activated, x.ToArray());
    }

    /// <summary>However an image is cut, pieces of which begin and end within blocks of pixels.</summary>
    [Theory]
    [InlineData(3, 7, 8, 2, 5)]
    [InlineData(70, 61, 32, 8, 300)]
    [InlineData(150, 97, 64, 32, 2000)]
    [InlineData(150, 97, 64, 32, 3)]
    public void An_image_in_pieces_has_the_bits_of_the_whole(int height, int width, int channels, int groups, int most)
    {
        using var scope = new TensorScope();
        var random = new Random(2);
        var wide = Tensor.Empty(Host, [1, height * width, channels + 5]);
        for (int i = 0; i < wide.Count; i++)
            wide.Span[i] = (float)random.NextDouble() + 3;
        var x = wide.Slice(2, 1, channels);
        using var weight = Tensor.Empty(Host, [channels]);
        for (int i = 0; i < channels; i++)
            weight.Span[i] = (float)random.NextDouble();
        var gamma = TestWeight.Of(weight);
        float[] expected = x.GroupNorm(groups, gamma, null, 1e-5f, Activation.Silu).ToArray();

        using var moments = Host.BeginGroupNorm(height * width, channels, groups)!;
        Assert.Throws<InvalidOperationException>(() => moments.Finish(null, null, 1e-5f));
        Assert.Throws<InvalidOperationException>(() => moments.Apply(x, Activation.None, x));
        for (int at = 0; at < height * width;)
        {
            int count = Math.Min(random.Next(1, most + 1), height * width - at);
            moments.Add(x.Slice(1, at, count));
            at += count;
        }
        Assert.Throws<ArgumentException>(() => moments.Add(x.Slice(1, 0, 1)));
        moments.Finish(gamma, null, 1e-5f);
        int half = height * width / 2;
        moments.Apply(x.Slice(1, 0, half), Activation.Silu, x.Slice(1, 0, half));
        moments.Apply(x.Slice(1, half, height * width - half), Activation.Silu, x.Slice(1, half, height * width - half));
        Assert.Equal(expected, x.ToArray());
    }
}
