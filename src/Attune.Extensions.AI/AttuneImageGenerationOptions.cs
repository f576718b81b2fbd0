using System.Text.Json.Serialization;
using Attune.Generation;
using Microsoft.Extensions.AI;

namespace Attune.Extensions.AI;

/// <summary>
/// What a request may say beyond <see cref="ImageGenerationOptions"/>. What is null is what <see cref="GenerationRequest"/> of
/// <see cref="ImageGenerationOptions.RawRepresentationFactory"/> says, then <see cref="ImageGenerationOptions.AdditionalProperties"/>, then
/// the model's own.
/// </summary>
public class AttuneImageGenerationOptions : ImageGenerationOptions
{
    /// <summary>Options that say nothing.</summary>
    public AttuneImageGenerationOptions()
    {
    }

    /// <summary>A copy.</summary>
    /// <param name="other">What is copied; null for options that say nothing.</param>
    protected AttuneImageGenerationOptions(AttuneImageGenerationOptions? other)
        : base(other)
    {
        if (other == null)
            return;
        StreamingCount = other.StreamingCount;          // the base's copy leaves it out
        NegativePrompt = other.NegativePrompt;
        Guidance = other.Guidance;
        Preset = other.Preset;
        Steps = other.Steps;
        Seed = other.Seed;
        Scheduler = other.Scheduler;
        Strength = other.Strength;
        Previews = other.Previews;
    }

    /// <summary>What the pictures must not show. Alone it turns on what suits the model, as NAG for models of few steps.</summary>
    public string? NegativePrompt { get; set; }

    /// <summary>
    /// Rules as <see cref="GuidanceChoice.Parse"/> reads them: <c>nag:scale=4+cfg:scale=3</c>, <c>none</c>. Rules as objects are in the
    /// request of <see cref="ImageGenerationOptions.RawRepresentationFactory"/>.
    /// </summary>
    public string? Guidance { get; set; }

    /// <summary>The family of models whose published parameters count (<see cref="GenerationRequest.Preset"/>).</summary>
    public string? Preset { get; set; }

    /// <summary>The number of denoising steps, 1 to 1000.</summary>
    public int? Steps { get; set; }

    /// <summary>
    /// The seed of the first picture; those behind it have the seeds behind it. Null is one by chance, which the answer says.
    /// </summary>
    public ulong? Seed { get; set; }

    /// <summary>A scheduler by name, as <see cref="Schedulers.SchedulerChoice.Parse"/> reads it: <c>euler</c>.</summary>
    public string? Scheduler { get; set; }

    /// <summary>How much of an original image is changed, above 0 and at most 1.</summary>
    public float? Strength { get; set; }

    /// <summary>
    /// Receives pictures of steps, <see cref="ImageGenerationOptions.StreamingCount"/> of each picture, spread over its steps. Without that
    /// number there are none, and they cost nothing.
    /// </summary>
    [JsonIgnore]
    public IProgress<DenoisingPreview>? Previews { get; set; }

    /// <inheritdoc/>
    public override ImageGenerationOptions Clone() => new AttuneImageGenerationOptions(this);
}

/// <summary>A picture of a step: what the prediction says that the result will be.</summary>
/// <param name="Image">Of which picture of the request, counted from 0.</param>
/// <param name="Seed">That picture's seed.</param>
/// <param name="Step">Of which step, counted from 1.</param>
/// <param name="Steps">Of how many.</param>
/// <param name="Content">A PNG.</param>
public sealed record DenoisingPreview(int Image, ulong Seed, int Step, int Steps, DataContent Content);
