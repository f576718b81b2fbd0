using System.Buffers.Binary;
using System.Text;

namespace Attune.Imaging;

/// <summary>
/// Writes GIF files (GIF89a) that repeat for ever. All frames share one palette of 256 colours, so that what stands still does not
/// flicker: the colours themselves where there are no more, else the means of boxes of the colours (Heckbert's median cut), with an ordered
/// dither, whose pattern stands still too. Bytes depend on pixels, rate and texts alone.
/// </summary>
public static class Gif
{
    private const int Colors = 256;

    /// <summary>Bits of a channel that choose a colour of the palette.</summary>
    private const int Bits = 5;

    private const int Cells = 1 << (3 * Bits);

    /// <summary>The longest code of the format's compression.</summary>
    private const int LongestCode = 12;

    /// <summary>The ordered dither of Bayer: in which order the pixels of a cell of 8 x 8 take the next level.</summary>
    private static readonly int[] Bayer = [.. Enumerable.Range(0, 64).Select(i => Threshold(i % 8, i / 8))];

    /// <summary>Writes a video.</summary>
    /// <param name="frames">The frames, of at most 65,535 pixels a side.</param>
    /// <param name="rate">Frames a second, above 0 and at most 50. Files have hundredths of a second: what rounding takes from a frame the
    /// next gets, so that the whole has its length.</param>
    /// <param name="stream">Where to write.</param>
    /// <param name="texts">Keywords and texts, as comments "keyword: text".</param>
    /// <exception cref="ArgumentOutOfRangeException">The rate is out of range.</exception>
    /// <exception cref="ImageException">The frames are larger than the format takes.</exception>
    public static void Write(Frames frames, double rate, Stream stream, params ReadOnlySpan<KeyValuePair<string, string>> texts)
    {
        ArgumentNullException.ThrowIfNull(frames);
        ArgumentNullException.ThrowIfNull(stream);
        if (rate is not (> 0 and <= 50))
            throw new ArgumentOutOfRangeException(nameof(rate), rate, "Expected more than 0 and at most 50 frames a second.");
        if (frames.Width > ushort.MaxValue || frames.Height > ushort.MaxValue)
            throw new ImageException($"A GIF has at most 65535 pixels a side, not {frames.Width} x {frames.Height}.");
        var palette = Palette.Of(frames);
        stream.Write("GIF89a"u8);
        Short(stream, frames.Width);
        Short(stream, frames.Height);
        stream.Write([0b1_111_0_111, 0, 0]);        // a palette of 2^(7 + 1) colours, 8 bits a channel; background 0
        stream.Write(palette.Bytes);
        stream.Write([0x21, 0xFF, 11, .. "NETSCAPE2.0"u8, 3, 1, 0, 0, 0]);
        foreach (var (keyword, text) in texts)
        {
            stream.Write([0x21, 0xFE]);
            Blocks(stream, Encoding.UTF8.GetBytes($"{keyword}: {text}"));
        }
        byte[] indices = new byte[frames.Width * frames.Height];
        long shown = 0;
        for (int i = 0; i < frames.Count; i++)
        {
            long end = (long)Math.Round((i + 1) * 100 / rate);
            stream.Write([0x21, 0xF9, 4, 0]);
            Short(stream, (int)Math.Min(end - shown, ushort.MaxValue));
            shown = end;
            stream.Write([0, 0, 0x2C, 0, 0, 0, 0]);
            Short(stream, frames.Width);
            Short(stream, frames.Height);
            stream.WriteByte(0);
            palette.Map(frames[i], indices);
            stream.WriteByte(8);
            Blocks(stream, Compress(indices));
        }
        stream.WriteByte(0x3B);
    }

    private static int Threshold(int x, int y)
    {
        int value = 0;
        for (int bit = 0; bit < 3; bit++)
            value = value << 2 | (((x ^ y) >> bit & 1) << 1) | (y >> bit & 1);
        return value;
    }

    private static void Short(Stream stream, int value)
    {
        Span<byte> bytes = stackalloc byte[2];
        BinaryPrimitives.WriteUInt16LittleEndian(bytes, (ushort)value);
        stream.Write(bytes);
    }

    /// <summary>Data in blocks of up to 255 bytes, and an empty one.</summary>
    private static void Blocks(Stream stream, ReadOnlySpan<byte> data)
    {
        for (; data.Length > 0; data = data[Math.Min(255, data.Length)..])
        {
            var block = data[..Math.Min(255, data.Length)];
            stream.WriteByte((byte)block.Length);
            stream.Write(block);
        }
        stream.WriteByte(0);
    }

    /// <summary>LZW with codes that grow from 9 to 12 bits, lowest bits first (appendix F of the specification).</summary>
    private static ReadOnlySpan<byte> Compress(ReadOnlySpan<byte> indices)
    {
        const int Clear = 256;
        const int End = 257;
        var output = new MemoryStream(indices.Length / 2 + 16);
        var known = new Dictionary<int, int>();         // (code of a string, next index) to the code of both
        var (buffer, held, width, next) = (0, 0, 9, 258);
        void Put(int code)
        {
            buffer |= code << held;
            for (held += width; held >= 8; held -= 8, buffer >>= 8)
                output.WriteByte((byte)buffer);
        }

        Put(Clear);
        int current = indices[0];
        foreach (byte index in indices[1..])
        {
            if (known.TryGetValue(current << 8 | index, out int longer))
            {
                current = longer;
                continue;
            }
            Put(current);
            if (next == 1 << LongestCode)
            {
                Put(Clear);
                known.Clear();
                (width, next) = (9, 258);
            }
            else
            {
                // A reader knows a code one step later than the writer: widths grow when the next code needs it.
                if (next == 1 << width)
                    width++;
                known.Add(current << 8 | index, next++);
            }
            current = index;
        }
        Put(current);
        if (next == 1 << width && width < LongestCode)
            width++;
        Put(End);
        if (held > 0)
            output.WriteByte((byte)buffer);
        return output.GetBuffer().AsSpan(0, (int)output.Length);
    }

