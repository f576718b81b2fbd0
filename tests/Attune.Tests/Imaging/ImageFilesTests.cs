using System.Buffers.Binary;
using System.Text;
using Attune.Imaging;
using static Attune.Tests.Imaging.PngFile;

namespace Attune.Tests.Imaging;

/// <summary>Pixels against Pillow and libjpeg-turbo, and what damaged or unusual files are answered with.</summary>
public class ImageFilesTests
{
    public static TheoryData<string> Pngs => TestImages.All(".png");

    public static TheoryData<string> Jpegs => TestImages.All(".jpg");

    [Theory, MemberData(nameof(Pngs))]
    public void A_png_file_has_the_pixels_that_pillow_reads(string name) =>
        Assert.Equal(0, TestImages.Difference(TestImages.Expected(name), Image.Load(TestImages.At(name))));

    [Theory, MemberData(nameof(Jpegs))]
    public void A_jpeg_file_has_the_pixels_that_libjpeg_decodes(string name) =>
        Assert.Equal(0, TestImages.Difference(TestImages.Expected(name), Image.Load(TestImages.At(name))));

    [Fact]
    public void There_are_images_of_every_kind()
    {
        Assert.Equal(30 + 6 + 5 + 1, TestImages.Names(".png").Count());     // 15 types with and without Adam7, small, odd, to resize
        Assert.Equal(67, TestImages.Names(".jpg").Count());
    }

    /// <summary>The content decides, not the name; and each reader refuses the other's files.</summary>
    [Fact]
    public void The_content_tells_the_format()
    {
        byte[] png = TestImages.Bytes("rgb8.png"), jpeg = TestImages.Bytes("gray.jpg");
        Assert.Equal(TestImages.Expected("rgb8.png").Rgb, Image.Read(png, "x.jpg").Rgb);
        Assert.Equal(TestImages.Expected("gray.jpg").Rgb, Image.Read(jpeg, "x.png").Rgb);
        Assert.Equal("'x' has no PNG signature.", Assert.Throws<ImageException>(() => Png.Read(jpeg, "x")).Message);
        Assert.Equal("'x' has no JPEG marker at its start.", Assert.Throws<ImageException>(() => Jpeg.Read(png, "x")).Message);
    }

    [Theory]
    [InlineData(1, 1)]
    [InlineData(7, 5)]
    [InlineData(64, 33)]
    public void What_is_written_is_read_again(int width, int height)
    {
        var random = new Random(width);
        var pixels = new byte[3 * width * height];
        random.NextBytes(pixels);
        for (int i = 3; i < pixels.Length / 2; i++)
            pixels[i] = (byte)(pixels[i - 3] + (i % 5));                        // smooth, so that filters differ
        using var folder = new TemporaryFolder();
        Png.Save(new Image(width, height, pixels), folder.At("image.png"), new KeyValuePair<string, string>("Title", "Größe 画像"));
        var image = Image.Load(folder.At("image.png"));
        Assert.Equal((width, height), (image.Width, image.Height));
        Assert.Equal(pixels, image.Rgb);
    }

    [Theory]
    [InlineData("", "empty")]
    [InlineData("GIF89a", "a GIF image")]
    [InlineData("BM......", "a BMP image")]
    [InlineData("RIFF....WEBPVP8 ", "a WebP image")]
    [InlineData("II*\0........", "a TIFF image")]
    [InlineData("....ftypavif", "an AVIF, HEIF or video file")]
    [InlineData("\u0089PNG\n\n", "a PNG file with a damaged signature, cut off or once copied as text")]
    [InlineData("<svg/>", "no image of a known format")]
    public void Other_files_are_called_what_they_are(string content, string called)
    {
        var error = Assert.Throws<ImageException>(() => Image.Read(Encoding.Latin1.GetBytes(content), "folder/picture"));
        Assert.Equal($"'folder/picture' is {called}; PNG and JPEG images are read.", error.Message);
    }

    [Fact]
    public void A_missing_file_is_named() =>
        Assert.Contains("nowhere.png", Assert.Throws<FileNotFoundException>(() => Image.Load(TestImages.At("nowhere.png"))).Message);

