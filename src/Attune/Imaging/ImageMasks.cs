namespace Attune.Imaging;

/// <summary>A part of a picture, in pixels.</summary>
/// <param name="Left">The columns left of it.</param>
/// <param name="Top">The rows above it.</param>
/// <param name="Width">Of the part.</param>
/// <param name="Height">Of the part.</param>
public readonly record struct PixelBox(int Left, int Top, int Width, int Height);

/// <summary>
/// What is done with masks, pictures that are white where another is made anew, to the bit as diffusers 0.42.1 does it with Pillow.
/// </summary>
public static class ImageMasks
{
    /// <summary>From here on grey is white.</summary>
    private const byte White = 128;

    /// <summary>How many passes of a box make a Gaussian blur in Pillow.</summary>
    private const int BlurPasses = 3;

    /// <summary>A picture in grey: 0.299 of red, 0.587 of green and 0.114 of blue, as Pillow's <c>convert("L")</c>.</summary>
    public static Image ToGray(this Image image)
    {
        ArgumentNullException.ThrowIfNull(image);
        byte[] pixels = new byte[image.Pixels.Length];
        for (int i = 0; i < pixels.Length; i += 3)
            pixels.AsSpan(i, 3).Fill(GrayAt(image, i));
        return Image.Wrap(image.Width, image.Height, pixels);
    }

    /// <summary>1 where a mask is white, which grey is from the middle on (128 of 255), else 0: height width numbers, row by row.</summary>
    public static float[] Binary(Image mask)
    {
        ArgumentNullException.ThrowIfNull(mask);
        float[] values = new float[mask.Width * mask.Height];
        for (int i = 0; i < values.Length; i++)
            values[i] = GrayAt(mask, 3 * i) >= White ? 1 : 0;
        return values;
    }

    /// <summary>A picture whose edges are soft: Pillow's <c>GaussianBlur</c>, three passes of a box along each axis.</summary>
    /// <param name="image">The picture; alpha is dropped.</param>
    /// <param name="radius">The standard deviation, in pixels; 0 changes nothing.</param>
    /// <exception cref="ArgumentOutOfRangeException">The radius is negative or not finite.</exception>
    public static Image Blur(this Image image, double radius)
    {
        ArgumentNullException.ThrowIfNull(image);
        ArgumentOutOfRangeException.ThrowIfNegative(radius);
        if (!double.IsFinite(radius))
            throw new ArgumentOutOfRangeException(nameof(radius), "The radius of a blur is not finite.");
        if (radius == 0)
            return image.WithoutAlpha();

        // Gwosdek et al., "Theoretical Foundations of Gaussian Convolution by Extended Box Filtering", 2011: in float32, as Pillow.
        float variance = (float)radius * (float)radius / BlurPasses;
        float whole = MathF.Floor(((float)Math.Sqrt(12.0 * variance + 1.0) - 1) / 2);
        float part = (2 * whole + 1) * (whole * (whole + 1) - 3 * variance) / (6 * (variance - (whole + 1) * (whole + 1)));
        byte[] pixels = image.Pixels;
        for (int pass = 0; pass < 2 * BlurPasses; pass++)
        {
            bool alongHeight = pass >= BlurPasses;
            pixels = Box(pixels, image.Width, image.Height, alongHeight, whole + part);
        }
        return Image.Wrap(image.Width, image.Height, pixels);
    }

    /// <summary>
    /// The part of a picture around what a mask has that is not black, for making that anew at a size of its own: grown on all sides within
    /// the picture, then to the ratio of the size, as far as the picture allows it.
    /// </summary>
    /// <param name="mask">The mask, as large as the picture.</param>
    /// <param name="size">The size at which the part is made.</param>
    /// <param name="padding">By how many pixels it grows on each side.</param>
    /// <exception cref="ArgumentException">The mask is black.</exception>
    public static PixelBox Around(Image mask, PixelSize size, int padding)
    {
        ArgumentNullException.ThrowIfNull(mask);
        ArgumentOutOfRangeException.ThrowIfNegative(padding);
        var (width, height) = (mask.Width, mask.Height);
        var (left, top, right, bottom) = (width, height, 0, 0);
        for (int i = 0; i < width * height; i++)
        {
            if (GrayAt(mask, 3 * i) == 0)
                continue;
            var (y, x) = Math.DivRem(i, width);
            (left, top, right, bottom) = (Math.Min(left, x), Math.Min(top, y), Math.Max(right, x + 1), Math.Max(bottom, y + 1));
        }
        if (right == 0)
            throw new ArgumentException("The mask is black: nothing is made anew.", nameof(mask));
        (left, right) = (Math.Max(left - padding, 0), Math.Min(right + padding, width));
        (top, bottom) = (Math.Max(top - padding, 0), Math.Min(bottom + padding, height));
        double ratio = (double)size.Width / size.Height;
        if ((double)(right - left) / (bottom - top) > ratio)
            (top, bottom) = Grown(top, bottom, (right - left) / ratio, height);
        else
            (left, right) = Grown(left, right, (bottom - top) * ratio, width);
        return new PixelBox(left, top, right - left, bottom - top);
    }

