using Attune.Tensors;

namespace Attune.Imaging;

/// <summary>The shape of the weights with which pixels are brought to another size.</summary>
public enum ResizeFilter
{
    /// <summary>Straight lines between neighbours.</summary>
    Bilinear,

    /// <summary>Cubic pieces through four neighbours; a = -0.5, in torch without antialias -0.75.</summary>
    Bicubic,

    /// <summary>The Lanczos window of three lobes.</summary>
    Lanczos,
}

/// <summary>Whose arithmetic is followed.</summary>
public enum ResizeLibrary
{
    /// <summary>Pillow from 13.0, which goes along the height first where that falls by more than twice as much as the width.</summary>
    Pillow,

    /// <summary>Pillow to 12.3, which always goes along the width first.</summary>
    Pillow12,

    /// <summary>PyTorch's <c>interpolate</c> with half-pixel centres, which torchvision's <c>resize</c> is too.</summary>
    Torch,

    /// <summary>The bilinear resizing of TensorFlow 1: no half pixel, no antialias. It gives floats alone.</summary>
    TensorFlow1,
}

/// <summary>
/// How pictures are brought to another size, as one library does it: published numbers differ by this alone. Pixels of 8 bits are resized
/// in integers, bit for bit as the library does: two passes, each rounded and clamped to 0..255, one that keeps the size left out. With
/// antialias the window widens where a picture shrinks. Of an image with alpha Pillow resizes colours multiplied by it, torch each channel
/// by itself.
/// </summary>
/// <param name="Library">Whose arithmetic.</param>
/// <param name="Filter">The weights; TensorFlow 1 has bilinear ones, torch no Lanczos window.</param>
/// <param name="Antialias">Whether the window widens where the picture shrinks: Pillow always, TensorFlow 1 never.</param>
public sealed record Resampling(ResizeLibrary Library, ResizeFilter Filter, bool Antialias = true)
{
    private const int MostBits = 22;

    /// <summary>An image of another size; its aspect ratio is not kept.</summary>
    /// <param name="image">The picture.</param>
    /// <param name="width">In pixels.</param>
    /// <param name="height">In pixels.</param>
    /// <exception cref="ArgumentOutOfRangeException">A side is not positive, or the image or what stands between the passes has more than
    /// 178,956,970 pixels.</exception>
    /// <exception cref="NotSupportedException">The library has no such resizing, or none of 8-bit pixels.</exception>
    public Image Resize(Image image, int width, int height)
    {
        ArgumentNullException.ThrowIfNull(image);
        return Resize(image, width, height, (0, 0, image.Width, image.Height));
    }

    /// <summary>
    /// The same of a part of the image, whose edges need not lie between pixels; what is beyond them counts where a window reaches there.
    /// </summary>
    internal Image Resize(Image image, int width, int height, (float Left, float Top, float Right, float Bottom) box)
    {
        RequireSize(image.Width, image.Height, width, height);
        RequireSupported();
        if (Library == ResizeLibrary.TensorFlow1)
            throw new NotSupportedException("TensorFlow 1 resizes to floats: there is no image of 8 bits.");
        var (across, down) = (new Axis(image.Width, width, box.Left, box.Right), new Axis(image.Height, height, box.Top, box.Bottom));
        if (across.IsSame && down.IsSame)
            return image;
        if (image.AlphaPlane == null)
            return Image.Wrap(width, height, Resized(image.Pixels, across, down), image.TransparentShare);
        bool multiplies = Library is ResizeLibrary.Pillow or ResizeLibrary.Pillow12;
        var (pixels, alpha) = (image.Pixels, image.AlphaPlane);
        if (multiplies)
            pixels = [.. pixels.Select((value, i) => Image.DividedBy255(value * alpha[i / 3]))];
        pixels = Resized(pixels, across, down);
        byte[] gray = Resized([.. alpha.SelectMany(value => Enumerable.Repeat(value, 3))], across, down);
        alpha = [.. Enumerable.Range(0, width * height).Select(i => gray[3 * i])];
        for (int i = 0; multiplies && i < pixels.Length; i++)
        {
            if (alpha[i / 3] is not (0 or 255) and var part)
                pixels[i] = (byte)Math.Min(255 * pixels[i] / part, 255);
        }
        return Image.Wrap(width, height, pixels, image.TransparentShare, alpha);
    }

