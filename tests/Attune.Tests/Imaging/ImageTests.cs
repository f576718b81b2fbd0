using Attune.Imaging;
using Attune.Tensors;

namespace Attune.Tests.Imaging;

/// <summary>Other sizes, against Pillow; and images as tensors.</summary>
public class ImageTests
{
    [Theory]
    [InlineData(61, 47)]
    [InlineData(80, 47)]
    [InlineData(61, 20)]
    [InlineData(37, 29)]
    [InlineData(64, 48)]
    [InlineData(7, 5)]
    [InlineData(13, 80)]
    [InlineData(93, 1)]
    [InlineData(1, 1)]
    [InlineData(60, 48)]
    public void A_resized_image_has_pillows_pixels(int width, int height)
    {
        var resized = Image.Load(TestImages.At("resize.png")).Resize(width, height);
        Assert.Equal(0, TestImages.Difference(TestImages.Expected($"resize-{width}x{height}"), resized));
    }

    [Fact]
    public void Sizes_are_checked()
    {
        var image = new Image(2, 3, new byte[18]);
        Assert.Throws<ArgumentOutOfRangeException>(() => image.Resize(0, 3));
        Assert.Throws<ArgumentOutOfRangeException>(() => image.Resize(3, -1));
        Assert.Contains(
            "178956970", Assert.Throws<ArgumentOutOfRangeException>(() => image.Resize(100_000, 2_000)).Message, StringComparison.Ordinal);
        Assert.Throws<ArgumentOutOfRangeException>(() => image.Resize(int.MaxValue, int.MaxValue));
    }

    [Fact, NoLeaks]
    public void A_tensor_holds_every_pixel()
    {
        using var scope = new TensorScope();
        byte[] pixels = [.. Enumerable.Range(0, 256).Select(i => (byte)i), 9, 8];
        var tensor = new Image(43, 2, pixels).ToTensor(Host);
        Assert.Equal<Shape>([1, 2, 43, 3], tensor.Shape);
        Assert.Equal(pixels.Select(value => value / 255f), tensor.Span.ToArray());
        Assert.Equal(pixels, Assert.Single(Image.FromTensor(tensor)).Pixels);
    }

    [Fact]
    public void An_image_has_pixels_of_its_own()
    {
        byte[] pixels = [1, 2, 3, 4, 5, 6];
        var image = new Image(2, 1, pixels);
        pixels[0] = 9;
        Assert.Equal([1, 2, 3, 4, 5, 6], image.Rgb.ToArray());
    }

    [Fact]
    public void An_image_comes_from_a_stream_too()
    {
        byte[] file = TestImages.Bytes("rgb8.png");
        using var stream = new MemoryStream([1, 2, .. file]);
        stream.Position = 2;
        Assert.Equal(TestImages.Expected("rgb8.png").Rgb, Image.Load(stream).Rgb);
        Assert.True(stream.CanRead);
        var error = Assert.Throws<ImageException>(() => Image.Load(stream, "upload"));
        Assert.Equal("'upload' is empty; PNG and JPEG images are read.", error.Message);
    }

