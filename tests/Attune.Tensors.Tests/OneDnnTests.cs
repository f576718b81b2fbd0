using Attune.Tensors.Cpu;
using Attune.Tensors.OneDnn;

namespace Attune.Tensors.Tests;

/// <summary>Products and convolutions by oneDNN against the managed device, where the library is present.</summary>
[NoLeaks]
public class OneDnnTests
{
    private static readonly WeightFormat[] Types = [WeightFormat.Float32, WeightFormat.BFloat16, WeightFormat.Float16];

    [Theory]
    [InlineData(null)]
    [InlineData(0L)]
    public void Products_of_any_shape_and_stored_type_agree_with_managed_ones(long? weightBytes)
    {
        using var device = Library(Precision.Float32, weightBytes);
        var random = new Random(21);
        int[] rows = [1, 2, 5, 16, 33, 77, 130];
        int[] widths = [1, 3, 15, 16, 31, 48, 65, 200, 333];
        for (int trial = 0; trial < 120; trial++)
            Product(
                device, rows[random.Next(rows.Length)], widths[random.Next(widths.Length)], widths[random.Next(widths.Length)],
                Types[trial % 3], (Activation)(trial % 8), 2e-6, random);
        Assert.True(weightBytes == null || device.WeightBytes == 0);
    }

    [Theory]
    [InlineData(null)]
    [InlineData(0L)]
    public void Convolutions_of_any_geometry_agree_with_managed_ones(long? weightBytes)
    {
        using var device = Library(Precision.Float32, weightBytes);
        var random = new Random(22);
        int[] channels = [1, 3, 4, 16, 17, 33, 64];
        int[] kernels = [1, 2, 3, 3, 3, 5];
        for (int trial = 0; trial < 100; trial++)
        {
            int kernel = kernels[random.Next(kernels.Length)];
            var geometry = random.Next(3) switch
            {
                0 => Conv2dGeometry.Same(kernel / 2, random.Next(1, 3)),
                1 => new Conv2dGeometry(2, 0, 0, 1, 1),
                _ => new Conv2dGeometry(random.Next(1, 4), random.Next(4), random.Next(4), random.Next(4), random.Next(4)),
            };
            Convolution(
                device, random.Next(1, 3), kernel + random.Next(14), kernel + random.Next(14), channels[random.Next(channels.Length)],
                channels[random.Next(channels.Length)], kernel, geometry, Types[trial % 3], 2e-6, random);
        }
    }

    /// <summary>
    /// Two factors rounded to 8 bits each: a root mean square of 0.24 %, whose largest of some thousand values stays below 1 % of the
    /// largest output.
    /// </summary>
    [Fact]
    public void Bfloat16_deviates_as_much_as_is_stated()
    {
        using var device = Library(Precision.BFloat16);
        var random = new Random(23);
        for (int trial = 0; trial < 30; trial++)
        {
            Product(device, random.Next(8, 200), random.Next(8, 300), random.Next(8, 300), Types[trial % 3], Activation.None, 0.01, random);
            Convolution(
                device, 1, 5 + random.Next(20), 5 + random.Next(20), random.Next(1, 70), random.Next(1, 70), 3, Conv2dGeometry.Same(1),
                Types[trial % 3], 0.01, random);
        }
    }

    [Fact]
    public void Bfloat16_weights_without_room_are_read_in_place()
    {
        using var device = Library(Precision.BFloat16, 0);
        var random = new Random(24);
        for (int trial = 0; trial < 20; trial++)
            Product(
                device, random.Next(8, 200), random.Next(8, 300), random.Next(8, 300), WeightFormat.BFloat16, Activation.Silu, 0.01,
                random);
        Assert.Equal(0, device.WeightBytes);
    }

    [Fact]
    public void Runs_are_the_same_bit_for_bit()
    {
        foreach (var precision in new[] { Precision.Float32, Precision.BFloat16 })
        {
            using var device = Library(precision);
            using var scope = new TensorScope();
            var random = new Random(25);
            using var stored = new TestWeight([333, 700], WeightFormat.BFloat16, 2, () => random.NextSingle() - 0.5f);
            var x = Noise([150, 700], device, random);
            float[] first = x.Linear(stored.On(device)).ToArray();
            for (int i = 0; i < 5; i++)
                Assert.Equal(first, x.Linear(stored.On(device)).ToArray());
        }
    }

