using System.Text.Json.Nodes;
using Attune.TextEncoders.T5;
using Attune.Weights;

namespace Attune.Tests.Weights;

/// <summary>Which files of a folder are its weights: whole ones, shards and variants under all names that are in use.</summary>
[NoLeaks]
public class WeightFilesTests
{
    /// <summary>The value that is read says which file it came from.</summary>
    [Theory]
    [InlineData(1, "model.safetensors")]
    [InlineData(1, "anything.safetensors")]
    [InlineData(1, "model.fp16.safetensors")]
    [InlineData(1, "model-00001-of-00001.safetensors")]
    [InlineData(1, "model.safetensors", "model.fp16.safetensors", "model.non_ema.safetensors")]
    [InlineData(2, "model.safetensors", "diffusion_pytorch_model.safetensors")]
    [InlineData(2, "diffusion_pytorch_model.bf16.safetensors", "model.safetensors")]
    [InlineData(2, "other.fp16.safetensors", "other.safetensors")]
    public void A_whole_file_is_chosen(int chosen, params string[] files)
    {
        using var folder = new TemporaryFolder();
        for (int i = 0; i < files.Length; i++)
            new SafetensorsWriter().Add("w", [i + 1]).Write(folder.At(files[i]));
        using var source = WeightSource.Open(folder.Path);
        Assert.Equal([chosen], source.Read("w"));
    }

    [Theory]
    [InlineData("model-#.safetensors", "model.safetensors.index.json")]
    [InlineData("model-#.fp16.safetensors", "model.safetensors.index.fp16.json")]
    [InlineData("model-#.fp16.safetensors", "model.safetensors.fp16.index.json")]
    [InlineData("model.fp16-#.safetensors", "model.safetensors.index.fp16.json")]
    [InlineData("model.bf16-#.safetensors", "model.safetensors.bf16.index.json")]
    [InlineData("diffusion_pytorch_model.non_ema-#.safetensors", "diffusion_pytorch_model.safetensors.index.non_ema.json")]
    [InlineData("diffusion_pytorch_model-#.non_ema.safetensors", "diffusion_pytorch_model.non_ema.safetensors.index.json")]
    public void Shards_of_any_name_are_read(string shard, string index)
    {
        using var folder = new TemporaryFolder();
        Shards(folder, shard, index, 1);
        AssertReads(folder, 1);

        // An index that came without its shards says nothing.
        if (index != "model.safetensors.index.json" && shard.StartsWith("model", StringComparison.Ordinal))
        {
            File.WriteAllText(folder.At("model.safetensors.index.json"), """{"weight_map":{"w":"model-00001-of-00002.safetensors"}}""");
            AssertReads(folder, 1);
            File.Delete(folder.At("model.safetensors.index.json"));
        }

        // Plain shards win over those of a variant, and a plain whole file over all shards.
        if (!shard.StartsWith("model-#.safetensors", StringComparison.Ordinal))
        {
            Shards(folder, "model-#.safetensors", "model.safetensors.index.json", 3);
            AssertReads(folder, 3);
        }
        new SafetensorsWriter().Add("w", [7]).Add("v", [8]).Write(folder.At("model.safetensors"));
        AssertReads(folder, 7);
    }

    [Fact]
    public void Several_variants_and_nothing_plain_are_refused()
    {
        using var folder = new TemporaryFolder();
        new SafetensorsWriter().Add("w", [1]).Write(folder.At("model.fp16.safetensors"));
        Shards(folder, "model.bf16-#.safetensors", "model.safetensors.index.bf16.json", 3);
        AssertRefused(folder, "several variants, none of them plain: model.bf16-00001-of-00002.safetensors");
        File.Delete(folder.At("model.fp16.safetensors"));
        Shards(folder, "model-#.fp16.safetensors", "model.safetensors.index.fp16.json", 3);
        AssertRefused(folder, "several variants");
    }

