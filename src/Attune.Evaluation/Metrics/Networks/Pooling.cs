using System.Numerics.Tensors;
using Tensor = Attune.Tensors.Tensor;

namespace Attune.Evaluation.Metrics.Networks;

/// <summary>The pools of convolutional networks, over images with channels last. Windows hold only what lies within the image.</summary>
internal static class Pooling
{
    /// <summary>The largest value of each channel in each window.</summary>
    /// <param name="x">[1, height, width, channels].</param>
    /// <param name="kernel">The side of a window.</param>
    /// <param name="stride">From window to window.</param>
    /// <param name="padding">How far windows reach beyond the image, which counts for nothing.</param>
    /// <param name="ceiling">Whether a last window that reaches beyond the image counts too, as in SqueezeNet.</param>
    public static Tensor Max(Tensor x, int kernel, int stride, int padding = 0, bool ceiling = false) =>
        Pool(x, kernel, stride, padding, ceiling, (row, sum) => TensorPrimitives.Max<float>(sum, row, sum), float.NegativeInfinity, false);

    /// <summary>The mean of each channel in each window, without the padding in the count.</summary>
    public static Tensor Mean(Tensor x, int kernel, int stride, int padding) =>
        Pool(x, kernel, stride, padding, false, (row, sum) => TensorPrimitives.Add<float>(sum, row, sum), 0, true);

    /// <summary>The mean of each channel over the image: [channels].</summary>
    public static float[] Whole(Tensor x)
    {
        int channels = x.Shape[3];
        var sums = new double[channels];
        float[] values = x.ToArray();
        for (int i = 0; i < values.Length; i += channels)
        {
            for (int c = 0; c < channels; c++)
                sums[c] += values[i + c];
        }
        return Array.ConvertAll(sums, sum => (float)(sum / (values.Length / channels)));
    }

    private delegate void Take(ReadOnlySpan<float> row, Span<float> sum);

    private static Tensor Pool(Tensor x, int kernel, int stride, int padding, bool ceiling, Take take, float start, bool mean)
    {
        var (height, width, channels) = (x.Shape[1], x.Shape[2], x.Shape[3]);
        var (rows, columns) = (Windows(height), Windows(width));
        if (rows < 1 || columns < 1)
            throw new ArgumentException($"An image of {width} x {height} is smaller than a window of {kernel} x {kernel}.", nameof(x));
        float[] values = x.ToArray();
        float[] output = new float[rows * columns * channels];
        Parallel.For(0, rows, row =>
        {
            for (int column = 0; column < columns; column++)
            {
                var sum = output.AsSpan((row * columns + column) * channels, channels);
                sum.Fill(start);
                int count = 0;
                for (int y = Math.Max(row * stride - padding, 0); y < Math.Min(row * stride - padding + kernel, height); y++)
                {
                    for (int i = Math.Max(column * stride - padding, 0); i < Math.Min(column * stride - padding + kernel, width); i++)
                    {
                        take(values.AsSpan((y * width + i) * channels, channels), sum);
                        count++;
                    }
                }
                if (mean)
                    TensorPrimitives.Divide(sum, count, sum);
            }
        });
        return Tensor.From(x.Device, output, [1, rows, columns, channels]);

        int Windows(int size)
        {
            int left = size + 2 * padding - kernel;
            int count = (left + (ceiling ? stride - 1 : 0)) / stride + 1;
            // The last window begins within the image.
            return ceiling && (count - 1) * stride >= size + padding ? count - 1 : count;
        }
    }
}
