namespace Attune.Pipelines;

/// <summary>What is loaded beside a checkpoint.</summary>
public sealed record LoadOptions
{
    /// <summary>The folder of an AutoencoderTiny (TAESD) that decodes the pictures of single steps (<see cref="DenoisingStep.DecodePreview"/>); null leaves that to the full autoencoder.</summary>
    public string? PreviewVae { get; init; }
}
