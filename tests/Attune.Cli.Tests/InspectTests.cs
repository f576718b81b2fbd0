using System.Text.Json.Nodes;
using Attune.Cli.Commands;
using Attune.Generation;
using Attune.Tensors;
using Attune.Tests;
using Attune.Tests.Weights;
using Attune.Weights;
using Spectre.Console;

namespace Attune.Cli.Tests;

/// <summary>What <c>inspect</c> says of folders as people have them, and that it says what the loader does.</summary>
public class InspectTests
{
    private static readonly string[] Names =
        [
            .. Directory.GetDirectories(Repository.Golden("checkpoints"))
                .Where(folder => File.Exists(Path.Combine(folder, "model_index.json")))
                .Select(folder => Path.GetFileName(folder)!)
                .Order(StringComparer.Ordinal)];

    public static TheoryData<string> Models() => [.. Names];

    /// <summary>
    /// Every golden checkpoint, whole and with one thing wrong: inspect shows it with exit code 0 where the loader takes it, and fails with
    /// the loader's words where it does not.
    /// </summary>
    [Theory]
    [MemberData(nameof(Models))]
    public void Inspect_says_what_the_loader_does(string name)
    {
        using var folder = new TemporaryFolder();
        string golden = Repository.Golden("checkpoints", name);
        AssertAgree(golden, loads: true);
        foreach (string component in Directory.GetDirectories(golden).Select(Path.GetFileName).OfType<string>())
        {
            AssertAgree(Damaged(folder, golden, copy => Directory.Delete(Path.Combine(copy, component), recursive: true)), loads: false);
            AssertAgree(Damaged(folder, golden, copy => Edit(
                copy, "model_index.json", index => index[component] = new JsonArray(null, null))), loads: null);
            string? config = new[] { "config.json", "tokenizer_config.json", "scheduler_config.json" }
                .FirstOrDefault(file => File.Exists(Path.Combine(golden, component, file)));
            if (config != null)
            {
                AssertAgree(Damaged(folder, golden, copy => File.Delete(Path.Combine(copy, component, config))), loads: null);
                AssertAgree(
                    Damaged(folder, golden, copy => File.WriteAllText(Path.Combine(copy, component, config), "{")), loads: false);
            }
            foreach (string weights in Directory.GetFiles(Path.Combine(golden, component), "*.safetensors").Take(1))
            {
                string file = Path.Combine(component, Path.GetFileName(weights));
                AssertAgree(Damaged(folder, golden, copy => Cut(Path.Combine(copy, file))), loads: false);
                AssertAgree(Damaged(folder, golden, copy => File.Delete(Path.Combine(copy, file))), loads: false);
            }
            if (component is "unet" or "transformer")
            {
                AssertAgree(Damaged(folder, golden, copy => Edit(
                    Path.Combine(copy, component), "config.json", config => config["in_channels"] = 9)), loads: false);
            }
        }
        AssertAgree(Damaged(folder, golden, copy => Edit(
            copy, "model_index.json", index => index["_class_name"] = "HunyuanVideoPipeline")), loads: false);
        AssertAgree(Damaged(folder, golden, copy => Edit(copy, "model_index.json", index =>
        {
            index["safety_checker"] = new JsonArray("stable_diffusion", "StableDiffusionSafetyChecker");
            index["feature_extractor"] = new JsonArray("transformers", "CLIPImageProcessor");
            index["image_encoder"] = new JsonArray(null, null);
            index["requires_safety_checker"] = true;
        })), loads: true);
    }

