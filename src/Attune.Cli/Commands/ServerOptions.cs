using System.CommandLine;
using System.Globalization;
using System.Net;
using Attune.Generation;
using Attune.Server;

namespace Attune.Cli.Commands;

/// <summary>The options of all commands that serve models: which models, and what requests may ask for.</summary>
internal static class ServerOptions
{
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
    private static readonly Option<double?> Memory = new("--memory") {
        Description = "GiB of weights that may be in memory. Default: three quarters of what there is." };
    private static readonly Option<int> Workers = new("--workers") {
        Description = "Pictures that are made at the same time.", DefaultValueFactory = _ => 1 };
    private static readonly Option<string[]> Queue = new("--queue") {
        Description =
            "How many requests may wait, and, as an address, the NATS server with the queue that several machines share: "
                + "nats://host:4222, nats://name:password@host, tls://host. Both may be given. Default: 64, and this machine alone.",
        DefaultValueFactory = _ => [] };
    private static readonly Option<double> Patience = new("--queue-patience") {
        Description = "Seconds without a word from a worker after which a shared queue gives its job to another.",
        DefaultValueFactory = _ => 30 };
    private static readonly Option<long> Pixels = new("--max-pixels") {
        Description = "Pixels that a picture may have.", DefaultValueFactory = _ => new ServerLimits().Pixels };
    private static readonly Option<int> Steps = new("--max-steps") {
        Description = "Steps that a picture may have.", DefaultValueFactory = _ => new ServerLimits().Steps };
    private static readonly Option<int> Count = new("--max-count") {
        Description = "Pictures that a request may ask for, at most 10.", DefaultValueFactory = _ => new ServerLimits().Count };
    private static readonly Option<int> Attempts = new("--max-attempts") {
        Description = "How often a job is begun that was running each time when the server ended.",
        DefaultValueFactory = _ => new ServerLimits().Attempts };
    private static readonly Option<double> JobTime = new("--job-timeout") {
        Description = "Seconds that the pictures of a request may take.",
        DefaultValueFactory = _ => new ServerLimits().JobTime.TotalSeconds };
    private static readonly Option<double> QueueTime = new("--queue-timeout") {
        Description = "Seconds that a request may wait for its turn.",
        DefaultValueFactory = _ => new ServerLimits().QueueTime.TotalSeconds };
    private static readonly Option<double> ShutdownTime = new("--shutdown-timeout") {
        Description = "Seconds that a picture may take to end when the server ends.", DefaultValueFactory = _ => 30 };
    private static readonly Option<string?> Telemetry = new("--otlp") {
        Description =
            "Where metrics and traces of requests are sent, by OpenTelemetry's protocol over HTTP, as http://127.0.0.1:4318. Default: "
                + "nowhere." };

    private static Option[] All =>
        [
            Model, Models, Aliases, Loras, Memory, Workers, Queue, Patience, Pixels, Steps, Count, Attempts, JobTime, QueueTime,
            ShutdownTime, Telemetry];

    /// <summary>Gives a command these options and then its own, in the order in which help shows them.</summary>
    public static void AddTo(Command command, params Option[] own)
    {
        foreach (var option in All.Concat(own))
            command.Options.Add(option);
    }

    /// <summary>Where a command listens.</summary>
    /// <param name="result">The command line.</param>
    /// <param name="listen">The option.</param>
    /// <param name="example">What a message gives as an example.</param>
    /// <exception cref="ArgumentException">It is no address with a port.</exception>
    public static IPEndPoint EndPoint(ParseResult result, Option<string> listen, string example) =>
        IPEndPoint.TryParse(result.GetValue(listen)!, out var address) ? address
            : throw new ArgumentException(
                $"{listen.Name} is '{result.GetValue(listen)}', expected an address and a port, as {example}.");

    /// <summary>What a command line says.</summary>
    /// <exception cref="ArgumentException">A value is malformed or out of range; the message names the option.</exception>
    public static ServerSettings Read(ParseResult result)
    {
        var options = new LoadOptions { Device = DeviceOptions.Open(result) };
        var (length, fleet) = ReadQueue(result.GetValue(Queue)!);
        return new ServerSettings
        {
            Models = FindModels(result.GetValue(Model), result.GetValue(Models), options),
            Aliases = result.GetValue(Aliases)!.Select(ParseAlias).ToDictionary(),
            Loras = FindLoras(result.GetValue(Loras)),
            TelemetryReceiver = AddressOf(result, Telemetry),
            ModelBytes = result.GetValue(Memory) is { } gib ? (long)(AtLeast(gib, 0, Memory) * (1L << 30)) : null,
            Workers = (int)AtLeast(result.GetValue(Workers), 1, Workers),
            ShutdownTimeout = Seconds(result, ShutdownTime),
            Fleet = fleet == null ? null
                : fleet with { Patience = TimeSpan.FromSeconds(Math.Min(AtLeast(result.GetValue(Patience), 1, Patience), 3600)) },
            Limits = new ServerLimits
            {
                Queue = length,
                Attempts = (int)AtLeast(result.GetValue(Attempts), 1, Attempts),
                Pixels = (long)AtLeast(result.GetValue(Pixels), 1, Pixels),
                Steps = (int)AtLeast(result.GetValue(Steps), 1, Steps),
                Count = result.GetValue(Count) is >= 1 and <= 10 and var count ? count
                    : throw new ArgumentException($"{Count.Name} is {result.GetValue(Count)}, expected 1 to 10."),
                JobTime = Seconds(result, JobTime),
                QueueTime = Seconds(result, QueueTime),
            },
        };
    }

    /// <summary>A number bounds the queue, an address says where it is.</summary>
    private static (int Length, FleetSettings? Fleet) ReadQueue(string[] given)
    {
        var (length, fleet) = (new ServerLimits().Queue, (FleetSettings?)null);
        foreach (string text in given)
        {
            if (int.TryParse(text, NumberStyles.AllowLeadingSign, CultureInfo.InvariantCulture, out int number))
                length = (int)AtLeast(number, 1, Queue);
            else if (Uri.TryCreate(text, UriKind.Absolute, out var address) && address.Scheme is ("nats" or "tls" or "ws" or "wss"))
                fleet = new FleetSettings(address);
            else
                throw new ArgumentException($"{Queue.Name} is '{text}', expected a number, or an address, as nats://host:4222.");
        }
        return (length, fleet);
    }

    public static Uri? AddressOf(ParseResult result, Option<string?> option) => result.GetValue(option) switch
    {
        null => null,
        var text when Uri.TryCreate(text, UriKind.Absolute, out var address) && address.Scheme is ("http" or "https") => address,
        var text => throw new ArgumentException($"{option.Name} is '{text}', expected an address, as https://example.org."),
    };

    public static double AtLeast(double value, double least, Option option) => value >= least ? value
        : throw new ArgumentException(
            string.Create(CultureInfo.InvariantCulture, $"{option.Name} is {value}, expected at least {least}."));

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

    private static KeyValuePair<string, string> ParseAlias(string text) =>
        text.Split('=', 2) is [{ Length: > 0 } alias, { Length: > 0 } name] ? KeyValuePair.Create(alias, name)
            : throw new ArgumentException($"--alias is '{text}', expected NAME=MODEL.");

    private static TimeSpan Seconds(ParseResult result, Option<double> option) =>
        TimeSpan.FromSeconds(Math.Min(AtLeast(result.GetValue(option), 0, option), TimeSpan.FromDays(30).TotalSeconds));
}
