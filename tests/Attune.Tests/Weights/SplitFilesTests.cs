using Attune.Generation;
using Attune.Weights;

namespace Attune.Tests.Weights;

/// <summary>
/// Models in several files: golden folders, each component a file of its own under the names of the original code, in an order that says
/// nothing, must give the folder's pictures.
/// </summary>
public class SplitFilesTests
{
    [Theory]
    [InlineData("flux-dev", "flux-dev", "flux-vae", false)]
    [InlineData("flux-dev", "flux-dev", "flux-vae", true)]
    [InlineData("flux-dev", null, null, false)]
    [InlineData("sd35-medium", "sd35-medium", null, false)]
    [InlineData("chroma", "chroma", null, true)]
    [InlineData("flux2-klein", "flux2-klein", "flux2-vae", false)]
    [InlineData("z-image", "z-image", null, true)]
    [InlineData("qwen-image", "qwen-image", "qwen-image-vae", false)]
    [InlineData("pixart-sigma", "pixart-sigma", null, false)]
    [InlineData("sana", "sana", null, false)]
    [InlineData("sana-sprint", "sana-sprint", null, true)]
    [InlineData("sdxl", null, null, false)]
    [InlineData("wan-2.2", null, null, true)]
    public async Task Files_give_the_pictures_of_the_folder(string checkpoint, string? transformer, string? vae, bool gguf)
    {
        using var folder = new TemporaryFolder();
        string golden = Repository.Golden("checkpoints", checkpoint);
        string[] parts = [.. Write(folder, golden, transformer, vae, gguf)];
        string configs = ConfigurationsOf(golden, folder.At("configs"));
        var request = new GenerationRequest { Prompt = "a photo of a cat", Width = 64, Height = 64, Steps = 2, Seed = 5 };
        async Task<byte[]> Generate(string path, LoadOptions? options)
        {
            using var pipeline = DiffusionPipeline.Load(path, options);
            if (checkpoint.StartsWith("wan", StringComparison.Ordinal))
            {
                var videos = await pipeline.GenerateFramesAsync(
                    request with { Frames = 5 }, cancellation: TestContext.Current.CancellationToken);
                return [.. videos[0].SelectMany(image => image.Pixels.ToArray())];
            }
            return (await pipeline.GenerateAsync(request, cancellation: TestContext.Current.CancellationToken))[0].Pixels.ToArray();
        }

        byte[] expected = await Generate(golden, null);
        Assert.Equal(expected, await Generate(parts[0], new LoadOptions { ConfigFolder = configs, Parts = parts[1..] }));

        // The last of the files first: the order says nothing.
        Assert.Equal(expected, await Generate(parts[^1], new LoadOptions { ConfigFolder = configs, Parts = [.. parts[..^1].Reverse()] }));

        // A folder of which a file takes the place of a component, and files of which a folder has the rest.
        Assert.Equal(expected, await Generate(golden, new LoadOptions { Parts = [parts[1]] }));
        Assert.Equal(expected, await Generate(parts[0], new LoadOptions { ConfigFolder = golden }));
    }

    [Fact]
    public void What_is_missing_is_said_with_what_would_serve()
    {
        using var folder = new TemporaryFolder();
        string golden = Repository.Golden("checkpoints", "flux-dev");
        string[] parts = [.. Write(folder, golden, "flux-dev", "flux-vae", gguf: false)];
        string configs = ConfigurationsOf(golden, folder.At("configs"));
        string message = Assert.Throws<CheckpointException>(
            () => DiffusionPipeline.Load(parts[0], new LoadOptions { ConfigFolder = configs })).Message;
        Assert.StartsWith($"'{parts[0]}' is not all of the model; it needs besides ", message, StringComparison.Ordinal);
        Assert.Contains("text_encoder: CLIPTextModel of 48 channels (--text-encoder", message, StringComparison.Ordinal);
        Assert.Contains("text_encoder_2: T5EncoderModel of 64 channels (--text-encoder", message, StringComparison.Ordinal);
        Assert.Contains("vae: ", message, StringComparison.Ordinal);

        // Without a folder the family's own sizes are known, and what people call the files.
        message = Assert.Throws<CheckpointException>(() => new LoadOptions().Open(parts[0]).Component("text_encoder")).Message;
        Assert.Contains("text_encoder: CLIP-L, as clip_l.safetensors", message, StringComparison.Ordinal);
        Assert.Contains("text_encoder_2: T5 XXL, as t5xxl_fp16.safetensors", message, StringComparison.Ordinal);
        Assert.Contains("vae: an autoencoder of 16 channels, as ae.safetensors", message, StringComparison.Ordinal);
    }

