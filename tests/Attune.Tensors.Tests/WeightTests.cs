using System.Buffers.Binary;

namespace Attune.Tensors.Tests;

/// <summary>Stored weights, and what devices make of them.</summary>
[NoLeaks]
public class WeightTests
{
    private static readonly Random Random = new(41);

    [Fact]
    public void Bytes_must_be_those_of_the_shape()
    {
        using var bytes = WeightBytes.Allocate(24);
        Assert.Contains(
            "w: 24 bytes, expected 32 for [2, 4] of F32",
            Assert.Throws<ArgumentException>(() => new StoredWeight("w", [2, 4], WeightFormat.Float32, bytes)).Message,
            StringComparison.Ordinal);
        Assert.Equal(12, new StoredWeight("w", [3, 4], WeightFormat.BFloat16, bytes).Shape.Count);
        Assert.Throws<ArgumentException>(() => new StoredWeight("w", [3, 4], WeightFormat.Find("Q8_0")!, bytes));
        Assert.Throws<ArgumentOutOfRangeException>(() => bytes.Read(20, 5));
        Assert.Throws<ArgumentOutOfRangeException>(() => bytes.Slice(-1, 5));
    }

    [Fact]
    public void Bytes_of_a_file_lie_within_it_and_are_read_only()
    {
        using var weight = new TestWeight([2, 4], WeightFormat.Float32, 3, () => 1);
        string path = Path.GetTempFileName();
        File.WriteAllBytes(path, [1, 2, 3, 4]);
        using (var file = new MappedFile(path))
        {
            Assert.Throws<ArgumentOutOfRangeException>(() => WeightBytes.Of(file, 1, 4));
            var bytes = WeightBytes.Of(file, 1, 3);
            Assert.Equal([3, 4], bytes.Read(1, 2).ToArray());
            Assert.Throws<InvalidOperationException>(() => bytes.Write(0, 1)[0] = 1);
            file.Dispose();
            Assert.Throws<ObjectDisposedException>(() => bytes.Read(0, 1).Length);
        }
        File.Delete(path);
    }

    [Fact]
    public void A_weight_owns_what_was_made_for_it_and_nothing_else()
    {
        using var scope = new TensorScope();
        var memory = Tensor.Full(Host, [2, 3], 5);
        var view = StoredWeight.Of("view", memory);
        view.Dispose();
        Assert.False(memory.IsDisposed);
        var made = Tensor.Full(Host, [2, 3], 7);
        var prepared = Host.Prepare(StoredWeight.Owning("made", made), WeightRole.Matrix);
        Assert.False(made.IsDisposed);
        prepared.Dispose();
        Assert.True(made.IsDisposed);
        Assert.Throws<ObjectDisposedException>(() => Tensor.Zeros(Host, [1, 3]).Linear(prepared));
        Assert.Throws<ArgumentException>(() => StoredWeight.Of("strided", memory.Slice(1, 0, 2)));
    }

    /// <summary>
    /// Formats that kernels do not know, in blocks and with scales, through every kernel: the product with the widened weight is the same.
    /// </summary>
    [Theory]
    [InlineData("Q8_0", null)]
    [InlineData("F8_E4M3", null)]
    [InlineData("F8_E4M3", new[] { 1 })]
    [InlineData("F8_E4M3", new[] { 96, 1 })]
    [InlineData("F8_E4M3", new[] { 96, 4 })]
    [InlineData("F8_E4M3", new[] { 3, 2 })]
    [InlineData("BF16", new[] { 96 })]
    [InlineData("F32", new[] { 1 })]
    public void Kernels_widen_any_format(string name, int[]? scales)
    {
        foreach (bool narrow in new[] { false, true })
        {
            using var mode = new LinearTests.Mode(narrow);
            using var scope = new TensorScope();
            var stored = Stored(name, [96, 128], scales);
            using var wide = StoredWeight.Owning("wide", stored.ToTensor(Host));
            using var weight = Host.Prepare(stored, WeightRole.Matrix);
            using var plain = Host.Prepare(wide, WeightRole.Matrix);

            // Few rows, many rows, few outputs, and rows of the weight.
            foreach (int rows in new[] { 1, 3, 40 })
            {
                var x = LinearTests.RandomTensor([rows, 128], Random);
                Close(x.Linear(plain), x.Linear(weight));
                Close(x.Linear(plain.Rows(32, 64)), x.Linear(weight.Rows(32, 64)));
            }
            var table = Host.Prepare(stored, WeightRole.Table);
            Assert.Equal(
                Host.Prepare(wide, WeightRole.Table).Embed([95, 0, 31]).ToArray(), table.Embed([95, 0, 31]).ToArray());
        }
    }

