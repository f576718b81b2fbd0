namespace Attune.Tensors.Tests;

/// <summary>Causal convolutions over videos against sums in double precision.</summary>
[NoLeaks]
public class CausalConvolutionTests
{
    private static readonly WeightFormat[] Types = [WeightFormat.Float32, WeightFormat.BFloat16, WeightFormat.Float16];

    [Theory]
    [InlineData(ConvolutionAlgorithm.Direct, false)]
    [InlineData(ConvolutionAlgorithm.Direct, true)]
    [InlineData(ConvolutionAlgorithm.Winograd2, false)]
    [InlineData(ConvolutionAlgorithm.Winograd4, false)]
    [InlineData(ConvolutionAlgorithm.Winograd4, true)]
    public void Any_kernel_and_stride_agrees_with_double_precision(ConvolutionAlgorithm algorithm, bool narrow)
    {
        var random = new Random(31);
        var device = ConvolutionTests.With(algorithm);
        using var mode = new LinearTests.Mode(narrow);
        for (int trial = 0; trial < 90; trial++)
            Check(device, random, Types[trial % 3], ConvolutionOptions.ErrorBound(algorithm));
    }

    /// <summary>
    /// With direct convolutions of more than a few pixels each element is the same sum in the same order, however the video is cut.
    /// </summary>
    [Theory]
    [InlineData(1, ConvolutionAlgorithm.Direct)]
    [InlineData(2, ConvolutionAlgorithm.Direct)]
    [InlineData(1, ConvolutionAlgorithm.Winograd4)]
    public void A_video_in_chunks_is_the_whole_video(int frameStride, ConvolutionAlgorithm algorithm)
    {
        var random = new Random(32);
        var device = ConvolutionTests.With(algorithm);
        foreach (int kernelFrames in new[] { 1, 2, 3 })
        {
            using var scope = new TensorScope();
            using var stored = new TestWeight([19, 21, kernelFrames, 3, 3], WeightFormat.BFloat16, 3, () => random.NextSingle() - 0.4f);
            using var bias = new TestWeight([19], WeightFormat.Float32, 0, random.NextSingle);
            var x = LinearTests.RandomTensor([2, 11, 7, 6, 21], random, device);
            var whole = x.CausalConv3d(stored.Weight, bias.Weight, Conv2dGeometry.Same(1), frameStride);
            var chunked = Tensor.Empty(Host, whole.Shape);
            int start = 0;
            // Chunks begin at frames that an output looks at.
            foreach (int frames in new[] { 2, 4, 2, 3 })
            {
                var earlier = start == 0 ? null : x.Slice(1, Math.Max(start - 2, 0), Math.Min(start, 2));
                int outputs = (frames - 1) / frameStride + 1;
                x.Slice(1, start, frames)
                    .CausalConv3d(
                        stored.Weight, bias.Weight, Conv2dGeometry.Same(1), frameStride, earlier,
                        chunked.Slice(1, start / frameStride, outputs));
                start += frames;
            }
            if (algorithm == ConvolutionAlgorithm.Direct)
            {
                Assert.Equal(whole.ToArray(), chunked.ToArray());
                continue;
            }
            double error = whole.Subtract(chunked).ToArray().Max(MathF.Abs);
            Assert.True(
                error <= 2 * ConvolutionOptions.ErrorBound(algorithm) * whole.ToArray().Max(MathF.Abs),
                $"{kernelFrames} frames: {error:e2}");
        }
    }

    /// <summary>An image: only the kernel's last frame meets data, and nothing is made of the others.</summary>
    [Fact]
    public void A_single_frame_is_an_image_under_the_last_slice()
    {
        var random = new Random(33);
        using var scope = new TensorScope();
        using var stored = new TestWeight([18, 20, 3, 3, 3], WeightFormat.Float32, 0, () => random.NextSingle() - 0.5f);
        var x = LinearTests.RandomTensor([1, 1, 9, 8, 20], random);
        float[] last = new float[18 * 20 * 9];
        for (int i = 0; i < last.Length; i++)
            last[i] = stored.Values[(i / 9 * 3 + 2) * 9 + i % 9];
        var weight = TestWeight.Of(Tensor.From(Host, last, [18, 20, 3, 3]));
        Assert.Equal(
            x.Reshape(1, 9, 8, 20).Conv2d(weight, null, Conv2dGeometry.Same(1)).ToArray(),
            x.CausalConv3d(stored.Weight, null, Conv2dGeometry.Same(1)).ToArray());
    }