    [Fact]
    public void Reordered_weights_are_kept_and_go_with_the_weight()
    {
        using var device = Library(Precision.Float32);
        using var scope = new TensorScope();
        var random = new Random(26);
        var x = Noise([20, 64], device, random);
        using (var stored = new TestWeight([48, 64], WeightFormat.Float32, 0, () => random.NextSingle()))
        {
            x.Linear(stored.On(device));
            x.Linear(stored.On(device).Rows(16, 32));
            long kept = device.WeightBytes;
            Assert.True(kept >= 80 * 64 * sizeof(float));
            x.Linear(stored.On(device));
            x.Linear(stored.On(device).Rows(16, 32));
            Assert.Equal(kept, device.WeightBytes);
        }
        Assert.Equal(0, device.WeightBytes);
    }

    [Fact]
    public void A_weight_of_another_device_is_refused()
    {
        using var device = Library(Precision.Float32);
        using var scope = new TensorScope();
        using var stored = new TestWeight([48, 64], WeightFormat.Float32, 0, () => 1);
        var x = Noise([20, 64], device, new Random(29));
        Assert.Contains(
            "not prepared for oneDNN", Assert.Throws<ArgumentException>(() => x.Linear(stored.Weight)).Message, StringComparison.Ordinal);
        var y = Tensor.Empty(Devices.Managed, [20, 48]);
        Assert.Contains(
            "not prepared for the managed device",
            Assert.Throws<ArgumentException>(() => Devices.Managed.Linear(x, stored.On(device), null, Activation.None, y)).Message,
            StringComparison.Ordinal);
    }

    /// <summary>A causal convolution is made of the library's; what it makes of the slices stays as long as the weight does.</summary>
    [Fact]
    public void Causal_convolutions_agree_with_managed_ones()
    {
        using var device = Library(Precision.Float32);
        using var scope = new TensorScope();
        var random = new Random(28);
        using var stored = new TestWeight([34, 20, 3, 3, 3], WeightFormat.BFloat16, 0, () => random.NextSingle() - 0.4f);
        var x = Noise([2, 5, 9, 8, 20], device, random);
        var earlier = Noise([2, 2, 9, 8, 20], device, random);
        var expected = Tensor.Empty(Host, [2, 5, 9, 8, 34]);
        Devices.Managed.CausalConv3d(x, stored.Weight, null, Conv2dGeometry.Same(1), 1, earlier, expected);
        Compare(expected, x.CausalConv3d(stored.On(device), null, Conv2dGeometry.Same(1), 1, earlier), 1e-5, "slices");
        long kept = device.WeightBytes;
        Assert.True(kept >= 3 * 34 * 20 * 9 * sizeof(float));
        x.CausalConv3d(stored.On(device), null, Conv2dGeometry.Same(1), 1, earlier);
        Assert.Equal(kept, device.WeightBytes);
    }

    [Fact]
    public void Threads_may_call_at_once()
    {
        using var device = Library(Precision.Float32);
        var random = new Random(27);
        using var stored = new TestWeight([100, 90], WeightFormat.Float16, 0, () => random.NextSingle() - 0.5f);
        using var x = Noise([70, 90], device, random);
        _ = stored.On(device);
        float[] expected = Devices.Managed.Run(x, stored.Weight);
        Parallel.For(0, 50, _ =>
        {
            using var y = Tensor.Empty(device, [70, 100]);
            x.Linear(stored.On(device), into: y);
            Assert.Equal(expected, y.ToArray(), (a, b) => MathF.Abs(a - b) <= 1e-5f);
        });
    }

    [Fact]
    public void A_device_is_chosen_by_name()
    {
        Assert.Equal(Precision.BFloat16, Devices.ParsePrecision("bf16", "--precision"));
        Assert.Equal(
            "--device is 'gpu', expected auto, managed, onednn, torch:cpu, torch:cuda:N or torch:mps.",
            Assert.Throws<ArgumentException>(() => Devices.Open("gpu", option: "--device")).Message);
        Assert.Equal(
            "--precision is 'f8', expected f32, bf16 or f16.",
            Assert.Throws<ArgumentException>(() => Devices.ParsePrecision("f8", "--precision")).Message);
        Assert.Same(Devices.Managed, Devices.Open("managed"));
        Assert.Same(Devices.Managed, Devices.Open("AUTO"));
        Assert.Equal(["auto", "managed", "onednn"], Devices.All.Select(device => device.Name));
        Assert.Contains(
            "needs oneDNN", Assert.Throws<NotSupportedException>(() => Devices.Open("managed", Precision.BFloat16)).Message,
            StringComparison.Ordinal);
    }

