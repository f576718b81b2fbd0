using Attune.Attention;
using Attune.Autoencoders;
using Attune.Models;
using Attune.Models.Unet;
using Attune.Generation;
using Attune.Tensors;
using Attune.TextEncoders.Clip;
using Attune.Weights;
using Attune.Weights.SingleFile;

namespace Attune.Tests.Weights;

/// <summary>
/// Checkpoints in a single file: the golden folders, written in the layout of the original code, must read as the folders.
/// </summary>
[NoLeaks]
public class SingleFileTests
{
    private static readonly Dictionary<string,
    string> OldAttention = new() { ["query"] = "to_q", ["key"] = "to_k", ["value"] = "to_v", ["proj_attn"] = "to_out.0" };

    [Theory]
    [InlineData("sd15")]
    [InlineData("sd21")]
    [InlineData("sdxl")]
    public void Tensors_are_those_of_the_folder(string name)
    {
        using var folder = new TemporaryFolder();
        string golden = Repository.Golden("checkpoints", name);
        var source = new SingleFileSource(LdmFile.Write(golden, folder.At("model.safetensors")), Host, new SingleFileSettings());
        var expected = new ModelFolder(golden, Host);
        Assert.Equal(expected.Index.ClassName, source.Index.ClassName);
        foreach (string component in new[] { "unet", "vae", "text_encoder", "text_encoder_2" })
        {
            Assert.Equal(expected.Has(component), source.Has(component));
            if (!source.Has(component))
                continue;
            using var theirs = WeightSource.Open(Path.Combine(golden, component));
            using var ours = source.Component(component).OpenWeights();
            Assert.Equal(theirs.Names.Select(Now).Order(StringComparer.Ordinal), ours.Names);
            foreach (var tensor in theirs.Entries.Where(tensor => tensor.Type != "I64"))
            {
                Assert.Equal(theirs.ShapeOf(tensor.Name), ours.ShapeOf(Now(tensor.Name)));
                Assert.Equal(tensor.Length, ours.Describe(Now(tensor.Name))!.Length);
                Assert.True(ours.Read(Now(tensor.Name)).SequenceEqual(theirs.Read(tensor.Name)), tensor.Name);
            }
        }
    }

    /// <summary>Only the transposed projection of SDXL's second text encoder is no view on the file.</summary>
    [Fact]
    public void Weights_stay_mapped()
    {
        using var folder = new TemporaryFolder();
        var source = new SingleFileSource(
            LdmFile.Write(Repository.Golden("checkpoints", "sdxl"), folder.At("model.safetensors")), Host, new SingleFileSettings());
        using var checkpoint = source.Component("text_encoder_2").Open();
        long before = TensorMemory.LiveTensors;
        var root = checkpoint.Root;
        Assert.Equal(WeightFormat.BFloat16, root.Read("text_model.encoder.layers.1.self_attn.v_proj.weight", [32, 32]).Format);
        root.Get("text_model.encoder.layers.1.self_attn.v_proj.weight", [32, 32], WeightRole.Matrix);
        Assert.Equal(before, TensorMemory.LiveTensors);
        root.Get("text_projection.weight", [40, 32], WeightRole.Matrix);
        Assert.Equal(before + 1, TensorMemory.LiveTensors);
    }

