using Attune.Generation;

namespace Attune.Tests.Pipelines;

/// <summary>What tests compare of generated images.</summary>
internal static class Pictures
{
    /// <summary>The bytes of all images of a request.</summary>
    public static async Task<byte[]> Pixels(DiffusionPipeline pipeline, GenerationRequest request, RunObserver? observer = null) =>
        [.. (await pipeline.GenerateAsync(request, observer)).SelectMany(image => image.Rgb.ToArray())];
}
