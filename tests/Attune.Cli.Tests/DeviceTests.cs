using System.Diagnostics;
using System.Text;
using System.Text.Json;
using Attune.Tensors.OneDnn;
using Attune.Tests;

namespace Attune.Cli.Tests;

/// <summary>Which device computes, how it is chosen and reported, and what <c>attune bench</c> says about it.</summary>
public class DeviceTests
{
    [Fact]
    public async Task An_absent_library_is_an_error_when_it_is_asked_for_and_silence_otherwise()
    {
        string model = Path.Combine(Repository.Root, "models", "flux-tiny-random");
        var absent = ("ATTUNE_ONEDNN", "libno-such-library.so.2");
        foreach (string[] options in new[] { new[] { "--device", "onednn" }, ["--precision", "bf16"] })
        {
            var (code, _, error) = await Run([absent], ["inspect", model, .. options]);
            Assert.Equal(1, code);
            Assert.Equal(
                "attune: oneDNN was not found: 'libno-such-library.so.2' cannot be loaded (Debian: apt-get install libdnnl2; "
                    + "ATTUNE_ONEDNN names another file).",
                error.Trim());
        }
        var (forced, _, message) = await Run([absent, ("ATTUNE_DEVICE", "onednn")], "inspect", model);
        Assert.Equal(1, forced);
        Assert.Contains("was not found", message, StringComparison.Ordinal);

        var (quiet, output, none) = await Run([absent], "inspect", model);
        Assert.True(quiet == 0, none);
        Assert.Contains("device: managed", output, StringComparison.Ordinal);
        Assert.Empty(none);
    }

    [Fact]
    public async Task The_library_can_be_switched_off()
    {
        string model = Path.Combine(Repository.Root, "models", "flux-tiny-random");
        foreach (string off in new[] { "0", "off" })
        {
            var (code, output, error) = await Run([("ATTUNE_ONEDNN", off)], "inspect", model);
            Assert.True(code == 0, error);
            Assert.Contains("device: managed", output, StringComparison.Ordinal);
            Assert.Contains("turned off", output, StringComparison.Ordinal);
        }
        var (managed, report, problem) = await Run([], "inspect", model, "--device", "managed");
        Assert.True(managed == 0, problem);
        Assert.Contains("device: managed", report, StringComparison.Ordinal);
        if (OneDnnLibrary.TryLoad(out _) is { } library)
        {
            Assert.Contains($"oneDNN {library.Version} is present", report, StringComparison.Ordinal);
            Assert.Contains(
                $"device: oneDNN {library.Version}, bf16", (await Run([], "inspect", model, "--precision", "bf16")).Output,
                StringComparison.Ordinal);
        }
    }

    [Theory]
    [InlineData("--device is 'gpu', expected auto, managed, onednn, torch:cpu, torch:cuda:N or torch:mps.", "--device", "gpu")]
    [InlineData("--precision is 'f8', expected f32, bf16 or f16.", "--precision", "f8")]
    [InlineData(
        "--gpu-memory is '12', expected a number of GiB or MiB such as 12GiB or 800MiB.", "--device", "torch:cpu", "--gpu-memory", "12")]
    [InlineData("--device is 'torch:gpu', expected torch:cpu, torch:cuda:N or torch:mps.", "--device", "torch:gpu")]
    [InlineData("The device 'auto' has no f16, only devices of libtorch (torch:cuda:0) have it.", "--precision", "f16")]
    [InlineData("The managed device computes in float32; bfloat16 arithmetic needs oneDNN.", "--device", "managed", "--precision", "bf16")]
    public async Task An_option_that_cannot_be_met_is_one_clear_line(string message, params string[] options)
    {
        var (code, _, error) = await Run([], ["inspect", Path.Combine(Repository.Root, "models", "flux-tiny-random"), .. options]);
        Assert.Equal(1, code);
        Assert.Equal("attune: " + message, error.Trim());
    }

    [Fact]
    public async Task A_variable_that_is_wrong_is_named()
    {
        var (code, _, error) = await Run(
            [("ATTUNE_DEVICE", "gpu")], "inspect", Path.Combine(Repository.Root, "models", "flux-tiny-random"));
        Assert.Equal(1, code);
        Assert.Equal("attune: ATTUNE_DEVICE is 'gpu', expected auto, managed, onednn, torch:cpu, torch:cuda:N or torch:mps.", error.Trim());
    }

