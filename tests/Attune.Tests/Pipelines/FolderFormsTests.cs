using System.Text;
using System.Text.Json.Nodes;
using Attune.Generation;
using Attune.Tests.Weights;
using Attune.Weights;

namespace Attune.Tests.Pipelines;

/// <summary>Folders as people have them make the pictures of the folders that they come from.</summary>
[NoLeaks]
public class FolderFormsTests
{
    /// <summary>Each change of a copy of a golden checkpoint that must not change the picture.</summary>
    private static readonly Dictionary<string, (string Model, Action<string> Change)> Forms = new()
    {
        ["variant of diffusers"] = ("sdxl", folder => Rename(
            folder, "unet", name => name.Replace(".safetensors", ".fp16.safetensors", StringComparison.Ordinal),
            "diffusion_pytorch_model.safetensors.index.fp16.json")),
        ["variant of transformers"] = ("flux-schnell", folder => Rename(
            folder, "text_encoder_2", name => name.Replace("model-", "model.fp16-", StringComparison.Ordinal),
            "model.safetensors.index.fp16.json")),
        ["byte order marks"] = ("sd15", folder =>
        {
            foreach (string file in Directory.GetFiles(folder, "*.json", SearchOption.AllDirectories))
                File.WriteAllBytes(file, [.. Encoding.UTF8.Preamble, .. File.ReadAllBytes(file)]);
        }),
        ["byte order marks before lists of shards"] = ("flux-dev", folder =>
        {
            foreach (string file in Directory.GetFiles(folder, "*.json", SearchOption.AllDirectories))
                File.WriteAllBytes(file, [.. Encoding.UTF8.Preamble, .. File.ReadAllBytes(file)]);
        }),
        ["tokenizer without a class"] = ("sd15", folder => Edit(
            Path.Combine(folder, "tokenizer", "tokenizer_config.json"), config => config.Remove("tokenizer_class"))),
        ["tokenizer without a configuration"] = ("sd15", folder =>
        {
            File.Delete(Path.Combine(folder, "tokenizer", "tokenizer_config.json"));
            File.Delete(Path.Combine(folder, "tokenizer", "special_tokens_map.json"));
        }),
        ["parts that were not downloaded"] = ("sd15", folder => Edit(Path.Combine(folder, "model_index.json"), index =>
        {
            index["safety_checker"] = new JsonArray("stable_diffusion", "StableDiffusionSafetyChecker");
            index["feature_extractor"] = new JsonArray("transformers", "CLIPImageProcessor");
        })),
        ["weights in double precision"] = ("sd15", folder =>
        {
            string unet = Path.Combine(folder, "unet");
            var writer = new SafetensorsWriter();
            using (var source = WeightSource.Open(unet))
            {
                foreach (var entry in source.Entries)
                    writer.Add(
                        entry.Name, "F64", [.. source.Read(entry.Name).SelectMany(value => BitConverter.GetBytes((double)value))],
                        [.. entry.Dimensions]);
            }
            foreach (string file in Directory.GetFiles(unet, "*.safetensors*"))
                File.Delete(file);
            writer.Write(Path.Combine(unet, "model.safetensors"));
        }),
    };

    public static TheoryData<string> Names() => [.. Forms.Keys];

    [Theory]
    [MemberData(nameof(Names))]
    public async Task The_picture_is_that_of_the_unchanged_folder(string form)
    {
        var (model, change) = Forms[form];
        using var folder = new TemporaryFolder();
        string golden = Repository.Golden("checkpoints", model);
        string copy = Repository.Copy(golden, folder.At("model"));
        change(copy);
        Assert.Equal(await Picture(golden), await Picture(copy));
    }

    private static async Task<byte[]> Picture(string folder)
    {
        using var pipeline = DiffusionPipeline.Load(folder);
        var request = new GenerationRequest {
            Prompt = "a cat", Width = 32, Height = 32, Steps = 1, Seed = 5, Guidance = GuidanceChoice.Parse("none") };
        return (await pipeline.GenerateAsync(request, cancellation: TestContext.Current.CancellationToken))[0].Pixels.ToArray();
    }

    /// <summary>Gives the shards of a component other names, and their list one too.</summary>
    private static void Rename(string folder, string component, Func<string, string> name, string index)
    {
        string part = Path.Combine(folder, component);
        string old = Directory.GetFiles(part, "*.index.json").Single();
        Edit(old, list =>
        {
            var map = list["weight_map"]!.AsObject();
            list["weight_map"] = new JsonObject(map.Select(pair => KeyValuePair.Create(pair.Key, (JsonNode?)name((string)pair.Value!))));
        });
        File.Move(old, Path.Combine(part, index));
        foreach (string file in Directory.GetFiles(part, "*.safetensors"))
            File.Move(file, Path.Combine(part, name(Path.GetFileName(file))));
    }

    private static void Edit(string path, Action<JsonObject> edit)
    {
        var json = JsonNode.Parse(File.ReadAllBytes(path))!.AsObject();
        edit(json);
        File.WriteAllText(path, json.ToJsonString());
    }
}
