namespace Attune.Imaging;

/// <summary>
/// Resampling with the Lanczos window of three lobes, as Pillow does it for 8-bit images: first the rows, then the columns, with weights of
/// 22 fractional bits, and 8-bit values in between. Where the image shrinks the window widens, which keeps patterns from aliasing.
/// </summary>
internal static class Lanczos
{
    private const double Lobes = 3;
    private const int FractionalBits = 22;
    private const int Half = 1 << (FractionalBits - 1);

    public static Image Resize(Image image, int width, int height)
    {
        byte[] pixels = image.Pixels;
        if (width != image.Width)
            pixels = ResizeRows(pixels, image.Width, image.Height, width);
        if (height != image.Height)
            pixels = ResizeColumns(pixels, image.Height, width, height);
        return Image.Wrap(width, height, pixels, image.TransparentShare);
    }

    private static byte[] ResizeRows(byte[] pixels, int width, int height, int newWidth)
    {
        var windows = Windows(width, newWidth, out int[] weights);
        var result = new byte[3 * newWidth * height];
        int at = 0;
        for (int y = 0; y < height; y++)
        {
            var row = pixels.AsSpan(3 * width * y, 3 * width);
            foreach (var window in windows)
            {
                int red = Half, green = Half, blue = Half;
                int from = 3 * window.Start;
                foreach (int weight in weights.AsSpan(window.Weights, window.Length))
                {
                    red += row[from] * weight;
                    green += row[from + 1] * weight;
                    blue += row[from + 2] * weight;
                    from += 3;
                }
                result[at++] = ToByte(red);
                result[at++] = ToByte(green);
                result[at++] = ToByte(blue);
            }
        }
        return result;
    }

    private static byte[] ResizeColumns(byte[] pixels, int height, int width, int newHeight)
    {
        int stride = 3 * width;
        var windows = Windows(height, newHeight, out int[] weights);
        var result = new byte[stride * newHeight];
        var sums = new int[stride];
        for (int y = 0; y < newHeight; y++)
        {
            var window = windows[y];
            sums.AsSpan().Fill(Half);
            for (int i = 0; i < window.Length; i++)
            {
                int weight = weights[window.Weights + i];
                var row = pixels.AsSpan((window.Start + i) * stride, stride);
                for (int x = 0; x < row.Length; x++)
                    sums[x] += row[x] * weight;
            }
            var line = result.AsSpan(y * stride, stride);
            for (int x = 0; x < line.Length; x++)
                line[x] = ToByte(sums[x]);
        }
        return result;
    }

    /// <summary>For each new pixel the old ones that it is made of, and their weights, which add up to 1.</summary>
    private static Window[] Windows(int size, int newSize, out int[] weights)
    {
        double scale = (double)size / newSize;
        double stretch = Math.Max(scale, 1);
        double radius = Lobes * stretch;
        var windows = new Window[newSize];
        var all = new List<int>();
        var values = new double[(2 * (int)Math.Ceiling(radius)) + 1];
        for (int i = 0; i < newSize; i++)
        {
            double center = (i + 0.5) * scale;
            int start = Math.Max((int)(center - radius + 0.5), 0);
            int end = Math.Min((int)(center + radius + 0.5), size);
            windows[i] = new Window(start, end - start, all.Count);
            double sum = 0;
            for (int j = start; j < end; j++)
                sum += values[j - start] = Kernel((j - center + 0.5) * (1 / stretch));
            for (int j = 0; j < end - start; j++)
                all.Add((int)Math.Round(values[j] / sum * (1 << FractionalBits), MidpointRounding.AwayFromZero));
        }
        weights = [.. all];
        return windows;
    }

    private static double Kernel(double x) => x is >= -Lobes and < Lobes ? Sinc(x) * Sinc(x / Lobes) : 0;

    private static double Sinc(double x) => x == 0 ? 1 : Math.Sin(x * Math.PI) / (x * Math.PI);

    private static byte ToByte(int sum) => (byte)Math.Clamp(sum >> FractionalBits, 0, 255);

    private readonly record struct Window(int Start, int Length, int Weights);
}
