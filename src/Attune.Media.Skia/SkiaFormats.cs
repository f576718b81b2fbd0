using Attune.Imaging;
using SkiaSharp;

namespace Attune.Media.Skia;

/// <summary>
/// The formats of this package, which Skia, a native library, reads and writes: <see cref="Register"/> adds them to
/// <see cref="ImageFormats"/>. The library itself needs no native file; whoever references this package decides that it may have one.
/// </summary>
public static class SkiaFormats
{
    /// <summary>
    /// Makes <see cref="Image.Load(string)"/> read WebP, GIF (the first frame) and BMP, and <see cref="Image.Save"/> write
    /// <c>.jpg</c>, <c>.jpeg</c> and <c>.webp</c>, which may be animated. PNG, and reading JPEG, stay with the library. Calling it again
    /// does nothing.
    /// </summary>
    /// <param name="quality">The quality of JPEG and WebP files, 1 to 100.</param>
    public static void Register(int quality = 95)
    {
        foreach (var writer in Writers(quality))
            ImageFormats.Add(writer);
        foreach (var reader in Readers)
            ImageFormats.Add(reader);
        FrameFormats.Add(new AnimatedWebPWriter(quality));
    }

    /// <summary>What the package reads.</summary>
    public static IReadOnlyList<IImageReader> Readers { get; } = [
        new SkiaReader("WebP", SKEncodedImageFormat.Webp, [[.. "RIFF"u8]], [.. "WEBP"u8], 8),
        new SkiaReader("GIF", SKEncodedImageFormat.Gif, [[.. "GIF87a"u8], [.. "GIF89a"u8]], [], 0),
        new SkiaReader("BMP", SKEncodedImageFormat.Bmp, [[.. "BM"u8]], [], 0)];

    /// <summary>What the package writes.</summary>
    /// <param name="quality">The quality of JPEG and WebP files, 1 to 100.</param>
    public static IReadOnlyList<IImageWriter> Writers(int quality = 95)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(quality, 1);
        ArgumentOutOfRangeException.ThrowIfGreaterThan(quality, 100);
        return [new JpegWriter(quality), new WebPWriter(quality)];
    }

    /// <summary>Runs what needs the native library.</summary>
    /// <exception cref="ImageException">It cannot be loaded.</exception>
    internal static T Native<T>(string name, Func<T> call)
    {
        try
        {
            return call();
        }
        catch (Exception exception)
            when ((exception as TypeInitializationException)?.InnerException is DllNotFoundException || exception is DllNotFoundException)
        {
            throw new ImageException($"'{name}' needs the native library libSkiaSharp, which cannot be loaded here.", exception);
        }
    }
}
