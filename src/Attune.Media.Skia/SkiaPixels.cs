using System.Runtime.InteropServices;
using Attune.Imaging;
using SkiaSharp;

namespace Attune.Media.Skia;

/// <summary>An image in the memory and layout that Skia's encoders take.</summary>
internal sealed class SkiaPixels : IDisposable
{
    private readonly SKBitmap _bitmap;

    public SkiaPixels(Image image)
    {
        // No colour space: no profile is written, which everything takes for sRGB.
        _bitmap = new SKBitmap(new SKImageInfo(image.Width, image.Height, SKColorType.Rgb888x, SKAlphaType.Opaque));
        Map = _bitmap.PeekPixels();
        for (int y = 0; y < image.Height; y++)
        {
            var row = MemoryMarshal.Cast<byte, uint>(_bitmap.GetPixelSpan(0, y))[..image.Width];
            var rgb = image.Rgb.Slice(3 * y * image.Width, 3 * image.Width);
            for (int x = 0; x < row.Length; x++)
                row[x] = rgb[3 * x] | ((uint)rgb[(3 * x) + 1] << 8) | ((uint)rgb[(3 * x) + 2] << 16) | 0xFF000000;
        }
    }

    public SKPixmap Map { get; }

    public void Dispose()
    {
        Map.Dispose();
        _bitmap.Dispose();
    }
}