    [Fact]
    public void Parts_that_are_not_there_are_named()
    {
        using var folder = new TemporaryFolder();
        string copy = Damaged(folder, Repository.Golden("checkpoints", "sd15"), copy => Edit(copy, "model_index.json", index =>
        {
            index["safety_checker"] = new JsonArray("stable_diffusion", "StableDiffusionSafetyChecker");
            index["feature_extractor"] = new JsonArray(null, null);
        }));
        var (code, output) = Inspect(copy);
        Assert.Equal(0, code);
        Assert.Contains($"StableDiffusionPipeline in {copy}: supported", output, StringComparison.Ordinal);
        string Line(string part) => output.Split('\n').Single(line => line.TrimStart().StartsWith(part, StringComparison.Ordinal));
        Assert.Contains("StableDiffusionSafetyChecker", Line("safety_checker"), StringComparison.Ordinal);
        Assert.Contains("absent, not needed", Line("safety_checker"), StringComparison.Ordinal);
        Assert.EndsWith("absent", Line("feature_extractor").TrimEnd(), StringComparison.Ordinal);
        Assert.Contains("UNet2DConditionModel", Line("unet"), StringComparison.Ordinal);
    }

    /// <summary>Models for other tasks under the class of a plain pipeline.</summary>
    [Theory]
    [InlineData("flux-schnell", "transformer", "x_embedder.weight", 192, "192 input channels and 64 output channels, expected 64")]
    [InlineData("sd15", "unet", "conv_in.weight", 8, "in_channels 8 and out_channels 4, expected 4")]
    [InlineData("sdxl", "unet", "conv_in.weight", 8, "in_channels 8 and out_channels 4, expected 4")]
    public void Models_for_other_tasks_are_refused(string name, string component, string tensor, int channels, string reason)
    {
        using var folder = new TemporaryFolder();
        string golden = Repository.Golden("checkpoints", name);
        string copy = Damaged(folder, golden, copy =>
        {
            Edit(Path.Combine(copy, component), "config.json", config => (config["in_channels"], config["out_channels"]) =
                (channels, config["out_channels"]?.DeepClone() ?? config["in_channels"]!.DeepClone()));
            var writer = new SafetensorsWriter();
            using (var source = WeightSource.Open(Path.Combine(golden, component)))
            {
                foreach (var entry in source.Entries)
                {
                    if (entry.Name != tensor)
                    {
                        writer.Copy(entry, entry.Name);
                        continue;
                    }
                    long[] shape = [entry.Dimensions[0], channels, .. entry.Dimensions.Skip(2)];
                    writer.Add(tensor, new float[shape.Aggregate(1L, (product, extent) => product * extent)], shape);
                }
            }
            foreach (string file in Directory.GetFiles(Path.Combine(copy, component), "*.safetensors*"))
                File.Delete(file);
            writer.Write(Path.Combine(copy, component, "diffusion_pytorch_model.safetensors"));
        });
        Assert.Contains(reason, Assert.Throws<CheckpointException>(() => DiffusionPipeline.Load(copy)).Message, StringComparison.Ordinal);
        AssertAgree(copy, loads: false);
    }

    [Fact]
    public void Types_of_a_file_are_listed_by_the_room_they_take()
    {
        using var folder = new TemporaryFolder();
        var (code, output) = Inspect(new SafetensorsWriter().Add("a", "F16", new byte[2048], 4, 256)
            .Add("b", "F32", new byte[4096], 4, 256).Add("c", "F8_E4M3", new byte[8192], 32, 256).Write(folder.At("m.safetensors")));
        Assert.Equal(0, code);
        string[] types = [.. output.Split('\n').SkipWhile(line => !line.TrimStart().StartsWith("type", StringComparison.Ordinal)).Skip(2)
            .Select(line => line.Split(' ', StringSplitOptions.RemoveEmptyEntries))
            .Where(words => words.Length > 4).Select(words => words[0])];
        Assert.Equal(["F8_E4M3", "F32", "F16"], types);
    }

