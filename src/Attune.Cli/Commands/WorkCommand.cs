using System.CommandLine;
using Attune.Server;
using Microsoft.Extensions.Hosting;

namespace Attune.Cli.Commands;

/// <summary><c>attune work</c>: makes the pictures of a queue that several machines share.</summary>
internal static class WorkCommand
{
    private static readonly Option<string> Listen = new("--listen") {
        Description = "Address and port of /healthz, /readyz and /metrics; port 0 is a free one.",
        DefaultValueFactory = _ => "127.0.0.1:0" };
    private static readonly Option<bool> Verbose = new("--verbose") { Description = "Say more on standard error." };

    public static Command Create()
    {
        var command = new Command(
            "work", "Make the pictures of a queue that several machines share: attune serve --queue nats://... hands them out.");
        ServerOptions.AddTo(command, Listen, Verbose);
        command.SetAction((result, cancellation) => RunAsync(Read(result), result.GetValue(Verbose), cancellation));
        return command;
    }

    private static ServerSettings Read(ParseResult result)
    {
        var settings = ServerOptions.Read(result);
        return settings.Fleet == null ? throw new ArgumentException("--queue: expected the address of a NATS server, as nats://host:4222.")
            : settings with { Address = ServerOptions.EndPoint(result, Listen, "127.0.0.1:5081") };
    }

    private static async Task<int> RunAsync(ServerSettings settings, bool verbose, CancellationToken cancellation)
    {
        var worker = await AttuneWorker.OpenAsync(settings, Logs.ToStandardError(verbose), cancellation: cancellation)
            .ConfigureAwait(false);
        await using (worker.ConfigureAwait(false))
        {
            await worker.StartAsync(cancellation).ConfigureAwait(false);
            Console.WriteLine(
                $"Working with {string.Join(", ", settings.Models.Select(model => model.Name))}; {AttuneServer.AddressOf(worker)}/healthz "
                    + "says how it does (Ctrl+C ends it)");
            await worker.WaitForShutdownAsync(cancellation).ConfigureAwait(false);
        }
        return 0;
    }
}
