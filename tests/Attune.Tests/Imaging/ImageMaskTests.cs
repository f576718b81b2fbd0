using Attune.Imaging;

namespace Attune.Tests.Imaging;

/// <summary>
/// What is done with pictures and masks around a run; what diffusers gives for more of it are golden cases of the group editing.
/// </summary>
public class ImageMaskTests
{
    private static Image Box(int height, int width, int top, int left, int bottom, int right, byte white = 255)
    {
        byte[] pixels = new byte[3 * height * width];
        for (int y = top; y < bottom; y++)
            pixels.AsSpan(3 * (y * width + left), 3 * (right - left)).Fill(white);
        return new Image(width, height, pixels);
    }

    private static Image Flat(int width, int height, params byte[] colour) =>
        new(width, height, [.. Enumerable.Range(0, width * height).SelectMany(_ => colour)]);

    private static byte[] ColourAt(Image image, int x, int y) => image.Rgb.Slice(3 * (y * image.Width + x), 3).ToArray();

    /// <summary>VaeImageProcessor.get_crop_region of diffusers 0.42.1: left, top, right, bottom.</summary>
    [Theory]
    [InlineData(120, 150, 52, 100, 70, 125, 6, 64, 96, 90, 46, 135, 76)]
    [InlineData(64, 64, 0, 0, 10, 64, 0, 64, 64, 0, 0, 64, 64)]
    [InlineData(90, 40, 80, 30, 90, 40, 12, 96, 64, 18, 57, 40, 90)]
    [InlineData(50, 200, 20, 5, 30, 190, 3, 64, 64, 2, 0, 193, 50)]
    [InlineData(77, 61, 30, 20, 31, 21, 0, 48, 80, 20, 30, 21, 31)]
    public void A_part_grows_to_the_ratio_that_is_made(
        int height, int width, int top, int left, int bottom, int right, int padding, int outHeight, int outWidth,
        int cropLeft, int cropTop, int cropRight, int cropBottom)
    {
        var box = ImageMasks.Around(Box(height, width, top, left, bottom, right, 1), new PixelSize(outHeight, outWidth), padding);
        Assert.Equal(new PixelBox(cropLeft, cropTop, cropRight - cropLeft, cropBottom - cropTop), box);
    }

    [Fact]
    public void A_black_mask_has_no_part() =>
        Assert.Throws<ArgumentException>(() => ImageMasks.Around(Flat(8, 8, 0, 0, 0), new PixelSize(8, 8), 2));

    [Fact]
    public void Grey_is_white_from_the_middle_on()
    {
        Assert.Equal([0, 1], ImageMasks.Binary(new Image(2, 1, [127, 127, 127, 128, 128, 128])));
        Assert.Equal([0, 1, 0], ImageMasks.Binary(new Image(3, 1, [255, 0, 0, 0, 255, 0, 0, 0, 255])));
        Assert.Equal([76, 76, 76, 150, 150, 150], new Image(2, 1, [255, 0, 0, 0, 255, 0]).ToGray().Rgb.ToArray());
    }

    [Fact]
    public void A_blur_keeps_what_is_flat_and_spreads_what_is_not()
    {
        Assert.Equal(Flat(9, 7, 10, 200, 30).Rgb.ToArray(), Flat(9, 7, 10, 200, 30).Blur(2.5).Rgb.ToArray());
        var soft = Box(31, 31, 15, 15, 16, 16).Blur(1);
        Assert.InRange(ColourAt(soft, 15, 15)[0], 35, 45);      // 255 / (2 pi) = 40.6
        Assert.Equal(ColourAt(soft, 13, 15), ColourAt(soft, 17, 15));
        Assert.Equal(ColourAt(soft, 13, 15), ColourAt(soft, 15, 17));
        Assert.Equal(0, ColourAt(soft, 0, 0)[0]);
        Assert.Throws<ArgumentOutOfRangeException>(() => soft.Blur(-1));
        Assert.Throws<ArgumentOutOfRangeException>(() => soft.Blur(double.PositiveInfinity));
    }

    [Fact]
    public void Fits_keep_the_ratio_where_they_say_so()
    {
        var image = new Image(4, 2, [.. Enumerable.Range(0, 8).SelectMany(i => new byte[] { (byte)(i % 4 * 60), 0, (byte)(i / 4 * 255) })]);
        var cover = image.Fit(2, 2, ImageFit.Cover);
        Assert.Equal(image.Crop(1, 0, 2, 2).Rgb.ToArray(), cover.Rgb.ToArray());
        Assert.Equal(cover.Rgb.ToArray(), image.Fit(2, 2, ImageFit.Middle).Rgb.ToArray());

        // Above goes on what is darker than the outermost row by an eighth of its distance from the next: 0 - 255 / 8 is 0.
        var fill = image.Fit(4, 4, ImageFit.Fill);
        Assert.Equal(image.Rgb.ToArray(), fill.Crop(0, 1, 4, 2).Rgb.ToArray());
        Assert.Equal([60, 0, 0], ColourAt(fill, 1, 0));
        Assert.Equal([60, 0, 255], ColourAt(fill, 1, 3));

        // A leftover row stays black.
        Assert.Equal([0, 0, 0], ColourAt(image.Fit(4, 5, ImageFit.Fill), 1, 4));
        Assert.Throws<ArgumentOutOfRangeException>(() => image.Fit(0, 2, ImageFit.Fill));
        Assert.Throws<ArgumentOutOfRangeException>(() => image.Fit(5, 2, ImageFit.Middle));
        Assert.Throws<ArgumentOutOfRangeException>(() => Flat(400, 2, 0, 0, 0).Fit(8, 8, ImageFit.Fill));
    }

    [Fact]
    public void What_a_mask_keeps_is_the_original_and_grey_mixes()
    {
        var original = Flat(3, 1, 200, 100, 0);
        var mask = new Image(3, 1, [0, 0, 0, 128, 128, 128, 255, 255, 255]);
        var whole = ImageMasks.Overlay(original, mask, Flat(3, 1, 0, 50, 240), new PixelBox(0, 0, 3, 1));
        Assert.Equal([200, 100, 0, 100, 75, 120, 0, 50, 240], whole.Rgb.ToArray());
        Assert.Throws<ArgumentException>(() => ImageMasks.Overlay(original, Flat(2, 1, 0, 0, 0), original, new PixelBox(0, 0, 3, 1)));
    }
}