    /// <summary>Formats in blocks are read straight from their codes where there is one row.</summary>
    [Fact]
    public void A_row_is_multiplied_with_any_format_in_blocks()
    {
        foreach (var format in WeightFormat.All.Where(format => format.BlockLength > 1))
        {
            using var scope = new TensorScope();
            var stored = Stored(format.Name, [40, 768], null);
            using var wide = StoredWeight.Owning("wide", stored.ToTensor(Host));
            using var weight = Host.Prepare(stored, WeightRole.Matrix);
            using var plain = Host.Prepare(wide, WeightRole.Matrix);
            var x = LinearTests.RandomTensor([1, 768], Random);
            Close(x.Linear(plain), x.Linear(weight));
        }
    }

    /// <summary>
    /// Products with the identity are the weight itself: all finite numbers of binary16, through every kernel that widens them.
    /// </summary>
    [Theory]
    [InlineData(1)]
    [InlineData(4)]
    [InlineData(64)]
    public void Halves_are_widened_exactly(int rows)
    {
        using var scope = new TensorScope();
        var bytes = WeightBytes.Of(Tensor.Empty(Host, [1 << 15]));
        var raw = bytes.Write(0, 1 << 17);
        for (int i = 0; i < 1 << 16; i++)
            BinaryPrimitives.WriteUInt16LittleEndian(raw[(2 * i)..], (ushort)((i & 0x7C00) == 0x7C00 ? i & 0x83FF : i));
        using var weight = Host.Prepare(new StoredWeight("w", [1024, 64], WeightFormat.Float16, bytes), WeightRole.Matrix);
        for (int first = 0; first < 64; first += rows)
        {
            float[] ones = new float[rows * 64];
            for (int i = 0; i < rows; i++)
                ones[i * 64 + first + i] = 1;
            float[] values = Tensor.From(Host, ones, [rows, 64]).Linear(weight).ToArray();
            for (int i = 0; i < rows; i++)
            {
                for (int n = 0; n < 1024; n++)
                {
                    float expected = (float)BinaryPrimitives.ReadHalfLittleEndian(raw[(2 * (n * 64 + first + i))..]);
                    Assert.True(expected == values[i * 1024 + n], $"{expected:r} became {values[i * 1024 + n]:r}");
                }
            }
        }
    }

    [Theory]
    [InlineData("Q8_0", null, ConvolutionAlgorithm.Direct)]
    [InlineData("Q8_0", null, ConvolutionAlgorithm.Winograd4)]
    [InlineData("F8_E4M3", new[] { 64 }, ConvolutionAlgorithm.Direct)]
    public void Convolutions_widen_any_format(string name, int[]? scales, ConvolutionAlgorithm algorithm)
    {
        // A row of 17 x 9 elements is no whole number of blocks.
        using var scope = new TensorScope();
        var device = ConvolutionTests.With(algorithm);
        var stored = Stored(name, [64, 17, 3, 3], scales);
        using var wide = device.Prepare(StoredWeight.Owning("wide", stored.ToTensor(Host)), WeightRole.Convolution);
        using var weight = device.Prepare(stored, WeightRole.Convolution);
        var x = LinearTests.RandomTensor([1, 12, 11, 17], Random, device);
        Close(x.Conv2d(wide, null, Conv2dGeometry.Same(1)), x.Conv2d(weight, null, Conv2dGeometry.Same(1)));
    }

    [Fact]
    public void Causal_convolutions_gather_any_format()
    {
        using var scope = new TensorScope();
        var stored = Stored("Q8_0", [8, 4, 3, 3, 3], null);
        using var wide = Host.Prepare(StoredWeight.Owning("wide", stored.ToTensor(Host)), WeightRole.Convolution);
        using var weight = Host.Prepare(stored, WeightRole.Convolution);
        var x = LinearTests.RandomTensor([1, 4, 6, 5, 4], Random);
        Close(x.CausalConv3d(wide, null, Conv2dGeometry.Same(1)), x.CausalConv3d(weight, null, Conv2dGeometry.Same(1)));
    }

    [Fact]
    public void Vectors_may_be_of_any_format()
    {
        using var scope = new TensorScope();
        var stored = Stored("F8_E4M3", [64], [1]);
        using var vector = Host.Prepare(stored, WeightRole.Vector);
        using var wide = Host.Prepare(StoredWeight.Owning("wide", stored.ToTensor(Host)), WeightRole.Vector);
        var x = LinearTests.RandomTensor([5, 64], Random);
        Assert.Equal(x.LayerNorm(wide, wide, 1e-5f).ToArray(), x.LayerNorm(vector, vector, 1e-5f).ToArray());
        using var matrix = TestWeight.Of(LinearTests.RandomTensor([64, 64], Random));
        Assert.Equal(x.Linear(matrix, wide).ToArray(), x.Linear(matrix, vector).ToArray());
    }

