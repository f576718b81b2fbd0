using System.Buffers.Binary;
using System.Text;
using Attune.Tensors;
using Attune.Weights;

namespace Attune.Tests.Weights;

[NoLeaks]
public class SafetensorsTests
{
    private const string TwoTensors = """
        {"a":{"dtype":"F32","shape":[2,2],"data_offsets":[0,16]},"b":{"dtype":"BF16","shape":[3],"data_offsets":[16,22]}}
        """;

    [Fact]
    public void A_valid_file_opens()
    {
        using var folder = new TemporaryFolder();
        using var checkpoint = Checkpoint.Open(Write(folder, TwoTensors, 22), Host);
        Assert.Equal(["a", "b"], checkpoint.Names);
        Assert.Equal(WeightFormat.BFloat16, checkpoint.Root.Read("b", [3]).Format);
        var exception = Assert.Throws<CheckpointException>(() => checkpoint.RequireAllUsed());
        Assert.Contains("a", exception.Message, StringComparison.Ordinal);
        checkpoint.Root.Get("a", [2, 2], WeightRole.Matrix);
        checkpoint.RequireAllUsed();
    }

    [Theory]
    [InlineData("""{"a":{"dtype":"F32","shape":[2,2],"data_offsets":[0,16]}}""", 20, "belong to none")]
    [InlineData("""{"a":{"dtype":"F32","shape":[2,2],"data_offsets":[0,16]}}""", 12, "lies at bytes")]
    [InlineData("""{"a":{"dtype":"F32","shape":[2,2],"data_offsets":[4,20]}}""", 20, "hole")]
    [InlineData("""
        {"a":{"dtype":"F32","shape":[4],"data_offsets":[0,16]},"b":{"dtype":"F32","shape":[4],"data_offsets":[8,24]}}
        """, 24, "overlaps")]
    [InlineData("""
        {"a":{"dtype":"F32","shape":[4],"data_offsets":[0,16]},"a":{"dtype":"F32","shape":[4],"data_offsets":[16,32]}}
        """, 32, "twice")]
    [InlineData("""{"a":{"dtype":"F33","shape":[4],"data_offsets":[0,16]}}""", 16, "unknown type")]
    [InlineData("""{"a":{"dtype":"F32","shape":[-4],"data_offsets":[0,16]}}""", 16, "natural")]
    [InlineData("""{"a":{"dtype":"F32","shape":[4.5],"data_offsets":[0,16]}}""", 16, "natural")]
    [InlineData("""{"a":{"dtype":"F32","shape":[4],"data_offsets":[16,0]}}""", 16, "lies at")]
    [InlineData("""{"a":{"dtype":"F32","shape":[5],"data_offsets":[0,16]}}""", 16, "expected 20")]
    [InlineData("""{"a":{"dtype":"F32","shape":[4294967296,4294967296,4],"data_offsets":[0,16]}}""", 16, "overflows")]
    [InlineData("""{"a":{"dtype":"F32","shape":[4]}}""", 16, "lacks")]
    [InlineData("""{"a":{"dtype":"F32","shape":[4],"data_offsets":[0,16],"x":1}}""", 16, "unexpected")]
    [InlineData("""{"a":{"dtype":"F32","dtype":"F32","shape":[4],"data_offsets":[0,16]}}""", 16, "repeated")]
    [InlineData("""{"a":7}""", 0, "no object")]
    [InlineData("""{"__metadata__":{"a":1}}""", 0, "__metadata__")]
    [InlineData("""{"a":""", 0, "JSON")]
    [InlineData("""[]""", 0, "begin with")]
    [InlineData("""{} x""", 0, "JSON")]
    public void A_malformed_header_is_refused(string header, int data, string reason)
    {
        using var folder = new TemporaryFolder();
        string path = Write(folder, header, data);
        var exception = Assert.Throws<CheckpointException>(() => Checkpoint.Open(path, Host));
        Assert.Contains(path, exception.Message, StringComparison.Ordinal);
        Assert.Contains(reason, exception.Message, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData(0)]
    [InlineData(7)]
    public void A_file_without_a_whole_length_is_refused(int length)
    {
        using var folder = new TemporaryFolder();
        File.WriteAllBytes(folder.At("x.safetensors"), new byte[length]);
        Assert.Throws<CheckpointException>(() => Checkpoint.Open(folder.At("x.safetensors"), Host));
    }

    [Theory]
    [InlineData(ulong.MaxValue)]
    [InlineData(1UL << 40)]
    [InlineData(100UL)]
    public void A_header_length_beyond_the_file_is_refused(ulong claimed)
    {
        using var folder = new TemporaryFolder();
        var bytes = new byte[40];
        BinaryPrimitives.WriteUInt64LittleEndian(bytes, claimed);
        File.WriteAllBytes(folder.At("x.safetensors"), bytes);
        Assert.Contains(
            "header claims", Assert.Throws<CheckpointException>(() => Checkpoint.Open(folder.At("x.safetensors"), Host)).Message,
            StringComparison.Ordinal);
    }

    [Fact]
    public void Weights_fail_with_their_full_path()
    {
        using var folder = new TemporaryFolder();
        using var checkpoint = Checkpoint.Open(Write(folder, """
            {"block.0.w":{"dtype":"F32","shape":[4],"data_offsets":[0,16]},"block.0.ids":{"dtype":"I64","shape":[1],"data_offsets":[16,24]}}
            """, 24), Host);
        var at = checkpoint.Root.At("block", 0);
        Assert.True(checkpoint.Root.Contains("block"));
        Assert.False(checkpoint.Root.Contains("bloc"));
        Assert.Contains("block.0.v", Assert.Throws<CheckpointException>(() => at.Get("v", [4], WeightRole.Vector)).Message,
        StringComparison.Ordinal);
        Assert.Contains(
            "block.0.w is [4], expected [5]", Assert.Throws<CheckpointException>(() => at.Get("w", [5], WeightRole.Vector)).Message,
            StringComparison.Ordinal);
        Assert.Contains("I64", Assert.Throws<CheckpointException>(() => at.Get("ids", [1], WeightRole.Vector)).Message,
        StringComparison.Ordinal);
        Assert.Null(at.Find("v", [4], WeightRole.Vector));
    }

    [Fact]
    public void A_weight_of_a_closed_checkpoint_throws()
    {
        using var folder = new TemporaryFolder();
        var checkpoint = Checkpoint.Open(Write(folder, TwoTensors, 22), Host);
        var (stored, weight) = (checkpoint.Root.Read("a", [2, 2]), checkpoint.Root.Get("a", [2, 2], WeightRole.Matrix));
        checkpoint.Dispose();
        Assert.Throws<ObjectDisposedException>(() => stored.ToTensor(Host));
        using var scope = new TensorScope();
        Assert.Throws<ObjectDisposedException>(() => Tensor.Zeros(Host, [1, 2]).Linear(weight));
        checkpoint.Dispose();
    }

    [Theory]
    [InlineData("""{"weight_map":{"a":"one.safetensors","b":"missing.safetensors"}}""", "is missing")]
    [InlineData("""{"weight_map":{"a":"one.safetensors","b":"one.safetensors"}}""", "is not in the shard")]
    [InlineData("""{"weight_map":{"a":"one.safetensors"}}""", null)]
    [InlineData("""{"weight_map":{"a":"../one.safetensors"}}""", "no name of a file")]
    [InlineData("""{"weight_map":{"a":"/one.safetensors"}}""", "no name of a file")]
    [InlineData("""{"weight_map":{"a":7}}""", "expected a name")]
    [InlineData("""{"weight_map":{}}""", null)]
    [InlineData("""{"weight_map":[]}""", "weight_map")]
    public void An_index_and_its_shards_must_agree(string index, string? reason)
    {
        using var folder = new TemporaryFolder();
        File.Move(Write(folder, """{"a":{"dtype":"F32","shape":[4],"data_offsets":[0,16]}}""", 16), folder.At("one.safetensors"));
        File.WriteAllText(folder.At("model.safetensors.index.json"), index);
        if (reason == null)
        {
            using var checkpoint = Checkpoint.Open(folder.Path, Host);
            return;
        }
        Assert.Contains(
            reason, Assert.Throws<CheckpointException>(() => Checkpoint.Open(folder.Path, Host)).Message, StringComparison.Ordinal);
    }

    [Fact]
    public void A_tensor_that_the_index_does_not_list_is_refused()
    {
        using var folder = new TemporaryFolder();
        File.Move(Write(folder, TwoTensors, 22), folder.At("one.safetensors"));
        File.WriteAllText(folder.At("model.safetensors.index.json"), """{"weight_map":{"a":"one.safetensors"}}""");
        Assert.Contains(
            "is not listed", Assert.Throws<CheckpointException>(() => Checkpoint.Open(folder.Path, Host)).Message,
            StringComparison.Ordinal);
    }

    [Fact]
    public void Opening_a_checkpoint_of_any_size_costs_no_managed_memory()
    {
        const long Rows = 3_000_000_000;
        using var folder = new TemporaryFolder();
        File.WriteAllBytes(folder.At("model.safetensors"), Encode("""
            {"w":{"dtype":"BF16","shape":[30000,100000],"data_offsets":[0,6000000000]}}
            """, 0));
        string path = folder.At("model.safetensors");
        using (var file = File.OpenWrite(path))
            file.SetLength(file.Length + 2 * Rows);         // sparse: takes no disk
        Checkpoint.Open(path, Host).Dispose();
        long before = GC.GetAllocatedBytesForCurrentThread();
        using var checkpoint = Checkpoint.Open(path, Host);
        var weight = checkpoint.Root.Read("w", [30000, 100000]);
        var prepared = checkpoint.Root.Get("w", [30000, 100000], WeightRole.Table);
        Assert.True(GC.GetAllocatedBytesForCurrentThread() - before < 64 << 10);

        // Beyond 2^31 elements.
        using var scope = new TensorScope();
        var last = weight.Rows(29999, 1).ToTensor(Host);
        Assert.Equal(0f, last.ToArray().Sum());
        Assert.Equal(0f, prepared.Embed([29999]).ToArray().Sum());
    }

    internal static string Write(TemporaryFolder folder, string header, int data)
    {
        string path = folder.At("model.safetensors");
        File.WriteAllBytes(path, Encode(header, data));
        return path;
    }

    internal static byte[] Encode(string header, int data)
    {
        byte[] json = Encoding.UTF8.GetBytes(header);
        var bytes = new byte[8 + json.Length + data];
        BinaryPrimitives.WriteInt64LittleEndian(bytes, json.Length);
        json.CopyTo(bytes, 8);
        return bytes;
    }
}