    [Theory]
    [InlineData(ConvolutionAlgorithm.Direct)]
    [InlineData(ConvolutionAlgorithm.Winograd4)]
    public void Threads_do_not_change_a_bit(ConvolutionAlgorithm algorithm)
    {
        var random = new Random(34);
        var device = ConvolutionTests.With(algorithm);
        using var scope = new TensorScope();
        using var stored = new TestWeight([50, 40, 3, 3, 3], WeightFormat.Float16, 0, () => random.NextSingle() - 0.5f);
        var x = LinearTests.RandomTensor([2, 4, 20, 20, 40], random, device);
        var many = x.CausalConv3d(stored.Weight, null, Conv2dGeometry.Same(1));
        using var mode = new LinearTests.Mode(false, threads: 1);
        Assert.Equal(x.CausalConv3d(stored.Weight, null, Conv2dGeometry.Same(1)).ToArray(), many.ToArray());
    }

    /// <summary>
    /// A device that watches convolutions sees those that a causal one is made of: one for each of the kernel's frames that meets data.
    /// </summary>
    [Fact]
    public void Devices_that_take_convolutions_over_see_them()
    {
        var random = new Random(35);
        using var scope = new TensorScope();
        using var stored = new TestWeight([8, 8, 3, 3, 3], WeightFormat.Float32, 0, random.NextSingle);
        var watcher = new Watcher(Host);
        var output = Tensor.Empty(Host, [1, 5, 6, 6, 8]);
        var x = LinearTests.RandomTensor([1, 5, 6, 6, 8], random);
        watcher.CausalConv3d(x, stored.Weight, null, Conv2dGeometry.Same(1), 1, null, output);
        Assert.Equal((3, 5 + 4 + 3), (watcher.Calls, watcher.Images));
        Assert.Equal(x.CausalConv3d(stored.Weight, null, Conv2dGeometry.Same(1)).ToArray(), output.ToArray());
        watcher.CausalConv3d(x.Slice(1, 0, 1), stored.Weight, null, Conv2dGeometry.Same(1), 1, null, output.Slice(1, 0, 1));
        Assert.Equal((4, 13), (watcher.Calls, watcher.Images));
    }

    [Fact]
    public void Shapes_that_do_not_fit_are_named()
    {
        using var scope = new TensorScope();
        using var weight = TestWeight.Of(Tensor.Zeros(Host, [4, 3, 3, 3, 3]));
        var x = Tensor.Zeros(Host, [1, 2, 5, 5, 3]);
        Assert.Throws<ArgumentException>(() => x.Slice(4, 0, 2).CausalConv3d(weight, null, Conv2dGeometry.Same(1)));
        Assert.Throws<ArgumentException>(() => x.CausalConv3d(weight, null, Conv2dGeometry.Same(1), 0));
        Assert.Throws<ArgumentException>(
            () => x.CausalConv3d(weight, null, Conv2dGeometry.Same(1), earlier: Tensor.Zeros(Host, [1, 2, 5, 4, 3])));
        Assert.Throws<ArgumentException>(() => x.CausalConv3d(weight, TestWeight.Of(Tensor.Zeros(Host, [3])), Conv2dGeometry.Same(1)));
    }

