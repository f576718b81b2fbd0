using System.Buffers.Binary;
using System.Text;
using System.Text.Json;
using Attune.Cli.Commands;
using Attune.Generation;
using Attune.Imaging;
using Attune.Tests;

namespace Attune.Cli.Tests;

/// <summary>What a picture says of itself makes it again.</summary>
public class MetadataTests
{
    /// <summary>Members that are not of the request: what the rest was generated with, and which of several pictures it is.</summary>
    private static readonly string[] Others = ["software", "version", "pipeline", "model", "model_hash", "device", "lora", "index"];

    private static readonly string Checkpoints = Path.Combine(Repository.Root, "tests", "golden", "checkpoints");

    [Theory]
    [InlineData("flux-schnell", "--negative", "sun", "--size", "32x48", "--steps", "2", "--max-sequence-length", "16", "--seed", "-3")]
    [InlineData(
        "flux-dev", "--guidance", "nag:scale=3,layers=single.1+cfg:scale=2", "--preset", "flux-kontext", "--size", "32x32", "--steps", "2",
        "--guidance-scale", "2.3", "-n", "the \"sun\"", "--negative-max-sequence-length", "8", "--max-sequence-length", "16")]
    [InlineData("sdxl", "--preset", "sdxl-dmd2", "--negative", "sun", "--size", "64x72", "--count", "2", "--original-size", "512x640")]
    [InlineData(
        "sd15", "--guidance", "cfg", "--scheduler", "ddim:timestep_spacing=trailing", "--eta", "0.3", "--steps", "2", "--size", "64x64",
        "--clip-skip", "1", "--long-prompts")]
    public async Task The_metadata_of_a_picture_make_it_again(string checkpoint, params string[] arguments)
    {
        string folder = Directory.CreateTempSubdirectory("attune").FullName;
        try
        {
            string model = Path.Combine(Checkpoints, checkpoint);
            string file = Path.Combine(folder, "picture.png");
            var root = new System.CommandLine.RootCommand { GenerateCommand.Create() };
            Assert.Equal(0, await Application.RunAsync(root, ["generate", "a panda, 雨", "--model", model, "-o", file, .. arguments]));

            var request = new GenerationRequest { Prompt = "" };
            string[] files = Directory.GetFiles(folder);
            using var json = JsonDocument.Parse(Parameters(files[0]));
            foreach (var member in json.RootElement.EnumerateObject().Where(member => !Others.Contains(member.Name)))
                request = OptionCatalog.Find(member.Name)!.Set(request, member.Value);

            using var pipeline = DiffusionPipeline.Load(model);
            var images = await pipeline.GenerateAsync(request);
            Assert.Equal(images.Count, files.Length);
            foreach (string made in files)
            {
                using var own = JsonDocument.Parse(Parameters(made));
                Assert.Equal(Image.Load(made).Rgb, images[own.RootElement.GetProperty("index").GetInt32()].Rgb);
            }

            // Nothing was left to defaults: the request that was read is the one that is resolved.
            var resolved = pipeline.Resolve(request).Request;
            Assert.All(OptionCatalog.All, option => Assert.Equal(option.Get(request), option.Get(resolved)));
        }
        finally
        {
            Directory.Delete(folder, recursive: true);
        }
    }

    /// <summary>The text that goes with the keyword of the JSON.</summary>
    private static string Parameters(string file) => Text(file, "attune");

    internal static string Text(string file, string keyword)
    {
        byte[] start = [.. Encoding.Latin1.GetBytes(keyword), 0, 0, 0, 0, 0];
        var bytes = File.ReadAllBytes(file).AsSpan(8);
        while (bytes.Length > 0)
        {
            int length = BinaryPrimitives.ReadInt32BigEndian(bytes);
            var data = bytes.Slice(8, length);
            if (bytes[4..8].SequenceEqual("iTXt"u8) && data.StartsWith(start))
                return Encoding.UTF8.GetString(data[start.Length..]);
            bytes = bytes[(12 + length)..];
        }
        throw new InvalidDataException($"'{file}' has no text '{keyword}'.");
    }
}
