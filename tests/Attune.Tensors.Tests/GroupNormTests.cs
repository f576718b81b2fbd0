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
}
