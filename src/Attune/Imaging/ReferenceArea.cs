namespace Attune.Imaging;

/// <summary>References that are brought to the area of a square, as the models of Qwen take them.</summary>
internal static class ReferenceArea
{
    /// <summary>Sides are multiples of this, in pixels.</summary>
    private const int Multiple = 32;

    /// <summary>The size of a picture whose ratio is kept; sides are rounded, halves to the even multiple.</summary>
    /// <param name="image">The picture.</param>
    /// <param name="side">Of the square; 0 for the picture's own area.</param>
    /// <exception cref="ArgumentException">The picture is so narrow that a side would be nothing.</exception>
    public static PixelSize Of(Image image, int side)
    {
        double ratio = (double)image.Width / image.Height;
        double width = side == 0 ? image.Width : Math.Sqrt((double)side * side * ratio);
        int Rounded(double pixels) => (int)Math.Round(pixels / Multiple) * Multiple;
        var size = new PixelSize(Rounded(width / ratio), Rounded(width));
        return size.Width > 0 && size.Height > 0 ? size : throw new ArgumentException(
            $"A reference image has {image.Width} x {image.Height} pixels, a side of which would be less than {Multiple} at the model's "
                + "size.",
            nameof(image));
    }
}