    /// <summary>A transformer in GGUF, in the place of its safetensors, makes the same picture.</summary>
    [Fact]
    public async Task A_component_may_be_a_gguf_file()
    {
        using var folder = new TemporaryFolder();
        string golden = Repository.Golden("checkpoints", "flux-schnell");
        string copy = Damaged(folder, golden, copy =>
        {
            foreach (string file in Directory.GetFiles(Path.Combine(copy, "transformer"), "*.safetensors*"))
                File.Delete(file);
            Assert.Equal(
                0, Commands.ConvertCommand.Run(
                    Path.Combine(golden, "transformer"), Path.Combine(copy, "transformer", "model.gguf"), null, TextWriter.Null));
        });
        string[] arguments = ["generate", "a cat", "--steps", "1", "--width", "64", "--height", "64", "--no-metadata", "--model"];
        var before = await CommandTests.Run([.. arguments, golden, "-o", folder.At("before.png")]);
        var after = await CommandTests.Run([.. arguments, copy, "-o", folder.At("after.png")]);
        Assert.Equal((0, 0), (before.Code, after.Code));
        Assert.Equal(File.ReadAllBytes(folder.At("before.png")), File.ReadAllBytes(folder.At("after.png")));
        Assert.Contains("transformer", Inspect(copy).Output, StringComparison.Ordinal);
    }

    /// <summary>The cache of the Hub holds links into a folder of blobs: sizes are those of the files.</summary>
    [Fact]
    public void Links_have_the_sizes_of_their_files()
    {
        Assert.SkipWhen(OperatingSystem.IsWindows(), "Links need rights there.");
        using var folder = new TemporaryFolder();
        string golden = Repository.Golden("checkpoints", "sdxl");
        string snapshot = folder.At("snapshots");
        Directory.CreateDirectory(folder.At("blobs"));
        int number = 0;
        foreach (string file in Directory.GetFiles(golden, "*", SearchOption.AllDirectories))
        {
            string link = Path.Combine(snapshot, Path.GetRelativePath(golden, file));
            string blob = Path.Combine(folder.At("blobs"), FormattableString.Invariant($"{number++}"));
            File.Copy(file, blob);
            Directory.CreateDirectory(Path.GetDirectoryName(link)!);
            File.CreateSymbolicLink(link, Path.GetRelativePath(Path.GetDirectoryName(link)!, blob));
        }
        static string[] Sizes(string output) => [.. output.Split('\n').Where(line => line.Contains("iB", StringComparison.Ordinal))];
        var (code, output) = Inspect(snapshot);
        Assert.Equal(0, code);
        Assert.Equal(Sizes(Inspect(golden).Output), Sizes(output));
        Assert.Contains(Sizes(output), line => line.Contains("CLIPTokenizer", StringComparison.Ordinal));
    }

    [Fact]
    public void Folders_without_a_pipeline_say_what_they_hold()
    {
        using var folder = new TemporaryFolder();
        Assert.Contains(
            "holds no checkpoint", Assert.Throws<CheckpointException>(() => Inspect(folder.Path)).Message, StringComparison.Ordinal);
        string golden = Repository.Golden("checkpoints", "sd15");
        Repository.Copy(golden, folder.At("model"));
        Directory.CreateDirectory(folder.At("damaged"));
        File.WriteAllText(folder.At("damaged/model_index.json"), "{");
        var (listed, models) = Inspect(folder.Path);
        Assert.Equal(0, listed);
        Assert.Contains("is no pipeline", models, StringComparison.Ordinal);
        Assert.Contains($"StableDiffusionPipeline in {folder.At("model")}", models, StringComparison.Ordinal);
        Assert.Contains($"an unreadable pipeline in {folder.At("damaged")}", models, StringComparison.Ordinal);

        // Beside components they are listed too.
        Repository.Copy(Path.Combine(golden, "vae"), folder.At("a-vae"));
        Assert.Contains($"StableDiffusionPipeline in {folder.At("model")}", Inspect(folder.Path).Output, StringComparison.Ordinal);
        Assert.Contains("AutoencoderKL", Inspect(folder.Path).Output, StringComparison.Ordinal);
        Directory.Delete(folder.At("a-vae"), recursive: true);
        Assert.Contains("does not exist", Assert.Throws<CheckpointException>(() => Inspect("/no/such")).Message, StringComparison.Ordinal);

        // Components without an index, one of them, and a file of one.
        File.Delete(folder.At("model/model_index.json"));
        var (code, output) = Inspect(folder.At("model"));
        Assert.Equal(0, code);
        Assert.Contains("no pipeline", output, StringComparison.Ordinal);
        Assert.Contains("UNet2DConditionModel", output, StringComparison.Ordinal);
        Assert.Contains("CLIPTextModel", output, StringComparison.Ordinal);
        Assert.DoesNotContain("tokenizer", output, StringComparison.Ordinal);
        Assert.Contains("UNet2DConditionModel", Inspect(folder.At("model/unet")).Output, StringComparison.Ordinal);
        string file = Directory.GetFiles(folder.At("model/unet"), "*.safetensors")[0];
        Assert.Contains(Path.GetFileName(file), Inspect(file).Output, StringComparison.Ordinal);
    }

