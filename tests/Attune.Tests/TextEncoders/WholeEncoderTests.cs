using System.Text.Json.Nodes;
using Attune.Tests.Weights;
using Attune.TextEncoders.Clip;
using Attune.TextEncoders.T5;
using Attune.Weights;

namespace Attune.Tests.TextEncoders;

/// <summary>
/// Files of a whole CLIP or T5: transformers takes the text side, and so does this. What no such model has is refused as before.
/// </summary>
[NoLeaks]
public class WholeEncoderTests
{
    private static readonly int[] Ids = [3, 9, 2, 7, 1];

    [Theory]
    [InlineData(false, 48, 48)]
    [InlineData(true, 48, 48)]
    [InlineData(true, 20, 20)]
    public void The_text_side_of_a_CLIP_is_read(bool nested, int projection, int? channels)
    {
        string golden = Repository.Golden("checkpoints", "sd15", "text_encoder");
        using var folder = new TemporaryFolder();
        Copy(golden, folder, writer => writer
            .Add("logit_scale", [4.6f])
            .Add("text_projection.weight", new float[projection * 32], projection, 32)
            .Add("visual_projection.weight", new float[projection * 16], projection, 16)
            .Add("vision_model.embeddings.position_ids", "I64", new byte[16], 1, 2)
            .Add("vision_model.post_layernorm.weight", new float[16], 16));
        if (nested)
        {
            var text = JsonNode.Parse(File.ReadAllBytes(Path.Combine(golden, "config.json")));
            File.WriteAllText(folder.At("config.json"), new JsonObject
            {
                ["architectures"] = new JsonArray("CLIPModel"),
                ["model_type"] = "clip",
                ["projection_dim"] = projection,
                ["text_config"] = text,
                ["vision_config"] = new JsonObject { ["hidden_size"] = 16 },
            }.ToJsonString());
        }
        using var ours = ClipTextModel.Load(folder.Path, Host);
        using var theirs = ClipTextModel.Load(golden, Host);
        using var scope = new Attune.Tensors.TensorScope();
        Assert.Equal(theirs.Encode([Ids]).LastHiddenState!.ToArray(), ours.Encode([Ids]).LastHiddenState!.ToArray());
        Assert.Equal(theirs.Encode([Ids]).PooledOutput!.ToArray(), ours.Encode([Ids]).PooledOutput!.ToArray());
        Assert.Equal(channels, ours.ProjectionChannels);
    }

    /// <summary>A projection that does not fit is somebody else's, unless the class asks for one.</summary>
    [Fact]
    public void A_projection_counts_where_it_fits()
    {
        using var folder = new TemporaryFolder();
        Copy(
            Repository.Golden("checkpoints", "sd15", "text_encoder"), folder,
            writer => writer.Add("text_projection.weight", new float[7 * 5], 7, 5));
        using (var plain = ClipTextModel.Load(folder.Path, Host))
            Assert.Null(plain.ProjectionChannels);
        string config = File.ReadAllText(folder.At("config.json"));
        File.WriteAllText(
            folder.At("config.json"), config.Replace("\"CLIPTextModel\"", "\"CLIPTextModelWithProjection\"", StringComparison.Ordinal));
        Assert.Contains(
            "text_projection.weight is [7, 5], expected [48, 32]",
            Assert.Throws<CheckpointException>(() => ClipTextModel.Load(folder.Path, Host)).Message, StringComparison.Ordinal);
    }

    [Fact]
    public void The_encoder_of_a_T5_is_read()
    {
        string golden = Repository.Golden("checkpoints", "flux-schnell", "text_encoder_2");
        using var folder = new TemporaryFolder();
        Copy(golden, folder, writer => writer
            .Add("decoder.embed_tokens.weight", "BF16", new byte[512 * 64 * 2], 512, 64)
            .Add("decoder.final_layer_norm.weight", new float[64], 64)
            .Add("lm_head.weight", new float[512 * 64], 512, 64));
        using var ours = T5EncoderModel.Load(folder.Path, Host);
        using var theirs = T5EncoderModel.Load(golden, Host);
        using var scope = new Attune.Tensors.TensorScope();
        Assert.Equal(theirs.Encode([Ids]).ToArray(), ours.Encode([Ids]).ToArray());
    }

    [Theory]
    [InlineData("sd15", "text_encoder", "vision.embeddings.weight")]
    [InlineData("sd15", "text_encoder", "text_model.extra.weight")]
    [InlineData("sd15", "text_encoder", "lm_head.weight")]
    [InlineData("flux-schnell", "text_encoder_2", "encoder.extra.weight")]
    [InlineData("flux-schnell", "text_encoder_2", "logit_scale")]
    public void Unknown_tensors_are_refused(string model, string component, string tensor)
    {
        using var folder = new TemporaryFolder();
        Copy(Repository.Golden("checkpoints", model, component), folder, writer => writer.Add(tensor, [1]));
        void Load()
        {
            if (component == "text_encoder")
                ClipTextModel.Load(folder.Path, Host).Dispose();
            else
                T5EncoderModel.Load(folder.Path, Host).Dispose();
        }

        Assert.Contains(
            $"1 tensors are not used by the model: {tensor}", Assert.Throws<CheckpointException>(Load).Message, StringComparison.Ordinal);
    }

    /// <summary>A component's folder in one file, with further tensors.</summary>
    private static void Copy(string golden, TemporaryFolder folder, Action<SafetensorsWriter> add)
    {
        var writer = new SafetensorsWriter();
        using (var source = WeightSource.Open(golden))
        {
            foreach (var entry in source.Entries)
                writer.Copy(entry, entry.Name);
        }
        add(writer);
        writer.Write(folder.At("model.safetensors"));
        File.Copy(Path.Combine(golden, "config.json"), folder.At("config.json"));
    }
}
