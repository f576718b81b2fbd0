using System.Globalization;
using System.Runtime.InteropServices;
using Attune.Bench;
using Attune.Tensors;
using Attune.Tensors.Cpu;

namespace Attune.Benchmarks;

/// <summary>One product or convolution with its operands; the name tells its shape.</summary>
internal sealed unsafe class Workload : IDisposable
{
    private readonly List<IDisposable> _owned = [];

    private Workload(string name, double operations) => (Name, Operations) = (name, operations);

    public string Name { get; }

    /// <summary>Floating-point operations of one run.</summary>
    public double Operations { get; }

    public required Action Run { get; init; }

    /// <summary>The same product by OpenBLAS with the weight widened beforehand; null for a convolution.</summary>
    public Action? Reference { get; init; }

    /// <summary>
    /// Parses "rows x inputs x outputs type" or "conv inputs>outputs@size k kernel s stride type", for a convolution with an algorithm if
    /// need be.
    /// </summary>
    public static Workload Parse(string text)
    {
        string[] parts = text.Split(' ', StringSplitOptions.RemoveEmptyEntries);
        var algorithm = ConvolutionAlgorithm.Auto;
        if (Enum.TryParse(parts[^1], ignoreCase: true, out ConvolutionAlgorithm named))
            (algorithm, parts) = (named, parts[..^1]);
        var type = parts[^1] switch
        {
            "bf16" => WeightFormat.BFloat16,
            "f16" => WeightFormat.Float16,
            "f32" => WeightFormat.Float32,
            var name => WeightFormat.Find(name.ToUpperInvariant()) ?? throw new ArgumentException($"There is no type '{name}'."),
        };
        if (parts[0] == "conv")
        {
            int[] n = [.. parts[1].Split('>', '@', 'k', 's').Select(p => int.Parse(p, CultureInfo.InvariantCulture))];
            return Convolution(
                text, n[0], n[1], n[2], n.ElementAtOrDefault(3) is > 0 and var k ? k : 3, n.ElementAtOrDefault(4) is > 0 and var s ? s : 1,
                type, algorithm);
        }
        int[] sizes = [.. parts[0].Split('x').Select(p => int.Parse(p, CultureInfo.InvariantCulture))];
        return Product(text, sizes[0], sizes[1], sizes[2], type);
    }

    public void Dispose()
    {
        _owned.ForEach(owned => owned.Dispose());
    }

    private static Workload Product(string name, int rows, int inputs, int outputs, WeightFormat type)
    {
        var x = Noise.Of([rows, inputs], 1);
        var y = Tensor.Empty(Devices.Managed, [rows, outputs]);
        var stored = RandomWeight([outputs, inputs], type);
        var weight = Devices.Managed.Prepare(stored, WeightRole.Matrix);
        Tensor? wide = null;
        return new Workload(name, 2.0 * rows * inputs * outputs)
        {
            Run = () => x.Linear(weight, into: y),
            Reference = () => OpenBlas.Product(
                rows, outputs, inputs, x.Pointer, (wide ??= stored.ToTensor(Devices.Managed)).Pointer, y.Pointer),
            _owned = { x, y, weight },
        };
    }

    private static Workload Convolution(
        string name, int inputs, int outputs, int size, int kernel, int stride, WeightFormat type, ConvolutionAlgorithm algorithm)
    {
        var geometry = Conv2dGeometry.Same(kernel / 2, stride);
        var (height, width) = geometry.OutputSize(size, size, kernel, kernel);
        var x = Noise.Of([1, size, size, inputs], 1);
        var y = Tensor.Empty(Devices.Managed, [1, height, width, outputs]);
        var device = new CpuDevice(new ConvolutionOptions { Algorithm = algorithm });
        var weight = device.Prepare(RandomWeight([outputs, inputs, kernel, kernel], type), WeightRole.Convolution);
        return new Workload(name, 2.0 * height * width * inputs * outputs * kernel * kernel)
        {
            Run = () => device.Conv2d(x, weight, null, geometry, y),
            _owned = { x, y, weight },
        };
    }

    private static StoredWeight RandomWeight(Shape shape, WeightFormat type)
    {
        var values = Noise.Of(shape, 2);
        if (type == WeightFormat.Float32)
            return StoredWeight.Owning(shape.ToString(), values);
        var bytes = WeightBytes.Allocate(type.BytesOf(shape.Count));
        var bits = MemoryMarshal.Cast<byte, ushort>(bytes.Write(0, checked((int)bytes.Length)));
        for (int i = 0; i < bits.Length; i++)
            bits[i] = type == WeightFormat.BFloat16 ? Conversion.ToBFloat16(values.Pointer[i])
                : BitConverter.HalfToUInt16Bits((Half)values.Pointer[i]);
        values.Dispose();
        return new StoredWeight(shape.ToString(), shape, type, bytes);
    }
}
