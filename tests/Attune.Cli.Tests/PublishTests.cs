using System.Runtime.InteropServices;
using System.Runtime.Intrinsics.X86;
using Attune.Imaging;
using Attune.Tests;

namespace Attune.Cli.Tests;

/// <summary>
/// An application that uses the library, published trimmed and as native code: without a warning, and with the same pictures.
/// </summary>
public sealed class PublishTests : IDisposable
{
    private readonly string _folder = Directory.CreateTempSubdirectory("attune-publish-").FullName;

    public void Dispose() => Directory.Delete(_folder, recursive: true);

    [Fact]
    public async Task A_trimmed_application_makes_the_same_picture()
    {
        string application = await PublishAsync("-p:Trimmed=true");
        string library = Path.Combine(_folder, "Attune.Core.dll");
        Assert.True(new FileInfo(library).Length < new FileInfo(Path.Combine(AppContext.BaseDirectory, "Attune.Core.dll")).Length);
        await MakesTheSamePictureAsync(application);
    }

    [Fact]
    public async Task A_native_application_makes_the_same_picture()
    {
        Assert.SkipUnless(Avx2.IsSupported && Fma.IsSupported, "The sample is compiled for processors with AVX2 and FMA.");
        string[] folders = (Environment.GetEnvironmentVariable("PATH") ?? "").Split(Path.PathSeparator);
        Assert.SkipUnless(
            folders.Any(folder => File.Exists(Path.Combine(folder, "clang")) || File.Exists(Path.Combine(folder, "gcc"))),
            "Native code is linked by clang or gcc, and there is neither.");
        string application = await PublishAsync();
        Assert.Empty(Directory.GetFiles(_folder, "*.dll"));
        await MakesTheSamePictureAsync(application);
    }

    private async Task<string> PublishAsync(params string[] options)
    {
        Assert.SkipUnless(
            OperatingSystem.IsLinux() && RuntimeInformation.ProcessArchitecture == Architecture.X64,
            "The packages that the sample is published with are those of Linux on x64.");
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
