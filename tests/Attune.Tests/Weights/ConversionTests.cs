using System.Text.Json.Nodes;
using Attune.Tensors;
using Attune.Weights;
using Attune.Weights.Writing;

namespace Attune.Tests.Weights;

/// <summary>What <c>convert</c> writes, read back.</summary>
public class ConversionTests
{
    private static string Golden(string name) => Path.Combine(Repository.Golden(), "cases", "gguf", name);

    [Theory]
    [InlineData("q8_0.gguf")]
    [InlineData("q4_0.gguf")]
    [InlineData("q4_k.gguf")]
    [InlineData("q6_k.gguf")]
    [InlineData("container.gguf")]
    [InlineData("container-aligned.gguf")]
    [InlineData("five-d.gguf")]
    public void A_gguf_file_comes_back_as_it_was(string name)
    {
        using var folder = new TemporaryFolder();
        string copy = folder.At("copy.gguf");
        WeightConversion.Convert(Golden(name), copy, null);
        using var before = WeightSource.Open(Golden(name));
        using var after = WeightSource.Open(copy);
        Assert.Equal(before.Names, after.Names);
        foreach (var entry in before.Entries)
        {
            var written = after.Describe(entry.Name)!;
            Assert.Equal((entry.Type, entry.Extents), (written.Type, written.Extents));
            Assert.Equal(Bytes(entry), Bytes(written));
        }
        using var from = GgufFile.Open(Golden(name));
        using var to = GgufFile.Open(copy);
        foreach (string key in from.Keys.Where(key => key is not ("general.alignment" or "general.file_type")))
            Assert.Equal(from.Find(key), to.Find(key));
    }

    [Theory]
    [InlineData("q4_k.gguf")]
    [InlineData("container.gguf")]
    [InlineData("nf4.weights.safetensors")]
    [InlineData("comfy-quant.weights.safetensors")]
    [InlineData("scaled-fp8-e4m3fn.weights.safetensors")]
    public void Numbers_stay_equal_in_float32(string name)
    {
        using var folder = new TemporaryFolder();
        using var before = WeightSource.Open(Golden(name));
        foreach (string copy in new[] { folder.At("copy.safetensors"), folder.At("copy.gguf") })
        {
            WeightConversion.Convert(Golden(name), copy, "f32");
            using var after = WeightSource.Open(copy);
            Assert.Equal(before.Names, after.Names);
            foreach (string tensor in before.Names)
            {
                Assert.Equal(before.Describe(tensor)!.Extents, after.Describe(tensor)!.Extents);
                Assert.Equal("F32", after.Describe(tensor)!.Type);
                Assert.Equal(before.Read(tensor), after.Read(tensor));
            }
        }
    }

    /// <summary>
    /// ggml's own quantiser made the golden files. Its blocks are what ours makes of their numbers, but for those of scales that were
    /// rounded to nothing or came from random bytes.
    /// </summary>
    [Theory]
    [InlineData("q8_0")]
    [InlineData("q4_0")]
    public void Blocks_are_those_of_ggml(string type)
    {
        using var folder = new TemporaryFolder();
        WeightConversion.Convert(Golden(type + ".gguf"), folder.At("wide.safetensors"), "f32");
        WeightConversion.Convert(folder.At("wide.safetensors"), folder.At("again.gguf"), type);
        using var before = WeightSource.Open(Golden(type + ".gguf"));
        using var after = WeightSource.Open(folder.At("again.gguf"));
        foreach (string name in new[] { "blocks.0.attn.weight", "blocks.0.special.weight" })
        {
            Assert.Equal(type.ToUpperInvariant(), after.Describe(name)!.Type);
            Assert.Equal(before.Read(name), after.Read(name));
        }
        Assert.Equal(Bytes(before.Describe("blocks.0.attn.weight")!), Bytes(after.Describe("blocks.0.attn.weight")!));
    }

    /// <summary>
    /// Numbers that no file was made of: half a step of the block's largest magnitude, a whole one at Q4_0's other end; and what the scale
    /// is off by, which has 11 bits, times the largest code.
    /// </summary>
    [Theory]
    [InlineData("q8_0", 127, .5 + 127 / 2048.0)]
    [InlineData("q4_0", 8, 1 + 8 / 2048.0)]
    public void Rounding_is_off_by_a_step_at_most(string type, int steps, double most)
    {
        var format = WeightFormat.Find(type.ToUpperInvariant())!;
        var random = new Random(19);
        float[] values = [.. Enumerable.Range(0, 3200).Select(i => (random.NextSingle() - .5f) * (i / 32 % 7 + 1))];
        byte[] blocks = new byte[format.BytesOf(values.Length)];
        format.Narrow(values, blocks);
        var widened = new float[values.Length];
        format.Widen(blocks, widened);
        for (int i = 0; i < values.Length; i++)
        {
            float largest = values[(i / 32 * 32)..(i / 32 * 32 + 32)].Max(MathF.Abs);
            Assert.InRange(Math.Abs(values[i] - widened[i]) / (largest / steps), 0, most);
        }
    }

