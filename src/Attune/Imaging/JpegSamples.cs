using System.Runtime.CompilerServices;

namespace Attune.Imaging;

/// <summary>
/// From coefficients to pixels: the inverse cosine transform (T.81, A.3.3), upsampling and colours. T.81 leaves the arithmetic open; here
/// it is that of libjpeg-turbo's defaults, to the last bit.
/// </summary>
internal static class JpegSamples
{
    public static Image ToImage(int width, int height, JpegComponent[] components, JpegColorSpace space)
    {
        var planes = new byte[components.Length][];
        var lines = new byte[components.Length][];
        for (int i = 0; i < planes.Length; i++)
        {
            planes[i] = Transform(components[i]);
            lines[i] = new byte[Math.Max(width, 2 * components[i].Width)];
        }
        var pixels = new byte[3 * width * height];
        for (int y = 0; y < height; y++)
        {
            for (int i = 0; i < planes.Length; i++)
                Upsample(components[i], planes[i], y, lines[i]);
            Convert(space, lines, pixels.AsSpan(3 * width * y, 3 * width));
        }
        return Image.Wrap(width, height, pixels);
    }

    private static byte[] Transform(JpegComponent component)
    {
        int stride = 8 * component.StoredColumns;
        var plane = new byte[stride * 8 * component.StoredRows];
        Span<int> values = stackalloc int[64];
        for (int row = 0; row < component.BlockRows; row++)
        {
            for (int column = 0; column < component.BlockColumns; column++)
                Transform(
                    component.Block(column, row), component.Quantization!, values, plane.AsSpan((8 * row * stride) + (8 * column)), stride);
        }
        return plane;
    }

    // Constants of the transform with 13 fractional bits: sums and differences of sqrt(2) cos(k pi / 16), named by their values.
    private const int FractionalBits = 13;
    private const int C0298 = 2446, C0390 = 3196, C0541 = 4433, C0765 = 6270, C0899 = 7373, C1175 = 9633;
    private const int C1501 = 12299, C1847 = 15137, C1961 = 16069, C2053 = 16819, C2562 = 20995, C3072 = 25172;

    /// <summary>The columns of a block, which keep 2 fractional bits, then its rows; the scale of both together is 8.</summary>
    private static void Transform(
        ReadOnlySpan<short> coefficients, ReadOnlySpan<ushort> quantization, Span<int> values, Span<byte> samples, int stride)
    {
        for (int i = 0; i < 64; i++)
            values[i] = coefficients[i] * quantization[i];
        for (int x = 0; x < 8; x++)
            Transform(values, x, 8, FractionalBits - 2);
        for (int y = 0; y < 8; y++)
        {
            Transform(values, 8 * y, 1, FractionalBits + 2 + 3);
            for (int x = 0; x < 8; x++)
                samples[(y * stride) + x] = ToByte(values[(8 * y) + x] + 128);
        }
    }

    /// <summary>
    /// Eight values in place, by the algorithm of C. Loeffler, A. Ligtenberg and G. Moschytz, "Practical Fast 1-D DCT Algorithms with 11
    /// Multiplications" (ICASSP 1989), in the form with 12 multiplications; the result is divided by 2^shift and rounded.
    /// </summary>
    private static void Transform(Span<int> values, int at, int step, int shift)
    {
        int v0 = values[at], v1 = values[at + step], v2 = values[at + (2 * step)], v3 = values[at + (3 * step)];
        int v4 = values[at + (4 * step)], v5 = values[at + (5 * step)], v6 = values[at + (6 * step)], v7 = values[at + (7 * step)];

        // Even: a rotation of 2 and 6, a butterfly of 0 and 4.
        int shared = (v2 + v6) * C0541;
        int low = shared + (v2 * C0765), high = shared - (v6 * C1847);
        int sum = (v0 + v4) << FractionalBits, difference = (v0 - v4) << FractionalBits;
        int even0 = sum + low, even1 = difference + high, even2 = difference - high, even3 = sum - low;

        // Odd: four outputs that share five products.
        int a = (v7 + v1) * -C0899, b = (v5 + v3) * -C2562;
        int c = v7 + v3, d = v5 + v1;
        int all = (c + d) * C1175;
        c = all - (c * C1961);
        d = all - (d * C0390);
        int odd0 = (v1 * C1501) + a + d, odd1 = (v3 * C3072) + b + c, odd2 = (v5 * C2053) + b + d, odd3 = (v7 * C0298) + a + c;

        int half = 1 << (shift - 1);
        values[at] = (even0 + odd0 + half) >> shift;
        values[at + step] = (even1 + odd1 + half) >> shift;
        values[at + (2 * step)] = (even2 + odd2 + half) >> shift;
        values[at + (3 * step)] = (even3 + odd3 + half) >> shift;
        values[at + (4 * step)] = (even3 - odd3 + half) >> shift;
        values[at + (5 * step)] = (even2 - odd2 + half) >> shift;
        values[at + (6 * step)] = (even1 - odd1 + half) >> shift;
        values[at + (7 * step)] = (even0 - odd0 + half) >> shift;
    }