    [Fact]
    public void A_model_in_a_single_file_is_shown()
    {
        using var folder = new TemporaryFolder();
        string golden = Repository.Golden("checkpoints", "sdxl");
        string file = LdmFile.Write(golden, folder.At("model.safetensors"));
        Assert.Contains(file, Assert.Throws<CheckpointException>(() => Inspect(file)).Message, StringComparison.Ordinal);
        var (code, output) = Inspect(file, golden);
        Assert.Equal(0, code);
        Assert.Contains($"StableDiffusionXLPipeline in {file}: supported", output, StringComparison.Ordinal);
        foreach (string component in new[] { "unet", "vae", "text_encoder", "text_encoder_2" })
            Assert.Contains(
                output.Split('\n'),
                line => line.TrimStart().StartsWith(component + " ", StringComparison.Ordinal)
                    && line.Contains("iB", StringComparison.Ordinal));
    }

    /// <summary>Files of released widths, without values.</summary>
    private static readonly (string Name, long[] Shape)[] Flux =
    [
        ("img_in.weight", [3072, 64]), ("txt_in.weight", [3072, 4096]), ("vector_in.in_layer.weight", [3072, 768]),
        ("guidance_in.in_layer.weight", [3072, 256]), ("final_layer.linear.weight", [64, 3072]),
        ("double_blocks.0.img_attn.qkv.weight", [9216, 3072]), ("single_blocks.0.linear1.weight", [21504, 3072]),
    ];

    private static readonly (string Name, long[] Shape)[] T5 =
        [("encoder.block.0.layer.0.SelfAttention.q.weight", [4096, 4096]), ("encoder.final_layer_norm.weight", [4096])];

