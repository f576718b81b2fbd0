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

    /// <summary>
    /// Every type that the format names has a place in a header, its size checked; one that no model reads stops nothing until it is read.
    /// </summary>
    [Theory]
    [InlineData("F4", 6, 3)]
    [InlineData("F6_E2M3", 4, 3)]
    [InlineData("F6_E3M2", 8, 6)]
    [InlineData("BOOL", 3, 3)]
    [InlineData("U8", 3, 3)]
    [InlineData("I8", 3, 3)]
    [InlineData("F8_E5M2", 3, 3)]
    [InlineData("F8_E4M3", 3, 3)]
    [InlineData("F8_E8M0", 3, 3)]
    [InlineData("F8_E4M3FNUZ", 3, 3)]
    [InlineData("F8_E5M2FNUZ", 3, 3)]
    [InlineData("I16", 3, 6)]
    [InlineData("U16", 3, 6)]
    [InlineData("F16", 3, 6)]
    [InlineData("BF16", 3, 6)]
    [InlineData("I32", 3, 12)]
    [InlineData("U32", 3, 12)]
    [InlineData("F32", 3, 12)]
    [InlineData("C64", 3, 24)]
    [InlineData("F64", 3, 24)]
    [InlineData("I64", 3, 24)]
    [InlineData("U64", 3, 24)]
    public void Every_type_of_the_format_has_its_size(string type, int count, int bytes)
    {
        using var folder = new TemporaryFolder();
        string path = new SafetensorsWriter()
            .Add("other", type, new byte[bytes], count)
            .Add("w", [1, 2], 2)
            .Write(folder.At("model.safetensors"));
        using (var checkpoint = Checkpoint.Open(path, Host))
        {
            using (var w = checkpoint.Root.Read("w", [2]))
                Assert.Equal(WeightFormat.Float32, w.Format);
            checkpoint.RequireAllUsed("other");
            if (WeightFormat.Find(type) == null)
            {
                string message = Assert.Throws<CheckpointException>(() => checkpoint.Root.Read("other", [count])).Message;
                Assert.StartsWith(
                    $"'{path}': the tensor other holds a type that is not supported, {type};", message,
                    StringComparison.Ordinal);
                Assert.DoesNotContain("no safetensors file", message, StringComparison.Ordinal);
            }
            else
            {
                using var other = checkpoint.Root.Read("other", [count]);
                Assert.Equal(type, other.Format.Name);
            }
        }
        new SafetensorsWriter().Add("other", type, new byte[bytes + 1], count).Write(path);
        Assert.Contains(
            $"expected {bytes} for {type}", Assert.Throws<CheckpointException>(() => Checkpoint.Open(path, Host)).Message,
            StringComparison.Ordinal);
    }

    [Fact]
    public void Weights_in_double_precision_are_read()
    {
        using var folder = new TemporaryFolder();
        byte[] bytes = [.. new[] { 0.1, -2, 3.5 }.SelectMany(BitConverter.GetBytes)];
        using var source = WeightSource.Open(new SafetensorsWriter().Add("w", "F64", bytes, 3).Write(folder.At("model.safetensors")));
        Assert.Equal([0.1f, -2, 3.5f], source.Read("w"));
    }

    public static TheoryData<string, byte[], double> Numbers() => new()
    {
        { "U8", [200], 200 }, { "I8", [0xF0], -16 }, { "U16", [0x60, 0xEA], 60000 }, { "I16", [0xF0, 0xFF], -16 },
        { "U32", BitConverter.GetBytes(3_000_000_000u), 3_000_000_000 }, { "I32", BitConverter.GetBytes(-16), -16 },
        { "U64", BitConverter.GetBytes(1ul << 63), 9223372036854775808 }, { "I64", BitConverter.GetBytes(-16L), -16 },
        { "F64", BitConverter.GetBytes(0.1), 0.1 }, { "F32", BitConverter.GetBytes(0.5f), 0.5 }, { "F16", [0, 0x4C], 16 },
        { "BF16", [0x80, 0x41], 16 }, { "F8_E4M3", [0x58], 16 }, { "F8_E5M2", [0x4C], 16 },
    };

    [Theory]
    [MemberData(nameof(Numbers))]
    public void A_number_may_be_of_any_type(string type, byte[] bytes, double value)
    {
        using var folder = new TemporaryFolder();
        string path = new SafetensorsWriter()
            .Add("scalar", type, bytes)
            .Add("one", type, bytes, 1)
            .Add("two", type, [.. bytes, .. bytes], 2)
            .Add("truth", "BOOL", [1])
            .Write(folder.At("model.safetensors"));
        using var file = SafetensorsFile.Open(path);
        Assert.Equal(value, file.ReadNumber(file.Tensors["scalar"]));
        Assert.Equal(value, file.ReadNumber(file.Tensors["one"]));
        Assert.Throws<CheckpointException>(() => file.ReadNumber(file.Tensors["two"]));
        Assert.Throws<CheckpointException>(() => file.ReadNumber(file.Tensors["truth"]));
    }

    [Theory]
    [InlineData("GGUF", "is a GGUF file")]
    [InlineData("PK\u0003\u0004", "pickled weights")]
    [InlineData("PK\u0003\u0004", "safetensors.torch.save_file(torch.load(FILE, weights_only=True)")]
    public void Files_of_other_formats_are_called_by_their_names(string start, string reason)
    {
        using var folder = new TemporaryFolder();
        File.WriteAllText(folder.At("model.safetensors"), start + "0123456789");
        Assert.Contains(
            reason, Assert.Throws<CheckpointException>(() => Checkpoint.Open(folder.Path, Host)).Message, StringComparison.Ordinal);
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