    /// <summary>A picture of which a part is made anew, where a mask says so: grey mixes both.</summary>
    /// <param name="original">The whole picture.</param>
    /// <param name="mask">As large as the picture; white shows what was made, black the original.</param>
    /// <param name="made">What was made, of any size: the box is covered by it.</param>
    /// <param name="box">Where it belongs.</param>
    /// <exception cref="ArgumentException">The mask is not as large as the picture.</exception>
    public static Image Overlay(Image original, Image mask, Image made, PixelBox box)
    {
        ArgumentNullException.ThrowIfNull(original);
        ArgumentNullException.ThrowIfNull(mask);
        ArgumentNullException.ThrowIfNull(made);
        if ((mask.Width, mask.Height) != (original.Width, original.Height))
        {
            throw new ArgumentException(
                $"The mask has {mask.Width} x {mask.Height} pixels, the picture {original.Width} x {original.Height}.", nameof(mask));
        }
        byte[] pixels = new byte[original.Pixels.Length];
        var part = made.Fit(box.Width, box.Height, ImageFit.Cover);
        for (int row = 0; row < box.Height; row++)
        {
            part.Pixels.AsSpan(3 * row * box.Width, 3 * box.Width)
                .CopyTo(pixels.AsSpan(3 * ((box.Top + row) * original.Width + box.Left)));
        }

        // As Pillow composes: colours multiplied by alpha in 8 bits and back, then 7 bits more for the mixture.
        for (int i = 0; i < pixels.Length; i++)
        {
            int alpha = 255 - GrayAt(mask, i / 3 * 3);
            if (alpha == 0)
                continue;
            int colour = original.Pixels[i];
            if (alpha < 255)
                colour = Math.Min(255 * Image.DividedBy255(colour * alpha) / alpha, 255);
            int mixed = (colour * alpha + pixels[i] * (255 - alpha) + 128) << 7;
            pixels[i] = (byte)((mixed + (mixed >> 8)) >> 15);
        }
        return Image.Wrap(original.Width, original.Height, pixels);
    }

    private static byte GrayAt(Image image, int at) => (byte)(
        (19595 * image.Pixels[at] + 38470 * image.Pixels[at + 1] + 7471 * image.Pixels[at + 2] + 32768) >> 16);

    /// <summary>A stretch of an axis that grows to a length, half of it before, and moves to lie within the axis.</summary>
    private static (int Start, int End) Grown(int start, int end, double length, int size)
    {
        int more = (int)(length - (end - start));
        (start, end) = (start - more / 2, end + more - more / 2);
        if (end >= size)
            (start, end) = (start - (end - size), size);
        if (start < 0)
            (start, end) = (0, end - start);
        return (start, Math.Min(end, size));
    }

    /// <summary>
    /// A pass of a box of 2 radius + 1 pixels along an axis, whose outermost two count in part; beyond the edge is the edge.
    /// </summary>
    private static byte[] Box(byte[] pixels, int width, int height, bool alongHeight, float radius)
    {
        int whole = (int)radius;
        uint weight = (uint)((1 << 24) / (radius * 2 + 1));
        uint outer = ((1 << 24) - (uint)(2 * whole + 1) * weight) / 2;
        var (length, step) = alongHeight ? (height, 3 * width) : (width, 3);
        byte[] result = new byte[pixels.Length];
        for (int line = 0; line < pixels.Length / length; line++)
        {
            int first = alongHeight ? line : line / 3 * 3 * width + line % 3;
            uint At(int place) => pixels[first + Math.Clamp(place, 0, length - 1) * step];
            for (int place = 0; place < length; place++)
            {
                uint sum = 0;
                for (int i = -whole; i <= whole; i++)
                    sum += At(place + i);
                sum = sum * weight + (At(place - whole - 1) + At(place + whole + 1)) * outer;
                result[first + place * step] = (byte)((sum + (1 << 23)) >> 24);
            }
        }
        return result;
    }
}
