using System.CommandLine;
using Attune.Server;
using Microsoft.Extensions.Logging;

namespace Attune.Cli.Commands;

/// <summary><c>attune mcp</c>: serves an assistant on the same machine.</summary>
internal static class McpCommand
{
    private static readonly Option<bool> Verbose = new("--verbose") { Description = "Say what happens on standard error." };

    public static Command Create()
    {
        var command = new Command(
            "mcp", "Let an assistant on this machine make pictures: the Model Context Protocol on standard input and output.");
        ServerOptions.AddTo(command, Verbose);
        command.SetAction(
            (result, cancellation) => RunAsync(
                ServerOptions.Read(result) with { Fleet = null }, result.GetValue(Verbose), cancellation));
        return command;
    }

    private static async Task<int> RunAsync(ServerSettings settings, bool verbose, CancellationToken cancellation)
    {
        // Standard output is the protocol's alone, and an assistant reads little of the rest.
        var least = verbose ? LogLevel.Information : LogLevel.Warning;
        await AttuneMcp.RunAsync(settings, Logs.ToStandardError(verbose, least), cancellation).ConfigureAwait(false);
        return 0;
    }
}
