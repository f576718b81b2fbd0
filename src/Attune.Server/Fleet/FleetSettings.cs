namespace Attune.Server;

/// <summary>The queue that several machines share: NATS JetStream.</summary>
/// <param name="Server">Its address, as <c>nats://host:4222</c>, with a name and a password where it wants them.</param>
public sealed record FleetSettings(Uri Server)
{
    /// <summary>After how long without a word from a worker its job is given to another; at least a second.</summary>
    public TimeSpan Patience { get; init; } = TimeSpan.FromSeconds(30);
}