    /// <summary>What pixels depend on is checked; ancillary chunks with a wrong check value are passed over, IEND ends all.</summary>
    [Theory]
    [InlineData("palette4.png", 6, 0)]
    [InlineData("rgb8-exif6.png", 16, 1)]
    public void Every_chunk_that_carries_pixels_is_checked(string name, int count, int ancillary)
    {
        byte[] file = TestImages.Bytes(name);
        int chunks = 0, passedOver = 0;
        for (int at = 8; at < file.Length; chunks++)
        {
            int length = BinaryPrimitives.ReadInt32BigEndian(file.AsSpan(at));
            string type = Encoding.ASCII.GetString(file, at + 4, 4);
            byte[] damaged = [.. file];
            damaged[at + 8 + length]++;
            if (type is "IHDR" or "PLTE" or "IDAT")
            {
                Assert.Equal(
                    $"'x' is damaged: the CRC of the chunk {type} at byte {at} is wrong.",
                    Assert.Throws<ImageException>(() => Image.Read(damaged, "x")).Message);
            }
            else
            {
                // libpng does not believe a damaged orientation either
                int orientation = type == "eXIf" ? 8 : 1;       // undoes 6
                Assert.Equal(Image.Read(file, "x").Upright(orientation).Rgb, Image.Read(damaged, "x").Rgb);
                passedOver += type == "IEND" ? 0 : 1;
            }
            at += length + 12;
        }
        Assert.Equal((count, ancillary), (chunks, passedOver));
    }

    /// <summary>
    /// Cameras, phones and old exporters end JPEG files without the end marker, or put something in its place; PNG files are found without
    /// their last chunk. All pixels are there.
    /// </summary>
    [Theory]
    [InlineData("exif7.jpg")]
    [InlineData("gray.jpg")]
    [InlineData("baseline-2x2.jpg")]
    [InlineData("one-scan-each.jpg")]
    [InlineData("restart-blocks.jpg")]
    [InlineData("cmyk.jpg")]
    [InlineData("cmyk-progressive.jpg")]
    [InlineData("ycck.jpg")]
    [InlineData("progressive-2x1.jpg")]
    [InlineData("progressive-own-scans.jpg")]
    [InlineData("restart-3-blocks-progressive.jpg")]
    [InlineData("rgb8.png")]
    [InlineData("rgb16-adam7.png")]
    [InlineData("palette4.png")]
    public void Only_what_carries_pixels_is_required(string name)
    {
        byte[] file = TestImages.Bytes(name);
        var whole = Image.Read(file, "x");
        bool jpeg = name.EndsWith(".jpg", StringComparison.Ordinal);
        byte[] open = file[..^(jpeg ? 2 : 12)];
        Assert.Equal(jpeg ? [0xFF, 0xD9] : Chunk("IEND", []), file[open.Length..]);
        byte[][] trailers = [
            [], new byte[512], "a trailer that some phone appends"u8.ToArray(), [0xFF], [0xFF, 0xC4, 0, 3, 1],
            [0xFF, 0xDA, 0xFF, 0xC0, 0xFF], [0, 0, 0, 9, .. "tEXt"u8, 1, 2], [0, 0, 0, 0, .. "IEND"u8], file[..(file.Length / 2)]];
        foreach (byte[] trailer in trailers)
            Assert.Equal(whole.Rgb, Image.Read([.. open, .. trailer], "x").Rgb);
    }

    [Theory]
    [InlineData(2, 3, "has the colour type 2 with 3 bits")]
    [InlineData(3, 16, "has the colour type 3 with 16 bits")]
    [InlineData(5, 8, "has the colour type 5 with 8 bits")]
    [InlineData(3, 8, "has no palette (PLTE)")]
    public void A_png_file_has_a_kind_that_exists(byte color, byte depth, string problem) =>
        Fails(Make(Header(1, 1, depth, color), Chunk("IDAT", Zlib([0, 0, 0, 0]))), problem);

    /// <summary>The specification calls it an error, and asks for a pixel nevertheless.</summary>
    [Fact]
    public void An_index_beyond_the_palette_is_black() =>
        Assert.Equal(
            [4, 5, 6, 0, 0, 0],
            Image.Read(Make(Header(2, 1, 8, 3), Chunk("PLTE", [1, 2, 3, 4, 5, 6]), Chunk("IDAT", Zlib([0, 1, 2]))), "x").Pixels);

    [Fact]
    public void Chunks_come_in_their_order()
    {
        byte[] header = Header(1, 1, 8, 2), pixels = Chunk("IDAT", Zlib([0, 7, 8, 9])), text = Chunk("tEXt", "a\0b"u8);
        Assert.Equal([7, 8, 9], Image.Read(Make(header, text, pixels, text), "x").Rgb.ToArray());
        Fails(Make(text, header, pixels), "begins with the chunk tEXt, expected IHDR");
        Fails(Make(header, pixels, text, pixels), "has other chunks between those of the pixels (IDAT)");
        Fails(Make(header, pixels, Chunk("PLTE", [1, 2, 3])), "has a palette (PLTE) of 3 bytes after the pixels");
        Fails(Make(header, Chunk("CgBI", []), pixels), "has the chunk CgBI, which must be understood and is not");
        Fails(Make(header, header, pixels), "has the chunk IHDR, which must be understood and is not");
    }

