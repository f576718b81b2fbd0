using System.Buffers.Binary;
using System.Text;
using Attune.Imaging;
using Attune.Media.Skia;
using SkiaSharp;

namespace Attune.Tests.Imaging;

/// <summary>The optional package: what it writes and reads, by value, and what damaged files are answered with.</summary>
public class MediaTests
{
    private static readonly KeyValuePair<string, string>[] Texts = [
        new("parameters", "a panda, Größe 画像 \U0001F43C"), new("Title", "x")];

    private static IImageReader Reader(string name) => SkiaFormats.Readers.Single(reader => reader.Name == name);

    private static IImageWriter Writer(string name, int quality = 95) => SkiaFormats.Writers(quality).Single(writer => writer.Name == name);

    /// <summary>Smooth, as what is written with loss must be to come back nearly the same.</summary>
    private static Image Smooth(int width, int height, int shift = 0)
    {
        var pixels = new byte[3 * width * height];
        for (int i = 0; i < pixels.Length; i++)
        {
            var (x, y) = (i / 3 % width, i / 3 / width);
            pixels[i] = (byte)(i % 3 == 0 ? (x * 200 / width) + shift : i % 3 == 1 ? y * 200 / height : 120);
        }
        return new Image(width, height, pixels);
    }

    private static byte[] Write(IImageWriter writer, Image image, params ReadOnlySpan<KeyValuePair<string, string>> texts)
    {
        var stream = new MemoryStream();
        writer.Write(image, stream, texts);
        return stream.ToArray();
    }

    [Theory]
    [InlineData("JPEG", 64, 48, 4)]
    [InlineData("JPEG", 61, 7, 4)]
    [InlineData("WebP", 64, 48, 12)]
    [InlineData("WebP", 61, 7, 12)]
    public void What_is_written_is_read_again(string format, int width, int height, int tolerance)
    {
        var image = Smooth(width, height);
        foreach (byte[] file in (byte[][])[Write(Writer(format), image), Write(Writer(format), image, Texts)])
        {
            var read = format == "JPEG" ? Image.Read(file, "x") : Reader(format).Read(file, "x");
            Assert.InRange(TestImages.Difference(image, read), 0, tolerance);
            Assert.Equal(0, read.TransparentShare);
        }
    }

    [Theory]
    [InlineData("JPEG")]
    [InlineData("WebP")]
    public void Quality_is_what_is_asked_for(string format)
    {
        var image = Smooth(200, 200);
        Assert.True(Write(Writer(format, 20), image).Length < Write(Writer(format, 98), image).Length);
        Assert.Throws<ArgumentOutOfRangeException>(() => SkiaFormats.Writers(0));
        Assert.Throws<ArgumentOutOfRangeException>(() => SkiaFormats.Writers(101));
    }

    /// <summary>Where web interfaces look: the tag UserComment, behind its name of the encoding.</summary>
    [Theory]
    [InlineData("JPEG")]
    [InlineData("WebP")]
    public void Texts_stand_in_the_exif_comment(string format)
    {
        byte[] one = Write(Writer(format), Smooth(16, 16), Texts[0]), both = Write(Writer(format), Smooth(16, 16), Texts);
        Assert.Equal(Texts[0].Value, Comment(one, format));
        Assert.Equal($"parameters: {Texts[0].Value}\nTitle: x", Comment(both, format));
        byte[] plain = Write(Writer(format), Smooth(16, 16));
        Assert.DoesNotContain("UNICODE", Encoding.Latin1.GetString(plain), StringComparison.Ordinal);
    }

    /// <summary>Walks from the container to the value, as readers do.</summary>
    private static string Comment(byte[] file, string format)
    {
        byte[] tiff;
        if (format == "JPEG")
        {
            Assert.Equal([0xFF, 0xD8, 0xFF, 0xE1], file[..4]);
            int length = BinaryPrimitives.ReadUInt16BigEndian(file.AsSpan(4));
            Assert.Equal("Exif\0\0"u8.ToArray(), file[6..12]);
            tiff = file[12..(4 + length)];
        }
        else
        {
            Assert.Equal(file.Length - 8, BinaryPrimitives.ReadInt32LittleEndian(file.AsSpan(4)));
            Assert.Equal([.. "VP8X"u8, 10, 0, 0, 0, 8], file[12..21]);
            int at = 12;
            while (!file.AsSpan(at).StartsWith("EXIF"u8))
                at += 8 + ((BinaryPrimitives.ReadInt32LittleEndian(file.AsSpan(at + 4)) + 1) / 2 * 2);
            int length = BinaryPrimitives.ReadInt32LittleEndian(file.AsSpan(at + 4));
            Assert.Equal(file.Length, at + 8 + ((length + 1) / 2 * 2));
            tiff = file[(at + 8)..(at + 8 + length)];
        }
        Assert.Equal("MM\0*"u8.ToArray(), tiff[..4]);
        int directory = Entry(tiff, BinaryPrimitives.ReadInt32BigEndian(tiff.AsSpan(4)), 0x8769).Value;
        var (count, value) = Entry(tiff, directory, 0x9286);
        Assert.Equal("UNICODE\0"u8.ToArray(), tiff[value..(value + 8)]);
        Assert.Equal(tiff.Length, value + count);
        return Encoding.BigEndianUnicode.GetString(tiff[(value + 8)..]);
    }