    [Theory]
    [InlineData("sd15", "PNDMScheduler", "epsilon", 8)]
    [InlineData("sd21", "DDIMScheduler", "v_prediction", 1)]
    [InlineData("sdxl", "EulerDiscreteScheduler", "epsilon", 1)]
    public void Configurations_follow_from_shapes(string name, string scheduler, string prediction, int heads)
    {
        using var folder = new TemporaryFolder();
        string golden = Repository.Golden("checkpoints", name);
        var source = new SingleFileSource(LdmFile.Write(golden, folder.At("model.safetensors")), Host, new SingleFileSettings());
        Assert.Equal(scheduler, source.Scheduler.ClassName);
        Assert.Equal(prediction, source.Scheduler.String("prediction_type", ""));
        var unet = ModelConfig.Read(Path.Combine(golden, "unet", "config.json"));
        var derived = source.Component("unet").Config;
        foreach (
            string key in new[] {
                "in_channels", "out_channels", "layers_per_block", "cross_attention_dim", "projection_class_embeddings_input_dim",
                "addition_time_embed_dim", "sample_size" })
            Assert.Equal(unet.OptionalInt(key), derived.OptionalInt(key));
        Assert.Equal(unet.Ints("block_out_channels"), derived.Ints("block_out_channels"));
        Assert.Equal(unet.Strings("down_block_types"), derived.Strings("down_block_types"));
        Assert.Equal(unet.Strings("up_block_types"), derived.Strings("up_block_types"));
        Assert.Equal(unet.Bool("use_linear_projection", false), derived.Bool("use_linear_projection", false));
        Assert.Equal(unet.String("addition_embed_type", ""), derived.String("addition_embed_type", ""));
        Assert.Equal(
            unet.Ints("transformer_layers_per_block", [.. derived.Ints("block_out_channels").Select(_ => 1)]),
            derived.Ints("transformer_layers_per_block"));
        Assert.All(derived.Ints("attention_head_dim"), head => Assert.Equal(heads, head));

        var vae = ModelConfig.Read(Path.Combine(golden, "vae", "config.json"));
        derived = source.Component("vae").Config;
        foreach (string key in new[] { "in_channels", "out_channels", "latent_channels", "layers_per_block" })
            Assert.Equal(vae.OptionalInt(key), derived.OptionalInt(key));
        Assert.Equal(vae.Ints("block_out_channels"), derived.Ints("block_out_channels"));
        Assert.Equal(vae.Double("scaling_factor", 0.18215), derived.Double("scaling_factor", 0));

        foreach (string encoder in new[] { "text_encoder", "text_encoder_2" }.Where(source.Has))
        {
            var theirs = ModelConfig.Read(Path.Combine(golden, encoder, "config.json"));
            derived = source.Component(encoder).Config;
            Assert.Equal(theirs.ClassName, derived.ClassName);
            foreach (
                string key in new[] {
                    "vocab_size", "hidden_size", "intermediate_size", "num_hidden_layers", "max_position_embeddings", "eos_token_id",
                    "bos_token_id", "pad_token_id" })
                Assert.Equal(theirs.OptionalInt(key), derived.OptionalInt(key));
            Assert.Equal(theirs.String("hidden_act", ""), derived.String("hidden_act", ""));
        }
        if (source.Has("text_encoder_2"))
            Assert.Equal(40, source.Component("text_encoder_2").Config.OptionalInt("projection_dim"));
    }