    private byte[] Resized(byte[] pixels, Axis across, Axis down)
    {
        var (columns, rows) = (across.Size, down.Size);
        foreach (bool alongHeight in Passes(across, down))
        {
            var windows = Windows(alongHeight ? down : across, single: false);
            var (weights, bits) = ToIntegers(windows);
            pixels = alongHeight ? Columns(pixels, 3 * columns, windows, weights, bits)
                : Rows(pixels, columns, rows, windows, weights, bits);
            (columns, rows) = alongHeight ? (columns, down.NewSize) : (across.NewSize, rows);
        }
        return pixels;
    }

    /// <summary>Pixels of another size; neither rounded to whole numbers nor clamped.</summary>
    /// <param name="pixels">Red, green, blue for each pixel: [height, width, 3].</param>
    /// <param name="width">Of the picture.</param>
    /// <param name="height">Of the picture.</param>
    /// <param name="newWidth">In pixels.</param>
    /// <param name="newHeight">In pixels.</param>
    /// <returns>[new height, new width, 3].</returns>
    /// <exception cref="ArgumentException">The pixels are not those of such a picture.</exception>
    /// <exception cref="ArgumentOutOfRangeException">As for images.</exception>
    /// <exception cref="NotSupportedException">The library has no such resizing.</exception>
    public float[] Resize(ReadOnlySpan<float> pixels, int width, int height, int newWidth, int newHeight)
    {
        RequireSize(width, height, newWidth, newHeight);
        RequireSupported();
        if (pixels.Length != 3L * width * height)
            throw new ArgumentException($"{pixels.Length} numbers do not make an RGB image of {width} x {height}.", nameof(pixels));
        float[] result = pixels.ToArray();
        var (across, down) = (new Axis(width, newWidth, 0, width), new Axis(height, newHeight, 0, height));
        foreach (bool alongHeight in Passes(across, down))
        {
            bool single = Library is ResizeLibrary.Torch or ResizeLibrary.TensorFlow1;
            result = alongHeight ? Columns(result, 3 * width, Windows(down, single))
                : Rows(result, width, height, Windows(across, single));
            (width, height) = alongHeight ? (width, newHeight) : (newWidth, height);
        }
        return result;
    }

    private static void RequireSize(int width, int height, int newWidth, int newHeight)
    {
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(newWidth);
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(newHeight);
        if ((long)newWidth * Math.Max(newHeight, height) > Image.MaxPixels)
            throw new ArgumentOutOfRangeException(
                nameof(newWidth), $"{newWidth} x {newHeight}, from {width} x {height}: more than {Image.MaxPixels} pixels.");
    }

    private void RequireSupported()
    {
        bool supported = Library switch
        {
            ResizeLibrary.Torch => Filter != ResizeFilter.Lanczos,
            ResizeLibrary.TensorFlow1 => Filter == ResizeFilter.Bilinear && !Antialias,
            _ => Antialias,
        };
        if (!supported)
            throw new NotSupportedException(
                $"{Library} has no {Filter} resizing with{(Antialias ? "" : "out")} antialias; expected Lanczos of Pillow alone, torch "
                    + "with or without antialias, and TensorFlow 1 bilinear without it.");
    }

    /// <summary>The axes along which something changes, in order: true is the height.</summary>
    private IEnumerable<bool> Passes(Axis across, Axis down)
    {
        int fall = down.Size - down.NewSize;
        bool heightFirst = Library == ResizeLibrary.Pillow && fall > 0 && fall > 2L * (across.Size - across.NewSize);
        foreach (bool alongHeight in new[] { heightFirst, !heightFirst })
        {
            if (!(alongHeight ? down : across).IsSame)
                yield return alongHeight;
        }
    }

