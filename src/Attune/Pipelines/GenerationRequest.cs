using Attune.Guidance;
using Attune.Tensors;

namespace Attune.Pipelines;

/// <summary>What to generate. Values that are null take the pipeline's defaults.</summary>
public sealed record GenerationRequest
{
    /// <summary>What the images show.</summary>
    public required string Prompt { get; init; }

    /// <summary>What they must not show; null is the same as empty. Read only by rules that need it.</summary>
    public string? NegativePrompt { get; init; }

    /// <summary>In pixels; must be a multiple of <see cref="DiffusionPipeline.SizeMultiple"/>.</summary>
    public int? Width { get; init; }

    /// <summary>In pixels; must be a multiple of <see cref="DiffusionPipeline.SizeMultiple"/>.</summary>
    public int? Height { get; init; }

    /// <summary>The number of denoising steps, 1 or more.</summary>
    public int? Steps { get; init; }

    /// <summary>The seed of the noise: the same bits as <c>torch.randn</c> with a CPU generator of this seed.</summary>
    public long Seed { get; init; }

    /// <summary>The number of images, 1 or more; their noise is one draw.</summary>
    public int Count { get; init; } = 1;

    /// <summary>The guidance rules.</summary>
    public GuidanceSchedule Guidance { get; init; } = GuidanceSchedule.None;

    /// <summary>The guidance scale that some models embed (FLUX.1-dev); not classifier-free guidance.</summary>
    public float? GuidanceScale { get; init; }

    /// <summary>The length to which a sequence text encoder's prompt is padded or cut.</summary>
    public int? MaxSequenceLength { get; init; }

    /// <summary>The same for the negative prompt; null is as for the prompt. Lengths need not be equal.</summary>
    public int? NegativeMaxSequenceLength { get; init; }

    /// <summary>Initial noise instead of the seed's: [count, height / 8, width / 8, latent channels], standard normal. Read, never disposed.</summary>
    public Tensor? InitialNoise { get; init; }
}
