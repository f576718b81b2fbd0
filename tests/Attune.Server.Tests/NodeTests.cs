using System.Diagnostics;
using Attune.Tests;

namespace Attune.Server.Tests;

/// <summary>The official OpenAI client for Node against a started server.</summary>
public class NodeTests
{
    /// <summary>Where .ci/run installs it: npm install --prefix artifacts/npm openai@7.55.0.</summary>
    private static readonly string Packages = Path.Combine(Repository.Root, "artifacts", "npm");

    [Fact]
    public async Task Its_contract_holds()
    {
        Assert.SkipUnless(
            File.Exists(Path.Combine(Packages, "node_modules", "openai", "index.mjs")),
            "npm's package openai is not installed (.ci/run does that).");
        string? node = (Environment.GetEnvironmentVariable("PATH") ?? "").Split(Path.PathSeparator)
            .Select(folder => Path.Combine(folder, OperatingSystem.IsWindows() ? "node.exe" : "node")).FirstOrDefault(File.Exists);
        Assert.SkipWhen(node == null, "Node is not installed.");
        await using var server = await TestServer.StartAsync();
        await using var small = await TestServer.StartAsync(
            settings => settings with { Limits = settings.Limits with { Queue = 1 } });
        string script = Path.Combine(Repository.Root, "tests", "Attune.Server.Tests", "Node", "contract.mjs");
        using var process = Process.Start(
            new ProcessStartInfo(node!, ["--no-warnings", script, Packages, server.Address, small.Address])
            {
                RedirectStandardOutput = true, RedirectStandardError = true,
            })!;
        var error = process.StandardError.ReadToEndAsync();
        string output = await process.StandardOutput.ReadToEndAsync();
        await process.WaitForExitAsync();
        Assert.True(process.ExitCode == 0, output + await error);
        Assert.Equal(8, output.Split('\n').Count(line => line.StartsWith("holds: ", StringComparison.Ordinal)));
    }
}