    /// <summary>For each new place the old ones that it is made of, with weights whose sum is 1.</summary>
    /// <param name="axis">The sizes.</param>
    /// <param name="single">Whether places are computed in float32, as torch and TensorFlow do for floats.</param>
    private Window[] Windows(Axis axis, bool single)
    {
        var (size, newSize) = (axis.Size, axis.NewSize);
        double scale = single ? (axis.To - axis.From) / newSize : (double)(axis.To - axis.From) / newSize;
        var windows = new Window[newSize];
        for (int i = 0; i < newSize; i++)
        {
            windows[i] = (Library, Antialias) switch
            {
                (ResizeLibrary.TensorFlow1, _) => Between((float)i * (float)scale, size),
                (_, false) => Plain(scale, i, size, single),
                _ => Widened(scale, axis.From, i, size, single),
            };
        }
        return windows;
    }

    private Window Widened(double scale, float from, int place, int size, bool single)
    {
        double stretch = Math.Max(scale, 1);
        double radius = Radius * stretch;
        double center = from + (place + 0.5) * scale;
        double inverse = 1 / stretch;
        if (single)
            (center, inverse) = ((float)center, (float)inverse);
        int start = Math.Max((int)(center - radius + 0.5), 0);
        int end = Math.Min((int)(center + radius + 0.5), size);
        var weights = new double[end - start];
        double sum = 0;
        for (int i = 0; i < weights.Length; i++)
            sum += weights[i] = Weight((start + i - center + 0.5) * inverse, -0.5);
        for (int i = 0; i < weights.Length; i++)
            weights[i] /= sum;
        return new Window(start, weights);
    }

    /// <summary>Two or four neighbours, however much the picture shrinks; those beyond the edge are the edge.</summary>
    private Window Plain(double scale, int place, int size, bool single)
    {
        double x = (place + 0.5) * scale - 0.5;
        if (single)
            x = (float)((float)scale * (place + 0.5f)) - 0.5f;
        if (Filter == ResizeFilter.Bilinear)
            return Between(Math.Max(x, 0), size);
        int first = (int)Math.Floor(x) - 1;
        int start = Math.Clamp(first, 0, size - 1);
        var weights = new double[Math.Clamp(first + 3, 0, size - 1) - start + 1];
        for (int i = first; i < first + 4; i++)
            weights[Math.Clamp(i, 0, size - 1) - start] += Weight(x - i, -0.75);
        return new Window(start, weights);
    }

    private static Window Between(double x, int size)
    {
        int first = Math.Min((int)x, size - 1);
        double share = Math.Clamp(x - first, 0, 1);
        return first == size - 1 ? new Window(first, [1]) : new Window(first, [1 - share, share]);
    }

    private double Radius => Filter switch
    {
        ResizeFilter.Bilinear => 1,
        ResizeFilter.Bicubic => 2,
        _ => 3,
    };

    private double Weight(double x, double a)
    {
        double distance = Math.Abs(x);
        return Filter switch
        {
            ResizeFilter.Bilinear => distance < 1 ? 1 - distance : 0,
            ResizeFilter.Bicubic when distance < 1 => ((a + 2) * distance - (a + 3)) * distance * distance + 1,
            ResizeFilter.Bicubic => distance < 2 ? (((distance - 5) * distance + 8) * distance - 4) * a : 0,
            _ => x is >= -3 and < 3 ? Sinc(x) * Sinc(x / 3) : 0,
        };
    }

    private static double Sinc(double x) => x == 0 ? 1 : Math.Sin(x * Math.PI) / (x * Math.PI);

    /// <summary>
    /// Weights as whole numbers of so many fractional bits: Pillow has 22; torch keeps them in 16 bits, and takes as many bits as its
    /// largest weight leaves room for.
    /// </summary>
    private (int[][] Weights, int Bits) ToIntegers(Window[] windows)
    {
        int bits = MostBits;
        if (Library == ResizeLibrary.Torch)
        {
            double largest = windows.Max(window => window.Weights.Max());
            while (bits > 0 && (int)(0.5 + largest * (1 << bits)) >= 1 << 15)
                bits--;
        }
        double one = 1 << bits;
        int Round(double weight) => (int)(weight * one + (weight < 0 ? -0.5 : 0.5));
        return ([.. windows.Select(window => Array.ConvertAll(window.Weights, Round))], bits);
    }

