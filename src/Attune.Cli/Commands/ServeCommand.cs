using System.CommandLine;
using Attune.Server;
using Microsoft.Extensions.Hosting;

namespace Attune.Cli.Commands;

/// <summary><c>attune serve</c>: answers requests over HTTP.</summary>
internal static class ServeCommand
{
    private const string KeyVariable = "ATTUNE_API_KEYS";

    private static readonly Option<string> Listen = new("--listen") {
        Description = "Address and port: 127.0.0.1:5080, [::1]:5080, 0.0.0.0:8080; port 0 is a free one.",
        DefaultValueFactory = _ => "127.0.0.1:5080" };
    private static readonly Option<string?> KeyFile = new("--key-file") {
        Description =
            $"A file of API keys, one a line; requests must have one of them. Default: {KeyVariable}, joined by commas; without both there "
                + "are none." };
    private static readonly Option<bool> Insecure = new("--insecure") {
        Description = "Listen beyond this machine without API keys." };
    private static readonly Option<string[]> HostNames = new("--host-name") {
        Description = "A name by which clients reach the server, beside localhost and addresses. May be given several times.",
        DefaultValueFactory = _ => [] };
    private static readonly Option<string[]> Origins = new("--origin") {
        Description = "An origin whose pages may call the server, as https://example.org. May be given several times.",
        DefaultValueFactory = _ => [] };
    private static readonly Option<string?> PublicAddress = new("--public-address") {
        Description = "With what links to pictures begin, as https://example.org. Default: what a request was sent to." };
    private static readonly Option<bool> Sd = new("--sdapi") {
        Description = "Answer clients of AUTOMATIC1111's web UI too (/sdapi/v1): Open WebUI, SillyTavern." };
    private static readonly Option<string?> Store = new("--store") {
        Description =
            "The folder of jobs and their pictures. Default: attune/server in the folder of this user's application data "
                + "($XDG_DATA_HOME, ~/.local/share)." };
    private static readonly Option<bool> NoStore = new("--no-store") {
        Description = "Keep jobs and their pictures in memory, as long as the server runs." };
    private static readonly Option<int> QueueOfKey = new("--queue-of-key") {
        Description = "Requests of one API key that may wait.", DefaultValueFactory = _ => new ServerLimits().QueueOfKey };
    private static readonly Option<bool> Verbose = new("--verbose") { Description = "Say every request on standard error." };

    public static Command Create()
    {
        var command = new Command("serve", "Answer requests over HTTP: OpenAI's images API, and jobs that survive restarts.");
        ServerOptions.AddTo(
            command, Listen, KeyFile, Insecure, HostNames, Origins, PublicAddress, Sd, Store, NoStore, QueueOfKey, Verbose);
        command.SetAction((result, cancellation) => RunAsync(Read(result), result.GetValue(Verbose), cancellation));
        return command;
    }

    /// <summary>What a command line says.</summary>
    /// <exception cref="ArgumentException">A value is malformed or out of range; the message names the option.</exception>
    internal static ServerSettings Read(ParseResult result)
    {
        string? keyFile = result.GetValue(KeyFile);
        string[] keys = keyFile != null ? File.ReadAllLines(keyFile)
            : (Environment.GetEnvironmentVariable(KeyVariable) ?? "").Split(',');
        var common = ServerOptions.Read(result);
        return common with
        {
            Address = ServerOptions.EndPoint(result, Listen, "127.0.0.1:5080"),
            Keys = [.. keys.Select(key => key.Trim()).Where(key => key.Length > 0).Select(ApiKey.Of)],
            Insecure = result.GetValue(Insecure),
            HostNames = result.GetValue(HostNames)!,
            Origins = [.. result.GetValue(Origins)!.Select(origin => origin.TrimEnd('/'))],
            PublicAddress = ServerOptions.AddressOf(result, PublicAddress),
            SdApi = result.GetValue(Sd),
            Store = FindStore(result.GetValue(Store), result.GetValue(NoStore)),
            Limits = common.Limits with
            {
                QueueOfKey = (int)ServerOptions.AtLeast(result.GetValue(QueueOfKey), 1, QueueOfKey),
            },
        };
    }

    private static async Task<int> RunAsync(ServerSettings settings, bool verbose, CancellationToken cancellation)
    {
        var server = await AttuneServer.OpenAsync(
            settings, Logs.ToStandardError(verbose), cancellation: cancellation).ConfigureAwait(false);
        await using (server.ConfigureAwait(false))
        {
            await server.StartAsync(cancellation).ConfigureAwait(false);
            string address = AttuneServer.AddressOf(server);
            string names = string.Join(", ", settings.Models.Select(model => model.Name));
            Console.WriteLine($"Serving {names} at {address}/v1 (Ctrl+C ends it)");
            Console.WriteLine($"The page is {address}/");
            await server.WaitForShutdownAsync(cancellation).ConfigureAwait(false);
        }
        return 0;
    }

    private static string? FindStore(string? given, bool none)
    {
        if (none)
            return given == null ? null : throw new ArgumentException("--store and --no-store are given; expected one of them.");
        return given ?? Path.Combine(
            Environment.GetFolderPath(Environment.SpecialFolder.LocalApplicationData, Environment.SpecialFolderOption.Create), "attune",
            "server");
    }
}