    [Fact]
    public void Blocks_are_for_large_matrices()
    {
        using var folder = new TemporaryFolder();
        string path = new SafetensorsWriter().Add("matrix", Numbers(64 * 32), 64, 32).Add("narrow", Numbers(64 * 24), 64, 24)
            .Add("small", Numbers(64), 2, 32).Add("vector", Numbers(2048), 2048).Write(folder.At("m.safetensors"));
        WeightConversion.Convert(path, folder.At("m.gguf"), "q8_0");
        using var source = WeightSource.Open(folder.At("m.gguf"));
        Assert.Equal(
            [("matrix", "Q8_0"), ("narrow", "BF16"), ("small", "BF16"), ("vector", "F32")],
            source.Entries.Select(entry => (entry.Name, entry.Type)));
    }

    [Fact]
    public void What_is_no_weight_is_copied()
    {
        using var folder = new TemporaryFolder();
        string path = new SafetensorsWriter().Add("ids", "I64", [1, 0, 0, 0, 0, 0, 0, 0], 1).Add("w", Numbers(4), 4)
            .Write(folder.At("m.safetensors"));
        WeightConversion.Convert(path, folder.At("m.gguf"), "f16");
        using var source = WeightSource.Open(folder.At("m.gguf"));
        Assert.Equal("I64", source.Describe("ids")!.Type);
        Assert.Equal([1, 0, 0, 0, 0, 0, 0, 0], Bytes(source.Describe("ids")!));
    }

    [Fact]
    public void A_folder_keeps_what_else_is_in_it()
    {
        using var folder = new TemporaryFolder();
        string input = Path.Combine(folder.Path, "in");
        Directory.CreateDirectory(Path.Combine(input, "transformer"));
        File.Copy(Golden("nf4.weights.safetensors"), Path.Combine(input, "transformer", "diffusion_pytorch_model.safetensors"));
        File.WriteAllText(
            Path.Combine(input, "transformer", "config.json"), """{"a": null, "quantization_config": {"quant_method": "bitsandbytes"}}""");
        File.WriteAllText(Path.Combine(input, "model_index.json"), "{}");
        string output = Path.Combine(folder.Path, "out");
        WeightConversion.Convert(input, output, "bf16");
        Assert.Equal("{}", File.ReadAllText(Path.Combine(output, "model_index.json")));
        var config = (JsonObject)JsonNode.Parse(File.ReadAllText(Path.Combine(output, "transformer", "config.json")))!;
        Assert.Equal(["a"], config.Select(property => property.Key));
        using var source = WeightSource.Open(Path.Combine(output, "transformer"));
        Assert.All(source.Entries, entry => Assert.Equal("BF16", entry.Type));
        Assert.Contains(
            "is there already", Assert.Throws<ArgumentException>(() => WeightConversion.Convert(input, output, null)).Message,
            StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("m.safetensors", "n.safetensors", "q8_0", "cannot hold the type Q8_0")]
    [InlineData("m.safetensors", "m.safetensors", null, "are the same")]
    [InlineData("m.safetensors", "n", null, "expected a name that ends with")]
    [InlineData("m.safetensors", "n.gguf", "q9", "The type is 'q9'")]
    [InlineData("u8.safetensors", "n.gguf", null, "cannot hold the tensor t")]
    public void What_cannot_be_is_refused(string input, string output, string? type, string reason)
    {
        using var folder = new TemporaryFolder();
        new SafetensorsWriter().Add("w", Numbers(4), 4).Write(folder.At("m.safetensors"));
        new SafetensorsWriter().Add("t", "U8", [1, 2], 2).Write(folder.At("u8.safetensors"));
        string message = Assert.Throws<ArgumentException>(
            () => WeightConversion.Convert(folder.At(input), folder.At(output), type)).Message;
        Assert.Contains(reason, message, StringComparison.Ordinal);
        Assert.False(File.Exists(folder.At("n.gguf")));
    }

    [Theory]
    [InlineData("f16", 70000)]
    [InlineData("q8_0", float.NaN)]
    public void Numbers_that_do_not_fit_are_named_and_nothing_is_left(string type, float value)
    {
        using var folder = new TemporaryFolder();
        float[] numbers = Numbers(2048);
        numbers[7] = value;
        string path = new SafetensorsWriter().Add("w", numbers, 64, 32).Write(folder.At("m.safetensors"));
        string message = Assert.Throws<CheckpointException>(() => WeightConversion.Convert(path, folder.At("n.gguf"), type)).Message;
        Assert.Contains("the tensor w holds", message, StringComparison.Ordinal);
        Assert.Equal(["m.safetensors"], Directory.GetFiles(folder.Path).Select(Path.GetFileName));
    }

    private static float[] Numbers(int count) => [.. Enumerable.Range(0, count).Select(i => (i * 37 % 101 - 50) / 64f)];

    private static byte[] Bytes(TensorEntry entry)
    {
        using var file = File.OpenRead(entry.File);
        file.Position = entry.Offset;
        byte[] bytes = new byte[entry.Length];
        file.ReadExactly(bytes);
        return bytes;
    }
}