    [Fact]
    public void What_has_no_place_is_refused()
    {
        using var folder = new TemporaryFolder();
        string golden = Repository.Golden("checkpoints", "flux-dev");
        string configs = ConfigurationsOf(golden, folder.At("configs"));
        string[] parts = [.. Write(folder, golden, "flux-dev", "flux-vae", gguf: false)];
        string Refusal(string first, params string[] others) => Assert.Throws<CheckpointException>(
            () => new LoadOptions { ConfigFolder = configs, Parts = others }.Open(first)).Message;
        string bigG = OriginalFile.Write(
            Repository.Golden("checkpoints", "sdxl", "text_encoder_2"), "clip-g", folder.At("clip_g.safetensors"));
        Assert.Contains(
            $"'{bigG}' holds a CLIP text encoder of 32 channels, for which FluxPipeline has no place", Refusal(parts[0], bigG),
            StringComparison.Ordinal);
        string other = OriginalFile.Write(
            Repository.Golden("checkpoints", "chroma", "transformer"), "chroma", folder.At("chroma.safetensors"));
        Assert.Contains("both hold a denoiser (the transformer of FLUX.1, the transformer of Chroma)", Refusal(parts[0], other),
            StringComparison.Ordinal);
        Assert.Contains(
            "holds the transformer of Chroma (ChromaTransformer2DModel), but", Refusal(other), StringComparison.Ordinal);
        Assert.Contains("both hold vae", Refusal(parts[0], parts[^1], parts[^1]), StringComparison.Ordinal);
        Assert.Contains(
            "no denoiser",
            Assert.Throws<CheckpointException>(() => new LoadOptions().Open(parts[1])).Message, StringComparison.Ordinal);
        string unet = OriginalFile.Write(Repository.Golden("checkpoints", "sd15", "unet"), null, folder.At("unet.safetensors"));
        Assert.Contains(
            "is the UNet of Stable Diffusion, in names of diffusers: of its family no configuration is built in",
            Assert.Throws<CheckpointException>(() => new LoadOptions().Open(unet)).Message, StringComparison.Ordinal);
        Assert.Contains(
            "'/no/such.safetensors' does not exist", Refusal(parts[0], "/no/such.safetensors"), StringComparison.Ordinal);
    }

    /// <summary>Tokenizers are found in folders of their own, in any order, told by their classes.</summary>
    [Fact]
    public void Tokenizers_are_told_from_each_other()
    {
        using var folder = new TemporaryFolder();
        string golden = Repository.Golden("checkpoints", "flux-dev");
        string file = OriginalFile.Write(Path.Combine(golden, "transformer"), "flux-dev", folder.At("transformer.safetensors"));
        var (clip, t5) = (Path.Combine(golden, "tokenizer"), Path.Combine(golden, "tokenizer_2"));
        foreach (string[] order in new[] { new[] { clip, t5 }, [t5, clip], [golden] })
        {
            var source = new LoadOptions { Tokenizers = order }.Open(file);
            Assert.Equal([clip, t5], new[] { source.Tokenizer("tokenizer"), source.Tokenizer("tokenizer_2") });
        }
        Assert.Contains(
            "expected the folder of a T5TokenizerFast (Tokenizers, --tokenizer)",
            Assert.Throws<CheckpointException>(() => new LoadOptions { Tokenizers = [clip] }.Open(file).Tokenizer("tokenizer_2")).Message,
            StringComparison.Ordinal);
    }

    /// <summary>Every component as a file: the transformer, the text encoders, the autoencoder.</summary>
    private static IEnumerable<string> Write(TemporaryFolder folder, string golden, string? transformer, string? vae, bool gguf)
    {
        string extension = gguf ? ".gguf" : ".safetensors";
        string second = Path.Combine(golden, "transformer_2");
        foreach (string component in new[]
        {
            "transformer", "transformer_2", "unet", "text_encoder", "text_encoder_2", "text_encoder_3", "vae",
        })
        {
            if (!Directory.Exists(Path.Combine(golden, component)))
                continue;
            string? names = component switch { "transformer" => transformer, "vae" => vae, _ => null };
            string noise = !Directory.Exists(second) || !component.StartsWith("trans", StringComparison.Ordinal) ? ""
                : component == "transformer" ? "_high_noise" : "_low_noise";
            yield return OriginalFile.Write(
                Path.Combine(golden, component), names, folder.At(component[^1] + component[..3] + noise + extension));
        }
    }

    /// <summary>The folder without weights.</summary>
    private static string ConfigurationsOf(string golden, string copy) => Repository.Copy(
        golden, copy, file => !Path.GetFileName(file).Contains(".safetensors", StringComparison.Ordinal));
}
