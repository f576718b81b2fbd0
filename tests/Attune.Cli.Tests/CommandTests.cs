using System.Diagnostics;
using System.Text;
using Attune.Tests;

namespace Attune.Cli.Tests;

/// <summary>The executable as users run it.</summary>
public class CommandTests
{
    internal static async Task<(int Code, string Output, string Error)> Run(params string[] arguments)
    {
        var start = new ProcessStartInfo(Programs.Attune) {
            RedirectStandardOutput = true, RedirectStandardError = true, StandardOutputEncoding = Encoding.UTF8 };
        foreach (string argument in arguments)
            start.ArgumentList.Add(argument);
        using var process = Process.Start(start)!;
        var output = process.StandardOutput.ReadToEndAsync();
        var error = process.StandardError.ReadToEndAsync();
        await process.WaitForExitAsync();
        return (process.ExitCode, await output, await error);
    }

    [Fact]
    public async Task Generating_twice_gives_the_same_bytes()
    {
        string folder = Directory.CreateTempSubdirectory("attune").FullName;
        try
        {
            string first = Path.Combine(folder, "first.png");
            string second = Path.Combine(folder, "second.png");
            foreach (string file in new[] { first, second })
            {
                var (code, output, error) = await Run(
                    "generate", "a panda on a blue background", "--negative", "sunglasses", "--size", "64x64", "--steps", "2",
                    "--max-sequence-length", "32", "-o", file);
                Assert.True(code == 0, error);
                Assert.Contains("nag:scale=6,tau=2.5,alpha=0.25", output.ReplaceLineEndings(""), StringComparison.Ordinal);
            }
            byte[] bytes = await File.ReadAllBytesAsync(first);
            Assert.Equal(bytes, await File.ReadAllBytesAsync(second));
            Assert.Contains("\"negative_prompt\":\"sunglasses\"", Encoding.UTF8.GetString(bytes), StringComparison.Ordinal);
        }
        finally
        {
            Directory.Delete(folder, recursive: true);
        }
    }

    /// <summary>No black picture: an exit code, a sentence, and no file.</summary>
    [Fact]
    public async Task Values_that_are_no_numbers_end_the_run_without_a_file()
    {
        string folder = Directory.CreateTempSubdirectory("attune").FullName;
        try
        {
            string model = Path.Combine(Repository.Root, "tests", "golden", "checkpoints", "sd15");
            string[] request =
            [
                "generate", "a cat", "--model", model, "--size", "64x64", "--steps", "2", "-o", Path.Combine(folder, "cat.png"),
                "--preview", Path.Combine(folder, "step-{step}.png"),
            ];
            var (code, _, error) = await Run([.. request, "--guidance", "cfg:scale=1e38"]);
            Assert.Equal(1, code);
            Assert.Contains("not finite", error, StringComparison.Ordinal);
            Assert.Empty(Directory.GetFiles(folder));
            (code, _, error) = await Run([.. request, "--scheduler", "ddim", "--eta", "2"]);
            Assert.Equal(1, code);
            Assert.Contains("--eta is '2', expected a number, 0 to 1", error, StringComparison.Ordinal);
            Assert.Empty(Directory.GetFiles(folder));
        }
        finally
        {
            Directory.Delete(folder, recursive: true);
        }
    }