    [Fact]
    public async Task Bench_model_prints_one_line_of_JSON_that_begins_with_its_speed()
    {
        var (code, output, error) = await Run([], "bench", "model", "--shape", "vae-512", "--latents", "8", "--rounds", "1", "--json");
        Assert.True(code == 0, error);
        string line = Assert.Single(output.Trim().Split('\n'));
        Assert.Matches("^\\{\"gflops\":[0-9]", line);
        using var json = JsonDocument.Parse(line);
        // An 8 x 8 latent has a 64th of the pixels of a 64 x 64 one, which takes 2514 GFLOP, and a 4096th of the pairs of its attention.
        Assert.InRange(json.RootElement.GetProperty("gflop").GetDouble(), 37, 39.3);
        Assert.True(json.RootElement.GetProperty("seconds").GetDouble() > 0);
        Assert.True(json.RootElement.GetProperty("peak_gflops").GetDouble() > 0);
        Assert.True(json.RootElement.GetProperty("activation_bytes").GetInt64() > 64 * 64 * 128 * sizeof(float));
        var convolution = json.RootElement.GetProperty("primitives")
            .EnumerateArray()
            .Single(item => item.GetProperty("name").GetString() == "convolution 3x3");
        foreach (string number in new[] { "calls", "seconds", "share", "gflop", "gflops", "gbytes_per_s" })
            Assert.True(convolution.GetProperty(number).GetDouble() > 0, number);
    }

    [Fact]
    public async Task Bench_kernels_prints_one_line_of_JSON()
    {
        var (code, output, error) = await Run([], "bench", "kernels", "--only", "elementwise", "--rounds", "1", "--json");
        Assert.True(code == 0, error);
        using var json = JsonDocument.Parse(Assert.Single(output.Trim().Split('\n')));
        Assert.True(json.RootElement.GetProperty("copy_gbytes_per_s").GetDouble() > 0);
        foreach (var kernel in json.RootElement.GetProperty("kernels").EnumerateArray())
        {
            Assert.Equal("elementwise", kernel.GetProperty("group").GetString());
            Assert.True(kernel.GetProperty("rates").GetProperty("managed").GetDouble() > 0);
            Assert.True(kernel.GetProperty("share_of_roof").GetDouble() > 0);
        }
    }

    [Fact]
    public async Task Bench_metrics_prints_one_line_of_JSON()
    {
        double[] several = await Values("4"), one = await Values("1");
        Assert.All(several, value => Assert.True(double.IsFinite(value)));
        Assert.Equal(several, one);       // whatever the number of threads

        static async Task<double[]> Values(string threads)
        {
            var (code, output, error) = await Run(
                [("DOTNET_PROCESSOR_COUNT", threads)], "bench", "metrics", "--pictures", "300", "--features", "150", "--subsets", "3",
                "--subset-size", "100", "--json");
            Assert.True(code == 0, error);
            using var json = JsonDocument.Parse(Assert.Single(output.Trim().Split('\n')));
            Assert.True(json.RootElement.GetProperty("peak_bytes").GetInt64() > 0);
            var parts = json.RootElement.GetProperty("parts").EnumerateArray().ToArray();
            Assert.Equal(4, parts.Length);
            return [.. parts.Skip(1).Select(part => part.GetProperty("value").GetDouble())];
        }
    }

    [Theory]
    [InlineData("--shape is 'sd9', expected sd15, sdxl, flux-block, vae-512, wan-vae, clip-l, inception.", "model", "--shape", "sd9")]
    [InlineData("--rounds is 0, expected 1 or more.", "model", "--rounds", "0")]
    [InlineData("--only is 'gemm', expected products, convolutions, attention, norms, elementwise.", "kernels", "--only", "gemm")]
    public async Task A_wrong_benchmark_is_one_clear_line(string message, params string[] arguments)
    {
        var (code, _, error) = await Run([], ["bench", .. arguments]);
        Assert.Equal(1, code);
        Assert.Equal("attune: " + message, error.Trim());
    }

    private static async Task<(int Code, string Output, string Error)> Run(
        (string Name, string Value)[] environment, params string[] arguments)
    {
        var start = new ProcessStartInfo(Programs.Attune) {
            RedirectStandardOutput = true, RedirectStandardError = true, StandardOutputEncoding = Encoding.UTF8 };
        foreach (string argument in arguments)
            start.ArgumentList.Add(argument);
        foreach (string variable in new[] { "ATTUNE_DEVICE", "ATTUNE_PRECISION", "ATTUNE_ONEDNN" })
            start.Environment.Remove(variable);
        foreach (var (variable, value) in environment)
            start.Environment[variable] = value;
        using var process = Process.Start(start)!;
        var output = process.StandardOutput.ReadToEndAsync();
        var error = process.StandardError.ReadToEndAsync();
        await process.WaitForExitAsync();
        return (process.ExitCode, await output, await error);
    }
}
