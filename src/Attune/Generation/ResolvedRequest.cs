using Attune.Attention;
using Attune.Guidance;
using Attune.Imaging;
using Attune.Schedulers;

namespace Attune.Generation;

/// <summary>
/// A request with everything that one model needs: every value is set and checked, the guidance is complete, the scheduler exists. Made
/// by <see cref="DiffusionPipeline.Resolve"/>.
/// </summary>
/// <param name="Request">The request with the model's defaults and those of presets filled in.</param>
/// <param name="Guidance">Its guidance, completed from what is published for the model.</param>
/// <param name="Scheduler">The scheduler.</param>
/// <param name="Size">Of the pictures.</param>
/// <param name="Grid">How the denoiser's tokens lie.</param>
public sealed record ResolvedRequest(
    GenerationRequest Request, GuidanceSchedule Guidance, Scheduler Scheduler, PixelSize Size, LatentGrid Grid)
{
    /// <summary>
    /// What is probably not meant, in sentences; a run passes them on to <see cref="RunObserver.Warn"/> when it begins. Empty for nothing.
    /// </summary>
    public IReadOnlyList<string> Warnings { get; init; } = [];
}
