using System.Buffers.Binary;
using System.IO.Compression;
using System.IO.Hashing;
using System.Text;

namespace Attune.Imaging;

/// <summary>
/// Reads and writes PNG files (W3C PNG, third edition; ISO/IEC 15948). What is written is 8-bit RGB without interlacing, and its bytes
/// depend on the pixels and texts alone.
/// </summary>
public static class Png
{
    private static readonly byte[] Signature = [0x89, (byte)'P', (byte)'N', (byte)'G', 0x0D, 0x0A, 0x1A, 0x0A];

    /// <summary>Writes an image.</summary>
    /// <param name="image">The pixels.</param>
    /// <param name="stream">Where to write.</param>
    /// <param name="texts">Keywords (1 to 79 Latin-1 characters) and UTF-8 texts for iTXt chunks, in order.</param>
    /// <exception cref="ArgumentException">A keyword is too long, empty or not Latin-1.</exception>
    public static void Write(Image image, Stream stream, params ReadOnlySpan<KeyValuePair<string, string>> texts)
    {
        ArgumentNullException.ThrowIfNull(image);
        ArgumentNullException.ThrowIfNull(stream);
        WriteHead(image, stream, texts);
        WriteChunk(stream, "IDAT", Compress(image));
        WriteChunk(stream, "IEND", []);
    }

    /// <summary>
    /// Writes an animated PNG (third edition, section 11.3.6) that repeats for ever. Programs that know of none show the first frame.
    /// </summary>
    /// <param name="frames">The frames; one is an ordinary PNG.</param>
    /// <param name="rate">Frames a second, above 0 and at most 1000; it is written as a fraction with three decimals.</param>
    /// <param name="stream">Where to write.</param>
    /// <param name="texts">Keywords and texts, as for <see cref="Write"/>.</param>
    /// <exception cref="ArgumentOutOfRangeException">The rate is out of range.</exception>
    public static void WriteAnimation(
        Frames frames, double rate, Stream stream, params ReadOnlySpan<KeyValuePair<string, string>> texts)
    {
        ArgumentNullException.ThrowIfNull(frames);
        ArgumentNullException.ThrowIfNull(stream);
        if (rate is not (> 0 and <= 1000))
            throw new ArgumentOutOfRangeException(nameof(rate), rate, "Expected more than 0 and at most 1000 frames a second.");
        if (frames.Count == 1)
        {
            Write(frames[0], stream, texts);
            return;
        }
        WriteHead(frames[0], stream, texts);
        Span<byte> control = stackalloc byte[8];
        BinaryPrimitives.WriteInt32BigEndian(control, frames.Count);
        BinaryPrimitives.WriteInt32BigEndian(control[4..], 0);          // for ever
        WriteChunk(stream, "acTL", control);
        var (numerator, denominator) = Delay(rate);
        int sequence = 0;
        for (int i = 0; i < frames.Count; i++)
        {
            byte[] frame = new byte[26];
            BinaryPrimitives.WriteInt32BigEndian(frame, sequence++);
            BinaryPrimitives.WriteInt32BigEndian(frame.AsSpan(4), frames.Width);
            BinaryPrimitives.WriteInt32BigEndian(frame.AsSpan(8), frames.Height);
            BinaryPrimitives.WriteUInt16BigEndian(frame.AsSpan(20), numerator);
            BinaryPrimitives.WriteUInt16BigEndian(frame.AsSpan(22), denominator);
            WriteChunk(stream, "fcTL", frame);
            if (i == 0)
            {
                WriteChunk(stream, "IDAT", Compress(frames[0]));
                continue;
            }
            var pixels = Compress(frames[i]);
            byte[] data = new byte[4 + pixels.Length];
            BinaryPrimitives.WriteInt32BigEndian(data, sequence++);
            pixels.CopyTo(data.AsSpan(4));
            WriteChunk(stream, "fdAT", data);
        }
        WriteChunk(stream, "IEND", []);
    }

    /// <summary>How long a frame is shown, in seconds, of numbers of 16 bits.</summary>
    private static (ushort Numerator, ushort Denominator) Delay(double rate)
    {
        foreach (int numerator in (ReadOnlySpan<int>)[1, 10, 100, 1000])
        {
            double denominator = rate * numerator;
            if (denominator > ushort.MaxValue)
                break;
            if (denominator == Math.Round(denominator) || (numerator == 1000 && denominator >= 1))
                return ((ushort)numerator, (ushort)Math.Round(denominator));
        }
        return rate < 1 ? ((ushort)Math.Min(Math.Round(1 / rate), ushort.MaxValue), (ushort)1)
            : ((ushort)10, (ushort)Math.Round(10 * rate));
    }

    private static void WriteHead(Image image, Stream stream, ReadOnlySpan<KeyValuePair<string, string>> texts)
    {
        stream.Write(Signature);
        Span<byte> header = stackalloc byte[13];
        header.Clear();
        BinaryPrimitives.WriteInt32BigEndian(header, image.Width);
        BinaryPrimitives.WriteInt32BigEndian(header[4..], image.Height);
        header[8] = 8;          // bits per channel
        header[9] = 2;          // RGB
        WriteChunk(stream, "IHDR", header);
        foreach (var (keyword, text) in texts)
        {
            if (keyword.Length is < 1 or > 79 || keyword.Any(c => c is < ' ' or > '\u00FF' or (> '~' and < '\u00A1')))
                throw new ArgumentException($"'{keyword}' is no PNG keyword: 1 to 79 printable Latin-1 characters.", nameof(texts));
            WriteChunk(stream, "iTXt", [.. Encoding.Latin1.GetBytes(keyword), 0, 0, 0, 0, 0, .. Encoding.UTF8.GetBytes(text)]);
        }
    }

