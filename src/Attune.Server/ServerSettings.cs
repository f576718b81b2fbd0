using System.Net;
using Attune.Generation;

namespace Attune.Server;

/// <summary>How a server is set up.</summary>
public sealed record ServerSettings
{
    /// <summary>The models, by the names that clients have for them; the first is that of requests that name none.</summary>
    public required IReadOnlyList<ServedModel> Models { get; init; }

    /// <summary>Names that clients have for models beside their own: <c>dall-e-2</c> and <c>scenes-flux-schnell</c>.</summary>
    public IReadOnlyDictionary<string, string> Aliases { get; init; } = new Dictionary<string, string>();

    /// <summary>
    /// LoRA files that requests may name, by name. They are computed beside the weights, which stay as they are.
    /// </summary>
    public IReadOnlyDictionary<string, string> Loras { get; init; } = new Dictionary<string, string>();

    /// <summary>Where it listens: loopback unless it says otherwise. Port 0 is a free one.</summary>
    public IPEndPoint Address { get; init; } = new(IPAddress.Loopback, 5080);

    /// <summary>
    /// The keys, one of which every request must have; none for no keys. An address beyond loopback without keys is refused unless
    /// <see cref="Insecure"/>.
    /// </summary>
    public IReadOnlyList<ApiKey> Keys { get; init; } = [];

    /// <summary>Whether it may listen beyond loopback without keys.</summary>
    public bool Insecure { get; init; }

    /// <summary>Names by which clients reach it, beside localhost and addresses; other values of the header Host are refused.</summary>
    public IReadOnlyList<string> HostNames { get; init; } = [];

    /// <summary>Origins of pages that may call it (<c>https://example.org</c>), beside its own; none by default.</summary>
    public IReadOnlyList<string> Origins { get; init; } = [];

    /// <summary>The address with which links to pictures begin; null for the one that a request came to.</summary>
    public Uri? PublicAddress { get; init; }

    /// <summary>Whether clients of AUTOMATIC1111's web UI are answered too.</summary>
    public bool SdApi { get; init; }

    /// <summary>
    /// Where metrics and traces of requests are sent, by OpenTelemetry's protocol over HTTP (<c>http://127.0.0.1:4318</c>); null for
    /// nowhere.
    /// </summary>
    public Uri? TelemetryReceiver { get; init; }

    /// <summary>What requests may ask for.</summary>
    public ServerLimits Limits { get; init; } = new();

    /// <summary>
    /// The folder of jobs and their pictures, which is made if it is not there; null keeps them in memory, as long as the server runs.
    /// </summary>
    public string? Store { get; init; }

    /// <summary>
    /// How many bytes of weights may be in memory; the model that was not used for longest goes first. Null is three quarters of what the
    /// machine or its container has.
    /// </summary>
    public long? ModelBytes { get; init; }

    /// <summary>How many bytes of encoded prompts each model keeps.</summary>
    public long KeptPromptBytes { get; init; } = 256 << 20;

    /// <summary>
    /// The queue that several machines share, which then make the pictures (<see cref="AttuneWorker"/>); null makes them here.
    /// </summary>
    public FleetSettings? Fleet { get; init; }

    /// <summary>How many pictures are made at the same time. On a CPU two halve each other's speed.</summary>
    public int Workers { get; init; } = 1;

    /// <summary>How long a picture that is being made may take to end when the server ends.</summary>
    public TimeSpan ShutdownTimeout { get; init; } = TimeSpan.FromSeconds(30);
}

/// <summary>A model that a server has.</summary>
/// <param name="Name">What clients call it.</param>
/// <param name="Path">The folder or file.</param>
/// <param name="Options">How it is opened.</param>
public sealed record ServedModel(string Name, string Path, LoadOptions Options);

/// <summary>What requests may ask for.</summary>
public sealed record ServerLimits
{
    /// <summary>Pixels of a picture.</summary>
    public long Pixels { get; init; } = 2 << 20;

    /// <summary>Frames of a video.</summary>
    public int Frames { get; init; } = 257;

    /// <summary>Steps of a picture.</summary>
    public int Steps { get; init; } = 150;

    /// <summary>Pictures of a request, at most 10.</summary>
    public int Count { get; init; } = 10;

    /// <summary>Jobs that wait.</summary>
    public int Queue { get; init; } = 64;

    /// <summary>Jobs of one key that wait. Without keys there is one queue, and this does not count.</summary>
    public int QueueOfKey { get; init; } = 8;

    /// <summary>How long a request may wait for its turn.</summary>
    public TimeSpan QueueTime { get; init; } = TimeSpan.FromMinutes(10);

    /// <summary>How long the pictures of a request may take from the first one's begin.</summary>
    public TimeSpan JobTime { get; init; } = TimeSpan.FromMinutes(15);

    /// <summary>How often a job is begun that was running each time when the server ended: it may be what ends it.</summary>
    public int Attempts { get; init; } = 3;

    /// <summary>Bytes of a body with pictures.</summary>
    public long UploadBytes { get; init; } = 64 << 20;

    /// <summary>Bytes of a body without pictures.</summary>
    public long BodyBytes { get; init; } = 1 << 20;

    /// <summary>Pixels of a picture that is sent, by its head, before it is decoded.</summary>
    public long UploadPixels { get; init; } = 64 << 20;

    /// <summary>Pictures that are sent with a request.</summary>
    public int Uploads { get; init; } = 16;

    /// <summary>How long jobs and their pictures are kept, but for those with a star.</summary>
    public TimeSpan KeepTime { get; init; } = TimeSpan.FromDays(7);

    /// <summary>Bytes of pictures that are kept, but for those with a star; the oldest go first.</summary>
    public long KeepBytes { get; init; } = 2L << 30;

    /// <summary>How long links to pictures are good.</summary>
    public TimeSpan LinkTime { get; init; } = TimeSpan.FromMinutes(60);

    /// <summary>Bytes of pictures in memory, behind links and, where there is no folder, of jobs; the oldest go first.</summary>
    public long LinkBytes { get; init; } = 256 << 20;
}