    private static (int Count, int Value) Entry(byte[] tiff, int directory, int tag)
    {
        Assert.Equal(1, BinaryPrimitives.ReadUInt16BigEndian(tiff.AsSpan(directory)));
        Assert.Equal(tag, BinaryPrimitives.ReadUInt16BigEndian(tiff.AsSpan(directory + 2)));
        int Number(int at) => BinaryPrimitives.ReadInt32BigEndian(tiff.AsSpan(directory + at));
        return (Number(6), Number(10));
    }

    [Theory]
    [InlineData(24.0)]
    [InlineData(16.0)]
    [InlineData(1000.0)]
    public void An_animation_has_its_frames_and_its_length(double rate)
    {
        Image[] frames = [.. Enumerable.Range(0, 33).Select(i => Smooth(32, 24, i))];
        var stream = new MemoryStream();
        AnimatedWebP.Write(stream, frames, rate, quality: null);
        using var codec = SKCodec.Create(new MemoryStream(stream.ToArray()));
        Assert.Equal(33, codec.FrameCount);
        Assert.Equal((int)Math.Round(33000 / rate), codec.FrameInfo.Sum(frame => frame.Duration));
        Assert.Equal(-1, codec.RepetitionCount);
        Assert.True(codec.FrameInfo.Max(frame => frame.Duration) - codec.FrameInfo.Min(frame => frame.Duration) <= 1);
        Assert.Equal(0, TestImages.Difference(frames[0], Reader("WebP").Read(stream.ToArray(), "x")));
    }

    /// <summary>Equal neighbours may become one frame, which is then shown as long as both.</summary>
    [Fact]
    public void Durations_add_up()
    {
        Image[] frames = [Smooth(8, 8), Smooth(8, 8), Smooth(8, 8, 40), Smooth(8, 8, 40), Smooth(8, 8, 20), Smooth(8, 8)];
        TimeSpan[] durations = [.. new[] { 50, 200, 400, 30, 70, 90 }.Select(milliseconds => TimeSpan.FromMilliseconds(milliseconds))];
        var stream = new MemoryStream();
        AnimatedWebP.Write(stream, frames, durations, quality: null);
        using var codec = SKCodec.Create(new MemoryStream(stream.ToArray()));
        Assert.Equal(840, codec.FrameInfo.Sum(frame => frame.Duration));
    }

    [Fact]
    public void Animations_are_checked()
    {
        var stream = new MemoryStream();
        Assert.Throws<ArgumentException>(() => AnimatedWebP.Write(stream, [], 24));
        Assert.Throws<ArgumentException>(() => AnimatedWebP.Write(stream, [Smooth(8, 8)], [TimeSpan.Zero]));
        Assert.Throws<ArgumentException>(() => AnimatedWebP.Write(stream, [Smooth(8, 8)], []));
        Assert.Throws<ArgumentOutOfRangeException>(() => AnimatedWebP.Write(stream, [Smooth(8, 8)], 0));
        Assert.Throws<ArgumentOutOfRangeException>(() => AnimatedWebP.Write(stream, [Smooth(8, 8)], double.NaN));
        Assert.Contains(
            "A frame is 9 x 8, expected 8 x 8", Assert.Throws<ArgumentException>(
                () => AnimatedWebP.Write(stream, [Smooth(8, 8), Smooth(9, 8)], 24)).Message,
            StringComparison.Ordinal);
        Assert.Equal(0, stream.Length);
    }

    [Theory]
    [InlineData("JPEG", 65501, 65500)]
    [InlineData("WebP", 16384, 16383)]
    public void Sides_that_a_format_does_not_have_are_errors(string format, int side, int most)
    {
        var error = Assert.Throws<ImageException>(() => Write(Writer(format), new Image(side, 1, new byte[3 * side])));
        Assert.Equal($"{side} x 1 pixels are not written as {format}, which takes sides of {most} at most.", error.Message);
        Write(Writer(format), new Image(most, 1, new byte[3 * most]));
    }

