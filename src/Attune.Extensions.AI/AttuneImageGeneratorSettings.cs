using Attune.Generation;

namespace Attune.Extensions.AI;

/// <summary>How a generator uses its pipeline.</summary>
public sealed record AttuneImageGeneratorSettings
{
    /// <summary>
    /// What the model is called: what <c>ModelId</c> of options must be if it is given, and what
    /// pictures and telemetry say. Null is the name of <see cref="Identity"/>, else the class of the pipeline.
    /// </summary>
    public string? ModelId { get; init; }

    /// <summary>
    /// Which model it is, for the parameters that a PNG carries (<see cref="ModelIdentity.Of"/>); null leaves its hash out.
    /// </summary>
    public ModelIdentity? Identity { get; init; }

    /// <summary>How the pipeline was opened: pictures name its LoRA files and embeddings.</summary>
    public LoadOptions Opened { get; init; } = new();

    /// <summary>How many requests are computed at the same time. On a CPU two halve each other's speed, so the others wait.</summary>
    public int Concurrency { get; init; } = 1;

    /// <summary>
    /// Whether disposing the generator disposes the pipeline. A container disposes generators, with scopes even early, so pipelines are by
    /// default whoever's opened them.
    /// </summary>
    public bool OwnsPipeline { get; init; }
}
