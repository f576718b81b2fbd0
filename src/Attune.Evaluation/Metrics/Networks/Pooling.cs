using System.Numerics;
using System.Runtime.CompilerServices;
using Attune.Tensors;

namespace Attune.Evaluation.Metrics.Networks;

/// <summary>The pools of convolutional networks, over images with channels last. Windows hold only what lies within the image.</summary>
internal static class Pooling
{
    /// <summary>The largest value of each channel in each window; NaN where there is one.</summary>
    /// <param name="x">[1, height, width, channels].</param>
    /// <param name="kernel">The side of a window.</param>
    /// <param name="stride">From window to window.</param>
    /// <param name="padding">How far windows reach beyond the image, which counts for nothing.</param>
    /// <param name="ceiling">Whether a last window that reaches beyond the image counts too, as in SqueezeNet.</param>
    public static Tensor Max(Tensor x, int kernel, int stride, int padding = 0, bool ceiling = false) =>
        Pool<Larger>(x, kernel, stride, padding, ceiling);

    /// <summary>The mean of each channel in each window, without the padding in the count.</summary>
    public static Tensor Mean(Tensor x, int kernel, int stride, int padding) => Pool<Sum>(x, kernel, stride, padding, false);

    /// <summary>The mean of each channel over the image: [channels].</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static float[] Whole(Tensor x)
    {
        var (height, width, channels) = (x.Shape[1], x.Shape[2], x.Shape[3]);
        var sums = new double[channels];
        using var values = x.Read();
        for (int y = 0; y < height; y++)
        {
            for (int i = 0; i < width; i++)
            {
                var row = values.Row(0, y, i);
                for (int c = 0; c < sums.Length; c++)
                    sums[c] += row[c];
            }
        }
        return Array.ConvertAll(sums, sum => (float)(sum / (height * width)));
    }

    private static unsafe Tensor Pool<T>(Tensor x, int kernel, int stride, int padding, bool ceiling)
        where T : struct, IPool
    {
        var (height, width, channels) = (x.Shape[1], x.Shape[2], x.Shape[3]);
        var (rows, columns) = (Windows(height), Windows(width));
        if (rows < 1 || columns < 1)
            throw new ArgumentException($"An image of {width} x {height} is smaller than a window of {kernel} x {kernel}.", nameof(x));
        var result = Tensor.Empty(x.Device, [1, rows, columns, channels]);
        using var read = x.Contiguous().Read();
        using var written = result.Write();
        fixed (float* first = read.Span, last = written.Span)
        {
            var (values, output) = ((nint)first, (nint)last);
            Parallel.For(0, rows, row =>
            {
                var (y, yEnd) = Window(row, height);
                for (int column = 0; column < columns; column++)
                {
                    var (i, end) = Window(column, width);
                    Gather<T>(
                        (float*)values + ((long)y * width + i) * channels, yEnd - y, end - i, (long)width * channels, channels,
                        (float*)output + ((long)row * columns + column) * channels);
                }
            });
        }
        return result;

        (int Start, int End) Window(int at, int size) =>
            (Math.Max(at * stride - padding, 0), Math.Min(at * stride - padding + kernel, size));

        int Windows(int size)
        {
            int left = size + 2 * padding - kernel;
            int count = (left + (ceiling ? stride - 1 : 0)) / stride + 1;
            // The last window begins within the image.
            return ceiling && (count - 1) * stride >= size + padding ? count - 1 : count;
        }
    }

    /// <summary>
    /// One window of all channels. Compiled for this processor at once: what is interpreted by tiers, TensorPrimitives too, takes ten
    /// times as long until some dozens of pictures have passed.
    /// </summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static unsafe void Gather<T>(float* window, int rows, int columns, long stride, int channels, float* output)
        where T : struct, IPool
    {
        int c = 0;
        for (; c <= channels - Vector<float>.Count; c += Vector<float>.Count)
        {
            var sum = T.Start;
            for (int y = 0; y < rows; y++)
            {
                for (int i = 0; i < columns; i++)
                    sum = T.With(sum, Vector.Load(window + y * stride + (long)i * channels + c));
            }
            T.Of(sum, rows * columns).Store(output + c);
        }
        for (; c < channels; c++)
        {
            var sum = T.Start;
            for (int y = 0; y < rows; y++)
            {
                for (int i = 0; i < columns; i++)
                    sum = T.With(sum, new Vector<float>(window[y * stride + (long)i * channels + c]));
            }
            output[c] = T.Of(sum, rows * columns)[0];
        }
    }

    private interface IPool
    {
        static abstract Vector<float> Start { get; }

        static abstract Vector<float> With(Vector<float> sum, Vector<float> value);

        static abstract Vector<float> Of(Vector<float> sum, int count);
    }

    private readonly struct Larger : IPool
    {
        public static Vector<float> Start => new(float.NegativeInfinity);

        /// <summary>A native maximum returns its second operand when one is NaN.</summary>
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public static Vector<float> With(Vector<float> sum, Vector<float> value) =>
            Vector.ConditionalSelect(Vector.Equals(sum, sum), Vector.MaxNative(sum, value), sum);

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public static Vector<float> Of(Vector<float> sum, int count) => sum;
    }

    private readonly struct Sum : IPool
    {
        public static Vector<float> Start => Vector<float>.Zero;

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public static Vector<float> With(Vector<float> sum, Vector<float> value) => sum + value;

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public static Vector<float> Of(Vector<float> sum, int count) => sum / new Vector<float>(count);
    }
}