    [Fact]
    public void The_pixels_of_a_png_file_are_checked()
    {
        byte[] header = Header(1, 2, 8, 2);
        Fails(Make(header, Chunk("IDAT", Zlib([0, 7, 8, 9, 0]))), "is damaged: the pixels end in row 1 of 2");
        Fails(Make(header, Chunk("IDAT", Zlib([0, 7, 8, 9, 5, 0, 0, 0]))), "is damaged: a row has the filter 5, expected 0 to 4");
        Fails(Make(header, Chunk("IDAT", [1, 2, 3, 4, 5])), "is damaged: the pixels do not decompress");
        byte[] zlib = Zlib([0, 7, 8, 9, 0, 7, 8, 9]);
        zlib[^1]++;
        Fails(Make(header, Chunk("IDAT", zlib)), "is damaged: the pixels do not decompress");
    }

    /// <summary>A few bytes that claim much are refused before memory is taken for them.</summary>
    [Fact]
    public void Decompression_bombs_are_refused()
    {
        byte[] pixels = Chunk("IDAT", Zlib(new byte[100_000]));
        Fails(Make(Header(int.MaxValue, int.MaxValue, 8, 2), pixels), "has 2147483647 x 2147483647 pixels, expected 178956970 at most");
        Fails(Make(Header(13378, 13377, 8, 2), pixels), "has 13378 x 13377 pixels");
        Fails(Make(Header(13000, 13000, 8, 2), pixels), "bytes cannot hold 13000 x 13000 pixels");
        Fails(Make(Header(-1, 1, 8, 2), pixels), "has a size of 4294967295 x 1");
        Fails(Make(Header(0, 1, 8, 2), pixels), "has a size of 0 x 1");
        Fails(PatchFrame(3, 0xFF, 0xFF, 0xFF, 0xFF), "has 65535 x 65535 pixels");
        Fails(PatchFrame(3, 0x30, 0, 0x30, 0), "bytes cannot hold 12288 x 12288 pixels");
        byte[] progressive = TestImages.Bytes("gray-progressive.jpg");
        int scan = progressive.AsSpan().IndexOf((ReadOnlySpan<byte>)[0xFF, 0xDA]);
        int end = scan + progressive.AsSpan(scan).IndexOf((ReadOnlySpan<byte>)[0xFF, 0xC4]);
        byte[] many = [
            .. progressive[..scan], .. Enumerable.Repeat(progressive[scan..end], 500).SelectMany(bytes => bytes), .. progressive[scan..]];
        Fails(many, "has more than 500 scans");
    }

    [Theory]
    [InlineData(0xC3, "is a lossless JPEG (SOF3), which is not read")]
    [InlineData(0xC5, "is a hierarchical JPEG (SOF5), which is not read")]
    [InlineData(0xC9, "is a JPEG with arithmetic coding, which is not read")]
    [InlineData(0xCB, "is a JPEG with arithmetic coding, which is not read")]
    public void Kinds_of_jpeg_that_are_not_read_are_named(byte marker, string problem) => Fails(PatchFrame(-1, marker), problem);

    [Fact]
    public void Jpeg_frames_are_checked()
    {
        Fails(TestImages.Bytes("arithmetic.jpg"), "is a JPEG with arithmetic coding");
        Fails(PatchFrame(2, 12), "is a JPEG of 12 bits per sample, which is not read; 8 is");
        Fails(PatchFrame(3, 0, 0), "has a size of 37 x 0");
        Fails(PatchFrame(7, 2), "its frame header (SOF) has 15 bytes");
        Fails(PatchFrame(9, 0x51), "component 0 has the sampling factors 5 x 1");
        Fails(PatchFrame(10, 3), "quantization table 3 is missing");
        Fails(PatchFrame(8, 77), "a scan names component 1, which the frame header does not");
    }

    [Fact]
    public void A_lost_restart_marker_is_noticed()
    {
        byte[] file = TestImages.Bytes("restart-rows.jpg");
        int at = file.AsSpan().LastIndexOf((ReadOnlySpan<byte>)[0xFF, 0xD0]);
        Assert.True(at > 0);
        file[at + 1] = 0xD3;
        Fails(file, "a scan has no restart marker 0");
    }

    /// <summary>Damaged Exif metadata does not make an image unreadable; it has no orientation then.</summary>
    [Fact]
    public void Damaged_metadata_are_ignored()
    {
        byte[] file = TestImages.Bytes("exif6.jpg");
        int tiff = file.AsSpan().IndexOf("Exif\0\0"u8) + 6;
        var upright = Image.Read(file, "x");
        for (int at = 0; at < 24; at++)
        {
            byte[] damaged = [.. file];
            damaged[tiff + at] = 0xFF;
            var image = Image.Read(damaged, "x");
            Assert.True(image.Width == upright.Width || image.Width == upright.Height);
        }
        file[tiff] = 0;
        Assert.Equal((upright.Height, upright.Width), (Image.Read(file, "x").Width, Image.Read(file, "x").Height));
    }

