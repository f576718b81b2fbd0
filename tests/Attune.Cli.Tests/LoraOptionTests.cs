using Attune.Cli.Commands;
using Attune.Generation;
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
    /// A LoRA file for a UNet on FLUX: refused, or ignored with a warning, which leaves the image as it is but for what the file names.
    /// </summary>
    [Fact]
    public async Task A_file_for_another_model()
    {
        string lora = Path.Combine(Repository.Root, "tests", "golden", "checkpoints", "lora", "sd-peft-ranks.safetensors");
        string folder = Directory.CreateTempSubdirectory("attune").FullName;
        try
        {
            string[] request = ["generate", "a panda", "--size", "32x32", "--steps", "1", "--max-sequence-length", "16", "-o"];
            string[] options = ["--lora", lora + ":0.5", "--lora", lora];
            var root = new System.CommandLine.RootCommand { GenerateCommand.Create() };
            var (plain, refused, lenient) = (
                Path.Combine(folder, "plain.png"), Path.Combine(folder, "refused.png"), Path.Combine(folder, "lenient.png"));
            Assert.Equal(0, await Application.RunAsync(root, [.. request, plain]));
            Assert.NotEqual(0, await Application.RunAsync(root, [.. request, refused, .. options]));
            Assert.False(File.Exists(refused));
            Assert.Equal(0, await Application.RunAsync(root, [.. request, lenient, "--lora-lenient", .. options]));
            string text = System.Text.Encoding.Latin1.GetString(File.ReadAllBytes(lenient));
            Assert.Contains("\"lora\":\"sd-peft-ranks.safetensors:0.5+sd-peft-ranks.safetensors:1\"", text, StringComparison.Ordinal);
            Assert.DoesNotContain("\"lora\"", System.Text.Encoding.Latin1.GetString(File.ReadAllBytes(plain)), StringComparison.Ordinal);
        }
        finally
        {
            Directory.Delete(folder, recursive: true);
        }
    }
}
