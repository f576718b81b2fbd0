using Attune.Imaging;
using SkiaSharp;

namespace Attune.Media.Skia;

/// <summary>
/// Writes JPEG files with chroma at full resolution. Texts become the Exif comment (<see cref="ExifComment"/>), unless they are longer than
/// the 65,535 bytes of a segment.
/// </summary>
/// <param name="quality">1 to 100.</param>
internal sealed class JpegWriter(int quality) : IImageWriter
{
    private const int MaxSide = 65500;

    public string Name => "JPEG";

    public IReadOnlyList<string> Extensions { get; } = [".jpg", ".jpeg"];

    public void Write(Image image, Stream stream, params ReadOnlySpan<KeyValuePair<string, string>> texts)
    {
        ArgumentNullException.ThrowIfNull(image);
        ArgumentNullException.ThrowIfNull(stream);
        byte[] file = SkiaFormats.Native("JPEG", () => Encode(image));
        byte[] exif = ExifComment.Of(texts);

        // A segment APP1 right behind the marker of the start, where readers look for it; its length takes 16 bits.
        stream.Write(file.AsSpan(0, 2));
        int length = 2 + 6 + exif.Length;
        if (exif.Length > 0 && length <= ushort.MaxValue)
            stream.Write([0xFF, 0xE1, (byte)(length >> 8), (byte)length, .. "Exif\0\0"u8, .. exif]);
        stream.Write(file.AsSpan(2));
    }

    private byte[] Encode(Image image)
    {
        // The encoder would say so itself, on standard error.
        if (Math.Max(image.Width, image.Height) > MaxSide)
        {
            throw new ImageException(
                $"{image.Width} x {image.Height} pixels are not written as JPEG, which takes sides of {MaxSide} at most.");
        }
        using var pixels = new SkiaPixels(image);
        var options = new SKJpegEncoderOptions(quality, SKJpegEncoderDownsample.Downsample444, SKJpegEncoderAlphaOption.Ignore);
        using var data = pixels.Map.Encode(options) ?? throw new ImageException("The picture could not be encoded as JPEG.");
        return data.ToArray();
    }
}
