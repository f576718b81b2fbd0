using System.IO.Compression;
using System.Xml.Linq;
using Attune.Imaging;
using Attune.Tests;

namespace Attune.Cli.Tests;

/// <summary>What is packed, as users get it.</summary>
public sealed class PackageTests : IDisposable
{
    private static readonly string[] Libraries =
        ["Attune", "Attune.Evaluation", "Attune.Extensions.AI", "Attune.Media.Skia", "Attune.Tensors", "Attune.Torch"];

    private readonly string _folder = Directory.CreateTempSubdirectory("attune-packages-").FullName;

    public void Dispose() => Directory.Delete(_folder, recursive: true);

    private static Task<string> RunAsync(string program, string folder, params string[] arguments) =>
        Programs.RunAsync(program, arguments, folder, ("DOTNET_CLI_TELEMETRY_OPTOUT", "1"), ("DOTNET_NOLOGO", "1"));

    /// <summary>
    /// Packed from what is built, with the model once; the command is installed into an empty folder and makes a picture, and a short
    /// program is built with the packed library and makes the same one.
    /// </summary>
    [Fact]
    public async Task Packages_install_and_make_a_picture()
    {
        string feed = Path.Combine(_folder, "feed");
        string said = await RunAsync(
            "dotnet", Repository.Root, "pack", "Attune.slnx", "-c", "Release", "--no-build", "-o", feed);
        Assert.DoesNotContain("warning", said, StringComparison.OrdinalIgnoreCase);
        string[] packed = [.. Directory.GetFiles(feed, "*.nupkg").Select(Path.GetFileName).Order(StringComparer.Ordinal)!];
        string version = Generation.PictureTexts.Version;
        Assert.Equal(
            Libraries.Append("Attune.Tool").Select(name => $"{name}.{version}.nupkg").Order(StringComparer.Ordinal), packed);
        foreach (string library in Libraries)
            CheckLibrary(feed, library, version);

        string tool = Path.Combine(_folder, "tool"), empty = Directory.CreateDirectory(Path.Combine(_folder, "empty")).FullName;
        using (var package = ZipFile.OpenRead(Path.Combine(feed, $"Attune.Tool.{version}.nupkg")))
        {
            string weights = Assert.Single(
                package.Entries, entry => entry.FullName.Contains("transformer/", StringComparison.Ordinal)
                    && entry.FullName.EndsWith(".safetensors", StringComparison.Ordinal)).FullName;
            Assert.StartsWith("tools/net10.0/any/models/scenes-flux-schnell/", weights, StringComparison.Ordinal);
            Assert.Single(package.Entries, entry => entry.FullName == "README.md");
            Assert.InRange(new FileInfo(Path.Combine(feed, $"Attune.Tool.{version}.nupkg")).Length, 1, 120_000_000);
        }
        await RunAsync(
            "dotnet", empty, "tool", "install", "Attune.Tool", "--tool-path", tool, "--source", feed, "--version", version, "--no-cache");
        await RunAsync(
            Path.Combine(tool, OperatingSystem.IsWindows() ? "attune.exe" : "attune"), empty, "generate", "a lion", "--seed", "7", "-o",
            "lion.png", "--quiet");
        Assert.Equal(128, Image.Load(Path.Combine(empty, "lion.png")).Width);

        string program = Directory.CreateDirectory(Path.Combine(_folder, "program")).FullName;
        await File.WriteAllTextAsync(
            Path.Combine(program, "program.csproj"),
            $"""
            <Project Sdk="Microsoft.NET.Sdk">
              <PropertyGroup>
                <OutputType>Exe</OutputType>
                <TargetFramework>net10.0</TargetFramework>
                <ImplicitUsings>enable</ImplicitUsings>
                <RestorePackagesPath>packages</RestorePackagesPath>
                <RestoreAdditionalProjectSources>{feed}</RestoreAdditionalProjectSources>
              </PropertyGroup>
              <ItemGroup>
                <PackageReference Include="Attune" Version="{version}" />
              </ItemGroup>
            </Project>
            """);
        await File.WriteAllTextAsync(
            Path.Combine(program, "Program.cs"),
            """
            using Attune.Generation;
            using Attune.Imaging;

            using var pipeline = DiffusionPipeline.Load(args[0]);
            var request = new GenerationRequest { Prompt = "a lion", Seed = 7 };
            Png.Save((await pipeline.GenerateAsync(request))[0], args[1]);
            """);
        await RunAsync("dotnet", program, "build", "-c", "Release", "-o", "built");
        await RunAsync(
            Path.Combine(program, "built", OperatingSystem.IsWindows() ? "program.exe" : "program"), program,
            Path.Combine(Repository.Root, "models", "scenes-flux-schnell"), "lion.png");
        Assert.Equal(
            Image.Load(Path.Combine(empty, "lion.png")).Rgb.ToArray(), Image.Load(Path.Combine(program, "lion.png")).Rgb.ToArray());
    }

    /// <summary>The library with its documentation, a page, a licence, where its sources are, and symbols beside it.</summary>
    private static void CheckLibrary(string feed, string name, string version)
    {
        using var package = ZipFile.OpenRead(Path.Combine(feed, $"{name}.{version}.nupkg"));
        string assembly = name == "Attune" ? "Attune.Core" : name;
        string[] files = [.. package.Entries.Select(entry => entry.FullName)];
        foreach (string file in (string[])[$"lib/net10.0/{assembly}.dll", $"lib/net10.0/{assembly}.xml", "README.md"])
            Assert.Contains(file, files);
        Assert.DoesNotContain(files, file => file.EndsWith(".safetensors", StringComparison.Ordinal));
        using var stream = package.GetEntry($"{name}.nuspec")!.Open();
        var metadata = XDocument.Load(stream).Root!.Elements().Single();
        string Value(string element) => metadata.Elements().Single(item => item.Name.LocalName == element).Value;
        Assert.Equal(("MIT", "README.md"), (Value("license"), Value("readme")));
        Assert.NotEmpty(Value("description"));
        using var symbols = ZipFile.OpenRead(Path.Combine(feed, $"{name}.{version}.snupkg"));
        Assert.Contains(symbols.Entries, entry => entry.FullName == $"lib/net10.0/{assembly}.pdb");
    }
}