    /// <summary>Every way in which PNG files say that a pixel is not opaque; what is dropped is counted, and kept in mind.</summary>
    [Theory]
    [InlineData("rgba 8", 0.5)]
    [InlineData("rgba 16", 0.5)]
    [InlineData("gray and alpha 8", 0.25)]
    [InlineData("opaque rgba", 0)]
    [InlineData("rgb, a colour", 0.25)]
    [InlineData("rgb 16, a colour", 0.25)]
    [InlineData("gray, a level", 0.25)]
    [InlineData("gray of 1 bit, a level", 0.5)]
    [InlineData("palette", 0.5)]
    [InlineData("palette, opaque entry", 0)]
    [InlineData("palette, too many entries", 0)]
    [InlineData("rgb, damaged", 0)]
    public void The_share_of_transparent_pixels_is_known(string kind, double share)
    {
        static byte[] Alpha(params byte[] data) => PngFile.Chunk("tRNS", data);
        byte[] colours = PngFile.Chunk("PLTE", [1, 2, 3, 4, 5, 6]);
        byte[] file = kind switch
        {
            "rgba 8" => PngFile.Encode(2, 2, 8, 6, [1, 2, 3, 0, 1, 2, 3, 254, 1, 2, 3, 255, 1, 2, 3, 255]),
            "rgba 16" => PngFile.Encode(2, 2, 16, 6, [1, 2, 3, 0, 1, 2, 3, 65534, 1, 2, 3, 65535, 1, 2, 3, 65535]),
            "gray and alpha 8" => PngFile.Encode(2, 2, 8, 4, [1, 255, 2, 255, 3, 255, 4, 128]),
            "opaque rgba" => PngFile.Encode(1, 1, 8, 6, [1, 2, 3, 255]),
            "rgb, a colour" => PngFile.Encode(2, 2, 8, 2, [1, 2, 3, 1, 2, 4, 1, 2, 5, 1, 3, 3], chunks: [Alpha(0, 1, 0, 2, 0, 3)]),
            "rgb 16, a colour" => PngFile.Encode(
                2, 2, 16, 2, [256, 2, 3, 257, 2, 3, 258, 2, 3, 259, 2, 3], chunks: [Alpha(1, 1, 0, 2, 0, 3)]),
            "gray, a level" => PngFile.Encode(2, 2, 8, 0, [7, 8, 9, 10], chunks: [Alpha(0, 9)]),
            "gray of 1 bit, a level" => PngFile.Encode(2, 2, 1, 0, [0, 1, 1, 0], chunks: [Alpha(0, 1)]),
            "palette" => PngFile.Encode(2, 1, 1, 3, [0, 1], chunks: [colours, Alpha(3)]),
            "palette, opaque entry" => PngFile.Encode(2, 1, 1, 3, [1, 1], chunks: [colours, Alpha(3, 255)]),
            "palette, too many entries" => PngFile.Encode(2, 1, 1, 3, [0, 1], chunks: [colours, Alpha(1, 2, 3)]),
            _ => PngFile.Encode(2, 1, 8, 2, [1, 2, 3, 4, 5, 6], chunks: [Alpha(0, 1)]),
        };
        var image = Image.Read(file, "x");
        Assert.Equal(share, image.TransparentShare);
        Assert.Equal(share, image.Upright(6).TransparentShare);
        Assert.Equal(share, image.Resize(5, 7).TransparentShare);
    }

    [Fact]
    public void Alpha_is_read_turned_cut_and_dropped()
    {
        byte[] file = PngFile.Encode(3, 2, 16, 6, [.. Enumerable.Range(0, 6).SelectMany(i => (int[])[257 * i, 0, 0, 257 * 40 * i + 3])]);
        var image = Image.Read(file, "x");
        Assert.Equal([0, 40, 80, 120, 160, 200], image.Alpha.ToArray());
        Assert.Equal([120, 0, 160, 40, 200, 80], image.Upright(6).Alpha.ToArray());
        Assert.Equal([80, 200], image.Crop(2, 0, 1, 2).Alpha.ToArray());
        Assert.True(image.WithoutAlpha().Alpha.IsEmpty);
        Assert.Equal(image.Rgb, image.WithoutAlpha().Rgb);
        byte[] palette = PngFile.Encode(
            3, 1, 2, 3, [2, 1, 0], chunks: [PngFile.Chunk("PLTE", [1, 2, 3, 4, 5, 6, 7, 8, 9]), PngFile.Chunk("tRNS", [7, 9])]);
        Assert.Equal([255, 9, 7], Image.Read(palette, "x").Alpha.ToArray());
        byte[] level = PngFile.Encode(2, 1, 8, 0, [9, 8], chunks: [PngFile.Chunk("tRNS", [0, 9])]);
        Assert.Equal([0, 255], Image.Read(level, "x").Alpha.ToArray());
        Assert.True(Image.Load(TestImages.At("rgb8.png")).Alpha.IsEmpty);
    }

    [Fact]
    public void Alpha_has_a_byte_for_each_pixel()
    {
        Assert.Throws<ArgumentException>(() => new Image(2, 1, new byte[6], new byte[3]));
        Assert.Equal(0.5, new Image(2, 1, new byte[6], [255, 3]).TransparentShare);
        Assert.True(new Image(2, 1, new byte[6], [255, 255]).Alpha.IsEmpty);
    }