    /// <summary>
    /// Row <paramref name="y"/> of the image. Samples lie at the centres of what they cover: where there are half as many, a triangle
    /// filter weighs the nearest with 3/4 and the next with 1/4, along each axis; rounding alternates between up and down, which leaves the
    /// mean as it is. Other ratios, and images two samples wide, repeat the sample.
    /// </summary>
    private static void Upsample(JpegComponent component, byte[] plane, int y, Span<byte> line)
    {
        int stride = 8 * component.StoredColumns;
        int width = component.Width;
        bool across = 2 * component.Across == component.StepAcross && width > 2;
        bool down = 2 * component.Down == component.StepDown && (across || component.Across == component.StepAcross);
        int row = (int)((long)y * component.Down / component.StepDown);
        int neighbour = Math.Clamp((y & 1) == 0 ? row - 1 : row + 1, 0, component.Height - 1);
        var near = plane.AsSpan(row * stride, width);
        var far = plane.AsSpan(neighbour * stride, width);
        if (across && down)
        {
            int here = (3 * near[0]) + far[0], before = here;
            for (int x = 0; x < width; x++)
            {
                int after = x + 1 < width ? (3 * near[x + 1]) + far[x + 1] : here;
                line[2 * x] = (byte)(((3 * here) + before + 8) >> 4);
                line[(2 * x) + 1] = (byte)(((3 * here) + after + 7) >> 4);
                (before, here) = (here, after);
            }
        }
        else if (across && component.Down == component.StepDown)
        {
            for (int x = 0; x < width; x++)
            {
                line[2 * x] = (byte)(((3 * near[x]) + near[Math.Max(x - 1, 0)] + 1) >> 2);
                line[(2 * x) + 1] = (byte)(((3 * near[x]) + near[Math.Min(x + 1, width - 1)] + 2) >> 2);
            }
        }
        else if (down)
        {
            int bias = (y & 1) == 0 ? 1 : 2;
            for (int x = 0; x < width; x++)
                line[x] = (byte)(((3 * near[x]) + far[x] + bias) >> 2);
        }
        else if (component.Across == component.StepAcross)
        {
            near.CopyTo(line);
        }
        else
        {
            for (int x = 0; x < line.Length; x++)
                line[x] = near[Math.Min(x * component.Across / component.StepAcross, width - 1)];
        }
    }

    private static void Convert(JpegColorSpace space, byte[][] lines, Span<byte> pixels)
    {
        var first = lines[0];
        for (int x = 0, at = 0; at < pixels.Length; x++, at += 3)
        {
            var pixel = pixels.Slice(at, 3);
            switch (space)
            {
                case JpegColorSpace.Gray:
                    pixel.Fill(first[x]);
                    break;
                case JpegColorSpace.Rgb or JpegColorSpace.Cmyk:
                    (pixel[0], pixel[1], pixel[2]) = (first[x], lines[1][x], lines[2][x]);
                    break;
                default:
                    ToRgb(first[x], lines[1][x] - 128, lines[2][x] - 128, pixel);
                    break;
            }
            if (space == JpegColorSpace.Ycck)
            {
                // YCCK holds the complement of what YCbCr would.
                for (int i = 0; i < 3; i++)
                    pixel[i] = (byte)(255 - pixel[i]);
            }
            if (space is JpegColorSpace.Cmyk or JpegColorSpace.Ycck)
            {
                // Stored inverted: 255 is no ink.
                int light = lines[3][x];
                for (int i = 0; i < 3; i++)
                    pixel[i] = (byte)(light - DivideBy255((255 - pixel[i]) * light));
            }
        }
    }

    /// <summary>ITU-T T.871, section 7, with 16 fractional bits: 1.402, 0.34414, 0.71414, 1.772.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void ToRgb(int y, int cb, int cr, Span<byte> pixel)
    {
        const int half = 1 << 15;
        pixel[0] = ToByte(y + (((91881 * cr) + half) >> 16));
        pixel[1] = ToByte(y + (((-22554 * cb) - (46802 * cr) + half) >> 16));
        pixel[2] = ToByte(y + (((116130 * cb) + half) >> 16));
    }

    private static int DivideBy255(int value) => (value + 128 + ((value + 128) >> 8)) >> 8;

    private static byte ToByte(int value) => (byte)Math.Clamp(value, 0, 255);
}
