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
        Assert.Equal(pixels, Assert.Single(Image.FromTensor(tensor)).Rgb);
    }
}
