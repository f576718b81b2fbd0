using System.Text;
using Attune.Tensors;
using Attune.Weights;

namespace Attune.Tests.Weights;

/// <summary>Weights that a safetensors file holds as codes and scales, beyond what the golden cases have.</summary>
public class QuantisedTests
{
    [Theory]
    [InlineData("a.scale_weight")]
    [InlineData("a.weight_scale")]
    [InlineData("a.weight_scale_2")]
    [InlineData("a.comfy_quant")]
    [InlineData("a.weight.absmax")]
    [InlineData("a.SCB")]
    [InlineData("a.pre_quant_scale")]
    [InlineData("a.weight_global_scale")]
    [InlineData("a.qzeros")]
    public void A_scale_that_no_weight_uses_is_an_error(string name)
    {
        using var folder = new TemporaryFolder();
        string path = new SafetensorsWriter().Add("b.weight", [1, 2], 1, 2)
            .Add(name, "U8", [123, 125], 2).Write(folder.At("m.safetensors"));
        string message = Assert.Throws<CheckpointException>(() => WeightSource.Open(path)).Message;
        Assert.Contains(path, message, StringComparison.Ordinal);
        Assert.Contains(name == "a.comfy_quant" ? "a.weight" : name, message, StringComparison.Ordinal);
    }

    [Fact]
    public void Codes_in_an_order_that_nothing_tells_are_refused()
    {
        using var folder = new TemporaryFolder();
        string path = new SafetensorsWriter().Add("a.weight", "U8", new byte[16], 2, 8).Add("a.weight_scale", "F8_E4M3", new byte[2], 2, 1)
            .Add("a.weight_scale_2", [1], 1).Write(folder.At("m.safetensors"));
        Assert.Contains(
            "a.weight is packed (U8)", Assert.Throws<CheckpointException>(() => WeightSource.Open(path)).Message, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData(new long[] { 4, 1 }, new float[] { 1, 2, 3, 4 }, new float[] { 1, 1, 2, 2, 3, 3, 4, 4 })]
    [InlineData(new long[] { 4 }, new float[] { 1, 2, 3, 4 }, new float[] { 1, 1, 2, 2, 3, 3, 4, 4 })]
    [InlineData(new long[] { 2, 2 }, new float[] { 1, 2, 3, 4 }, new float[] { 1, 2, 1, 2, 3, 4, 3, 4 })]
    [InlineData(new long[] { 1, 1 }, new float[] { 5 }, new float[] { 5, 5, 5, 5, 5, 5, 5, 5 })]
    public void Scales_count_by_their_shape(long[] shape, float[] scales, float[] expected)
    {
        using var folder = new TemporaryFolder();
        // 0x38 is 1 in E4M3.
        using var source = WeightSource.Open(new SafetensorsWriter().Add("a.weight", "F8_E4M3", Repeat(0x38, 8), 4, 2)
            .Add("a.weight_scale", scales, shape).Write(folder.At("m.safetensors")));
        Assert.Equal(["a.weight"], source.Names);
        Assert.True(source.Describe("a.weight")!.IsWeight);
        Assert.Equal(expected, source.Read("a.weight"));
    }

    /// <summary>More scales than are kept at hand, read where rows and groups begin and end in the middle of a run.</summary>
    [Fact]
    public void Many_scales_are_read_as_they_are_needed()
    {
        using var folder = new TemporaryFolder();
        float[] scales = [.. Enumerable.Range(0, 300 * 70).Select(i => i % 97 + 1f)];
        using var source = WeightSource.Open(new SafetensorsWriter().Add("a.weight", "F8_E4M3", Repeat(0x38, 300 * 210), 300, 210)
            .Add("a.weight_scale", scales, 300, 70).Write(folder.At("m.safetensors")));
        Assert.Equal(Enumerable.Range(0, 300 * 210).Select(i => scales[i / 3]), source.Read("a.weight"));
        using var weight = source.Find("a.weight")!;
        var part = new float[500];
        weight.Widen(205, part);
        Assert.Equal(Enumerable.Range(205, 500).Select(i => scales[i / 3]), part);
        Assert.Equal(scales[70 * 7], Widen(weight.Rows(7, 2))[0]);
    }

    [Fact]
    public void Factors_of_columns_belong_to_the_weight()
    {
        using var folder = new TemporaryFolder();
        using var source = WeightSource.Open(new SafetensorsWriter().Add("a.weight", "I8", [1, 2, 3, 4, 5, 6], 2, 3)
            .Add("a.comfy_quant", "U8", Encoding.UTF8.GetBytes("""{"format": "int8_tensorwise"}"""), 29).Add("a.weight_scale", [2, 3], 2, 1)
            .Add("a.pre_quant_scale", [1, 10, 100], 3).Write(folder.At("m.safetensors")));
        Assert.Equal([2, 40, 600, 12, 150, 1800], source.Read("a.weight"));
        using var weight = source.Find("a.weight")!;
        Assert.Equal([12, 150, 1800], Widen(weight.Rows(1, 1)));
    }

    /// <summary>A square matrix with as many scales in one axis: rows for most, columns for ComfyUI.</summary>
    [Fact]
    public void Scales_that_could_mean_two_things_are_refused()
    {
        using var folder = new TemporaryFolder();
        string path = new SafetensorsWriter().Add("a.weight", "I8", [1, 2, 3, 4], 2, 2)
            .Add("a.comfy_quant", "U8", Encoding.UTF8.GetBytes("""{"format": "int8_tensorwise"}"""), 29).Add("a.weight_scale", [2, 3], 2)
            .Write(folder.At("m.safetensors"));
        Assert.Contains(
            "a.weight_scale is [2]", Assert.Throws<CheckpointException>(() => WeightSource.Open(path)).Message, StringComparison.Ordinal);
    }

    /// <summary>Parts of fused matrices keep their own codes and scales.</summary>
    [Fact]
    public void Rows_of_four_bit_weights_are_cut()
    {
        string path = Path.Combine(Repository.Golden(), "cases", "gguf", "nf4.weights.safetensors");
        using var source = WeightSource.Open(path);
        foreach (string name in new[] { "transformer_blocks.0.attn.to_q.weight", "transformer_blocks.0.attn.to_k.weight" })
        {
            using var weight = source.Find(name)!;
            float[] all = Widen(weight);
            int columns = weight.Shape[1];
            Assert.Equal(all[columns..(3 * columns)], Widen(weight.Rows(1, 2)));
        }
        Assert.Equal("NF4", source.Describe("transformer_blocks.0.attn.to_q.weight")!.Type);
    }

    [Theory]
    [InlineData("torchao")]
    [InlineData("quanto")]
    [InlineData("modelopt")]
    public void Methods_that_are_not_read_are_refused_by_name(string method)
    {
        using var folder = new TemporaryFolder();
        new SafetensorsWriter().Add("a.weight", [1, 2], 1, 2).Write(folder.At("model.safetensors"));
        File.WriteAllText(folder.At("config.json"), "{\"quantization_config\": {\"quant_method\": \"" + method + "\"}}");
        var component = ComponentSource.Folder(folder.Path, Host);
        Assert.Contains(
            $"quantised by {method}, which is not supported", Assert.Throws<CheckpointException>(component.Open).Message,
            StringComparison.Ordinal);
    }

    private static byte[] Repeat(byte value, int count) => [.. Enumerable.Repeat(value, count)];

    private static float[] Widen(StoredWeight weight)
    {
        var values = new float[weight.Shape.Count];
        weight.Widen(0, values);
        return values;
    }
}
