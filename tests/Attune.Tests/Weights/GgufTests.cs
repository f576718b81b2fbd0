using System.Runtime.InteropServices;
using Attune.Tensors;
using Attune.Weights;

namespace Attune.Tests.Weights;

/// <summary>GGUF files: what is in them, what may be missing from them, and what is refused.</summary>
public class GgufTests
{
    private static readonly float[] Twelve = [.. Enumerable.Range(0, 12).Select(i => i - 5.5f)];

    [Fact]
    public void Sizes_are_turned_round_and_types_are_told()
    {
        using var folder = new TemporaryFolder();
        string path = new GgufBytes()
            .Tensor("a.weight", 0, [4, 3], Bytes(Twelve)).Tensor("b", 8, [32], new byte[34]).Write(folder.At("a.gguf"));
        using var source = WeightSource.Open(path);
        Assert.Equal(["a.weight", "b"], source.Names);
        Assert.Equal([3, 4], source.Describe("a.weight")!.Dimensions);
        Assert.Equal("Q8_0", source.Describe("b")!.Type);
        Assert.Equal(Twelve, source.Read("a.weight"));
        Assert.Null(source.Find("c"));
    }

    [Fact]
    public void The_first_bytes_tell_a_file_whatever_its_name()
    {
        using var folder = new TemporaryFolder();
        using var source = WeightSource.Open(new GgufBytes().Tensor("a", 0, [12], Bytes(Twelve)).Write(folder.At("model.bin")));
        Assert.Equal(Twelve, source.Read("a"));
    }

    [Fact]
    public void A_folder_may_hold_one()
    {
        using var folder = new TemporaryFolder();
        new GgufBytes().Tensor("a", 0, [12], Bytes(Twelve)).Write(folder.At("model-Q8_0.gguf"));
        File.WriteAllText(folder.At("config.json"), "{}");
        using var source = WeightSource.Open(folder.Path);
        Assert.Equal(Twelve, source.Read("a"));
    }

    [Theory]
    [InlineData(new long[] { 12 }, new[] { 1, 1, 12 })]
    [InlineData(new long[] { 4, 3 }, new[] { 1, 3, 4 })]
    [InlineData(new long[] { 4, 3, 1, 1 }, new[] { 3, 4 })]
    [InlineData(new long[] { 1, 1, 4, 3 }, new[] { 3, 4, 1, 1 })]
    [InlineData(new long[] { 1, 2, 1, 6 }, new[] { 2, 3, 1, 2, 1 })]
    public void Axes_of_one_and_merged_ones_come_back(long[] stored, int[] expected)
    {
        using var folder = new TemporaryFolder();
        using var source = WeightSource.Open(new GgufBytes().Tensor("a", 0, stored, Bytes(Twelve)).Write(folder.At("a.gguf")));
        using var weight = source.Find("a", Shape.Create(expected))!;
        Assert.Equal(Shape.Create(expected), weight.Shape);
    }

    [Fact]
    public void Another_shape_stays_as_it_is_stored()
    {
        using var folder = new TemporaryFolder();
        using var source = WeightSource.Open(new GgufBytes().Tensor("a", 0, [4, 3], Bytes(Twelve)).Write(folder.At("a.gguf")));
        using var weight = source.Find("a", [4, 3])!;
        Assert.Equal<Shape>([3, 4], weight.Shape);
    }

    [Fact]
    public void Types_that_are_no_weights_are_listed_and_refused_by_name()
    {
        using var folder = new TemporaryFolder();
        string path = new GgufBytes()
            .Tensor("ids", 27, [2], new byte[16]).Tensor("rare", 16, [256], new byte[66]).Write(folder.At("a.gguf"));
        using var source = WeightSource.Open(path);
        Assert.Equal("I64", source.Describe("ids")!.Type);
        string message = Assert.Throws<CheckpointException>(() => source.Find("rare")).Message;
        Assert.Contains("rare is of the type IQ2_XXS, which is not supported", message, StringComparison.Ordinal);
        Assert.Contains("Q4_K", message, StringComparison.Ordinal);
    }