    /// <summary>256 colours, and which of them stands for another.</summary>
    private sealed class Palette
    {
        private readonly Dictionary<int, byte>? _exact;
        private readonly byte[] _nearest = [];

        private Palette(byte[] bytes, Dictionary<int, byte>? exact, byte[] nearest) => (Bytes, _exact, _nearest) = (bytes, exact, nearest);

        public byte[] Bytes { get; }

        public static Palette Of(Frames frames) => Exact(frames) ?? Cut(frames);

        public void Map(Image image, byte[] indices)
        {
            var pixels = image.Rgb;
            for (int i = 0; i < indices.Length; i++)
            {
                var (red, green, blue) = (pixels[3 * i], pixels[3 * i + 1], pixels[3 * i + 2]);
                if (_exact != null)
                {
                    indices[i] = _exact[red << 16 | green << 8 | blue];
                    continue;
                }
                int offset = Bayer[i / image.Width % 8 * 8 + i % image.Width % 8] / 8 - 4;        // less than a cell's width
                indices[i] = _nearest[CellOf(red + offset, green + offset, blue + offset)];
            }
        }

        private static Palette? Exact(Frames frames)
        {
            var colors = new Dictionary<int, byte>();
            foreach (var frame in frames)
            {
                var pixels = frame.Rgb;
                for (int i = 0; i < pixels.Length; i += 3)
                {
                    int color = pixels[i] << 16 | pixels[i + 1] << 8 | pixels[i + 2];
                    if (colors.ContainsKey(color))
                        continue;
                    if (colors.Count == Colors)
                        return null;
                    colors.Add(color, (byte)colors.Count);
                }
            }
            byte[] bytes = new byte[3 * Colors];
            foreach (var (color, index) in colors)
                (bytes[3 * index], bytes[3 * index + 1], bytes[3 * index + 2]) = ((byte)(color >> 16), (byte)(color >> 8), (byte)color);
            return new Palette(bytes, colors, []);
        }

        /// <summary>Halves, again and again, the box of colours that is the longest for its pixels.</summary>
        private static Palette Cut(Frames frames)
        {
            long[] counts = new long[Cells];
            foreach (var frame in frames)
            {
                var pixels = frame.Rgb;
                for (int i = 0; i < pixels.Length; i += 3)
                    counts[CellOf(pixels[i], pixels[i + 1], pixels[i + 2])]++;
            }
            var boxes = new List<int[]> { Enumerable.Range(0, Cells).Where(cell => counts[cell] > 0).ToArray() };
            while (boxes.Count < Colors)
            {
                var (box, axis) = boxes.Where(box => box.Length > 1).Select(box => (Box: box, Axis: Longest(box)))
                    .MaxBy(pair => Extent(pair.Box, pair.Axis) * Math.Sqrt(pair.Box.Sum(cell => counts[cell])));
                if (box == null)
                    break;
                boxes.Remove(box);
                int[] sorted = [.. box.OrderBy(cell => Channel(cell, axis)).ThenBy(cell => cell)];
                long half = sorted.Sum(cell => counts[cell]) / 2;
                int at = 0;
                for (long sum = 0; at < sorted.Length - 1 && (at == 0 || sum < half); at++)
                    sum += counts[sorted[at]];
                boxes.Add(sorted[..at]);
                boxes.Add(sorted[at..]);
            }
            byte[] bytes = new byte[3 * Colors];
            for (int i = 0; i < boxes.Count; i++)
            {
                double pixels = boxes[i].Sum(cell => counts[cell]);
                for (int axis = 0; axis < 3; axis++)
                    bytes[3 * i + axis] = (byte)Math.Round(boxes[i].Sum(cell => counts[cell] * (double)Center(cell, axis)) / pixels);
            }
            byte[] nearest = new byte[Cells];
            for (int cell = 0; cell < Cells; cell++)
            {
                int best = int.MaxValue;
                for (int i = 0; i < boxes.Count; i++)
                {
                    int distance = 0;
                    for (int axis = 0; axis < 3; axis++)
                        distance += Square(Center(cell, axis) - bytes[3 * i + axis]);
                    if (distance < best)
                        (best, nearest[cell]) = (distance, (byte)i);
                }
            }
            return new Palette(bytes, null, nearest);
        }

        private static int Square(int number) => number * number;

        private static int CellOf(int red, int green, int blue) =>
            Part(red) << (2 * Bits) | Part(green) << Bits | Part(blue);

        private static int Part(int value) => Math.Clamp(value, 0, 255) >> (8 - Bits);

        private static int Channel(int cell, int axis) => cell >> ((2 - axis) * Bits) & ((1 << Bits) - 1);

        private static int Center(int cell, int axis) => Channel(cell, axis) * 255 / ((1 << Bits) - 1);

        private static int Extent(int[] box, int axis) => box.Max(cell => Channel(cell, axis)) - box.Min(cell => Channel(cell, axis));

        private static int Longest(int[] box) => Enumerable.Range(0, 3).MaxBy(axis => Extent(box, axis));
    }
}