    /// <summary>A part of a model is no failure: what it is, how it was told, and what else is needed.</summary>
    [Fact]
    public void Parts_of_models_say_what_goes_with_them()
    {
        using var folder = new TemporaryFolder();
        string flux = HollowFile.Write(folder.At("flux 1 dev.safetensors"), Flux);
        var (code, output) = Inspect(flux);
        Assert.Equal(0, code);
        foreach (string line in new[]
        {
            $"{flux}: the transformer of FLUX.1", "told by double_blocks.0.img_attn.qkv.weight", "of FluxPipeline",
            "  text_encoder: CLIP-L, as clip_l.safetensors (--text-encoder, or a folder of it in --config-folder)",
            "  text_encoder_2: T5 XXL, as t5xxl_fp16.safetensors (--text-encoder, or a folder of it in --config-folder)",
            "  vae: an autoencoder of 16 channels, as ae.safetensors (--vae, or a folder of it in --config-folder)",
            "  CLIPTokenizer, T5TokenizerFast (--tokenizer: its folder, or one that holds several)",
            $"  attune generate \"a cat\" --model \"{flux}\" --text-encoder clip_l.safetensors --text-encoder t5xxl_fp16.safetensors "
                + "--vae ae.safetensors --tokenizer DIR",
        })
        {
            Assert.Contains(line, output.Split('\n').Select(written => written.TrimEnd()));
        }

        string t5 = HollowFile.Write(folder.At("t5.safetensors"), T5);
        (code, output) = Inspect(t5);
        Assert.Equal(0, code);
        Assert.Contains($"{t5}: a T5 text encoder of 4096 channels", output, StringComparison.Ordinal);
        Assert.Contains(
            "for ChromaPipeline, FluxPipeline, PixArtAlphaPipeline, PixArtSigmaPipeline, StableDiffusion3Pipeline", output,
            StringComparison.Ordinal);
        Assert.Contains($"attune generate \"a cat\" --model MODEL --text-encoder {t5}", output, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("lora/flux-kohya.safetensors", "an adapter: LoRA in", "--lora")]
    [InlineData("lora/lycoris-lokr.safetensors", "an adapter: LoKr in", "--lora")]
    [InlineData("lora/lycoris-dora.safetensors", "DoRA in", "--lora")]
    [InlineData("embeddings/badstyle.safetensors", "an embedding for badstyle: 3 vectors of 32 channels", "--embedding")]
    [InlineData("embeddings/learned_embeds.safetensors", "an embedding for <toy>: 1 vector of 32 channels", "--embedding")]
    public void Adapters_and_embeddings_are_told(string file, string expected, string option)
    {
        string path = Repository.Golden("checkpoints", file);
        var (code, output) = Inspect(path);
        Assert.Equal(0, code);
        Assert.Contains(expected, output, StringComparison.Ordinal);
        Assert.Contains($"--model MODEL {option} {path}", output, StringComparison.Ordinal);
    }

    [Fact]
    public void Json_says_the_same()
    {
        using var folder = new TemporaryFolder();
        string flux = HollowFile.Write(
            folder.At("flux.safetensors"), [.. Flux.Where(tensor => !tensor.Name.StartsWith("guidance", StringComparison.Ordinal))]);
        var json = Json(flux, 0);
        Assert.Equal("denoiser", (string)json["kind"]!);
        Assert.Equal("FluxPipeline", (string)json["pipeline"]!);
        Assert.True((bool)json["usable"]!);
        Assert.Equal(
            ["text_encoder", "text_encoder_2", "vae"], json["needs"]!.AsArray().Select(need => (string)need!["component"]!));
        Assert.Equal("clip_l.safetensors", (string)json["needs"]![0]!["as"]!);
        Assert.Equal("BF16", (string)json["types"]![0]!["type"]!);
        Assert.Equal(6, (int)json["types"]![0]!["tensors"]!);
        Assert.Contains("--vae ae.safetensors", (string)json["command"]!, StringComparison.Ordinal);

        json = Json(Repository.Golden("checkpoints", "lora", "flux-peft.safetensors"), 0);
        Assert.Equal("adapter", (string)json["kind"]!);
        json = Json(
            new SafetensorsWriter().Add("a", "F16", new byte[2048], 4, 256).Add("b", "F32", new byte[4096], 4, 256)
                .Write(folder.At("unknown.safetensors")), 0);
        Assert.Equal(("unknown", false), ((string)json["kind"]!, (bool)json["usable"]!));
        Assert.Contains("are of no model that is known", (string)json["problem"]!, StringComparison.Ordinal);

        json = Json(LdmFile.Write(Repository.Golden("checkpoints", "sdxl"), folder.At("sdxl.safetensors")), null);
        Assert.Equal(("model", false), ((string)json["kind"]!, (bool)json["usable"]!));
        Assert.Equal(["CLIPTokenizer", "CLIPTokenizer"], json["tokenizers"]!.AsArray().Select(name => (string)name!));
        Assert.EndsWith("sdxl.safetensors --tokenizer DIR", (string)json["command"]!, StringComparison.Ordinal);
        string unet = Directory.GetFiles(Repository.Golden("checkpoints", "sd15", "unet"), "*.safetensors")[0];
        Assert.EndsWith("--config-folder DIR", (string)Json(unet, 0)["command"]!, StringComparison.Ordinal);

        json = Json(Repository.Golden("checkpoints", "sd15"), 0);
        Assert.Equal(("model", true), ((string)json["kind"]!, (bool)json["usable"]!));
        Assert.Equal("StableDiffusionPipeline", (string)json["pipeline"]!);
        Assert.Contains(json["components"]!.AsArray(), part => (string)part!["class"]! == "UNet2DConditionModel");
        string broken = Damaged(
            folder, Repository.Golden("checkpoints", "sd15"), copy => Directory.Delete(Path.Combine(copy, "unet"), recursive: true));
        json = Json(broken, null);
        Assert.False((bool)json["usable"]!);
        Assert.NotNull(json["problem"]);
    }

    [Fact]
    public void A_folder_of_several_models_is_one_object_too()
    {
        using var folder = new TemporaryFolder();
        Repository.Copy(Repository.Golden("checkpoints", "sd15"), folder.At("first"));
        Repository.Copy(Repository.Golden("checkpoints", "sd15", "unet"), folder.At("unet"));
        var json = Json(folder.Path, 0);
        Assert.Equal(("folder", true), ((string)json["kind"]!, (bool)json["usable"]!));
        var model = Assert.Single(json["models"]!.AsArray())!;
        Assert.Equal((folder.At("first"), "StableDiffusionPipeline"), ((string)model["path"]!, (string)model["pipeline"]!));
        var component = Assert.Single(json["components"]!.AsArray())!;
        Assert.Equal((folder.At("unet"), "UNet2DConditionModel"), ((string)component["path"]!, (string)component["class"]!));
        Assert.NotEmpty(component["types"]!.AsArray());
    }

    /// <summary>The object; a code of null is a failure after it.</summary>
    private static JsonObject Json(string path, int? code)
    {
        using var stream = new MemoryStream();
        if (code == null)
            Assert.Throws<CheckpointException>(() => InspectJson.Run(path, null, () => stream));
        else
            Assert.Equal(code, InspectJson.Run(path, null, () => stream));
        return JsonNode.Parse(stream.ToArray())!.AsObject();
    }

    private static (int Code, string Output) Inspect(string path, string? configFolder = null)
    {
        using var writer = new StringWriter();
        var console = AnsiConsole.Create(new AnsiConsoleSettings { Out = new AnsiConsoleOutput(writer), Ansi = AnsiSupport.No });
        console.Profile.Width = 4096;
        return (InspectCommand.Run(path, configFolder, Devices.Managed, () => "libtorch", console), writer.ToString());
    }

    private static void AssertAgree(string folder, bool? loads)
    {
        string? refused = null;
        try
        {
            DiffusionPipeline.Load(folder).Dispose();
        }
        catch (CheckpointException exception)
        {
            refused = exception.Message;
        }
        if (loads != null)
            Assert.True(loads == (refused == null), $"{folder}: {refused ?? "loads"}");
        if (refused == null)
            Assert.Equal(0, Inspect(folder).Code);
        else
            Assert.Equal(refused, Assert.Throws<CheckpointException>(() => Inspect(folder)).Message);
    }

    private static string Damaged(TemporaryFolder folder, string golden, Action<string> damage)
    {
        string copy = folder.At("copy");
        if (Directory.Exists(copy))
            Directory.Delete(copy, recursive: true);
        Repository.Copy(golden, copy);
        damage(copy);
        return copy;
    }

    private static void Edit(string folder, string file, Action<JsonObject> edit)
    {
        string path = Path.Combine(folder, file);
        var json = JsonNode.Parse(File.ReadAllBytes(path))!.AsObject();
        edit(json);
        File.WriteAllText(path, json.ToJsonString());
    }

    private static void Cut(string file)
    {
        using var stream = File.OpenWrite(file);
        stream.SetLength(stream.Length / 2);
    }
}