    private static OneDnnDevice Library(Precision precision, long? weightBytes = null)
    {
        var library = OneDnnLibrary.TryLoad(out string problem);
        if (library == null)
            Assert.Skip(problem);
        return new OneDnnDevice(new CpuDevice(new ConvolutionOptions()), library, precision, everything: true, weightBytes);
    }

    private static void Product(
        Device device, int rows, int inputs, int outputs, WeightFormat type, Activation activation, double tolerance, Random random)
    {
        using var scope = new TensorScope();
        using var stored = new TestWeight([outputs, inputs], type, random.Next(70), () => random.NextSingle() - 0.4f);
        using var bias = random.Next(2) == 0 ? new TestWeight([outputs], Types[random.Next(3)], random.Next(5), () => random.NextSingle())
            : null;
        // Evenly strided rows, unevenly strided ones, and contiguous ones.
        int pad = random.Next(3) == 0 ? random.Next(1, 40) : 0;
        int outer = random.Next(2) == 0 && rows % 2 == 0 ? 2 : 1;
        Tensor Part(int columns) =>
            Noise([outer, rows / outer + (pad > 0 ? 1 : 0), columns + pad], device, random)
                .Slice(1, 0, rows / outer)
                .Slice(2, pad / 2, columns);
        var (x, y, expected) = (Part(inputs), Part(outputs), Part(outputs));
        x.Linear(stored.On(device), bias?.On(device), activation, y);
        Devices.Managed.Linear(x, stored.Weight, bias?.Weight, activation, expected);
        if (activation == Activation.None)
        {
            // The output may be the residual, or not.
            var residual = Part(outputs);
            Devices.Managed.AddLinear(residual, x, stored.Weight, bias?.Weight, expected);
            bool inPlace = random.Next(2) == 0;
            if (inPlace)
                residual.CopyTo(y);
            (inPlace ? y : residual).AddLinear(x, stored.On(device), bias?.On(device), y);
        }
        Compare(expected, y, tolerance, $"[{rows}, {inputs}] x {type} [{outputs}, {inputs}], {activation}, pad {pad}, outer {outer}");
    }

    private static void Convolution(
        Device device, int batch, int height, int width, int inputs, int outputs, int kernel, Conv2dGeometry geometry, WeightFormat type,
        double tolerance, Random random)
    {
        using var scope = new TensorScope();
        using var stored = new TestWeight([outputs, inputs, kernel, kernel], type, random.Next(70), () => random.NextSingle() - 0.4f);
        using var bias = random.Next(2) == 0 ? new TestWeight([outputs], type, random.Next(5), () => random.NextSingle()) : null;
        int pad = random.Next(4) == 0 ? random.Next(1, 20) : 0;
        var x = Noise([batch, height, width, inputs + pad], device, random).Slice(3, pad / 2, inputs);
        var y = x.Conv2d(stored.On(device), bias?.On(device), geometry);
        var expected = Tensor.Empty(Host, y.Shape);
        Devices.Managed.Conv2d(x, stored.Weight, bias?.Weight, geometry, expected);
        Compare(expected, y, tolerance, $"{x.Shape} {type} {stored.Weight.Shape} {geometry} pad {pad}");

        var residual = Noise(y.Shape, device, random);
        Devices.Managed.AddConv2d(residual, x, stored.Weight, bias?.Weight, geometry, expected);
        Compare(
            expected, residual.AddConv2d(x, stored.On(device), bias?.On(device), geometry, random.Next(2) == 0 ? residual : y), tolerance,
            $"residual + {x.Shape} {type} {stored.Weight.Shape} {geometry} pad {pad}");
    }

    private static void Compare(Tensor expected, Tensor actual, double tolerance, string what)
    {
        float[] right = expected.ToArray();
        double largest = right.Max(MathF.Abs);
        double error = right.Zip(actual.ToArray(), (e, a) => Math.Abs((double)e - a)).Max();
        Assert.True(error <= tolerance * Math.Max(largest, 0.1), $"{what}: {error / largest:e2} of the largest");
    }

    private static Tensor Noise(Shape shape, Device device, Random random)
    {
        var tensor = Tensor.Empty(device, shape);
        foreach (ref float value in tensor.Span)
            value = random.NextSingle() - 0.5f;
        return tensor;
    }
}

file static class Products
{
    public static float[] Run(this Device device, Tensor x, PreparedWeight weight)
    {
        using var y = TensorScope.Detach(Tensor.Empty(Host, x.Shape.With(^1, weight.Shape[0])));
        device.Linear(x, weight, null, Activation.None, y);
        return y.ToArray();
    }
}
