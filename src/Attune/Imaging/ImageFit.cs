namespace Attune.Imaging;

/// <summary>How a picture is brought to a size whose ratio may be another, as the image processors of diffusers do it.</summary>
public enum ImageFit
{
    /// <summary>The ratio is not kept ("default" of diffusers).</summary>
    Stretch,

    /// <summary>
    /// The ratio is kept, the whole picture lies in the middle, and the bands beside it go on with the colours of its edge ("fill").
    /// </summary>
    Fill,

    /// <summary>The ratio is kept, the size is covered, and what stands out is cut off ("crop").</summary>
    Cover,

    /// <summary>The middle is cut out, and nothing is resized ("crop" of FLUX.2).</summary>
    Middle,
}

/// <summary>Brings pictures to sizes of other ratios, bit for bit as diffusers 0.42.1 does with Pillow (to 12.3).</summary>
public static class ImageFitting
{
    /// <summary>Pillow rounds weights to 22 bits.</summary>
    private const int WeightBits = 22;

    /// <summary>An image of another size. Lanczos, as <see cref="Image.Resize"/>.</summary>
    /// <param name="image">The picture; the fits that keep its ratio drop its alpha.</param>
    /// <param name="width">In pixels.</param>
    /// <param name="height">In pixels.</param>
    /// <param name="fit">How.</param>
    /// <exception cref="ArgumentOutOfRangeException">A side is not positive, too large for the picture's middle, or the picture would have
    /// no pixel left on a side.</exception>
    public static Image Fit(this Image image, int width, int height, ImageFit fit)
    {
        ArgumentNullException.ThrowIfNull(image);
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(width);
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(height);
        return fit switch
        {
            ImageFit.Stretch => image.Resize(width, height),
            ImageFit.Middle => image.Crop((image.Width - width) / 2, (image.Height - height) / 2, width, height),
            _ => InMiddle(image.WithoutAlpha(), width, height, fill: fit == ImageFit.Fill),
        };
    }

    private static Image InMiddle(Image image, int width, int height, bool fill)
    {
        double ratio = (double)width / height;
        double own = (double)image.Width / image.Height;
        bool alongWidth = fill ? ratio < own : ratio > own;
        var (wide, high) = alongWidth || ratio == own
            ? (width, ratio == own ? height : (int)((long)image.Height * width / image.Width))
            : ((int)((long)image.Width * height / image.Height), height);
        if (wide < 1 || high < 1)
        {
            throw new ArgumentOutOfRangeException(
                nameof(image), $"A picture of {image.Width} x {image.Height} pixels has none left on a side within {width} x {height}.");
        }
        var resized = image.Resize(wide, high);
        byte[] pixels = new byte[3 * width * height];
        var (left, top) = (width / 2 - wide / 2, height / 2 - high / 2);
        Paste(resized.Pixels, wide, high, pixels, width, height, left, top);
        if (fill && left > 0)
        {
            byte[] first = Beyond(resized, column: true, last: false), last = Beyond(resized, column: true, last: true);
            for (int x = 0; x < left; x++)
            {
                Paste(first, 1, high, pixels, width, height, x, 0);
                Paste(last, 1, high, pixels, width, height, left + wide + x, 0);
            }
        }
        if (fill && top > 0)
        {
            byte[] first = Beyond(resized, column: false, last: false), last = Beyond(resized, column: false, last: true);
            for (int y = 0; y < top; y++)
            {
                Paste(first, wide, 1, pixels, width, height, 0, y);
                Paste(last, wide, 1, pixels, width, height, 0, top + high + y);
            }
        }
        return Image.Wrap(width, height, pixels, image.TransparentShare);
    }

    /// <summary>
    /// What goes on beyond an edge: Pillow's bicubic resizing of a box without area there, 1.125 of the outermost line and -0.125 of the
    /// next.
    /// </summary>
    private static byte[] Beyond(Image image, bool column, bool last)
    {
        var (lines, length) = column ? (image.Width, image.Height) : (image.Height, image.Width);
        int outer = last ? lines - 1 : 0;
        int inner = lines == 1 ? outer : last ? outer - 1 : 1;
        int near = lines == 1 ? 1 << WeightBits : 9 << (WeightBits - 3);
        byte[] line = new byte[3 * length];
        for (int i = 0; i < line.Length; i++)
        {
            byte At(int index) => image.Pixels[column ? 3 * (i / 3 * image.Width + index) + i % 3 : 3 * index * image.Width + i];
            int value = At(outer) * near + At(inner) * ((1 << WeightBits) - near) + (1 << (WeightBits - 1));
            line[i] = (byte)Math.Clamp(value >> WeightBits, 0, 255);
        }
        return line;
    }

    /// <summary>Puts a picture on another; what stands out is left out.</summary>
    private static void Paste(byte[] from, int wide, int high, byte[] onto, int width, int height, int left, int top)
    {
        int first = Math.Max(-left, 0);
        int count = Math.Min(wide, width - left) - first;
        for (int row = Math.Max(-top, 0); row < Math.Min(high, height - top) && count > 0; row++)
        {
            from.AsSpan(3 * (row * wide + first), 3 * count)
                .CopyTo(onto.AsSpan(3 * ((top + row) * width + left + first)));
        }
    }
}
