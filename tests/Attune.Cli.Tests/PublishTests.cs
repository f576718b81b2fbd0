using System.Runtime.InteropServices;
using System.Runtime.Intrinsics.X86;
using Attune.Imaging;
using Attune.Tests;

namespace Attune.Cli.Tests;

/// <summary>
/// An application that uses the library, published trimmed and as native code, and the command as native code: without a warning, and
/// with the same pictures.
/// </summary>
public sealed class PublishTests : IDisposable
{
    private readonly string _folder = Directory.CreateTempSubdirectory("attune-publish-").FullName;

    public void Dispose() => Directory.Delete(_folder, recursive: true);

    [Fact]
    public async Task A_trimmed_application_makes_the_same_picture()
    {
        SkipWhereNothingIsPublished();
        string application = await PublishAsync("-p:Trimmed=true");
        string library = Path.Combine(_folder, "Attune.Core.dll");
        Assert.True(new FileInfo(library).Length < new FileInfo(Path.Combine(AppContext.BaseDirectory, "Attune.Core.dll")).Length);
        await MakesTheSamePictureAsync(application);
    }

    [Fact]
    public async Task A_native_application_makes_the_same_picture()
    {
        SkipWhereNativeCodeIsNotMade();
        string application = await PublishAsync();
        Assert.Empty(Directory.GetFiles(_folder, "*.dll"));
        await MakesTheSamePictureAsync(application);
    }

    [Fact]
    public async Task The_command_as_native_code_does_the_same_to_the_bit()
    {
        Assert.SkipUnless(
            Environment.GetEnvironmentVariable("ATTUNE_PUBLISH") == "1", "Takes some minutes: ATTUNE_PUBLISH=1 runs it.");
        SkipWhereNativeCodeIsNotMade();
        string output = await RunAsync(
            "dotnet", [
                "publish", Path.Combine(Repository.Root, "src", "Attune.Cli"), "-c", "Release", "-r", "linux-x64", "-p:Native=true",
                "-o", _folder]);
        Assert.DoesNotContain("warning", output, StringComparison.OrdinalIgnoreCase);
        Assert.Empty(Directory.GetFiles(_folder, "*.dll"));
        string native = Path.Combine(_folder, "attune");

        // Its model comes along: nothing says where it is.
        string[] request = ["generate", "a panda", "--negative", "sunglasses", "--seed", "3", "-o"];
        string expected = Path.Combine(_folder, "expected.png"), actual = Path.Combine(_folder, "actual.png");
        await RunAsync(Programs.Attune, [.. request, expected]);
        await RunAsync(native, [.. request, actual]);
        Assert.Equal(Image.Load(expected).Rgb, Image.Load(actual).Rgb);

        // Every model, rule, scheduler and format that the repository has values of.
        string verified = await RunAsync(native, ["verify", Path.Combine(Repository.Root, "tests", "golden")]);
        Assert.Contains(" passed, 0 failed, 0 unsupported", verified, StringComparison.Ordinal);

        // What reflection could be needed for: options of requests, the document of the API, jobs and their events, the database.
        var (process, client) = await Programs.ListenAsync(
            native, ["serve", "--listen", "127.0.0.1:0", "--sdapi", "--store", Path.Combine(_folder, "store")]);
        using (process)
        using (client)
        {
            try
            {
                foreach (string path in new[] { "v1/models", "sdapi/v1/samplers", "metrics", "", "openapi.json" })
                    Assert.True((await client.GetAsync(path, TestContext.Current.CancellationToken)).IsSuccessStatusCode, path);
                using var body = new StringContent(
                    """{"prompt": "a panda", "negative_prompt": "sunglasses", "seed": 3, "response_format": "b64_json"}""",
                    System.Text.Encoding.UTF8, "application/json");
                using var answer = await client.PostAsync("v1/images/generations", body, TestContext.Current.CancellationToken);
                using var json = System.Text.Json.JsonDocument.Parse(
                    await answer.Content.ReadAsStringAsync(TestContext.Current.CancellationToken));
                byte[] picture = json.RootElement.GetProperty("data")[0].GetProperty("b64_json").GetBytesFromBase64();
                using var stream = new MemoryStream(picture);
                Assert.Equal(Image.Load(expected).Rgb, Image.Load(stream).Rgb);
            }
            finally
            {
                process.Kill();
            }
        }
    }

    private static void SkipWhereNothingIsPublished() => Assert.SkipUnless(
        OperatingSystem.IsLinux() && RuntimeInformation.ProcessArchitecture == Architecture.X64,
        "The packages that programs are published with are those of Linux on x64.");

    private static void SkipWhereNativeCodeIsNotMade()
    {
        SkipWhereNothingIsPublished();
        Assert.SkipUnless(Avx2.IsSupported && Fma.IsSupported, "Native code is compiled for processors with AVX2 and FMA.");
        string[] folders = (Environment.GetEnvironmentVariable("PATH") ?? "").Split(Path.PathSeparator);
        Assert.SkipUnless(
            folders.Any(folder => File.Exists(Path.Combine(folder, "clang")) || File.Exists(Path.Combine(folder, "gcc"))),
            "Native code is linked by clang or gcc, and there is neither.");
    }

    private async Task<string> PublishAsync(params string[] options)
    {
        string output = await RunAsync(
            "dotnet", [
                "publish", Path.Combine(Repository.Root, "samples", "Generate"), "-c", "Release", "-r", "linux-x64", "--no-restore",
                "-o", _folder, .. options]);
        Assert.DoesNotContain("warning", output, StringComparison.OrdinalIgnoreCase);
        return Path.Combine(_folder, "Generate");
    }

    private async Task MakesTheSamePictureAsync(string application)
    {
        string model = Path.Combine(Repository.Root, "models", "scenes-flux-schnell");
        string expected = Path.Combine(_folder, "expected.png"), actual = Path.Combine(_folder, "actual.png");
        await RunAsync(Path.Combine(AppContext.BaseDirectory, "Generate"), [model, expected]);
        await RunAsync(application, [model, actual]);
        Assert.Equal(Image.Load(expected).Rgb, Image.Load(actual).Rgb);
    }

    /// <summary>Native code has vectors of 256 bits, so managed code takes them too.</summary>
    private static Task<string> RunAsync(string program, string[] arguments) =>
        Programs.RunAsync(program, arguments, null, ("DOTNET_EnableAVX512", "0"));
}