    /// <summary>The real sizes: what the families' configurations on the Hub say.</summary>
    [Fact]
    public void The_configuration_of_the_real_SDXL()
    {
        using var folder = new TemporaryFolder();
        var writer = new SafetensorsWriter();
        void Tensor(string name, params long[] shape) =>
            writer.Add(name, "F8_E4M3", new byte[shape.Aggregate(1L, (product, extent) => product * extent)], shape);
        const string Unet = "model.diffusion_model.";
        Tensor(Unet + "input_blocks.0.0.weight", 320, 4, 1, 1);
        Tensor(Unet + "out.2.weight", 4, 320, 1, 1);
        Tensor(Unet + "label_emb.0.0.weight", 1, 2816);
        foreach (var (block, channels, depth) in new[] { (1, 320, 0), (2, 320, 0), (4, 640, 2), (5, 640, 2), (7, 1280, 10), (8, 1280, 10) })
        {
            Tensor($"{Unet}input_blocks.{block}.0.in_layers.2.weight", 1);
            Tensor($"{Unet}input_blocks.{block}.0.out_layers.3.weight", channels, 1);
            if (depth > 0)
                Tensor($"{Unet}input_blocks.{block}.1.proj_in.weight", 1, 1);
            for (int i = 0; i < depth; i++)
                Tensor($"{Unet}input_blocks.{block}.1.transformer_blocks.{i}.attn2.to_k.weight", 1, 2048);
        }
        foreach (int block in new[] { 3, 6 })
            Tensor($"{Unet}input_blocks.{block}.0.op.weight", 1);
        Tensor($"{Unet}middle_block.1.proj_in.weight", 1, 1);
        for (int i = 0; i < 10; i++)
            Tensor($"{Unet}middle_block.1.transformer_blocks.{i}.attn2.to_k.weight", 1, 2048);
        for (int block = 0; block < 6; block++)
        {
            Tensor($"{Unet}output_blocks.{block}.1.proj_in.weight", 1, 1);
            for (int i = 0; i < (block < 3 ? 10 : 2); i++)
                Tensor($"{Unet}output_blocks.{block}.1.transformer_blocks.{i}.attn2.to_k.weight", 1, 2048);
        }
        Tensor("first_stage_model.encoder.conv_in.weight", 1, 3);
        Tensor("first_stage_model.decoder.mid.block_1.norm1.weight", 1);
        Tensor("first_stage_model.decoder.conv_in.weight", 1, 4);
        Tensor("first_stage_model.decoder.conv_out.weight", 3, 1);
        foreach (var (level, channels) in new[] { (0, 128), (1, 256), (2, 512), (3, 512) })
            Tensor($"first_stage_model.encoder.down.{level}.block.0.conv1.weight", channels, 1);
        Tensor("first_stage_model.encoder.down.0.block.1.conv1.weight", 1, 1);
        Tensor("conditioner.embedders.0.transformer.text_model.embeddings.token_embedding.weight", 2, 768);
        Tensor("conditioner.embedders.0.transformer.text_model.embeddings.position_embedding.weight", 77, 1);
        Tensor("conditioner.embedders.0.transformer.text_model.encoder.layers.0.mlp.fc1.weight", 3072, 1);
        Tensor("conditioner.embedders.0.transformer.text_model.encoder.layers.0.self_attn.q_proj.weight", 1, 1);
        Tensor("conditioner.embedders.1.model.token_embedding.weight", 2, 1280);
        Tensor("conditioner.embedders.1.model.positional_embedding", 77, 1);
        Tensor("conditioner.embedders.1.model.text_projection", 1, 1280);
        for (int i = 0; i < 32; i++)
        {
            Tensor($"conditioner.embedders.1.model.transformer.resblocks.{i}.mlp.c_fc.weight", i == 0 ? 5120 : 1, 1);
            Tensor($"conditioner.embedders.1.model.transformer.resblocks.{i}.ln_1.weight", 1);
        }
        Tensor("v_pred");
        Tensor("ztsnr");

        var source = new SingleFileSource(writer.Write(folder.At("model.safetensors")), Host, new SingleFileSettings());
        var unet = source.Component("unet").Config;
        Assert.Equal([320, 640, 1280], unet.Ints("block_out_channels"));
        Assert.Equal([1, 2, 10], unet.Ints("transformer_layers_per_block"));
        Assert.Equal([5, 10, 20], unet.Ints("attention_head_dim"));
        Assert.Equal(["DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"], unet.Strings("down_block_types"));
        Assert.Equal(["CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"], unet.Strings("up_block_types"));
        Assert.Equal(
            (2048, 256, 2816),
            (
                unet.Int("cross_attention_dim", 0), unet.Int("addition_time_embed_dim", 0),
                unet.Int("projection_class_embeddings_input_dim", 0)));
        Assert.True(UnetConfig.Read(unet).HasTextTime);
        Assert.Equal([128, 256, 512, 512], source.Component("vae").Config.Ints("block_out_channels"));
        Assert.Equal(12, source.Component("text_encoder").Config.Int("num_attention_heads", 0));
        var second = source.Component("text_encoder_2").Config;
        Assert.Equal(
            (1280, 20, 32, 5120, 1280),
            (
                second.Int("hidden_size", 0), second.Int("num_attention_heads", 0), second.Int("num_hidden_layers", 0),
                second.Int("intermediate_size", 0), second.Int("projection_dim", 0)));

        // The markers of models that were trained for v prediction with a terminal signal-to-noise ratio of zero.
        Assert.Equal("v_prediction", source.Scheduler.String("prediction_type", ""));
        Assert.True(source.Scheduler.Bool("rescale_betas_zero_snr", false));
        Assert.Equal("trailing", source.Scheduler.String("timestep_spacing", ""));
    }