    /// <summary>No file whose pixels end early passes for a whole one.</summary>
    [Fact]
    public void Files_that_are_cut_off_are_refused()
    {
        foreach (string name in Samples)
        {
            byte[] file = TestImages.Bytes(name);
            var whole = Image.Read(file, "x");
            bool jpeg = name.EndsWith(".jpg", StringComparison.Ordinal);
            int framing = jpeg ? 2 : 12;            // the end marker; the chunk IEND
            for (int length = 0; length < file.Length; length += length < 64 || length > file.Length - 40 ? 1 : 1 + (file.Length / 150))
            {
                byte[] cut = file[..length];
                // The last byte of a scan may be padding.
                if (length >= file.Length - framing || (jpeg && length == file.Length - framing - 1 && Reads(cut)))
                    Assert.Equal(whole.Rgb, Image.Read(cut, "x").Rgb);
                else
                    Assert.StartsWith("'x' ", Assert.Throws<ImageException>(() => Image.Read(cut, "x")).Message, StringComparison.Ordinal);
            }
            Image.Read([.. file, 1, 2, 3], "x");
        }
    }

    private static bool Reads(byte[] file)
    {
        try
        {
            Image.Read(file, "x");
            return true;
        }
        catch (ImageException)
        {
            return false;
        }
    }

    /// <summary>Whatever bits are wrong: an image, or the one exception, which names the file.</summary>
    [Fact]
    public void Files_with_wrong_bits_are_refused_or_read()
    {
        var random = new Random(5);
        int refused = 0, read = 0;
        foreach (string name in Samples)
        {
            byte[] file = TestImages.Bytes(name);
            for (int round = 0; round < 150; round++)
            {
                byte[] damaged = [.. file];
                for (int flips = random.Next(1, 4); flips > 0; flips--)
                    damaged[random.Next(2, round % 2 == 0 ? file.Length : Math.Min(file.Length, 700))] ^= (byte)(1 << random.Next(8));
                if (name.EndsWith(".png", StringComparison.Ordinal) && round % 3 != 0)
                    RepairChecks(damaged);                                      // so that what lies behind them is reached
                try
                {
                    Image.Read(damaged, "x");
                    read++;
                }
                catch (ImageException exception)
                {
                    Assert.StartsWith("'x' ", exception.Message, StringComparison.Ordinal);
                    refused++;
                }
            }
        }
        Assert.True(refused > 100 && read > 100, $"{refused} files were refused, {read} read.");
    }

    /// <summary>Garbage behind each signature.</summary>
    [Fact]
    public void Noise_is_refused()
    {
        var random = new Random(6);
        for (int round = 0; round < 2000; round++)
        {
            byte[] noise = new byte[random.Next(200)];
            random.NextBytes(noise);
            Assert.Throws<ImageException>(() => Image.Read([0xFF, 0xD8, 0xFF, (byte)random.Next(0xC0, 0xFF), .. noise], "x"));
            Assert.Throws<ImageException>(() => Image.Read([0x89, .. "PNG\r\n\u001a\n"u8, .. noise], "x"));
        }
    }

    private static readonly string[] Samples =
    [
        "rgb8.png", "rgb16-adam7.png", "palette2-adam7.png", "gray-alpha8.png", "rgb8-exif6.png", "baseline-2x2.jpg", "baseline-4x2.jpg",
        "progressive-2x1.jpg", "progressive-own-scans.jpg", "restart-3-blocks-progressive.jpg", "restart-blocks.jpg", "one-scan-each.jpg",
        "ycck.jpg", "exif5.jpg",
    ];

    private static void Fails(byte[] file, string problem) =>
        Assert.Contains(problem, Assert.Throws<ImageException>(() => Image.Read(file, "x")).Message, StringComparison.Ordinal);

    /// <summary>
    /// An RGB JPEG file with other bytes at a distance from the length of its frame header; -1 is the code of the marker.
    /// </summary>
    private static byte[] PatchFrame(int at, params ReadOnlySpan<byte> bytes)
    {
        byte[] file = TestImages.Bytes("baseline-2x2.jpg");
        bytes.CopyTo(file.AsSpan(file.AsSpan().IndexOf((ReadOnlySpan<byte>)[0xFF, 0xC0]) + 2 + at));
        return file;
    }

    private static void RepairChecks(byte[] file)
    {
        for (int at = 8; at <= file.Length - 12;)
        {
            long end = at + 8L + BinaryPrimitives.ReadUInt32BigEndian(file.AsSpan(at));
            if (end > file.Length - 4)
                return;
            BinaryPrimitives.WriteUInt32BigEndian(file.AsSpan((int)end), Crc(file.AsSpan((at + 4)..(int)end)));
            at = (int)end + 4;
        }
    }
}