    /// <summary>Bottom up, blue first, rows of whole words: by hand.</summary>
    [Fact]
    public void A_bmp_file_is_read()
    {
        byte[] file = Bmp(2, 2, [1, 2, 3, 4, 5, 6, 0, 0, 7, 8, 9, 10, 11, 12, 0, 0]);
        Assert.True(Reader("BMP").Matches(file));
        Assert.Equal([9, 8, 7, 12, 11, 10, 3, 2, 1, 6, 5, 4], Reader("BMP").Read(file, "x").Rgb.ToArray());
    }

    private static byte[] Bmp(int width, int height, byte[] rows)
    {
        byte[] file = [.. "BM"u8, .. new byte[52], .. rows];
        void Put(int at, int value) => BinaryPrimitives.WriteInt32LittleEndian(file.AsSpan(at), value);
        Put(2, file.Length);
        Put(10, 54);
        Put(14, 40);
        Put(18, width);
        Put(22, height);
        Put(26, 1 | (24 << 16));
        return file;
    }

    /// <summary>Two frames of 2 x 2 with four colours; LZW codes of 3 bits, which nothing compresses.</summary>
    private static byte[] Gif(bool transparent = false)
    {
        byte[] control(int index) => [0x21, 0xF9, 4, (byte)(transparent ? 1 : 0), 10, 0, (byte)index, 0];
        byte[] frame(params ReadOnlySpan<int> pixels)
        {
            // clear (4), pixels, clear before the codes grow to 4 bits, end (5)
            List<int> codes = [4, pixels[0], pixels[1], 4, pixels[2], pixels[3], 5];
            var bytes = new byte[((3 * codes.Count) + 7) / 8];
            for (int i = 0; i < 3 * codes.Count; i++)
                bytes[i / 8] |= (byte)(((codes[i / 3] >> (i % 3)) & 1) << (i % 8));
            return [0x2C, 0, 0, 0, 0, 2, 0, 2, 0, 0, 2, (byte)bytes.Length, .. bytes, 0];
        }
        return [
            .. "GIF89a"u8, 2, 0, 2, 0, 0x91, 0, 0, 255, 0, 0, 0, 255, 0, 0, 0, 255, 10, 20, 30,
            .. control(3), .. frame(0, 1, 2, 3), .. control(3), .. frame(3, 3, 3, 3), 0x3B];
    }

    [Fact]
    public void The_first_frame_of_a_gif_file_is_read()
    {
        Assert.True(Reader("GIF").Matches(Gif()));
        var image = Reader("GIF").Read(Gif(), "x");
        Assert.Equal([255, 0, 0, 0, 255, 0, 0, 0, 255, 10, 20, 30], image.Rgb.ToArray());
        Assert.Equal(0, image.TransparentShare);
        Assert.Equal(0.25, Reader("GIF").Read(Gif(transparent: true), "x").TransparentShare);
    }

    /// <summary>Colours below alpha are those that the file stores, not multiplied by it.</summary>
    [Fact]
    public void Alpha_is_dropped_and_counted()
    {
        using var bitmap = new SKBitmap(new SKImageInfo(2, 1, SKColorType.Rgba8888, SKAlphaType.Unpremul));
        bitmap.SetPixel(0, 0, new SKColor(200, 100, 50, 7));
        bitmap.SetPixel(1, 0, new SKColor(1, 2, 3, 255));
        using var map = bitmap.PeekPixels()!;
        using var data = map.Encode(new SKWebpEncoderOptions(SKWebpEncoderCompression.Lossless, 100))!;
        var image = Reader("WebP").Read(data.ToArray(), "x");
        Assert.Equal([200, 100, 50, 1, 2, 3], image.Rgb.ToArray());
        Assert.Equal(0.5, image.TransparentShare);
    }