    private static byte[] Rows(byte[] pixels, int width, int height, Window[] windows, int[][] weights, int bits)
    {
        var result = new byte[3 * windows.Length * height];
        int half = 1 << (bits - 1);
        Workers.For(height, y =>
        {
            var row = pixels.AsSpan(3 * width * y, 3 * width);
            int at = 3 * windows.Length * y;
            for (int x = 0; x < windows.Length; x++)
            {
                int red = half, green = half, blue = half;
                int from = 3 * windows[x].Start;
                foreach (int weight in weights[x])
                {
                    red += row[from] * weight;
                    green += row[from + 1] * weight;
                    blue += row[from + 2] * weight;
                    from += 3;
                }
                result[at++] = ToByte(red, bits);
                result[at++] = ToByte(green, bits);
                result[at++] = ToByte(blue, bits);
            }
        });
        return result;
    }

    private static byte[] Columns(byte[] pixels, int stride, Window[] windows, int[][] weights, int bits)
    {
        var result = new byte[stride * windows.Length];
        Workers.For(windows.Length, y =>
        {
            var sums = new int[stride];
            sums.AsSpan().Fill(1 << (bits - 1));
            for (int i = 0; i < weights[y].Length; i++)
            {
                int weight = weights[y][i];
                var row = pixels.AsSpan((windows[y].Start + i) * stride, stride);
                for (int x = 0; x < row.Length; x++)
                    sums[x] += row[x] * weight;
            }
            var line = result.AsSpan(y * stride, stride);
            for (int x = 0; x < line.Length; x++)
                line[x] = ToByte(sums[x], bits);
        });
        return result;
    }

    private static float[] Rows(float[] pixels, int width, int height, Window[] windows)
    {
        var result = new float[3 * windows.Length * height];
        Workers.For(height, y =>
        {
            var row = pixels.AsSpan(3 * width * y, 3 * width);
            int at = 3 * windows.Length * y;
            foreach (var window in windows)
            {
                double red = 0, green = 0, blue = 0;
                int from = 3 * window.Start;
                foreach (double weight in window.Weights)
                {
                    red += row[from] * weight;
                    green += row[from + 1] * weight;
                    blue += row[from + 2] * weight;
                    from += 3;
                }
                (result[at], result[at + 1], result[at + 2]) = ((float)red, (float)green, (float)blue);
                at += 3;
            }
        });
        return result;
    }

    private static float[] Columns(float[] pixels, int stride, Window[] windows)
    {
        var result = new float[stride * windows.Length];
        Workers.For(windows.Length, y =>
        {
            var sums = new double[stride];
            for (int i = 0; i < windows[y].Weights.Length; i++)
            {
                double weight = windows[y].Weights[i];
                var row = pixels.AsSpan((windows[y].Start + i) * stride, stride);
                for (int x = 0; x < row.Length; x++)
                    sums[x] += row[x] * weight;
            }
            var line = result.AsSpan(y * stride, stride);
            for (int x = 0; x < line.Length; x++)
                line[x] = (float)sums[x];
        });
        return result;
    }

    private static byte ToByte(int sum, int bits) => (byte)Math.Clamp(sum >> bits, 0, 255);

    private readonly record struct Window(int Start, double[] Weights);

    /// <summary>One axis of a picture.</summary>
    /// <param name="Size">Its pixels.</param>
    /// <param name="NewSize">Those that they become.</param>
    /// <param name="From">Where the part begins that is resized.</param>
    /// <param name="To">Where it ends.</param>
    private readonly record struct Axis(int Size, int NewSize, float From, float To)
    {
        public bool IsSame => Size == NewSize && From == 0 && To == Size;
    }
}