    [Fact]
    public void Shards_of_two_variants_are_not_mixed()
    {
        using var folder = new TemporaryFolder();
        Shards(folder, "model-#.fp16.safetensors", "model.safetensors.index.fp16.json", 1);
        File.Move(folder.At("model-00002-of-00002.fp16.safetensors"), folder.At("model-00002-of-00002.bf16.safetensors"));
        AssertRefused(folder, "several variants");
        File.WriteAllText(
            folder.At("model.safetensors.index.json"),
            """{"weight_map":{"w":"model-00001-of-00002.fp16.safetensors","v":"model-00002-of-00002.bf16.safetensors"}}""");
        AssertRefused(folder, "mixes shards of different variants");
    }

    [Fact]
    public void Files_without_an_order_are_refused()
    {
        using var folder = new TemporaryFolder();
        Assert.Contains(
            "holds no .safetensors file", Assert.Throws<CheckpointException>(() => WeightSource.Open(folder.Path)).Message,
            StringComparison.Ordinal);
        File.WriteAllText(folder.At("model.bin"), "");
        Assert.Contains(
            "pickled", Assert.Throws<CheckpointException>(() => WeightSource.Open(folder.Path)).Message, StringComparison.Ordinal);
        new SafetensorsWriter().Add("w", [1]).Write(folder.At("a.safetensors"));
        new SafetensorsWriter().Add("v", [2]).Write(folder.At("b.safetensors"));
        AssertRefused(folder, "no index that says which belong together: a.safetensors, b.safetensors");
        new SafetensorsWriter().Add("w", [1]).Write(folder.At("c.fp16.safetensors"));
        AssertRefused(folder, "no index");

        // Names of shards are free where an index lists them.
        File.WriteAllText(folder.At("x.safetensors.index.json"), """{"weight_map":{"w":"a.safetensors","v":"b.safetensors"}}""");
        AssertReads(folder, 1);
    }

    /// <summary>A whole component under the names of transformers' variants computes what it did.</summary>
    [Fact]
    public void A_sharded_text_encoder_may_be_a_variant()
    {
        string golden = Repository.Golden("checkpoints", "flux-schnell", "text_encoder_2");
        using var folder = new TemporaryFolder();
        foreach (string file in Directory.GetFiles(golden))
            File.Copy(file, folder.At(Path.GetFileName(file).Replace("model-", "model.fp16-", StringComparison.Ordinal)));
        string index = folder.At("model.safetensors.index.json");
        File.WriteAllText(
            folder.At("model.safetensors.index.fp16.json"),
            File.ReadAllText(index).Replace("model-", "model.fp16-", StringComparison.Ordinal));
        File.Delete(index);
        using var scope = new Attune.Tensors.TensorScope();
        using var ours = T5EncoderModel.Load(folder.Path, Host);
        using var theirs = T5EncoderModel.Load(golden, Host);
        Assert.Equal(theirs.Encode([[3, 5, 1]]).ToArray(), ours.Encode([[3, 5, 1]]).ToArray());
    }

    /// <summary>Two shards with a number each, first and first + 1.</summary>
    private static void Shards(TemporaryFolder folder, string shard, string index, float first)
    {
        string Name(int number) => shard.Replace("#", $"0000{number}-of-00002", StringComparison.Ordinal);
        new SafetensorsWriter().Add("w", [first]).Write(folder.At(Name(1)));
        new SafetensorsWriter().Add("v", [first + 1]).Write(folder.At(Name(2)));
        var map = new JsonObject { ["metadata"] = new JsonObject(), ["weight_map"] = new JsonObject { ["w"] = Name(1), ["v"] = Name(2) } };
        File.WriteAllText(folder.At(index), map.ToJsonString());
    }

    private static void AssertReads(TemporaryFolder folder, float first)
    {
        using var source = WeightSource.Open(folder.Path);
        Assert.Equal([first, first + 1], [.. source.Read("w"), .. source.Read("v")]);
    }

    private static void AssertRefused(TemporaryFolder folder, string reason)
    {
        string message = Assert.Throws<CheckpointException>(() => WeightSource.Open(folder.Path)).Message;
        Assert.Contains(folder.Path, message, StringComparison.Ordinal);
        Assert.Contains(reason, message, StringComparison.Ordinal);
    }
}