    private static void Check(Device device, Random random, WeightFormat type, double bound)
    {
        using var scope = new TensorScope();
        int[] channels = [1, 3, 5, 16, 17, 33];
        int batch = random.Next(1, 3);
        int frames = random.Next(1, 7);
        int before = random.Next(2) == 0 ? 0 : random.Next(1, 4);
        int kernel = random.Next(2) == 0 ? 1 : 3;
        int kernelFrames = random.Next(1, 4);
        int frameStride = random.Next(1, 3);
        int height = random.Next(3, 10);
        int width = random.Next(3, 10);
        int inputs = channels[random.Next(channels.Length)];
        int outputs = channels[random.Next(channels.Length)];
        var geometry = random.Next(3) switch
        {
            0 => Conv2dGeometry.Same(kernel / 2),
            1 => Conv2dGeometry.Same(kernel / 2, 2),
            _ => new Conv2dGeometry(random.Next(1, 3), 0, 0, 1, 1),
        };
        using var stored = new TestWeight(
            [outputs, inputs, kernelFrames, kernel, kernel], type, random.Next(70), () => random.NextSingle() - 0.4f);
        using var bias = random.Next(2) == 0 ? new TestWeight([outputs], type, random.Next(5), random.NextSingle) : null;
        // Sometimes views: channels of a wider tensor, frames of a longer one.
        int pad = random.Next(3) == 0 ? random.Next(1, 20) : 0;
        var all = LinearTests.RandomTensor([batch, before + frames, height, width, inputs + pad], random, device)
            .Slice(4, pad / 2, inputs);
        var x = all.Slice(1, before, frames);
        var earlier = before == 0 ? null : all.Slice(1, 0, before);
        if (random.Next(2) == 0)
            (x, earlier) = (x.Contiguous(), earlier?.Contiguous());
        var weight = stored.Weight;
        var y = x.CausalConv3d(weight, bias?.Weight, geometry, frameStride, earlier);
        var (outHeight, outWidth) = geometry.OutputSize(height, width, kernel, kernel);
        int outFrames = (frames - 1) / frameStride + 1;
        Assert.Equal([batch, outFrames, outHeight, outWidth, outputs], y.Shape);

        float[] video = all.ToArray();
        double error = 0;
        double largest = 0;
        for (int b = 0; b < batch; b++)
        {
            for (int t = 0; t < outFrames; t++)
            {
                for (int row = 0; row < outHeight; row++)
                {
                    for (int column = 0; column < outWidth; column++)
                    {
                        var actual = y.Row(b, t, row, column);
                        for (int n = 0; n < outputs; n++)
                        {
                            double sum = bias?.Values[n] ?? 0;
                            for (int k = 0; k < kernelFrames; k++)
                            {
                                int frame = before + t * frameStride + k - (kernelFrames - 1);
                                for (int tap = 0; tap < kernel * kernel; tap++)
                                {
                                    int py = row * geometry.Stride + tap / kernel - geometry.Top;
                                    int px = column * geometry.Stride + tap % kernel - geometry.Left;
                                    if (frame < 0 || py < 0 || py >= height || px < 0 || px >= width)
                                        continue;
                                    for (int c = 0; c < inputs; c++)
                                    {
                                        sum += (double)video[(((b * (before + frames) + frame) * height + py) * width + px) * inputs + c]
                                            * stored.Values[((n * inputs + c) * kernelFrames + k) * kernel * kernel + tap];
                                    }
                                }
                            }
                            largest = Math.Max(largest, Math.Abs(sum));
                            error = Math.Max(error, Math.Abs(actual[n] - sum));
                            Assert.False(float.IsNaN(actual[n]));
                        }
                    }
                }
            }
        }
        Assert.True(
            error <= bound * largest,
            $"{x.Shape} after {before} {type} {weight.Shape} {geometry} frame stride {frameStride}: {error / largest:e2} relative");
    }

    /// <summary>Counts convolutions and the images they take.</summary>
    private sealed class Watcher(Device inner) : DelegatingDevice(inner)
    {
        public int Calls { get; private set; }

        public int Images { get; private set; }

        public override void Conv2d(Tensor x, PreparedWeight weight, PreparedWeight? bias, Conv2dGeometry geometry, Tensor output)
        {
            (Calls, Images) = (Calls + 1, Images + x.Shape[0]);
            Inner.Conv2d(x, weight, bias, geometry, output);
        }

        public override void AddConv2d(
            Tensor residual, Tensor x, PreparedWeight weight, PreparedWeight? bias, Conv2dGeometry geometry, Tensor output)
        {
            (Calls, Images) = (Calls + 1, Images + x.Shape[0]);
            Inner.AddConv2d(residual, x, weight, bias, geometry, output);
        }
    }
}
