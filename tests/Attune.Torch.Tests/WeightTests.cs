using Attune.Tensors;
using Attune.Tensors.Tests;

namespace Attune.Torch.Tests;

/// <summary>Weights on the device: widened there to the same bits, brought within a budget, given back.</summary>
public class WeightTests
{
    private static readonly string[] OnDevice =
    [
        "F8_E4M3", "F8_E5M2", "Q8_0", "Q4_0", "Q4_1", "Q5_0", "Q5_1", "Q2_K", "Q3_K", "Q4_K", "Q5_K", "Q6_K",
    ];

    private readonly Random _random = new(41);

    public static TheoryData<string> Formats() => [.. WeightFormat.All.Select(format => format.Name).Where(name => name != "F64")];

    /// <summary>Random bytes are any blocks there can be; the identity gives the elements themselves.</summary>
    [Theory]
    [MemberData(nameof(Formats))]
    public void Every_format_is_widened_to_the_same_bits(string name)
    {
        var format = WeightFormat.Find(name)!;
        using var device = Copying();
        const int rows = 6, columns = 512;
        using var stored = Random(format, [rows, columns]);
        using var weight = device.Prepare(stored, WeightRole.Matrix);
        float[] expected = new float[rows * columns];
        stored.Widen(0, expected);
        float[] identity = new float[columns * columns];
        for (int i = 0; i < columns; i++)
            identity[i * columns + i] = 1;
        using (var scope = new TensorScope())
        {
            float[] actual = Tensor.From(device, identity, [columns, columns]).Linear(weight).ToArray();
            for (int i = 0; i < expected.Length; i++)
                Assert.Equal(expected[i], actual[i % columns * rows + i / columns]);
        }
        bool asStored = OnDevice.Contains(name) || name is "F32" or "F16" or "BF16";
        Assert.Equal(asStored ? stored.Bytes.Length : 4L * rows * columns, device.LiveBytes);
    }

    [Fact]
    public void Scales_beside_a_weight_are_multiplied_on_the_device()
    {
        foreach (Shape parts in new Shape[] { [1], [6], [6, 4], [2, 2] })
        {
            using var scope = new TensorScope();
            using var device = Copying();
            var numbers = Tensor.From(Devices.Managed, [.. Enumerable.Range(0, (int)parts.Count).Select(i => .5f + i)], parts);
            var columns = Tensor.From(Devices.Managed, [.. Enumerable.Range(0, 32).Select(i => 1f / (1 + i))], [32]);
            using var stored = Random(WeightFormat.Find("F8_E4M3")!, [6, 32]) with
            {
                Companions = new Dictionary<string, StoredWeight>
                {
                    [StoredWeight.ScaleCompanion] = StoredWeight.Of("scale", numbers),
                    [StoredWeight.ColumnsCompanion] = StoredWeight.Of("columns", columns),
                },
            };
            using var weight = device.Prepare(stored, WeightRole.Matrix);
            using var managed = Devices.Managed.Prepare(stored, WeightRole.Matrix);
            float[] x = [.. Enumerable.Range(0, 32).Select(_ => _random.NextSingle())];
            float[] expected = Tensor.From(Devices.Managed, x, [1, 32]).Linear(managed).ToArray();
            float[] actual = Tensor.From(device, x, [1, 32]).Linear(weight).ToArray();
            double largest = expected.Max(Math.Abs);
            Assert.All(expected.Zip(actual), pair => Assert.Equal(pair.First, pair.Second, 1e-6 * largest));
        }
    }

