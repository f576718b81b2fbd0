using Attune.Cli.Commands;
using Attune.Generation;
using Attune.Weights;
using Attune.Tests;

namespace Attune.Cli.Tests;

public class LoraOptionTests
{
    [Theory]
    [InlineData("style.safetensors", "style.safetensors", 1f)]
    [InlineData("style.safetensors:0.8", "style.safetensors", 0.8f)]
    [InlineData("folder/style:-1.5e-1", "folder/style", -0.15f)]
    [InlineData(@"C:\style.safetensors", @"C:\style.safetensors", 1f)]
    [InlineData("style:v2", "style:v2", 1f)]
    [InlineData("style:NaN", "style:NaN", 1f)]
    public void File_and_scale(string text, string path, float scale) =>
        Assert.Equal(new LoraWeights(path, scale), RequestOptions.ParseLora(text));

    /// <summary>
    /// A LoRA file for a UNet on FLUX is refused, however lenient one is; one that fits in part only where one is, and then it is named in
    /// the picture.
    /// </summary>
    [Fact]
    public async Task A_file_for_another_model()
    {
        string other = Path.Combine(Repository.Root, "tests", "golden", "checkpoints", "lora", "sd-peft-ranks.safetensors");
        string folder = Directory.CreateTempSubdirectory("attune").FullName;
        try
        {
            string partly = Path.Combine(folder, "partly.safetensors");
            using (var transformer = WeightSource.Open(Path.Combine(DefaultModel.Find(null), "transformer")))
                WriteVectors(partly, ("transformer.proj_out.diff_b", transformer.ShapeOf("proj_out.bias")!.Value[0]), ("other.diff_b", 1));
            string[] request = ["generate", "a panda", "--size", "32x32", "--steps", "1", "--max-sequence-length", "16", "-o"];
            string[] options = ["--lora", partly + ":0.5", "--lora", partly];
            var root = new System.CommandLine.RootCommand { GenerateCommand.Create() };
            var (plain, refused, lenient) = (
                Path.Combine(folder, "plain.png"), Path.Combine(folder, "refused.png"), Path.Combine(folder, "lenient.png"));
            Assert.Equal(0, await Application.RunAsync(root, [.. request, plain]));
            Assert.NotEqual(0, await Application.RunAsync(root, [.. request, refused, .. options]));
            Assert.NotEqual(0, await Application.RunAsync(root, [.. request, refused, "--lora", other]));
            Assert.NotEqual(0, await Application.RunAsync(root, [.. request, refused, "--lora-lenient", "--lora", other]));
            Assert.False(File.Exists(refused));
            Assert.Equal(0, await Application.RunAsync(root, [.. request, lenient, "--lora-lenient", .. options]));
            string text = System.Text.Encoding.Latin1.GetString(File.ReadAllBytes(lenient));
            Assert.Contains("\"lora\":\"partly.safetensors:0.5+partly.safetensors:1\"", text, StringComparison.Ordinal);
            Assert.DoesNotContain("\"lora\"", System.Text.Encoding.Latin1.GetString(File.ReadAllBytes(plain)), StringComparison.Ordinal);
        }
        finally
        {
            Directory.Delete(folder, recursive: true);
        }
    }

    /// <summary>A safetensors file of vectors of zeros.</summary>
    private static void WriteVectors(string file, params (string Name, int Length)[] vectors)
    {
        int at = 0;
        var entries = new List<string>();
        foreach (var (name, length) in vectors)
        {
            entries.Add($"\"{name}\":{{\"dtype\":\"F32\",\"shape\":[{length}],\"data_offsets\":[{at},{at + 4 * length}]}}");
            at += 4 * length;
        }
        byte[] header = System.Text.Encoding.UTF8.GetBytes($"{{{string.Join(',', entries)}}}");
        File.WriteAllBytes(file, [.. BitConverter.GetBytes((long)header.Length), .. header, .. new byte[at]]);
    }
}
