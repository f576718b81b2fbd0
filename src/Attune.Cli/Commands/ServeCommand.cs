using System.CommandLine;
using System.Globalization;
using System.Net;
using Attune.Generation;
using Attune.Server;
using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Logging;

namespace Attune.Cli.Commands;

/// <summary><c>attune serve</c>: answers requests over HTTP.</summary>
internal static class ServeCommand
{
    private const string KeyVariable = "ATTUNE_API_KEYS";

    private static readonly Option<string?> Model = new("--model", "-m") {
        Description = "The model: a diffusers folder or a file. Default: the checkpoint that comes with Attune." };
    private static readonly Option<string?> Models = new("--models") {
        Description =
            "A folder of models: each diffusers folder, .safetensors and .gguf file in it is served by its name, and loaded when it is "
                + "asked for. The first by name is the default, unless --model says another." };
    private static readonly Option<string[]> Aliases = new("--alias") {
        Description = "Another name for a model, as dall-e-2=scenes-flux-schnell. May be given several times.",
        DefaultValueFactory = _ => [] };
    private static readonly Option<string?> Loras = new("--loras") {
        Description = "A folder of LoRA files, which requests may name without their extension." };
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
    private static readonly Option<double?> Memory = new("--memory") {
        Description = "GiB of weights that may be in memory. Default: three quarters of what there is." };
    private static readonly Option<int> Workers = new("--workers") {
        Description = "Pictures that are made at the same time.", DefaultValueFactory = _ => 1 };
    private static readonly Option<int> Queue = new("--queue") {
        Description = "Requests that may wait.", DefaultValueFactory = _ => new ServerLimits().Queue };
    private static readonly Option<int> QueueOfKey = new("--queue-of-key") {
        Description = "Requests of one API key that may wait.", DefaultValueFactory = _ => new ServerLimits().QueueOfKey };
    private static readonly Option<long> Pixels = new("--max-pixels") {
        Description = "Pixels that a picture may have.", DefaultValueFactory = _ => new ServerLimits().Pixels };
    private static readonly Option<int> Steps = new("--max-steps") {
        Description = "Steps that a picture may have.", DefaultValueFactory = _ => new ServerLimits().Steps };
    private static readonly Option<int> Count = new("--max-count") {
        Description = "Pictures that a request may ask for, at most 10.", DefaultValueFactory = _ => new ServerLimits().Count };
    private static readonly Option<double> JobTime = new("--job-timeout") {
        Description = "Seconds that the pictures of a request may take.",
        DefaultValueFactory = _ => new ServerLimits().JobTime.TotalSeconds };
    private static readonly Option<int> Attempts = new("--max-attempts") {
        Description = "How often a job is begun that was running each time when the server ended.",
        DefaultValueFactory = _ => new ServerLimits().Attempts };
    private static readonly Option<double> QueueTime = new("--queue-timeout") {
        Description = "Seconds that a request may wait for its turn.",
        DefaultValueFactory = _ => new ServerLimits().QueueTime.TotalSeconds };
    private static readonly Option<double> ShutdownTime = new("--shutdown-timeout") {
        Description = "Seconds that a picture may take to end when the server ends.", DefaultValueFactory = _ => 30 };
    private static readonly Option<string?> Telemetry = new("--otlp") {
        Description =
            "Where metrics and traces of requests are sent, by OpenTelemetry's protocol over HTTP, as http://127.0.0.1:4318. Default: "
                + "nowhere." };
    private static readonly Option<bool> Verbose = new("--verbose") { Description = "Say every request on standard error." };

    public static Command Create()
    {
        var command = new Command("serve", "Answer requests over HTTP: OpenAI's images API, and jobs that survive restarts.");
        foreach (
            var option in new Option[] {
                Model, Models, Aliases, Loras, Listen, KeyFile, Insecure, HostNames, Origins, PublicAddress, Sd, Store, NoStore, Memory,
                Workers, Queue, QueueOfKey, Pixels, Steps, Count, Attempts, JobTime, QueueTime, ShutdownTime, Telemetry,
                Verbose })
            command.Options.Add(option);
        command.SetAction((result, cancellation) => RunAsync(Read(result), result.GetValue(Verbose), cancellation));
        return command;
    }