    /// <summary>What is invisible lends no colour to its neighbours in Pillow; a golden case of references has its bytes.</summary>
    [Fact]
    public void An_image_with_alpha_is_resized_in_multiplied_colours()
    {
        byte[] pixels = [.. Enumerable.Range(0, 8).SelectMany(i => i < 4 ? (byte[])[255, 0, 0] : [0, 0, 200])];
        var image = new Image(8, 1, pixels, [0, 0, 0, 0, 255, 255, 255, 255]);
        var small = image.Resize(3, 1);
        Assert.Equal([0, 0, 0, 0, 0], [small.Rgb[0], small.Rgb[3], small.Rgb[6], small.Rgb[1], small.Rgb[4]]);
        Assert.InRange(small.Alpha[1], 120, 136);
        Assert.InRange(small.Rgb[5], 199, 201);
        Assert.NotEqual(0, image.WithoutAlpha().Resize(3, 1).Rgb[3]);
        Assert.Equal(
            [127, 0, 0],
            new Resampling(ResizeLibrary.Torch, ResizeFilter.Bilinear).Resize(new Image(2, 1, [255, 0, 0, 0, 0, 0], [0, 128]), 1, 1)
                .Rgb.ToArray().Select(value => value == 128 ? 127 : (int)value));
    }

    [Fact]
    public void On_white_paper_what_is_invisible_is_white()
    {
        var image = new Image(4, 1, [9, 9, 9, 0, 100, 200, 3, 4, 5, 10, 20, 30], [0, 128, 255, 1]).OverWhite();
        Assert.Equal([255, 255, 255, 127, 177, 227, 3, 4, 5, 254, 254, 254], image.Rgb.ToArray());
        Assert.Equal((0, true), (image.TransparentShare, image.Alpha.IsEmpty));
    }

    /// <summary>All grays of 1, 2, 4 and 8 bits run from black to white; of 16 bits the high 8 count.</summary>
    [Theory]
    [InlineData(1)]
    [InlineData(2)]
    [InlineData(4)]
    [InlineData(8)]
    [InlineData(16)]
    public void Grays_of_any_depth_run_from_black_to_white(byte depth)
    {
        int most = (1 << depth) - 1;
        int[] samples = [.. Enumerable.Range(0, 256).Select(i => i * most / 255)];
        var image = Image.Read(PngFile.Encode(16, 16, depth, 0, samples), "x");
        Assert.Equal(
            samples.Select(sample => (byte)(depth == 16 ? sample >> 8 : sample * 255 / most)),
            Enumerable.Range(0, 256).Select(i => image.Pixels[3 * i]));
        Assert.Equal((0, 255), (image.Pixels[0], image.Pixels[^1]));
    }

    /// <summary>
    /// Floats become bytes by rounding to nearest in float32: white stays white also where it was half or bfloat16 on the way, and every
    /// level comes back.
    /// </summary>
    [Fact, NoLeaks]
    public void Every_level_survives_being_a_float()
    {
        using var scope = new TensorScope();
        byte[] levels = [.. Enumerable.Range(0, 256).SelectMany(i => Enumerable.Repeat((byte)i, 3))];
        var exact = new Image(256, 1, levels).ToTensor(Host);
        Assert.Equal(levels, Image.FromTensor(exact)[0].Pixels);

        float[] half = [.. exact.ToArray().Select(value => (float)(Half)value)];
        Assert.Equal(levels, Image.FromTensor(Tensor.From(Host, half, [1, 1, 256, 3]))[0].Pixels);
        var edges = Tensor.From(Host, [1f, (float)(Half)1f, 0.99951171875f, 0f, 1.0078125f, -0.1f], [1, 1, 2, 3]);
        Assert.Equal([255, 255, 255, 0, 255, 0], Image.FromTensor(edges)[0].Pixels);
    }

    /// <summary>Shrinking averages: what CLIP and image to image see of stripes is gray, and white stays white to its edges.</summary>
    [Theory]
    [InlineData(8)]
    [InlineData(4)]
    public void Stripes_shrink_to_their_mean(int factor)
    {
        // Two of eight columns are white.
        var pixels = new byte[3 * 512 * 64];
        for (int i = 0; i < pixels.Length; i++)
            pixels[i] = (byte)(i / 3 % 8 < 2 ? 255 : 0);
        var small = new Image(512, 64, pixels).Resize(512 / 8, 64 / factor);
        for (int x = 2; x < small.Width - 2; x++)
            Assert.InRange(small.Pixels[3 * x], 63, 65);
        var white = new byte[3 * 20 * 10];
        Array.Fill(white, (byte)255);
        Assert.All(new Image(20, 10, white).Resize(73, 41).Pixels, value => Assert.Equal(255, value));
        Assert.All(new Image(20, 10, white).Resize(7, 3).Pixels, value => Assert.Equal(255, value));
    }
}
