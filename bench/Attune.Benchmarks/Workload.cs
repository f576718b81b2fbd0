using System.Globalization;
using Attune.Tensors;

namespace Attune.Benchmarks;

/// <summary>One product or convolution with its operands; the name tells its shape.</summary>
internal sealed unsafe class Workload : IDisposable
{
    private readonly List<Tensor> _tensors = [];

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
            "bf16" => DataType.BFloat16,
            "f16" => DataType.Float16,
            _ => DataType.Float32,
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
        foreach (var tensor in _tensors)
            tensor.Dispose();
    }

    private static Workload Product(string name, int rows, int inputs, int outputs, DataType type)
    {
        var x = Random([rows, inputs], 1);
        var y = Tensor.Empty([rows, outputs]);
        var (weight, memory) = RandomWeight([outputs, inputs], type);
        Tensor? wide = null;
        return new Workload(name, 2.0 * rows * inputs * outputs)
        {
            Run = () => x.Linear(weight, into: y),
            Reference = () => OpenBlas.Product(rows, outputs, inputs, x.Pointer, (wide ??= weight.ToTensor()).Pointer, y.Pointer),
            _tensors = { x, y, memory },
        };
    }

    private static Workload Convolution(
        string name, int inputs, int outputs, int size, int kernel, int stride, DataType type, ConvolutionAlgorithm algorithm)
    {
        var geometry = Conv2dGeometry.Same(kernel / 2, stride);
        var (height, width) = geometry.OutputSize(size, size, kernel, kernel);
        var x = Random([1, size, size, inputs], 1);
        var y = Tensor.Empty([1, height, width, outputs]);
        var (weight, memory) = RandomWeight([outputs, inputs, kernel, kernel], type);
        return new Workload(name, 2.0 * height * width * inputs * outputs * kernel * kernel)
        {
            Run = () =>
            {
                Device.Default.Convolution.Algorithm = algorithm;
                x.Conv2d(weight, null, geometry, y);
            },
            _tensors = { x, y, memory },
        };
    }

    private static Tensor Random(Shape shape, int seed)
    {
        var tensor = Tensor.Empty(shape);
        var random = new Random(seed);
        float* p = tensor.Pointer;
        for (long i = 0; i < tensor.Count; i++)
            p[i] = i < 4096 ? random.NextSingle() - 0.5f : p[i - 4095];
        return tensor;
    }

    private static (Weight Weight, Tensor Memory) RandomWeight(Shape shape, DataType type)
    {
        var values = Random(shape, 2);
        if (type == DataType.Float32)
            return (new Weight(shape.ToString(), values), values);
        var memory = Tensor.Empty([checked((int)((shape.Count + 1) / 2))]);
        var bits = (ushort*)memory.Pointer;
        for (long i = 0; i < shape.Count; i++)
            bits[i] = type == DataType.BFloat16 ? Conversion.ToBFloat16(values.Pointer[i])
                : BitConverter.HalfToUInt16Bits((Half)values.Pointer[i]);
        values.Dispose();
        return (Weight.Packed(shape.ToString(), memory, shape, type), memory);
    }
}
