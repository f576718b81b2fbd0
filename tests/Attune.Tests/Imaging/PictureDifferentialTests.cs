using System.Runtime.InteropServices;
using Attune.Imaging;
using SkiaSharp;

namespace Attune.Tests.Imaging;

/// <summary>
/// 1,200 random files, the same every time, and the ones of the tests' own folder, against Skia, which decodes with libjpeg-turbo and
/// libpng: what the files with Pillow's pixels leave out.
/// </summary>
public class PictureDifferentialTests
{
    private static readonly SKJpegEncoderDownsample[] Samplings = Enum.GetValues<SKJpegEncoderDownsample>();

    [Fact]
    public void Random_jpeg_files_have_the_pixels_of_the_reference()
    {
        var random = new Random(41);
        for (int i = 0; i < 600; i++)
        {
            var (width, height) = (random.Next(1, 70), random.Next(1, 70));
            bool gray = random.Next(6) == 0;
            byte[] pixels = Picture(random, width, height, gray ? 1 : 4);
            var info = new SKImageInfo(width, height, gray ? SKColorType.Gray8 : SKColorType.Rgb888x, SKAlphaType.Opaque);
            var (quality, sampling) = (random.Next(1, 101), Samplings[random.Next(Samplings.Length)]);
            byte[] file = Encode(pixels, info, new SKJpegEncoderOptions(quality, sampling, SKJpegEncoderAlphaOption.Ignore));
            Compare(file, $"{i}: {width} x {height}, quality {quality}, {(gray ? "gray" : sampling)}");
        }
    }

    [Fact]
    public void Random_png_files_have_the_pixels_of_the_reference()
    {
        (byte Color, byte Depth)[] kinds = [
            (0, 1), (0, 2), (0, 4), (0, 8), (0, 16), (2, 8), (2, 16), (3, 1), (3, 2), (3, 4), (3, 8), (4, 8), (4, 16), (6, 8), (6, 16)];
        var random = new Random(42);
        for (int i = 0; i < 600; i++)
        {
            var (color, depth) = kinds[i % kinds.Length];
            var (width, height) = (random.Next(1, 40), random.Next(1, 40));
            int channels = color switch { 2 => 3, 4 => 2, 6 => 4, _ => 1 };
            int most = (1 << depth) - 1;
            byte[] base8 = Picture(random, width, height, channels);
            int[] samples = [.. base8.Select(value => depth == 16 ? (value << 8) | random.Next(256) : value * most / 255)];
            List<byte[]> chunks = [];
            if (color == 3)
            {
                byte[] palette = new byte[3 << depth];
                random.NextBytes(palette);
                chunks.Add(PngFile.Chunk("PLTE", palette));
            }
            bool interlaced = random.Next(2) == 0;
            byte[] file = PngFile.Encode(width, height, depth, color, samples, interlaced, random, [.. chunks]);
            Compare(file, $"{i}: {width} x {height}, colour type {color}, {depth} bits{(interlaced ? ", Adam7" : "")}");
        }
    }

    /// <summary>
    /// Progressive files, restarts and samplings that Skia's encoder does not write. Skia knows no orientation in PNG files.
    /// </summary>
    [Fact]
    public void The_files_of_the_tests_have_the_pixels_of_the_reference()
    {
        string[] names = [
            .. TestImages.Names(".jpg").Where(name => !name.StartsWith("arithmetic", StringComparison.Ordinal)),
            .. TestImages.Names(".png").Where(name => !name.Contains("exif", StringComparison.Ordinal))];
        Assert.True(names.Length > 100, $"There are {names.Length} files.");
        foreach (string name in names)
            Compare(TestImages.Bytes(name), name);
    }

    /// <summary>Gradients with edges and noise, so that blocks have few and many coefficients.</summary>
    private static byte[] Picture(Random random, int width, int height, int channels)
    {
        var pixels = new byte[width * height * channels];
        var (noise, period, edge) = (random.Next(4) == 0 ? 128 : random.Next(12), random.Next(1, 40), random.Next(width));
        int[] slopes = [.. Enumerable.Range(0, channels).Select(_ => random.Next(-8, 9))];
        for (int i = 0; i < pixels.Length; i++)
        {
            var (x, y, channel) = (i / channels % width, i / channels / width, i % channels);
            double smooth = 128 + (slopes[channel] * (x - (y / 2))) + (40 * Math.Sin((double)y / period));
            double value = smooth + (x > edge ? 60 : 0) + random.Next(-noise, noise + 1);
            pixels[i] = (byte)Math.Clamp(value, 0, 255);
        }
        return pixels;
    }

    private static byte[] Encode(byte[] pixels, SKImageInfo info, SKJpegEncoderOptions options)
    {
        var handle = GCHandle.Alloc(pixels, GCHandleType.Pinned);
        try
        {
            using var map = new SKPixmap(info, handle.AddrOfPinnedObject(), info.RowBytes);
            using var data = map.Encode(options)!;
            return data.ToArray();
        }
        finally
        {
            handle.Free();
        }
    }

    private static void Compare(byte[] file, string what)
    {
        var image = Image.Read(file, what);
        using var data = SKData.CreateCopy(file);
        using var codec = SKCodec.Create(data);
        var info = new SKImageInfo(codec.Info.Width, codec.Info.Height, SKColorType.Rgba8888, SKAlphaType.Unpremul);
        var rgba = new byte[info.BytesSize];
        var handle = GCHandle.Alloc(rgba, GCHandleType.Pinned);
        try
        {
            Assert.Equal(SKCodecResult.Success, codec.GetPixels(info, handle.AddrOfPinnedObject()));
        }
        finally
        {
            handle.Free();
        }
        byte[] rgb = [.. rgba.Where((_, i) => i % 4 != 3)];
        var expected = new Image(info.Width, info.Height, rgb).Upright((int)codec.EncodedOrigin);
        Assert.True(
            (image.Width, image.Height) == (expected.Width, expected.Height) && image.Rgb.SequenceEqual(expected.Rgb), what);
        Assert.True(image.TransparentShare == (double)rgba.Where((value, i) => i % 4 == 3 && value != 255).Count() / (rgba.Length / 4)
            || IsDeep(file), $"{what}: {image.TransparentShare}");
    }

    /// <summary>Of 16 bits of alpha the reference sees the high 8.</summary>
    private static bool IsDeep(byte[] file) => file[0] == 0x89 && file[24] == 16;
}
