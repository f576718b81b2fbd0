using Attune.Generation;

namespace Attune.Extensions.AI;

/// <summary>Which model a program has, and how it is opened.</summary>
public sealed class AttuneServiceOptions
{
    /// <summary>A diffusers folder or a file.</summary>
    public string Model { get; set; } = "";

    /// <summary>What requests call it; null is the name of the folder or file.</summary>
    public string? ModelId { get; set; }

    /// <summary>How it is opened: LoRA files, the device. Warnings are logged where it has no receiver of its own.</summary>
    public LoadOptions Load { get; set; } = new();

    /// <summary>How many requests are computed at the same time.</summary>
    public int Concurrency { get; set; } = 1;
}