    /// <summary>
    /// Pruned models: depths that differ within a level, between encoder and decoder, and in the middle; no middle; levels without
    /// attention. Down, up and middle as names have them, -1 for no attention; then what a configuration says.
    /// </summary>
    [Theory]
    [InlineData("-1 -1,2 2,4 4", "4 4 10,2 1 1,-1 -1 -1", "none", "[1,[2,2],[4,4]]", "[[4,4,10],[2,1,1],1]", "UNetMidBlock2D", 0)]
    [InlineData("-1 -1,2 2,10 10", "10 10 10,2 2 2,-1 -1 -1", "10", "[1,2,10]", null, null, 10)]
    [InlineData("-1 -1,1 1,1 1", "2 2 2,1 1 1,-1 -1 -1", "absent", "[1,[1,1],[1,1]]", "[[2,2,2],[1,1,1],1]", "absent", 0)]
    [InlineData("1 0,3 2,-1 -1", "-1 -1 -1,2 2 2,0 1 2", "5", "[[1,0],[3,2],5]", "[5,[2,2,2],[0,1,2]]", null, 5)]
    [InlineData("-1 -1,2 2,4 4", "4 4 4,2 2 2,-1 -1 -1", "1", "[1,2,4]", null, null, 1)]
    [InlineData("-1 -1,-1 -1,-1 -1", "-1 -1 -1,-1 -1 -1,-1 -1 -1", "3", "[1,1,3]", null, null, 3)]
    public void Depths_of_pruned_models_are_read_from_names(
        string down, string up, string middle, string layers, string? reverse, string? middleType, int middleDepth)
    {
        using var folder = new TemporaryFolder();
        var writer = new SafetensorsWriter();
        void Tensor(string name, params long[] shape) =>
            writer.Add(name, "F8_E4M3", new byte[shape.Aggregate(1L, (product, extent) => product * extent)], shape);
        void Attention(string block, int depth)
        {
            if (depth >= 0)
                Tensor(block + ".1.proj_in.weight", 1, 1);
            for (int i = 0; i < depth; i++)
                Tensor($"{block}.1.transformer_blocks.{i}.attn2.to_k.weight", 1, 2048);
        }

        int[][] Parse(string text) => [.. text.Split(',').Select(level => level.Split(' ').Select(int.Parse).ToArray())];
        Tensor("input_blocks.0.0.weight", 320, 4, 1, 1);
        Tensor("out.2.weight", 4, 320, 1, 1);
        int block = 1;
        foreach (int[] level in Parse(down))
        {
            foreach (int depth in level)
            {
                Tensor($"input_blocks.{block}.0.in_layers.2.weight", 1);
                Tensor($"input_blocks.{block}.0.out_layers.3.weight", 320, 1);
                Attention($"input_blocks.{block++}", depth);
            }
            if (block < 9)
                Tensor($"input_blocks.{block++}.0.op.weight", 1);
        }
        foreach (var (depth, i) in Parse(up).SelectMany(level => level).Select((depth, i) => (depth, i)))
            Attention($"output_blocks.{i}", depth);
        if (middle != "absent")
            Tensor("middle_block.0.in_layers.2.weight", 1);
        if (int.TryParse(middle, out int blocks))
        {
            Tensor("middle_block.1.proj_in.weight", 1, 1);
            for (int i = 0; i < blocks; i++)
                Tensor($"middle_block.1.transformer_blocks.{i}.attn2.to_k.weight", 1, 2048);
        }
        using var file = WeightSource.Open(writer.Write(folder.At("model.safetensors")));
        var described = new LdmUnetLayout(channels => channels / 64).Describe(new FilePart(file.Path, "", file.Entries));
        Assert.Equal(layers, described["transformer_layers_per_block"]!.ToJsonString());
        Assert.Equal(reverse, described["reverse_transformer_layers_per_block"]?.ToJsonString());
        Assert.Equal(middleType != null, described.ContainsKey("mid_block_type"));
        Assert.Equal(middleType == "absent" ? null : middleType, (string?)described["mid_block_type"]);

        // What the UNet makes of it.
        var config = UnetConfig.Read(ModelConfig.Parse("test", System.Text.Encoding.UTF8.GetBytes(described.ToJsonString())));
        int[] Expected(int[] level) => level[0] < 0 ? [] : level;
        Assert.Equal(Parse(down).Select(Expected), config.Down.Select(level => level.TransformerLayers));
        Assert.Equal(Parse(up).Select(Expected), config.Up.Select(level => level.TransformerLayers));
        if (middleDepth > 0)
            Assert.Equal((UnetMiddle.CrossAttention, middleDepth), (config.Middle, config.MiddleLayers));
        else
            Assert.Equal(middle == "absent" ? UnetMiddle.None : UnetMiddle.Resnet, config.Middle);
    }