    /// <summary>
    /// Decodes a PNG file of any colour type, bit depth and interlacing to 8-bit RGB and alpha, as Pillow's <c>convert("RGBA")</c> does:
    /// alpha is not blended in (see <see cref="Image.TransparentShare"/>), and transparent colours become alpha; of 16 bits per channel the
    /// high 8 count (Pillow saturates 16-bit grays instead, which loses them); 1, 2 and 4-bit grays are stretched to 0 to 255; gamma
    /// and profiles are ignored. The image is turned upright where an eXIf chunk says how. What carries no
    /// pixels is not required: ancillary chunks whose check value is wrong are passed over, and the last chunk, IEND, may be missing or
    /// damaged.
    /// </summary>
    /// <param name="bytes">The whole file.</param>
    /// <param name="name">What errors call it: its path.</param>
    /// <exception cref="ImageException">The bytes are no PNG file, damaged or cut off, or the image has more than 178,956,970
    /// pixels.</exception>
    public static Image Read(ReadOnlySpan<byte> bytes, string name) => new PngReader(bytes, name).Read();

    /// <summary>
    /// The keywords and texts of a file (chunks tEXt, zTXt, iTXt), in order: what <see cref="Write"/> was given. Malformed ones are left
    /// out, as are those with which all would have more bytes than allowed.
    /// </summary>
    /// <param name="bytes">The whole file.</param>
    /// <param name="name">What errors call it: its path.</param>
    /// <param name="most">How many bytes the texts may have in all, inflated.</param>
    /// <exception cref="ImageException">The bytes are no PNG file, or its chunks are damaged.</exception>
    public static IReadOnlyList<KeyValuePair<string, string>> ReadTexts(ReadOnlySpan<byte> bytes, string name, int most = 1 << 20)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(most);
        return new PngReader(bytes, name).ReadTexts(most);
    }

    /// <summary>Writes an image to a file, which is replaced only when it is complete, as <see cref="OutputFile"/> does.</summary>
    /// <param name="image">The pixels.</param>
    /// <param name="path">The file. What it holds is PNG whatever its extension; see <see cref="Image.Save"/>.</param>
    /// <param name="texts">Keywords and texts, as for <see cref="Write"/>.</param>
    /// <exception cref="IOException">The file cannot be written.</exception>
    public static void Save(Image image, string path, params ReadOnlySpan<KeyValuePair<string, string>> texts)
    {
        KeyValuePair<string, string>[] all = [.. texts];
        OutputFile.Write(path, stream => Write(image, stream, all));
    }

    internal static bool Matches(ReadOnlySpan<byte> bytes) => bytes.StartsWith(Signature);

    /// <summary>
    /// Each row with the filter of the smallest sum of absolute differences among none, left, up and Paeth, as the specification suggests.
    /// </summary>
    private static ReadOnlySpan<byte> Compress(Image image)
    {
        int stride = image.Width * 3;
        var output = new MemoryStream();
        using (var zlib = new ZLibStream(output, CompressionLevel.Optimal, leaveOpen: true))
        {
            var candidates = new byte[5][];
            for (int filter = 0; filter < 5; filter++)
                candidates[filter] = new byte[stride + 1];
            var zeros = new byte[stride];
            for (int y = 0; y < image.Height; y++)
            {
                var row = image.Pixels.AsSpan(y * stride, stride);
                var above = y == 0 ? zeros.AsSpan() : image.Pixels.AsSpan((y - 1) * stride, stride);
                byte[] best = candidates[0];
                long least = long.MaxValue;
                foreach (int filter in (ReadOnlySpan<int>)[0, 1, 2, 4])
                {
                    long sum = Filter(filter, row, above, candidates[filter]);
                    if (sum < least)
                        (least, best) = (sum, candidates[filter]);
                }
                zlib.Write(best);
            }
        }
        return output.GetBuffer().AsSpan(0, (int)output.Length);
    }

    private static long Filter(int filter, ReadOnlySpan<byte> row, ReadOnlySpan<byte> above, Span<byte> result)
    {
        result[0] = (byte)filter;
        long sum = 0;
        for (int i = 0; i < row.Length; i++)
        {
            int left = i < 3 ? 0 : row[i - 3];
            int corner = i < 3 ? 0 : above[i - 3];
            int predicted = filter switch { 0 => 0, 1 => left, 2 => above[i], _ => Paeth(left, above[i], corner) };
            byte difference = (byte)(row[i] - predicted);
            result[i + 1] = difference;
            sum += Math.Abs((int)(sbyte)difference);
        }
        return sum;
    }

    /// <summary>Which of three neighbours is nearest to left + above - corner (section 9.4).</summary>
    internal static int Paeth(int left, int above, int corner)
    {
        int estimate = left + above - corner;
        int toLeft = Math.Abs(estimate - left);
        int toAbove = Math.Abs(estimate - above);
        int toCorner = Math.Abs(estimate - corner);
        return toLeft <= toAbove && toLeft <= toCorner ? left : toAbove <= toCorner ? above : corner;
    }

    private static void WriteChunk(Stream stream, string type, ReadOnlySpan<byte> data)
    {
        Span<byte> word = stackalloc byte[4];
        BinaryPrimitives.WriteInt32BigEndian(word, data.Length);
        stream.Write(word);
        Encoding.ASCII.GetBytes(type, word);
        stream.Write(word);
        stream.Write(data);
        var check = new Crc32();
        check.Append(word);
        check.Append(data);
        BinaryPrimitives.WriteUInt32BigEndian(word, check.GetCurrentHashAsUInt32());
        stream.Write(word);
    }
}