    /// <summary>
    /// Twelve layers, three times, with room for some: the same results, never more than the budget, and each time what did not stay is
    /// brought. Three quarters of the budget are for weights, a fifth of that for those that pass.
    /// </summary>
    /// <param name="sizes">The budget, in weights.</param>
    /// <param name="stay">How many stay.</param>
    /// <param name="ahead">How many are brought ahead at the end, for a time that does not come.</param>
    [Theory]
    [InlineData(6.5, 3, 0)]
    [InlineData(12, 7, 1)]
    public void Weights_beyond_the_budget_are_brought_for_each_use(double sizes, int stay, int ahead)
    {
        const int width = 64, layers = 12, times = 3;
        long size = width * width * sizeof(float);
        using var scope = new TensorScope();
        Tensor[] memory =
        [
            .. Enumerable.Range(0, layers).Select(_ => Tensor.From(
                Devices.Managed, [.. Enumerable.Range(0, width * width).Select(_ => (_random.NextSingle() - .5f) / 4)], [width, width])),
        ];
        float[] x = [.. Enumerable.Range(0, 2 * width).Select(_ => _random.NextSingle() - .5f)];
        var (expected, _, _) = Run(0);
        var (actual, copied, peak) = Run((long)(sizes * size));
        Assert.Equal(expected, actual);
        Assert.Equal(size * (stay + times * (layers - stay) + ahead), copied);
        Assert.InRange(peak, (stay + 1) * size, (long)(sizes * size));

        (float[], long, long) Run(long budget)
        {
            TorchCpu.Require();
            using var device = TorchDevice.Open("torch:cpu", memory: budget);
            PreparedWeight[] weights = [.. memory.Select(tensor => device.Prepare(StoredWeight.Of("w", tensor), WeightRole.Matrix))];
            float[] result = [];
            for (int time = 0; time < times; time++)
            {
                using var step = new TensorScope();
                var y = Tensor.From(device, x, [2, width]);
                foreach (var weight in weights)
                    y = y.Linear(weight);
                result = y.ToArray();
            }
            foreach (var weight in weights)
                weight.Dispose();
            Assert.Equal(0, device.LiveHandles);
            Assert.Equal(0, device.LiveBytes);
            return (result, device.Residency.CopiedBytes, device.PeakBytes);
        }
    }

    /// <summary>A weight of more than one part, whole and some of its rows, for few rows and for many; a part ends in the middle.</summary>
    [Fact]
    public void Few_rows_are_multiplied_with_parts_of_a_weight()
    {
        using var scope = new TensorScope();
        const int inputs = 300, outputs = 4001;
        using var weight = new TestWeight([outputs, inputs], WeightFormat.BFloat16, 2, () => _random.NextSingle() - .5f);
        using var bias = new TestWeight([outputs], WeightFormat.Float16, 0, () => _random.NextSingle() - .5f);
        foreach (int rows in new[] { 0, 1, 3, 17 })
        {
            float[] x = [.. Enumerable.Range(0, rows * inputs).Select(_ => _random.NextSingle() - .5f)];
            foreach (var (start, length) in new[] { (0, outputs), (1, 2500) })
            {
                float[] Compute(Device device) => Tensor.From(device, x, [1, rows, inputs])
                    .Linear(weight.On(device).Rows(start, length), bias.On(device).Rows(start, length)).ToArray();
                float[] expected = Compute(Devices.Managed), actual = Compute(TorchCpu.Device);
                Assert.Equal(expected.Length, actual.Length);
                Assert.All(expected.Zip(actual), pair => Assert.Equal(pair.First, pair.Second, 1e-5));
            }
        }
    }

    [Fact]
    public void What_passes_leaves_and_comes_again()
    {
        using var scope = new TensorScope();
        using var device = Copying();
        using var first = device.Prepare(Random(WeightFormat.BFloat16, [8, 16]), WeightRole.Matrix);
        using var second = device.Prepare(Random(WeightFormat.BFloat16, [8, 16]), WeightRole.Matrix);
        var x = Tensor.Full(device, [1, 16], 1);
        long before = device.LiveBytes;
        float[] stays = x.Linear(first).ToArray(), passes;
        using (device.Passing())
            passes = x.Linear(second).ToArray();
        Assert.Equal(before + 256 + 2 * 32, device.LiveBytes);     // one weight and two results
        Assert.Equal(passes, x.Linear(second).ToArray());
        Assert.Equal(stays, x.Linear(first).ToArray());
    }

    private static TorchDevice Copying()
    {
        TorchCpu.Require();
        return TorchDevice.Open("torch:cpu", memory: 1L << 30);
    }

    /// <summary>Random bytes; blocks that hold infinities or NaN are drawn again.</summary>
    private StoredWeight Random(WeightFormat format, Shape shape)
    {
        var bytes = WeightBytes.Allocate(format.BytesOf(shape.Count));
        var span = bytes.Write(0, (int)bytes.Length);
        float[] values = new float[format.BlockLength];
        for (int at = 0; at < span.Length; at += format.BlockBytes)
        {
            var block = span.Slice(at, format.BlockBytes);
            do
            {
                _random.NextBytes(block);
                format.Widen(block, values);
            }
            while (!values.All(float.IsFinite));
        }
        return new StoredWeight(format.Name, shape, format, bytes);
    }
}