    [Fact]
    public async Task An_image_is_made_anew_in_few_steps_with_a_preview_of_each()
    {
        string folder = Directory.CreateTempSubdirectory("attune").FullName;
        try
        {
            string model = Path.Combine(Repository.Root, "tests", "golden", "checkpoints", "sdxl");
            string start = Path.Combine(folder, "start.png");
            var (code, _, error) = await Run(
                "generate", "a panda", "--model", model, "--size", "64x72", "--steps", "1", "-o", start, "--original-size", "512x640",
                "--crop", "8,24", "--target-size", "1024x1024");
            Assert.True(code == 0, error);
            string end = Path.Combine(folder, "end.png");
            (code, string output, error) = await Run(
                "generate", "a lion", "--model", model, "--image", start, "--strength", "0.75", "--scheduler", "lcm", "--timesteps",
                "999,749,499,249", "--clip-skip", "1", "--long-prompts", "-o", end,
                "--preview", Path.Combine(folder, "step-{step}.png"), "--preview-vae",
                Path.Combine(Repository.Root, "tests", "golden", "checkpoints", "autoencoders", "taesd"));
            Assert.True(code == 0, error);
            Assert.Contains("64x72", output, StringComparison.Ordinal);
            Assert.Equal(
                ["end.png", "start.png", "step-1.png", "step-2.png", "step-3.png"],
                Directory.GetFiles(folder).Select(Path.GetFileName).Order(StringComparer.Ordinal));
            string text = Encoding.UTF8.GetString(await File.ReadAllBytesAsync(end));
            Assert.Contains("\"scheduler\":\"LCMScheduler\",\"timesteps\":\"999,749,499,249\"", text, StringComparison.Ordinal);
        }
        finally
        {
            Directory.Delete(folder, recursive: true);
        }
    }

    [Fact]
    public async Task What_has_no_effect_is_said()
    {
        string file = Path.Combine(Path.GetTempPath(), $"attune-{Guid.NewGuid():N}.png");
        try
        {
            string[] size = ["--size", "64x64", "--steps", "2", "--max-sequence-length", "32", "-o", file];
            var (code, output, error) = await Run(
                ["generate", "a panda", "--negative", "sunglasses", "--guidance", "gag:steps=5-", .. size]);
            Assert.True(code == 0, error);
            Assert.Contains("No guidance rule reads the negative prompt", error, StringComparison.Ordinal);
            Assert.Contains("steps=5- acts in none of the 2 steps", error, StringComparison.Ordinal);
            Assert.DoesNotContain("Warning", output, StringComparison.Ordinal);
            Assert.DoesNotContain('\u001b', output + error);       // no colours where no one sees them
            (code, output, error) = await Run(["generate", "a panda", "--negative", "sunglasses", "--guidance", "nag", .. size]);
            Assert.True(code == 0, error);
            Assert.Equal("", error);
        }
        finally
        {
            File.Delete(file);
        }
    }

    [Fact]
    public async Task Tracing_writes_a_document_and_a_page()
    {
        string folder = Directory.CreateTempSubdirectory("attune").FullName;
        try
        {
            string json = Path.Combine(folder, "trace.json");
            string html = Path.Combine(folder, "trace.html");
            var (code, output, error) = await Run(
                "trace", "a panda on a blue background", "--negative", "sunglasses", "--guidance", "nag+gag", "--size", "64x64", "--steps",
                "2", "--max-sequence-length", "32", "-o", json, "--html", html);
            Assert.True(code == 0, error);
            Assert.Contains("tau clips", output, StringComparison.Ordinal);
            using var document = System.Text.Json.JsonDocument.Parse(await File.ReadAllTextAsync(json));
            Assert.Equal("sunglasses", document.RootElement.GetProperty("request").GetProperty("negative_prompt").GetString());
            Assert.Equal(2, document.RootElement.GetProperty("steps").GetArrayLength());
            string page = await File.ReadAllTextAsync(html);
            Assert.Contains("a panda on a blue background", page, StringComparison.Ordinal);
            Assert.DoesNotContain(folder, page + await File.ReadAllTextAsync(json), StringComparison.Ordinal);
        }
        finally
        {
            Directory.Delete(folder, recursive: true);
        }
    }

