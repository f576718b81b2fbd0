using Attune.Imaging;
using SkiaSharp;

namespace Attune.Media.Skia;

/// <summary>Writes lossy WebP files. Texts become the Exif comment (<see cref="ExifComment"/>).</summary>
/// <param name="quality">1 to 100.</param>
internal sealed class WebPWriter(int quality) : IImageWriter
{
    public string Name => "WebP";

    public IReadOnlyList<string> Extensions { get; } = [".webp"];

    public void Write(Image image, Stream stream, params ReadOnlySpan<KeyValuePair<string, string>> texts)
    {
        ArgumentNullException.ThrowIfNull(image);
        ArgumentNullException.ThrowIfNull(stream);
        byte[] file = SkiaFormats.Native("WebP", () => Encode(image));
        stream.Write(WebPContainer.WithExif(file, image.Width, image.Height, ExifComment.Of(texts)));
    }

    private byte[] Encode(Image image)
    {
        using var pixels = new SkiaPixels(image);
        using var data = pixels.Map.Encode(new SKWebpEncoderOptions(SKWebpEncoderCompression.Lossy, quality))
            ?? throw WebPContainer.TooLarge(image);
        return data.ToArray();
    }
}