    [Fact]
    public void A_scale_that_does_not_fit_is_named()
    {
        using var scope = new TensorScope();
        var stored = Stored("F8_E4M3", [96, 128], [5, 2]);
        Assert.Contains(
            "w: w.scale [5, 2] does not scale [96, 128] in parts of equal size",
            Assert.Throws<ArgumentException>(() => Host.Prepare(stored, WeightRole.Matrix)).Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Rows_keep_what_belongs_to_them()
    {
        using var scope = new TensorScope();
        var stored = Stored("F8_E4M3", [96, 128], [3, 2]) with
        {
            LowRank = [new LowRank(
                StoredWeight.Of("down", LinearTests.RandomTensor([4, 128], Random)),
                StoredWeight.Of("up", LinearTests.RandomTensor([96, 4], Random)), 2)],
        };
        var rows = stored.Rows(32, 64);
        Assert.Equal(stored.ToTensor(Host).Slice(0, 32, 64).ToArray(), rows.ToTensor(Host).ToArray());
        Assert.Equal([2, 2], rows.Companions[StoredWeight.ScaleCompanion].Shape);
        Assert.Equal([4, 128], rows.LowRank[0].Down.Shape);
        Assert.Equal([64, 4], rows.LowRank[0].Up.Shape);
        Assert.Contains("share scales", Assert.Throws<ArgumentException>(() => stored.Rows(16, 32)).Message, StringComparison.Ordinal);
        Assert.Throws<ArgumentOutOfRangeException>(() => stored.Rows(90, 7));

        // Blocks that cross rows are not cut.
        Assert.Throws<ArgumentException>(() => Stored("Q8_0", [8, 12], null).Rows(1, 2));
    }

    [Fact]
    public void Roles_have_shapes()
    {
        using var scope = new TensorScope();
        StoredWeight Of(Shape shape) => StoredWeight.Of("w", Tensor.Zeros(Host, shape));
        foreach (var (role, rank) in new[]
            {
                (WeightRole.Matrix, 1), (WeightRole.Matrix, 4), (WeightRole.Vector, 2), (WeightRole.Convolution, 3), (WeightRole.Table, 1),
            })
            Assert.Contains(
                $"is no {role}",
                Assert.Throws<ArgumentException>(() => Host.Prepare(Of(Shape.Create([2, 2, 2, 2]).Take(..rank)), role)).Message,
                StringComparison.Ordinal);
    }

    [Fact]
    public void Rows_of_a_prepared_weight_are_kept()
    {
        using var scope = new TensorScope();
        using var weight = TestWeight.Of(LinearTests.RandomTensor([6, 4], Random));
        var rows = weight.Rows(2, 3);
        Assert.Same(rows, weight.Rows(2, 3));
        Assert.Same(weight, weight.Rows(0, 6));
        Assert.Same(Host, rows.Device);
        var x = LinearTests.RandomTensor([5, 4], Random);
        Assert.Equal(x.Linear(weight).Slice(1, 2, 3).ToArray(), x.Linear(rows).ToArray());
        Assert.Throws<ArgumentOutOfRangeException>(() => weight.Rows(4, 3));
    }

    /// <summary>Low-rank addends come before the activation and the residual, also of some rows.</summary>
    [Fact]
    public void Low_rank_addends_are_added_to_products()
    {
        using var scope = new TensorScope();
        var w = LinearTests.RandomTensor([24, 32], Random);
        var (down, up) = (LinearTests.RandomTensor([4, 32], Random), LinearTests.RandomTensor([24, 4], Random));
        var stored = StoredWeight.Of("w", w) with
        {
            LowRank = [new LowRank(StoredWeight.Of("down", down), StoredWeight.Of("up", up), 0.5f)],
        };
        using var apart = Host.Prepare(stored, WeightRole.Matrix);
        using var transposed = TestWeight.Of(down.Permute(1, 0));
        using var merged = TestWeight.Of(w.Add(up.Linear(transposed).Affine(0.5f, 0)));
        using var bias = TestWeight.Of(LinearTests.RandomTensor([24], Random));
        var x = LinearTests.RandomTensor([7, 32], Random);
        Close(x.Linear(merged, bias, Activation.Silu), x.Linear(apart, bias, Activation.Silu));
        Close(
            x.Linear(merged.Rows(8, 8), bias.Rows(8, 8), Activation.Silu), x.Linear(apart.Rows(8, 8), bias.Rows(8, 8), Activation.Silu));
        var residual = LinearTests.RandomTensor([7, 24], Random);
        Close(residual.AddLinear(x, merged, bias), residual.AddLinear(x, apart, bias));
        var expected = residual.AddLinear(x, merged, bias);
        Assert.Same(residual, residual.AddLinear(x, apart, bias, residual));
        Close(expected, residual);
    }

    [Fact]
    public void Low_rank_addends_are_added_to_convolutions()
    {
        using var scope = new TensorScope();
        var (w, down, up) = (
            LinearTests.RandomTensor([10, 6, 3, 3], Random), LinearTests.RandomTensor([2, 6, 3, 3], Random),
            LinearTests.RandomTensor([10, 2], Random));
        var stored = StoredWeight.Of("w", w) with
        {
            LowRank = [new LowRank(StoredWeight.Of("down", down), StoredWeight.Of("up", up), -2)],
        };
        using var apart = Host.Prepare(stored, WeightRole.Convolution);
        using var transposed = TestWeight.Of(down.Reshape(2, 54).Permute(1, 0));
        using var merged = TestWeight.Of(w.Reshape(10, 54).Add(up.Linear(transposed).Affine(-2, 0)).Reshape(10, 6, 3, 3));
        var x = LinearTests.RandomTensor([1, 8, 9, 6], Random);
        var geometry = Conv2dGeometry.Same(1, 2);
        var expected = x.Conv2d(merged, null, geometry);
        Close(expected, x.Conv2d(apart, null, geometry));
        var residual = LinearTests.RandomTensor(expected.Shape, Random);
        Close(residual.AddConv2d(x, merged, null, geometry), residual.AddConv2d(x, apart, null, geometry));
        Assert.Contains(
            "not prepared for the managed device",
            Assert.Throws<ArgumentException>(() => Host.Conv2d(x, apart, null, geometry, expected)).Message,
            StringComparison.Ordinal);
    }

    [Fact]
    public void Roles_without_addends_refuse_them()
    {
        using var scope = new TensorScope();
        var part = new LowRank(StoredWeight.Of("down", Tensor.Zeros(Host, [1, 3])), StoredWeight.Of("up", Tensor.Zeros(Host, [2, 1])), 1);
        var table = StoredWeight.Of("w", Tensor.Zeros(Host, [2, 3])) with { LowRank = [part] };
        Assert.Contains(
            "must be merged", Assert.Throws<ArgumentException>(() => Host.Prepare(table, WeightRole.Table)).Message,
            StringComparison.Ordinal);
    }

    /// <summary>A weight of random bytes that make no NaN, with scales of a shape.</summary>
    private static StoredWeight Stored(string name, Shape shape, int[]? scales)
    {
        var format = WeightFormat.Find(name)!;
        long length = format.BytesOf(shape.Count);
        var bytes = WeightBytes.Of(Tensor.Empty(Host, [(int)(length / sizeof(float)) + 1])).Slice(0, length);
        var raw = bytes.Write(0, (int)bytes.Length);
        for (int at = 0; at < raw.Length; at += format.BlockBytes)
        {
            var block = raw.Slice(at, format.BlockBytes);
            if (name == "BF16")
                BinaryPrimitives.WriteUInt16LittleEndian(block, Conversion.ToBFloat16(Random.NextSingle() - 0.5f));
            else if (name == "F32")
                BinaryPrimitives.WriteSingleLittleEndian(block, Random.NextSingle() - 0.5f);
            else
                Random.NextBytes(block);
            if (name == "F8_E4M3")
                block[0] = (byte)(block[0] & 0xBF);
            if (name == "MXFP4")
                block[0] = (byte)(120 + block[0] % 8);                // an exponent, of which larger ones are infinite in sums
            if (name == "NVFP4")
                BinaryPrimitives.WriteUInt32LittleEndian(block, BinaryPrimitives.ReadUInt32LittleEndian(block) & 0x3F3F3F3F);
            foreach (int half in BlockFormatTests.Halves(name))
                BinaryPrimitives.WriteHalfLittleEndian(block[half..], (Half)((Random.NextSingle() - 0.5f) * (at == 0 ? 1e-5f : 0.02f)));
        }
        var weight = new StoredWeight("w", shape, format, bytes);
        if (scales == null)
            return weight;
        var scale = LinearTests.RandomTensor(Shape.Create(scales), Random);
        return weight with
        {
            Companions = new Dictionary<string, StoredWeight> { [StoredWeight.ScaleCompanion] = StoredWeight.Of("w.scale", scale) },
        };
    }

    private static void Close(Tensor expected, Tensor actual)
    {
        Assert.Equal(expected.Shape, actual.Shape);
        double largest = expected.ToArray().Max(MathF.Abs);
        double error = expected.ToArray().Zip(actual.ToArray(), (e, a) => Math.Abs((double)e - a)).Max();
        Assert.True(error <= 1e-5 * largest, $"{error / largest:e2} of the largest");
    }
}