    /// <summary>A camera's orientation, here in the Exif chunk of a WebP file.</summary>
    [Theory]
    [InlineData(1)]
    [InlineData(3)]
    [InlineData(6)]
    [InlineData(8)]
    public void Pictures_are_turned_upright(int orientation)
    {
        var image = Smooth(8, 4);
        var stream = new MemoryStream();
        AnimatedWebP.Write(stream, [image], 1, quality: null);
        byte[] still = Lossless(image);
        byte[] tiff = [.. "MM\0*"u8, 0, 0, 0, 8, 0, 1, 0x01, 0x12, 0, 3, 0, 0, 0, 1, 0, (byte)orientation, 0, 0, 0, 0, 0, 0];
        byte[] header = [.. "VP8X"u8, 10, 0, 0, 0, 8, 0, 0, 0, 7, 0, 0, 3, 0, 0];
        byte[] file = [.. "RIFF"u8, 0, 0, 0, 0, .. "WEBP"u8, .. header, .. still[12..], .. "EXIF"u8, (byte)tiff.Length, 0, 0, 0, .. tiff];
        BinaryPrimitives.WriteInt32LittleEndian(file.AsSpan(4), file.Length - 8);
        Assert.Equal(0, TestImages.Difference(image.Upright(orientation), Reader("WebP").Read(file, "x")));
    }

    private static byte[] Lossless(Image image)
    {
        using var bitmap = new SKBitmap(new SKImageInfo(image.Width, image.Height, SKColorType.Rgba8888, SKAlphaType.Unpremul));
        for (int i = 0; i < image.Width * image.Height; i++)
        {
            var pixel = image.Rgb.Slice(3 * i, 3);
            bitmap.SetPixel(i % image.Width, i / image.Width, new SKColor(pixel[0], pixel[1], pixel[2]));
        }
        using var map = bitmap.PeekPixels()!;
        using var data = map.Encode(new SKWebpEncoderOptions(SKWebpEncoderCompression.Lossless, 100))!;
        return data.ToArray();
    }

    [Theory]
    [InlineData("WebP")]
    [InlineData("GIF")]
    [InlineData("BMP")]
    public void Files_that_are_not_whole_are_errors(string format)
    {
        byte[] file = format switch
        {
            "WebP" => Lossless(Smooth(40, 30)),
            "GIF" => Gif()[..58],            // without the second frame
            _ => Bmp(40, 30, new byte[40 * 30 * 3]),
        };
        var reader = Reader(format);
        Assert.True(reader.Matches(file));
        Assert.Equal(format == "GIF" ? 2 : 40, reader.Read(format == "GIF" ? Gif() : file, "folder/x").Width);
        // A WebP chunk of an odd length has a byte behind it; the first frame of the GIF file ends at 49.
        int whole = format switch { "WebP" => file.Length - 1, "GIF" => 49, _ => file.Length };
        for (int length = 0; length < whole; length += length < 80 ? 1 : 37)
        {
            var error = Assert.Throws<ImageException>(() => reader.Read(file.AsSpan(0, length), "folder/x"));
            Assert.StartsWith("'folder/x' ", error.Message, StringComparison.Ordinal);
        }
    }

    /// <summary>A few bytes that claim much are refused before memory is taken for them.</summary>
    [Fact]
    public void Decompression_bombs_are_refused()
    {
        byte[] bmp = Bmp(20000, 20000, new byte[100]);
        long before = GC.GetAllocatedBytesForCurrentThread();
        Assert.Equal(
            "'x' has 20000 x 20000 pixels, expected 1 to 178956970.",
            Assert.Throws<ImageException>(() => Reader("BMP").Read(bmp, "x")).Message);
        Assert.InRange(GC.GetAllocatedBytesForCurrentThread() - before, 0, 1 << 20);
    }

    [Fact]
    public void Noise_is_refused()
    {
        var random = new Random(8);
        foreach (var (format, start) in new[] { ("WebP", "RIFF....WEBPVP8 "), ("GIF", "GIF89a"), ("BMP", "BM") })
        {
            int refused = 0;
            for (int round = 0; round < 300; round++)
            {
                byte[] noise = new byte[random.Next(200)];
                random.NextBytes(noise);
                byte[] file = [.. Encoding.ASCII.GetBytes(start), .. noise];
                if (format == "GIF" && file.Length > 9)
                    file[7] = file[9] = 0;                                      // small ones, which are quick
                Assert.True(Reader(format).Matches(file));
                try
                {
                    Reader(format).Read(file, "x");
                }
                catch (ImageException exception)
                {
                    Assert.StartsWith("'x' ", exception.Message, StringComparison.Ordinal);
                    refused++;
                }
            }
            Assert.True(refused > 200, $"{format}: {refused} of 300 were refused.");
        }
    }

    /// <summary>The content decides; other formats are not taken for these.</summary>
    [Fact]
    public void Signatures_are_whole()
    {
        foreach (string other in new[] { "RIFF....WAVEfmt ", "RIFF", "GIF88a", "B", "\u0089PNG", "" })
            Assert.DoesNotContain(SkiaFormats.Readers, reader => reader.Matches(Encoding.Latin1.GetBytes(other)));
    }
}