    [Theory]
    [InlineData("--preview is 'step.png'", "generate", "a panda", "--preview", "step.png")]
    [InlineData("--preview-vae is given without --preview", "generate", "a panda", "--preview-vae", "folder")]
    [InlineData("'quick' is neither a file nor a scheduler", "generate", "a panda", "--scheduler", "quick")]
    [
        InlineData(
            "GuidanceScale: FluxPipeline does not take it, since the model embeds no guidance scale", "generate", "a panda",
            "--guidance-scale", "3")]
    [InlineData("--timesteps is '9,x'", "generate", "a panda", "--timesteps", "9,x")]
    [InlineData("--crop is '3'", "generate", "a panda", "--crop", "3")]
    [InlineData("--target-size is '3'", "generate", "a panda", "--target-size", "3")]
    [InlineData("Timesteps: FluxPipeline does not take it", "generate", "a panda", "--timesteps", "9,3")]
    [InlineData("'--size' is '64'", "generate", "a panda", "--size", "64")]
    [InlineData("'nagg' is no guidance rule", "generate", "a panda", "--guidance", "nagg")]
    [InlineData("'nag' has no parameter 'phy'", "generate", "a panda", "--guidance", "nag:phy=3")]
    [InlineData("tau is 0.5, expected at least 1", "generate", "a panda", "--guidance", "nag:tau=0.5")]
    [InlineData("--model: '/no/such/folder' does not exist; expected a local folder", "generate", "a panda", "--model", "/no/such/folder")]
    [InlineData("see docs/models.md", "generate", "a panda", "-m", "black-forest-labs/FLUX.1-schnell")]
    [InlineData("--max-sequence-length is '100000', expected an integer, 1", "generate", "a panda", "--max-sequence-length", "100000")]
    [InlineData("--steps is '1.5', expected an integer", "generate", "a panda", "--steps", "1.5")]
    [InlineData("--seed is 'abc', expected an integer of 64 bits", "generate", "a panda", "--seed", "abc")]
    [InlineData("--seed is '18446744073709551616', expected an", "generate", "a panda", "--seed", "18446744073709551616")]
    [InlineData("--limit-prompts is 'x', expected an integer; see attune evaluate --help", "evaluate", "e.json", "--limit-prompts", "x")]
    [InlineData("the prompt in quotes, as attune generate \"a red panda\"; see", "generate", "a", "red", "panda", "on", "a", "hill")]
    [InlineData("the prompt is missing", "generate")]
    [InlineData("<dir> is missing", "verify")]
    [InlineData("--steps needs a value; see attune generate --help", "generate", "a panda", "--steps")]
    [InlineData("--steps is given more than once", "generate", "a panda", "--steps", "2", "--steps", "3")]
    [InlineData("--step is not known; did you mean --steps?", "generate", "a panda", "--step", "3")]
    [InlineData("--negative_aesthetic_score is not known: here it is --neg", "generate", "a panda", "--negative_aesthetic_score", "3")]
    [InlineData("there is no command 'generat'; did you mean generate?", "generat", "a panda")]
    [InlineData("a command is missing: model, kernels, weights, text, metrics, nag; see attune bench --help", "bench")]
    [InlineData("--json and --output - both want standard output", "generate", "a panda", "--json", "-o", "-")]
    [InlineData("--output: 'x.tga' ends in .tga; pictures are written as .png", "generate", "a panda", "-o", "x.tga")]
    [InlineData("--output: 'x' ends in no extension", "generate", "a panda", "-o", "x", "--count", "2")]
    [InlineData("--output is -, standard output, which takes one picture", "generate", "a panda", "-o", "-", "--count", "2")]
    [InlineData("--output: '' cannot be written", "generate", "a panda", "-o", "")]
    [InlineData("--output: the folder 'no/such' does not exist", "generate", "a panda", "-o", "no/such/x.png")]
    [InlineData("--preview: 'p-{step}.tga' ends in .tga", "generate", "a panda", "--preview", "p-{step}.tga")]
    [InlineData("--output: 'x.html' ends in .html, expected .json", "trace", "a panda", "-o", "x.html")]
    [InlineData("--html: 'f.json' ends in .json, expected .html or .htm", "trace", "a panda", "--html", "f.json", "-o", "f.json")]
    [InlineData("Width is 60 pixels, expected a positive multiple of 16", "generate", "a panda", "--size", "60x64")]
    [InlineData("--html: the folder", "trace", "a panda", "--html", "/no/such/folder/trace.html")]
    [InlineData("does not exist", "inspect", "/no/such/folder")]
    [InlineData("'nix' is no family of models that has presets", "presets", "nix")]
    [InlineData("'nix' is no family of models that has presets", "generate", "a panda", "--preset", "nix")]
    [InlineData("scale is -1, expected at least 0", "generate", "a panda", "--guidance", "nag:nag_scale=0")]
    public async Task An_error_is_one_clear_line(string message, params string[] arguments)
    {
        var (code, output, error) = await Run(arguments);
        Assert.NotEqual(0, code);
        Assert.DoesNotContain("System.", error, StringComparison.Ordinal);
        Assert.Equal("", output);
        Assert.Contains(message.Replace("'--size'", "--size", StringComparison.Ordinal), error, StringComparison.Ordinal);
        Assert.Single(error.Trim().Split('\n'));
        Assert.DoesNotContain("   at ", error, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Presets_are_listed_with_their_sources()
    {
        var (code, output, _) = await Run("presets");
        Assert.Equal(0, code);
        Assert.All(Guidance.GuidancePresets.Families, family => Assert.Contains($" {family} ", output, StringComparison.Ordinal));
        (code, output, _) = await Run("presets", "sdxl-dmd2");
        Assert.Equal(0, code);
        Assert.Contains("timesteps 999, 749, 499, 249", output, StringComparison.Ordinal);
        Assert.Contains("nag:scale=2,tau=2.5,alpha=0.5", output, StringComparison.Ordinal);
        Assert.Contains("arXiv 2505.21179, tables 1 and 5", output, StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_preset_samples_few_step_models_as_they_want_it()
    {
        string folder = Directory.CreateTempSubdirectory("attune").FullName;
        try
        {
            string file = Path.Combine(folder, "a.png");
            string[] arguments = [
                "generate", "a panda", "-n", "sunglasses", "--model",
                Path.Combine(Repository.Root, "tests", "golden", "checkpoints", "sdxl"), "--preset", "sdxl-dmd2", "--size", "64x64", "-o",
                file];
            var (code, output, error) = await Run(arguments);
            Assert.True(code == 0, error);
            Assert.Contains("4 steps", output, StringComparison.Ordinal);
            Assert.Contains("guidance nag:scale=2,tau=2.5,alpha=0.5", output, StringComparison.Ordinal);
            string png = Encoding.UTF8.GetString(await File.ReadAllBytesAsync(file));
            Assert.Contains("\"scheduler\":\"LCMScheduler\",\"timesteps\":\"999,749,499,249\"", png, StringComparison.Ordinal);
            (code, output, error) = await Run([.. arguments, "--steps", "2", "--scheduler", "ddim"]);
            Assert.True(code == 0, error);
            Assert.Contains(" 2 steps", output, StringComparison.Ordinal);
        }
        finally
        {
            Directory.Delete(folder, recursive: true);
        }
    }

    [Fact]
    public async Task A_preset_gives_rules_the_parameters_of_its_family()
    {
        string folder = Directory.CreateTempSubdirectory("attune").FullName;
        try
        {
            foreach (
                var (preset, expected) in new[] {
                    ("flux-kontext", "nag:scale=2,tau=2.5,alpha=0.25,norm=1,latents=shared,pooled=negative,steps=t:750-"),
                    ("sd3.5-large-turbo", "nag:scale=4,tau=2.5,alpha=0.125") })
            {
                var (code, output, error) = await Run(
                    "generate", "a panda", "--guidance", "nag", "--preset", preset, "--size", "64x64", "--steps", "1",
                    "--max-sequence-length", "16", "-o", Path.Combine(folder, "a.png"));
                Assert.True(code == 0, error);
                Assert.Contains(expected, output, StringComparison.Ordinal);
                Assert.Contains("1 step", output, StringComparison.Ordinal);
            }
        }
        finally
        {
            Directory.Delete(folder, recursive: true);
        }
    }

    [Fact]
    public async Task Inspect_names_the_components()
    {
        var (code, output, _) = await Run("inspect", Path.Combine(Repository.Root, "models", "flux-tiny-random"));
        Assert.Equal(0, code);
        Assert.Contains("FluxTransformer2DModel", output, StringComparison.Ordinal);
        Assert.Contains("BF16", output, StringComparison.Ordinal);
    }
}
