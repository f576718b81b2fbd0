using Attune.Imaging;

namespace Attune.Media.Skia;

/// <summary>Writes lossy animated WebP files, without texts.</summary>
/// <param name="quality">1 to 100.</param>
internal sealed class AnimatedWebPWriter(int quality) : IFrameWriter
{
    public string Name => "animated WebP";

    public IReadOnlyList<string> Extensions { get; } = [".webp"];

    public double MostFramesPerSecond => 1000;

    public void Write(Frames frames, double rate, Stream stream, params ReadOnlySpan<KeyValuePair<string, string>> texts) =>
        AnimatedWebP.Write(stream, frames, rate, quality);
}
