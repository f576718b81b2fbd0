using System.Diagnostics;

namespace Attune.Cli.Tests;

/// <summary>Programs that tests start.</summary>
internal static class Programs
{
    /// <summary>The command as it lies beside the tests, or the one that ATTUNE_PROGRAM names: it as native code, say.</summary>
    public static string Attune { get; } = Environment.GetEnvironmentVariable("ATTUNE_PROGRAM")
        ?? Path.Combine(AppContext.BaseDirectory, OperatingSystem.IsWindows() ? "attune.exe" : "attune");

    /// <summary>Starts a command that answers over HTTP, and waits until it does. What it says on standard error is passed over.</summary>
    /// <param name="arguments">The command and its options.</param>
    public static Task<(Process Process, HttpClient Client)> ListenAsync(params IEnumerable<string> arguments) =>
        ListenAsync(Attune, arguments);

    /// <summary>The same of another program.</summary>
    /// <param name="program">Its file.</param>
    /// <param name="arguments">The command and its options.</param>
    public static async Task<(Process Process, HttpClient Client)> ListenAsync(string program, IEnumerable<string> arguments)
    {
        var process = Process.Start(
            new ProcessStartInfo(program, arguments) { RedirectStandardOutput = true, RedirectStandardError = true })!;
        process.ErrorDataReceived += (_, _) => { };
        process.BeginErrorReadLine();
        string line = await process.StandardOutput.ReadLineAsync() ?? throw new InvalidOperationException("The server said nothing.");
        string address = line.Split(' ').Single(word => word.StartsWith("http://", StringComparison.Ordinal));
        return (process, new HttpClient { BaseAddress = new Uri(new Uri(address), "/") });
    }

    /// <summary>What a program writes; it has to succeed.</summary>
    /// <param name="program">Its file, or a name on the path.</param>
    /// <param name="arguments">What it is given.</param>
    /// <param name="folder">Where it runs; null is the folder of the tests.</param>
    /// <param name="environment">Variables that it sees beside those of the tests.</param>
    public static async Task<string> RunAsync(
        string program, IEnumerable<string> arguments, string? folder = null, params (string Name, string Value)[] environment)
    {
        var start = new ProcessStartInfo(program, arguments)
        {
            RedirectStandardOutput = true, RedirectStandardError = true, WorkingDirectory = folder ?? "",
        };
        foreach (var (name, value) in environment)
            start.Environment[name] = value;
        using var process = Process.Start(start)!;
        var error = process.StandardError.ReadToEndAsync();
        string output = await process.StandardOutput.ReadToEndAsync();
        await process.WaitForExitAsync();
        Assert.True(process.ExitCode == 0, $"{program} {string.Join(' ', start.ArgumentList)}\n{output}\n{await error}");
        return output;
    }
}
