using Attune.Server.Engine;
using Attune.Server.Requests;

namespace Attune.Server.Storage;

/// <summary>A job as it is kept.</summary>
/// <param name="Number">Counted up in the order in which jobs came.</param>
/// <param name="Id">Its name.</param>
/// <param name="Lane">Whose it is.</param>
/// <param name="Status">Where it is in its life.</param>
/// <param name="Model">The model's name.</param>
/// <param name="Seed">Of the first picture.</param>
/// <param name="Count">How many pictures are wanted.</param>
/// <param name="Created">When it came.</param>
internal sealed record StoredJob(
    long Number, string Id, string Lane, JobStatus Status, string Model, ulong Seed, int Count, DateTimeOffset Created)
{
    public DateTimeOffset? Started { get; init; }

    public DateTimeOffset? Ended { get; init; }

    /// <summary>How many times it was begun: more than once where the server ended while it ran.</summary>
    public int Attempts { get; init; }

    public ApiError? Error { get; init; }

    /// <summary>What is asked of the model, as JSON.</summary>
    public required string Description { get; init; }

    public IReadOnlyList<string> Warnings { get; init; } = [];

    public IReadOnlyList<string> Ignored { get; init; } = [];

    /// <summary>What the client sent, from which the job is made again after a restart; null once it is over.</summary>
    public byte[]? Body { get; init; }
}

/// <summary>A picture as it is kept; its bytes are in a file of its name.</summary>
internal sealed record StoredPicture(
    string Id, string Job, int Index, ulong Seed, int Width, int Height, string Format, long Bytes, DateTimeOffset Created,
    string Parameters)
{
    public bool Starred { get; init; }

    /// <summary>Of the file that has its trace; 0 for none.</summary>
    public long TraceBytes { get; init; }

    /// <summary>What its trace says in short.</summary>
    public IReadOnlyList<Finding> Findings { get; init; } = [];
}

/// <summary>With which a client sends a request again without asking twice.</summary>
/// <param name="Key">What it calls the request.</param>
/// <param name="Hash">Of the body.</param>
internal sealed record Repetition(string Key, string Hash);