    /// <summary>What a command line says.</summary>
    /// <exception cref="ArgumentException">A value is malformed or out of range; the message names the option.</exception>
    internal static ServerSettings Read(ParseResult result)
    {
        var options = new LoadOptions { Device = DeviceOptions.Open(result) };
        string? keyFile = result.GetValue(KeyFile);
        string[] keys = keyFile != null ? File.ReadAllLines(keyFile)
            : (Environment.GetEnvironmentVariable(KeyVariable) ?? "").Split(',');
        return new ServerSettings
        {
            Models = FindModels(result.GetValue(Model), result.GetValue(Models), options),
            Aliases = result.GetValue(Aliases)!.Select(ParseAlias).ToDictionary(),
            Loras = FindLoras(result.GetValue(Loras)),
            Address = IPEndPoint.TryParse(result.GetValue(Listen)!, out var address) ? address
                : throw new ArgumentException(
                    $"--listen is '{result.GetValue(Listen)}', expected an address and a port, as 127.0.0.1:5080."),
            Keys = [.. keys.Select(key => key.Trim()).Where(key => key.Length > 0).Select(ApiKey.Of)],
            Insecure = result.GetValue(Insecure),
            HostNames = result.GetValue(HostNames)!,
            Origins = [.. result.GetValue(Origins)!.Select(origin => origin.TrimEnd('/'))],
            PublicAddress = AddressOf(result, PublicAddress),
            TelemetryReceiver = AddressOf(result, Telemetry),
            SdApi = result.GetValue(Sd),
            Store = FindStore(result.GetValue(Store), result.GetValue(NoStore)),
            ModelBytes = result.GetValue(Memory) is { } gib ? (long)(AtLeast(gib, 0, Memory) * (1L << 30)) : null,
            Workers = (int)AtLeast(result.GetValue(Workers), 1, Workers),
            ShutdownTimeout = Seconds(result, ShutdownTime),
            Limits = new ServerLimits
            {
                Queue = (int)AtLeast(result.GetValue(Queue), 1, Queue),
                QueueOfKey = (int)AtLeast(result.GetValue(QueueOfKey), 1, QueueOfKey),
                Pixels = (long)AtLeast(result.GetValue(Pixels), 1, Pixels),
                Steps = (int)AtLeast(result.GetValue(Steps), 1, Steps),
                Count = result.GetValue(Count) is >= 1 and <= 10 and var count ? count
                    : throw new ArgumentException($"{Count.Name} is {result.GetValue(Count)}, expected 1 to 10."),
                Attempts = (int)AtLeast(result.GetValue(Attempts), 1, Attempts),
                JobTime = Seconds(result, JobTime),
                QueueTime = Seconds(result, QueueTime),
            },
        };
    }

    private static async Task<int> RunAsync(ServerSettings settings, bool verbose, CancellationToken cancellation)
    {
        var server = await AttuneServer.OpenAsync(
            settings,
            logging => logging
                .SetMinimumLevel(LogLevel.Information)
                .AddFilter("Microsoft", verbose ? LogLevel.Information : LogLevel.Warning)
                .AddSimpleConsole(console => console.SingleLine = true)
                .AddConsole(console => console.LogToStandardErrorThreshold = LogLevel.Trace),
            cancellation: cancellation).ConfigureAwait(false);
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

    private static List<ServedModel> FindModels(string? model, string? folder, LoadOptions options)
    {
        var models = new List<ServedModel>();
        if (model != null || folder == null)
        {
            string path = DefaultModel.FindPipeline(model);
            models.Add(new ServedModel(NameOf(path), path, options));
        }
        if (folder == null)
            return models;
        if (!Directory.Exists(folder))
            throw new ArgumentException($"--models: the folder '{folder}' does not exist.");
        var found = Directory.EnumerateFileSystemEntries(folder)
            .Where(path => File.Exists(Path.Combine(path, "model_index.json")) || Path.GetExtension(path) is ".safetensors" or ".gguf")
            .Order(StringComparer.Ordinal);
        models.AddRange(found.Select(path => new ServedModel(NameOf(path), path, options)).Where(
            known => models.All(other => other.Name != known.Name)));
        return models.Count > 0 ? models
            : throw new ArgumentException($"--models: '{folder}' holds no folder with model_index.json and no .safetensors or .gguf file.");
    }

    private static string NameOf(string path) => File.Exists(path) ? Path.GetFileNameWithoutExtension(path)
        : Path.GetFileName(Path.TrimEndingDirectorySeparator(Path.GetFullPath(path)));

    private static Dictionary<string, string> FindLoras(string? folder)
    {
        if (folder == null)
            return [];
        if (!Directory.Exists(folder))
            throw new ArgumentException($"--loras: the folder '{folder}' does not exist.");
        return Directory.EnumerateFiles(folder, "*.safetensors").ToDictionary(file => Path.GetFileNameWithoutExtension(file));
    }

    private static string? FindStore(string? given, bool none)
    {
        if (none)
            return given == null ? null : throw new ArgumentException("--store and --no-store are given; expected one of them.");
        return given ?? Path.Combine(
            Environment.GetFolderPath(Environment.SpecialFolder.LocalApplicationData, Environment.SpecialFolderOption.Create), "attune",
            "server");
    }

    private static KeyValuePair<string, string> ParseAlias(string text) =>
        text.Split('=', 2) is [{ Length: > 0 } alias, { Length: > 0 } name] ? KeyValuePair.Create(alias, name)
            : throw new ArgumentException($"--alias is '{text}', expected NAME=MODEL.");

    private static Uri? AddressOf(ParseResult result, Option<string?> option) => result.GetValue(option) switch
    {
        null => null,
        var text when Uri.TryCreate(text, UriKind.Absolute, out var address) && address.Scheme is ("http" or "https") => address,
        var text => throw new ArgumentException($"{option.Name} is '{text}', expected an address, as https://example.org."),
    };

    private static TimeSpan Seconds(ParseResult result, Option<double> option) =>
        TimeSpan.FromSeconds(Math.Min(AtLeast(result.GetValue(option), 0, option), TimeSpan.FromDays(30).TotalSeconds));

    private static double AtLeast(double value, double least, Option option) => value >= least ? value
        : throw new ArgumentException(
            string.Create(CultureInfo.InvariantCulture, $"{option.Name} is {value}, expected at least {least}."));
}