    [Fact]
    public void Attention_in_some_layers_of_a_level_is_refused()
    {
        using var folder = new TemporaryFolder();
        var writer = new SafetensorsWriter().Add("input_blocks.1.1.proj_in.weight", [1], 1, 1);
        foreach (int block in new[] { 1, 2 })
            writer.Add($"input_blocks.{block}.0.in_layers.2.weight", [1], 1)
                .Add($"input_blocks.{block}.0.out_layers.3.weight", [1], 1, 1);
        using var file = WeightSource.Open(writer.Write(folder.At("model.safetensors")));
        Assert.Contains(
            "attention in input_blocks.1.1 alone, expected it in all of input_blocks.1.1, input_blocks.2.1",
            Assert.Throws<CheckpointException>(() => new LdmUnetLayout(_ => 8).Describe(new FilePart(file.Path, "", file.Entries))).Message,
            StringComparison.Ordinal);
    }

    [Fact]
    public void Options_for_single_files_are_refused_for_folders()
    {
        string golden = Repository.Golden("checkpoints", "sd15");
        foreach (
            var (name, options) in new[] {
                ("ConfigFolder", new LoadOptions { ConfigFolder = golden }),
                ("PredictionType", new LoadOptions { PredictionType = "epsilon" }) })
            Assert.StartsWith(
                $"{name} is for a model in a single file",
                Assert.Throws<ArgumentException>(() => DiffusionPipeline.Load(golden, options)).Message, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("sd15")]
    [InlineData("sd21")]
    [InlineData("sdxl")]
    public void Components_compute_what_the_folder_computes(string name)
    {
        using var folder = new TemporaryFolder();
        string golden = Repository.Golden("checkpoints", name);
        var source = new LoadOptions { ConfigFolder = golden }.Open(LdmFile.Write(golden, folder.At("model.safetensors")));
        Assert.Equal(Path.Combine(golden, "tokenizer"), source.Tokenizer("tokenizer"));
        using var scope = new TensorScope();
        int[] ids = [1, 5, 9, 2, 7];
        foreach (string encoder in new[] { "text_encoder", "text_encoder_2" }.Where(source.Has))
        {
            using var ours = ClipTextModel.Load(source.Component(encoder));
            using var theirs = ClipTextModel.Load(Path.Combine(golden, encoder), Host);
            var (actual, expected) = (ours.Encode([ids]), theirs.Encode([ids]));
            Assert.Equal(expected.LastHiddenState!.ToArray(), actual.LastHiddenState!.ToArray());
            Assert.Equal(expected.TextEmbeds?.ToArray(), actual.TextEmbeds?.ToArray());
        }
        using var vae = AutoencoderKl.Load(source.Component("vae"));
        using var reference = AutoencoderKl.Load(Path.Combine(golden, "vae"), Host);
        var latents = Tensor.Empty(Host, [1, 4, 4, 4]);
        new TorchRandom(3).Normal(latents.Span);
        Assert.Equal(reference.Decode(latents).ToArray(), vae.Decode(latents).ToArray());
        Assert.Equal(reference.ScalingFactor, vae.ScalingFactor);

        using var unet = Unet2DConditionModel.Load(source.Component("unet"));
        using var referenceUnet = Unet2DConditionModel.Load(Path.Combine(golden, "unet"), Host);
        var random = new TorchRandom(4);
        Tensor Noise(params int[] shape)
        {
            var noise = Tensor.Empty(Host, Shape.Create(shape));
            random.Normal(noise.Span);
            return noise;
        }

        bool sizes = source.Has("text_encoder_2");
        using var conditioning = new UnetConditioning(
            Noise(1, 7, unet.Config.CrossAttentionDim), sizes ? Noise(1, 40) : null,
            sizes ? Tensor.From(Host, [64, 64, 0, 0, 64, 64], [1, 6]) : null);
        var input = new DenoiserInput(Noise(1, 8, 8, 4), new LatentGrid(1, 8, 8), [501], conditioning);
        Assert.Equal(referenceUnet.Predict(input, Steering.Plain).ToArray(), unet.Predict(input, Steering.Plain).ToArray());
    }

    /// <summary>
    /// The whole way of a user's call; a LoRA file in kohya's names for the text encoder and SDXL's original UNet acts on both alike.
    /// </summary>
    [Theory]
    [InlineData("sd15", 2)]
    [InlineData("sd21", 1)]
    [InlineData("sdxl", 1)]
    public async Task Pipelines_generate_what_the_folder_generates(string name, int layers)
    {
        using var folder = new TemporaryFolder();
        string golden = Repository.Golden("checkpoints", name);
        string file = LdmFile.Write(golden, folder.At("model.safetensors"));
        string layer = FormattableString.Invariant($"lora_unet_input_blocks_{layers + 2}_0_in_layers_2");
        using var level = WeightSource.Open(Path.Combine(golden, "unet"));
        var shape = level.Describe("down_blocks.1.resnets.0.conv1.weight")!.Dimensions;
        float[] Values(long count) => [.. Enumerable.Range(0, (int)count).Select(i => MathF.Sin(i))];
        string lora = new SafetensorsWriter()
            .Add(layer + ".lora_down.weight", Values(2 * shape[1] * 9), 2, shape[1], 3, 3)
                .Add(layer + ".lora_up.weight", Values(2 * shape[0]), shape[0], 2, 1, 1)
                .Add(layer + ".alpha", [1])
            .Add($"lora_te{(name == "sdxl" ? "1" : "")}_text_model_encoder_layers_1_mlp_fc1.lora_down.weight", Values(2 * 32), 2, 32)
            .Add($"lora_te{(name == "sdxl" ? "1" : "")}_text_model_encoder_layers_1_mlp_fc1.lora_up.weight", Values(2 * 64), 64, 2)
                .Write(folder.At("lora.safetensors"));
        var request = new GenerationRequest { Prompt = "a panda", Width = 64, Height = 64, Steps = 2, Seed = 5 };
        async Task<byte[]> Generate(string path, bool merge, params LoraWeights[] loras)
        {
            using var pipeline = DiffusionPipeline.Load(
                path, new LoadOptions { ConfigFolder = path == golden ? null : golden, Loras = loras, MergeLora = merge });
            return (await pipeline.GenerateAsync(request, cancellation: TestContext.Current.CancellationToken))[0].Pixels.ToArray();
        }

        byte[] plain = await Generate(golden, merge: true);
        Assert.Equal(plain, await Generate(file, merge: true));
        byte[] changed = await Generate(golden, merge: true, new LoraWeights(lora, 0.8f));
        Assert.NotEqual(plain, changed);
        Assert.Equal(changed, await Generate(file, merge: true, new LoraWeights(lora, 0.8f)));
        byte[] apart = await Generate(golden, merge: false, new LoraWeights(lora, 0.8f));
        Assert.All(changed.Zip(apart), pair => Assert.InRange(pair.First - pair.Second, -1, 1));
    }

    [Fact]
    public void Settings()
    {
        using var folder = new TemporaryFolder();
        string golden = Repository.Golden("checkpoints", "sd21");
        string file = LdmFile.Write(golden, folder.At("model.safetensors"));
        Assert.Equal(
            "epsilon",
            new SingleFileSource(file, Host, new SingleFileSettings(PredictionType: "epsilon")).Scheduler.String("prediction_type", ""));
        Assert.Equal(
            "epsilon", new SingleFileSource(file, Host, new SingleFileSettings(golden, "epsilon")).Scheduler.String("prediction_type", ""));
        Assert.Throws<ArgumentException>(() => new SingleFileSource(file, Host, new SingleFileSettings(PredictionType: "v")));
        var source = new SingleFileSource(file, Host, new SingleFileSettings());
        Assert.Contains(
            "holds no tokenizer", Assert.Throws<CheckpointException>(() => source.Tokenizer("tokenizer")).Message,
            StringComparison.Ordinal);
        Directory.CreateDirectory(folder.At("tokenizer"));
        Assert.Equal(folder.At("tokenizer"), source.Tokenizer("tokenizer"));
        Assert.Equal(
            [2, 2, 2, 4],
            new SingleFileSource(file, Host, new SingleFileSettings(golden)).Component("unet").Config.Ints("attention_head_dim"));
        Assert.Contains(
            "'/no/such'",
            Assert.Throws<CheckpointException>(() => new SingleFileSource(file, Host, new SingleFileSettings("/no/such"))).Message,
            StringComparison.Ordinal);
    }

    /// <summary>Inside of a component, a tensor that no one knows is an error that names it as the file does.</summary>
    [Fact]
    public void Unknown_tensors_are_named()
    {
        using var folder = new TemporaryFolder();
        string golden = Repository.Golden("checkpoints", "sd15");
        string file = LdmFile.Write(golden, folder.At("model.safetensors"), writer => writer.Add("first_stage_model.encoder.extra", [1]));
        var source = new LoadOptions { ConfigFolder = golden }.Open(file);
        Assert.Contains(
            "first_stage_model.encoder.extra",
            Assert.Throws<CheckpointException>(() => AutoencoderKl.Load(source.Component("vae"))).Message, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("double_blocks.0.nothing.weight", "its 1 tensors are of no model that is known: double_blocks.0.nothing.weight")]
    [InlineData("edm_mean", "Playground")]
    [InlineData("conditioner.embedders.0.model.x", "refiner")]
    [InlineData("double_layers.0.attn.w1q.weight", "AuraFlow")]
    public void Files_of_other_kinds_are_refused(string tensor, string reason)
    {
        using var folder = new TemporaryFolder();
        var writer = new SafetensorsWriter().Add(tensor, [1]);
        if (tensor is "edm_mean" or "conditioner.embedders.0.model.x")
            writer.Add("model.diffusion_model.input_blocks.0.0.weight", [1], 1, 1)
                .Add("model.diffusion_model.input_blocks.1.0.in_layers.2.weight", [1], 1);
        string file = writer.Write(folder.At("model.safetensors"));
        var exception = Assert.Throws<CheckpointException>(() => DiffusionPipeline.Load(file));
        Assert.Contains(file, exception.Message, StringComparison.Ordinal);
        Assert.Contains(reason, exception.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Pickled_files_are_refused()
    {
        using var folder = new TemporaryFolder();
        File.WriteAllBytes(folder.At("model.ckpt"), [1, 2, 3]);
        Assert.Contains(
            "pickled", Assert.Throws<CheckpointException>(() => DiffusionPipeline.Load(folder.At("model.ckpt"))).Message,
            StringComparison.Ordinal);
    }

    private static string Now(string name)
    {
        foreach (var (old, now) in OldAttention)
            name = name.Replace($".attentions.0.{old}.", $".attentions.0.{now}.", StringComparison.Ordinal);
        return name;
    }
}
