using System.IO.Compression;
using System.Text;
using Attune.Imaging;
using Attune.Media.Skia;

namespace Attune.Tests.Imaging;

/// <summary>What is read of a file before its pixels are: its size and its texts.</summary>
public class ImageHeadTests
{
    public static TheoryData<string> Files => [.. TestImages.Names(".png"), .. TestImages.Names(".jpg")];

    [Theory]
    [MemberData(nameof(Files))]
    public void The_head_has_the_size_of_the_pixels(string name)
    {
        var head = Image.ReadHead(TestImages.Bytes(name), name);
        var expected = TestImages.Expected(name);
        Assert.Equal((long)expected.Width * expected.Height, (long)head.Width * head.Height);
        Assert.True(head.Width == expected.Width || head.Width == expected.Height);         // before it is turned upright
        Assert.Equal(1, head.Frames);
    }

    /// <summary>The head alone is there, so nothing else can have been read.</summary>
    [Fact]
    public void A_head_without_pixels_is_enough()
    {
        byte[] jpeg = TestImages.Bytes("baseline-2x2.jpg");
        int scan = jpeg.AsSpan().IndexOf<byte>([0xFF, 0xDA]);
        Assert.Equal(Image.ReadHead(jpeg, "x"), Image.ReadHead(jpeg.AsSpan(0, scan), "x"));
        byte[] png = PngFile.Make(PngFile.Chunk("IHDR", [0, 0, 0x20, 0, 0, 0, 0x10, 0, 8, 2, 0, 0, 0]), PngFile.Chunk("IDAT", [0]));
        Assert.Equal(new ImageHead(0x2000, 0x1000, 1), Image.ReadHead(png, "x"));
        byte[] huge = PngFile.Make(PngFile.Chunk("IHDR", [0, 1, 0, 0, 0, 1, 0, 0, 8, 2, 0, 0, 0]), PngFile.Chunk("IDAT", [0]));
        Assert.Contains("65536 x 65536", Assert.Throws<ImageException>(() => Image.ReadHead(huge, "x")).Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Frames_of_animations_are_counted()
    {
        var frames = new Frames(
            [new Image(2, 1, [1, 2, 3, 4, 5, 6]), new Image(2, 1, new byte[6]), new Image(2, 1, [9, 9, 9, 9, 9, 9])], 10);
        var png = new MemoryStream();
        Png.WriteAnimation(frames, 10, png);
        Assert.Equal(new ImageHead(2, 1, 3), Image.ReadHead(png.ToArray(), "x"));
        var gif = new MemoryStream();
        Gif.Write(frames, 10, gif);
        Assert.Equal(new ImageHead(2, 1, 3), SkiaFormats.Readers.Single(reader => reader.Name == "GIF").ReadHead(gif.ToArray(), "x"));
    }

    [Fact]
    public void Texts_come_back_from_all_kinds_of_chunks()
    {
        var image = new Image(1, 1, [1, 2, 3]);
        var file = new MemoryStream();
        KeyValuePair<string, string>[] written = [new("attune", "{\"prompt\":\"Größe 画像\"}"), new("parameters", "a\nb")];
        Png.Write(image, file, written);
        Assert.Equal(written, Png.ReadTexts(file.ToArray(), "x"));

        byte[] Deflated(string text)
        {
            var stream = new MemoryStream();
            using (var zlib = new ZLibStream(stream, CompressionLevel.Optimal, leaveOpen: true))
                zlib.Write(Encoding.UTF8.GetBytes(text));
            return stream.ToArray();
        }
        byte[] made = PngFile.Make(
            PngFile.Chunk("IHDR", [0, 0, 0, 1, 0, 0, 0, 1, 8, 0, 0, 0, 0]), PngFile.Chunk("tEXt", [.. "one\0x"u8]),
            PngFile.Chunk("zTXt", [.. "two\0\0"u8, .. Deflated("zz")]), PngFile.Chunk("IDAT", [.. Deflated("\0\0")]),
            PngFile.Chunk("iTXt", [.. "three\0\u0001\0de\0drei\0"u8, .. Deflated("ü")]), PngFile.Chunk("tEXt", [.. "no keyword's end"u8]),
            PngFile.Chunk("zTXt", [.. "four\0\0"u8, 1, 2, 3]));
        Assert.Equal([new("one", "x"), new("two", "zz"), new("three", "ü")], Png.ReadTexts(made, "x"));
        Assert.Equal([new("one", "x"), new("two", "zz")], Png.ReadTexts(made, "x", 4));
    }

    /// <summary>A text that inflates to a gigabyte takes neither the memory nor the time.</summary>
    [Fact]
    public void Texts_are_inflated_no_further_than_allowed()
    {
        var stream = new MemoryStream();
        using (var zlib = new ZLibStream(stream, CompressionLevel.SmallestSize, leaveOpen: true))
        {
            var zeros = new byte[1 << 20];
            for (int i = 0; i < 64; i++)
                zlib.Write(zeros);
        }
        byte[] file = PngFile.Make(
            PngFile.Chunk("IHDR", [0, 0, 0, 1, 0, 0, 0, 1, 8, 0, 0, 0, 0]), PngFile.Chunk("zTXt", [.. "bomb\0\0"u8, .. stream.ToArray()]),
            PngFile.Chunk("tEXt", [.. "after\0it"u8]), PngFile.Chunk("IDAT", [0]));
        long before = GC.GetAllocatedBytesForCurrentThread();
        Assert.Equal([new("after", "it")], Png.ReadTexts(file, "x", 1000));
        Assert.InRange(GC.GetAllocatedBytesForCurrentThread() - before, 0, 4 << 20);
    }
}
