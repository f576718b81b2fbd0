using System.Runtime.CompilerServices;

namespace Attune.Tensors.Cpu;

internal sealed unsafe partial class CpuDevice
{
    /// <summary>With fewer channels, windows are copied into rows instead of being read where they lie.</summary>
    private const int ChannelsInPlace = 16;

    public override void Conv2d(Tensor x, PreparedWeight weight, PreparedWeight? bias, Conv2dGeometry geometry, Tensor output) =>
        Convolve(x, weight, bias, geometry, output, null);

    public override void AddConv2d(
        Tensor residual, Tensor x, PreparedWeight weight, PreparedWeight? bias, Conv2dGeometry geometry, Tensor output)
    {
        if (Choose(Convolution, x, weight, geometry, output) != ConvolutionAlgorithm.Direct
            || Gemm.Adds(Windowed(x, weight, geometry, output, null)))
            Convolve(x, weight, bias, geometry, output, residual);
        else
            base.AddConv2d(residual, x, weight, bias, geometry, output);
    }

    private void Convolve(Tensor x, PreparedWeight weight, PreparedWeight? bias, Conv2dGeometry geometry, Tensor output, Tensor? residual)
    {
        var algorithm = Choose(Convolution, x, weight, geometry, output);
        if (algorithm != ConvolutionAlgorithm.Direct)
        {
            Winograd.Convolve(algorithm, x, CpuWeight.Of(weight), CpuWeight.Find(bias), geometry, output, residual);
            return;
        }
        using var zeros = TensorScope.Detach(Tensor.Zeros(this, [x.Shape[3]]));
        Gemm.Multiply(
            Windowed(x, weight, geometry, output, zeros.Pointer), CpuWeight.Of(weight), CpuWeight.Find(bias), Activation.None,
            Rows.Of(output), residual == null ? null : Rows.Of(residual));
    }

    /// <summary>
    /// The algorithm for a convolution: the one that is asked for where it can be used, or the cheapest whose error is accepted.
    /// </summary>
    internal static ConvolutionAlgorithm Choose(
        ConvolutionOptions options, Tensor x, PreparedWeight weight, Conv2dGeometry geometry, Tensor output)
    {
        if (!Winograd.Suits(weight, geometry))
            return ConvolutionAlgorithm.Direct;
        if (options.Algorithm != ConvolutionAlgorithm.Auto)
            return options.Algorithm;
        var whole = geometry.Whole is { } images ? output.Shape.With(0, images.Images).With(1, images.Height) : output.Shape;
        var best = ConvolutionAlgorithm.Direct;
        double least = DirectCost(whole, x.Shape[3]);
        foreach (var algorithm in (ReadOnlySpan<ConvolutionAlgorithm>)[ConvolutionAlgorithm.Winograd2, ConvolutionAlgorithm.Winograd4])
        {
            double cost = Winograd.Cost(algorithm, whole, x.Shape[3]);
            if (cost < least && ConvolutionOptions.ErrorBound(algorithm) <= options.MaxError)
                (best, least) = (algorithm, cost);
        }
        return best;
    }

    /// <summary>
    /// The time of a direct 3 x 3 convolution, in vectors of 16 multiplications and additions: the products, and packing the weight for
    /// each block of rows.
    /// </summary>
    private static double DirectCost(Shape output, int inputs)
    {
        double pixels = output.Count / output[3];
        double columns = (output[3] + 15) / 16;
        return inputs * columns * (9 * 1.08 * pixels + 120 * Math.Ceiling(pixels / 512));
    }

    /// <summary>
    /// The convolution as a matrix product: its left factor, the windows, exists only as pointers into the image and to zeros outside of
    /// it.
    /// </summary>
    private static RowSource Windowed(Tensor x, PreparedWeight weight, Conv2dGeometry geometry, Tensor output, float* zeros)
    {
        int kernel = weight.Shape[2] * weight.Shape[3];
        if (kernel == 1 && geometry == Conv2dGeometry.Same(0))
            return new PlainRows(Rows.Of(x));
        if (kernel == 1 || x.Shape[3] >= ChannelsInPlace)
            return new Windows(x, weight, geometry, output, zeros);
        return new Patches(x, weight, geometry, output);
    }

    /// <summary>Where the windows of a convolution lie in its image.</summary>
    private readonly struct WindowGrid(Tensor x, PreparedWeight weight, Conv2dGeometry geometry, Tensor output)
    {
        private readonly Rows _pixels = Rows.Of(x);
        private readonly int _height = x.Shape[1];
        private readonly int _width = x.Shape[2];
        private readonly int _outputHeight = output.Shape[1];
        private readonly int _outputWidth = output.Shape[2];
        private readonly int _kernelHeight = weight.Shape[2];
        private readonly int _kernelWidth = weight.Shape[3];

        /// <summary>The pixel under each position of the kernel for one output, or <paramref name="outside"/>.</summary>
        [MethodImpl(MethodImplOptions.AggressiveOptimization)]
        public void Locate(long index, float* outside, float** pointers, int step)
        {
            long line = index / _outputWidth;
            int left = (int)(index % _outputWidth) * geometry.Stride - geometry.Left;
            int top = (int)(line % _outputHeight) * geometry.Stride - geometry.Top;
            long image = line / _outputHeight * _height;
            for (int ky = 0; ky < _kernelHeight; ky++)
            {
                int y = top + ky;
                for (int kx = 0; kx < _kernelWidth; kx++, pointers += step)
                {
                    int column = left + kx;
                    *pointers = (uint)y < (uint)_height && (uint)column < (uint)_width ? _pixels.At((image + y) * _width + column)
                        : outside;
                }
            }
        }
    }

    /// <summary>Windows read in place: a run for each position of the kernel.</summary>
    private sealed class Windows(Tensor x, PreparedWeight weight, Conv2dGeometry geometry, Tensor output, float* zeros)
        : RowSource(output.Count / output.Shape[3], weight.Shape[2] * weight.Shape[3], x.Shape[3])
    {
        private readonly WindowGrid _grid = new(x, weight, geometry, output);

        [MethodImpl(MethodImplOptions.AggressiveOptimization)]
        public override void Locate(long first, int count, int height, float** pointers, float* room)
        {
            for (int i = 0; i < count; i++)
                _grid.Locate(first + i, zeros, pointers + (long)(i / height) * Runs * height + i % height, height);
        }
    }

    /// <summary>Windows of few channels, copied into rows in the order of the weight.</summary>
    private sealed class Patches(Tensor x, PreparedWeight weight, Conv2dGeometry geometry, Tensor output)
        : RowSource(output.Count / output.Shape[3], 1, weight.Shape[2] * weight.Shape[3] * x.Shape[3])
    {
        private readonly WindowGrid _grid = new(x, weight, geometry, output);
        private readonly int _channels = x.Shape[3];
        private readonly int _kernel = weight.Shape[2] * weight.Shape[3];

        public override int RoomPerRow => Length + 2 * _kernel + 2;

        [MethodImpl(MethodImplOptions.AggressiveOptimization)]
        public override void Locate(long first, int count, int height, float** pointers, float* room)
        {
            for (int i = 0; i < count; i++)
            {
                float* row = room + (long)i * RoomPerRow;
                float** pixels = (float**)((nint)(row + Length + 1) & ~7);
                _grid.Locate(first + i, null, pixels, 1);
                for (int position = 0; position < _kernel; position++)
                {
                    float* pixel = pixels[position];
                    for (int c = 0; c < _channels; c++)
                        row[c * _kernel + position] = pixel == null ? 0 : pixel[c];
                }
                pointers[i] = row;
            }
        }
    }
}
