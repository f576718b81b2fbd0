using Attune.Tensors.Cpu;

namespace Attune.Tensors.Tests;

/// <summary>Convolutions against sums in double precision.</summary>
[NoLeaks]
public class ConvolutionTests
{
    private static readonly WeightFormat[] Types = [WeightFormat.Float32, WeightFormat.BFloat16, WeightFormat.Float16];

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void Any_kernel_stride_and_padding_agrees_with_double_precision(bool narrow)
    {
        var random = new Random(11);
        var device = With(ConvolutionAlgorithm.Direct);
        int[] channels = [1, 3, 4, 5, 15, 16, 17, 24, 33, 48, 100];
        int[] kernels = [1, 2, 3, 3, 3, 5, 7];
        for (int trial = 0; trial < 100; trial++)
        {
            int kernelHeight = kernels[random.Next(kernels.Length)];
            int kernelWidth = random.Next(3) == 0 ? kernels[random.Next(kernels.Length)] : kernelHeight;
            var geometry = random.Next(3) switch
            {
                0 => Conv2dGeometry.Same(kernelHeight / 2, random.Next(1, 3)),
                1 => new Conv2dGeometry(2, 0, 0, 1, 1),
                _ => new Conv2dGeometry(random.Next(1, 4), random.Next(4), random.Next(4), random.Next(4), random.Next(4)),
            };
            int height = random.Next(kernelHeight, kernelHeight + 12);
            int width = random.Next(kernelWidth, kernelWidth + 12);
            Check(
                device, random.Next(1, 3), height, width, channels[random.Next(channels.Length)], channels[random.Next(channels.Length)],
                kernelHeight, kernelWidth, geometry, Types[trial % 3], random, narrow);
        }
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void Layers_of_models_agree_with_double_precision(bool narrow)
    {
        var random = new Random(12);
        var device = With(ConvolutionAlgorithm.Direct);
        Check(device, 1, 32, 32, 64, 70, 3, 3, Conv2dGeometry.Same(1), WeightFormat.Float16, random, narrow);
        Check(device, 1, 40, 24, 3, 128, 3, 3, Conv2dGeometry.Same(1), WeightFormat.Float32, random, narrow);
        Check(device, 1, 8, 8, 320, 50, 3, 3, Conv2dGeometry.Same(1), WeightFormat.BFloat16, random, narrow);
        Check(device, 2, 32, 32, 3, 20, 16, 16, new Conv2dGeometry(16, 0, 0, 0, 0), WeightFormat.BFloat16, random, narrow);
        Check(device, 2, 17, 19, 16, 40, 1, 1, Conv2dGeometry.Same(0), WeightFormat.Float16, random, narrow);
        Check(device, 1, 17, 19, 200, 33, 1, 1, Conv2dGeometry.Same(0, 2), WeightFormat.Float32, random, narrow);
        foreach (int outputs in new[] { 1, 3, 4, 5, 8, 9 })
            Check(device, 2, 25, 23, 128, outputs, 3, 3, Conv2dGeometry.Same(1), Types[outputs % 3], random, narrow);
    }

    [Theory]
    [InlineData(ConvolutionAlgorithm.Winograd2, false)]
    [InlineData(ConvolutionAlgorithm.Winograd2, true)]
    [InlineData(ConvolutionAlgorithm.Winograd4, false)]
    [InlineData(ConvolutionAlgorithm.Winograd4, true)]
    public void Winograd_keeps_its_bound_at_any_size(ConvolutionAlgorithm algorithm, bool narrow)
    {
        var random = new Random(14);
        var device = With(algorithm);
        int[] channels = [1, 3, 4, 7, 8, 15, 16, 17, 24, 48, 63, 64, 65, 100, 130];
        for (int trial = 0; trial < 60; trial++)
        {
            var geometry = random.Next(2) == 0 ? Conv2dGeometry.Same(1)
                : new Conv2dGeometry(1, random.Next(4), random.Next(4), random.Next(4), random.Next(4));
            Check(
                device, random.Next(1, 3), random.Next(3, 24), random.Next(3, 24), channels[random.Next(channels.Length)],
                channels[random.Next(channels.Length)], 3, 3, geometry, Types[trial % 3], random, narrow,
                ConvolutionOptions.ErrorBound(algorithm));
        }
        // Several blocks of inputs, ranges of tiles, and sweeps.
        Check(
            device, 1, 20, 20, 700, 60, 3, 3, Conv2dGeometry.Same(1), WeightFormat.BFloat16, random, narrow,
            ConvolutionOptions.ErrorBound(algorithm));
        Check(device, 1, 90, 70, 40, 10, 3, 3, Conv2dGeometry.Same(1), WeightFormat.Float32, random, narrow,
        ConvolutionOptions.ErrorBound(algorithm));
        Check(device, 2, 67, 64, 330, 9, 3, 3, Conv2dGeometry.Same(1), WeightFormat.Float16, random, narrow,
        ConvolutionOptions.ErrorBound(algorithm));
    }

    /// <summary>At the channel counts of models direct convolution, whose own bound is far smaller, stands for the exact one.</summary>
    [Theory]
    [InlineData(ConvolutionAlgorithm.Winograd2, 320, 19, 23)]
    [InlineData(ConvolutionAlgorithm.Winograd2, 1280, 8, 9)]
    [InlineData(ConvolutionAlgorithm.Winograd4, 320, 19, 23)]
    [InlineData(ConvolutionAlgorithm.Winograd4, 640, 13, 16)]
    [InlineData(ConvolutionAlgorithm.Winograd4, 1280, 8, 9)]
    public void Winograd_keeps_its_bound_at_the_channels_of_models(ConvolutionAlgorithm algorithm, int channels, int height, int width)
    {
        var random = new Random(15);
        using var scope = new TensorScope();
        float Normal() => MathF.Sqrt(-2 * MathF.Log(1 - random.NextSingle())) * MathF.Cos(2 * MathF.PI * random.NextSingle());
        using var stored = new TestWeight([64, channels, 3, 3], WeightFormat.Float16, 2, () => Normal() / 60);
        var x = Tensor.Empty(Host, [1, height, width, channels]);
        foreach (ref float value in x.Span)
            value = Normal();
        // As models have it before a convolution.
        x.Activate(Activation.Silu, into: x);
        var exact = Convolve(ConvolutionAlgorithm.Direct, x, stored.Weight);
        var result = Convolve(algorithm, x, stored.Weight);
        double largest = exact.ToArray().Max(MathF.Abs);
        double error = exact.Subtract(result).ToArray().Max(MathF.Abs);
        Assert.True(error <= ConvolutionOptions.ErrorBound(algorithm) * largest, $"{error / largest:e2} relative");
    }

    [Fact]
    public void The_algorithm_is_chosen_by_cost_and_accepted_error()
    {
        using var scope = new TensorScope();
        var options = new ConvolutionOptions();
        ConvolutionAlgorithm Choose(int inputs, int outputs, int size, int stride = 1)
        {
            var x = Tensor.Empty(Host, [1, size, size, inputs]);
            using var weight = Tensor.Empty(Host, [outputs, inputs, 3, 3]);
            return CpuDevice.Choose(
                options, x, TestWeight.Of(weight), Conv2dGeometry.Same(1, stride),
                Tensor.Empty(Host, [1, size / stride, size / stride, outputs]));
        }

        Assert.Equal(ConvolutionAlgorithm.Winograd4, Choose(320, 320, 64));
        Assert.Equal(ConvolutionAlgorithm.Winograd4, Choose(1280, 1280, 16));
        Assert.Equal(ConvolutionAlgorithm.Direct, Choose(4, 320, 64));
        Assert.Equal(ConvolutionAlgorithm.Direct, Choose(128, 3, 64));
        Assert.Equal(ConvolutionAlgorithm.Direct, Choose(64, 64, 32, stride: 2));
        options = new ConvolutionOptions { MaxError = ConvolutionOptions.ErrorBound(ConvolutionAlgorithm.Winograd2) };
        Assert.Equal(ConvolutionAlgorithm.Winograd2, Choose(320, 320, 64));
        options = new ConvolutionOptions { MaxError = 0 };
        Assert.Equal(ConvolutionAlgorithm.Direct, Choose(320, 320, 64));
        options = new ConvolutionOptions { Algorithm = ConvolutionAlgorithm.Winograd4 };
        Assert.Equal(ConvolutionAlgorithm.Winograd4, Choose(4, 4, 5));
        Assert.Equal(ConvolutionAlgorithm.Direct, Choose(4, 4, 6, stride: 2));
    }

    [Theory]
    [InlineData(3, ConvolutionAlgorithm.Direct)]
    [InlineData(40, ConvolutionAlgorithm.Direct)]
    [InlineData(40, ConvolutionAlgorithm.Winograd2)]
    [InlineData(40, ConvolutionAlgorithm.Winograd4)]
    public void Threads_do_not_change_a_bit(int channels, ConvolutionAlgorithm algorithm)
    {
        var random = new Random(13);
        var device = With(algorithm);
        using var scope = new TensorScope();
        using var stored = new TestWeight([90, channels, 3, 3], WeightFormat.Float16, 0, () => random.NextSingle() - 0.5f);
        var x = LinearTests.RandomTensor([1, 40, 40, channels], random, device);
        var many = x.Conv2d(stored.Weight, null, Conv2dGeometry.Same(1));
        using var mode = new LinearTests.Mode(false, threads: 1);
        Assert.Equal(x.Conv2d(stored.Weight, null, Conv2dGeometry.Same(1)).ToArray(), many.ToArray());
    }

    private static Tensor Convolve(ConvolutionAlgorithm algorithm, Tensor x, PreparedWeight weight)
    {
        var result = x.Like([x.Shape[0], x.Shape[1], x.Shape[2], weight.Shape[0]]);
        With(algorithm).Conv2d(x, weight, null, Conv2dGeometry.Same(1), result);
        return result;
    }

    private static void Check(
        Device device, int batch, int height, int width, int inputs, int outputs, int kernelHeight, int kernelWidth,
        Conv2dGeometry geometry, WeightFormat type, Random random, bool narrow, double bound = 2e-6)
    {
        using var scope = new TensorScope();
        using var mode = new LinearTests.Mode(narrow);
        using var stored = new TestWeight(
            [outputs, inputs, kernelHeight, kernelWidth], type, random.Next(70), () => random.NextSingle() - 0.4f);
        using var bias = random.Next(2) == 0 ? new TestWeight([outputs], type, random.Next(5), () => random.NextSingle()) : null;
        int pad = random.Next(3) == 0 ? random.Next(1, 20) : 0;
        var x = LinearTests.RandomTensor([batch, height, width, inputs + pad], random, device).Slice(3, pad / 2, inputs);
        var (outHeight, outWidth) = geometry.OutputSize(height, width, kernelHeight, kernelWidth);
        // A new result, one added to a residual, and one added to it in place.
        var residual = random.Next(3) > 0
            ? LinearTests.RandomTensor([batch, outHeight, outWidth, outputs + pad], random, device).Slice(3, pad / 2, outputs)
            : null;
        float[]? added = residual?.ToArray();
        var y = residual == null ? x.Conv2d(stored.Weight, bias?.Weight, geometry)
            : residual.AddConv2d(x, stored.Weight, bias?.Weight, geometry, random.Next(2) == 0 ? residual : null);
        Assert.Equal([batch, outHeight, outWidth, outputs], y.Shape);

        float[] image = x.ToArray();
        double error = 0;
        double largest = 0;
        for (int b = 0; b < batch; b++)
        {
            for (int row = 0; row < outHeight; row++)
            {
                for (int column = 0; column < outWidth; column++)
                {
                    var actual = y.Row(b, row, column);
                    for (int n = 0; n < outputs; n++)
                    {
                        double sum = (bias?.Values[n] ?? 0) + (double)(
                            added?[((b * outHeight + row) * outWidth + column) * outputs + n] ?? 0);
                        for (int ky = 0; ky < kernelHeight; ky++)
                        {
                            for (int kx = 0; kx < kernelWidth; kx++)
                            {
                                int py = row * geometry.Stride + ky - geometry.Top;
                                int px = column * geometry.Stride + kx - geometry.Left;
                                if (py < 0 || py >= height || px < 0 || px >= width)
                                    continue;
                                for (int c = 0; c < inputs; c++)
                                    sum += (double)image[((b * height + py) * width + px) * inputs + c] * stored.Values[
                                        ((n * inputs + c) * kernelHeight + ky) * kernelWidth + kx];
                            }
                        }
                        largest = Math.Max(largest, Math.Abs(sum));
                        error = Math.Max(error, Math.Abs(actual[n] - sum));
                        Assert.False(float.IsNaN(actual[n]));
                    }
                }
            }
        }
        Assert.True(
            error <= bound * largest,
            $"[{batch}, {height}, {width}, {inputs}] {type} [{outputs}, {inputs}, {kernelHeight}, {kernelWidth}] {geometry}: "
                + $"{error / largest:e2} relative");
    }

    /// <summary>The managed device with one algorithm for all convolutions that it can compute.</summary>
    internal static Device With(ConvolutionAlgorithm algorithm) => new CpuDevice(new ConvolutionOptions { Algorithm = algorithm });
}