    [Fact]
    public void Parts_of_a_model_are_refused()
    {
        using var folder = new TemporaryFolder();
        string path = new GgufBytes().Entry("split.count", 2, 3, 0).Write(folder.At("a-00001-of-00003.gguf"));
        Assert.Contains(
            "one of 3 files", Assert.Throws<CheckpointException>(() => WeightSource.Open(path)).Message, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("general.alignment", 4, new byte[] { 0, 0, 0, 64 }, "general.alignment is 1073741824")]
    [InlineData("general.alignment", 10, new byte[] { 32, 0, 0, 0, 0, 0, 0, 0 }, "general.alignment is of type u64")]
    [InlineData("a", 9, new byte[] { 10, 0, 0, 0, 255, 255, 255, 255, 255, 255, 255, 31 }, "claims 2305843009213693951 values")]
    [InlineData("a", 9, new byte[] { 8, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 9, 0, 0, 0, 0, 0, 0, 0 }, "ends after")]
    [InlineData("a", 99, new byte[0], "unknown type 99")]
    public void Values_that_cannot_be_are_refused(string key, int type, byte[] value, string reason)
    {
        using var folder = new TemporaryFolder();
        string path = new GgufBytes().Entry(key, type, value).Write(folder.At("a.gguf"));
        string message = Assert.Throws<CheckpointException>(() => WeightSource.Open(path)).Message;
        Assert.Contains(reason, message, StringComparison.Ordinal);
        Assert.Contains(path, message, StringComparison.Ordinal);
    }

    /// <summary>Sizes whose product, or whose bytes, wrap round to something small.</summary>
    [Theory]
    [InlineData(0, new[] { 1L << 32, 1L << 32 }, "overflow")]
    [InlineData(0, new[] { 1L << 61, 2L }, "overflow")]
    [InlineData(8, new[] { 1L << 62, 2L }, "overflow")]
    [InlineData(8, new[] { 33L }, "no whole number of blocks")]
    [InlineData(0, new[] { 1L << 40 }, "but the file has")]
    [InlineData(0, new[] { -4L }, "has the size -4")]
    [InlineData(0, new[] { 1L, 1L, 1L, 1L, 1L, 4L }, "6 axes")]
    public void Sizes_that_cannot_be_are_refused(int type, long[] sizes, string reason)
    {
        using var folder = new TemporaryFolder();
        string path = new GgufBytes().Tensor("w", type, sizes, new byte[64]).Write(folder.At("a.gguf"));
        string message = Assert.Throws<CheckpointException>(() => WeightSource.Open(path)).Message;
        Assert.Contains(reason, message, StringComparison.Ordinal);
        Assert.Contains("tensor w", message, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData(32, "overlaps")]
    [InlineData(96, "but the file has")]
    [InlineData(-32, "lies at 18446744073709551584")]
    public void Data_must_lie_in_the_file_each_byte_once(long offset, string reason)
    {
        using var folder = new TemporaryFolder();
        string path = new GgufBytes()
            .Tensor("a", 0, [12], Bytes(Twelve)).Tensor("b", 0, [4], new byte[16], offset).Write(folder.At("a.gguf"));
        Assert.Contains(reason, Assert.Throws<CheckpointException>(() => WeightSource.Open(path)).Message, StringComparison.Ordinal);
    }

    [Fact]
    public void A_shape_of_other_elements_is_refused()
    {
        using var folder = new TemporaryFolder();
        // An array of one i32, which is 7.
        string path = new GgufBytes().Entry("comfy.gguf.orig_shape.w", 9, 5, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 7, 0, 0, 0)
            .Tensor("w", 0, [12], Bytes(Twelve)).Write(folder.At("a.gguf"));
        Assert.Contains(
            "orig_shape.w is no shape of the 12 elements", Assert.Throws<CheckpointException>(() => WeightSource.Open(path)).Message,
            StringComparison.Ordinal);
    }

    private static byte[] Bytes(float[] values) => MemoryMarshal.AsBytes(values.AsSpan()).ToArray();
}
