using System.Buffers;
using System.Buffers.Binary;
using System.IO.Compression;
using System.IO.Hashing;
using System.Text;

namespace Attune.Imaging;

/// <summary>Decodes one PNG file. Section numbers are those of the W3C specification, third edition.</summary>
internal ref struct PngReader
{
    private const int Gray = 0, Rgb = 2, Palette = 3, GrayAlpha = 4, RgbAlpha = 6;

    /// <summary>Deflate spends at least 2 bits on 258 bytes.</summary>
    private const long MaxExpansion = 1032;

    /// <summary>Programs write a handful; thousands, which cost few bytes, are meant to keep the reader busy.</summary>
    private const int MostTexts = 256;

    /// <summary>
    /// Where each pass of Adam7 begins, and its steps (section 8.1); a file without interlacing is one pass over everything.
    /// </summary>
    private static readonly (int X, int Y, int StepX, int StepY)[] Adam7 = [
        (0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2)];
    private static readonly (int X, int Y, int StepX, int StepY)[] NotInterlaced = [(0, 0, 1, 1)];

    private static readonly SearchValues<byte> Letters =
        SearchValues.Create("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"u8);

    private readonly ReadOnlySpan<byte> _bytes;
    private readonly string _name;
    private int _position;
    private int _width, _height, _depth, _color, _channels;
    private bool _interlaced;
    private ReadOnlySpan<byte> _palette, _transparency;
    private int _transparentPixels;

    public PngReader(ReadOnlySpan<byte> bytes, string name)
    {
        _bytes = bytes;
        _name = name;
    }

    /// <summary>The size, and of animations (third edition, section 11.3.6.1) the number of frames.</summary>
    public ImageHead ReadHead()
    {
        Begin();
        while (true)
        {
            string type = NextChunk(hasPixels: false, out var data);
            if (type is "IDAT" or "IEND")
                return new ImageHead(_width, _height, 1);
            if (type == "acTL" && data.Length == 8)
                return new ImageHead(_width, _height, (int)Math.Min(BinaryPrimitives.ReadUInt32BigEndian(data), int.MaxValue));
        }
    }

    /// <summary>Keywords and texts of the chunks tEXt, zTXt and iTXt (section 11.3.3), in order.</summary>
    /// <param name="most">How many bytes of texts are read in all; those beyond are left out.</param>
    public List<KeyValuePair<string, string>> ReadTexts(int most)
    {
        Begin();
        var texts = new List<KeyValuePair<string, string>>();
        bool hasPixels = false;
        int seen = 0;
        while (true)
        {
            string type = NextChunk(hasPixels, out var data);
            if (type == "IEND")
                return texts;
            hasPixels |= type == "IDAT";
            int end = type is "tEXt" or "zTXt" or "iTXt" ? data.IndexOf((byte)0) : -1;
            if (end < 0)
                continue;
            if (++seen > MostTexts)
                return texts;
            if (Text(type, data[(end + 1)..], most) is not { } text)
                continue;
            most -= Encoding.UTF8.GetByteCount(text);
            if (most >= 0)
                texts.Add(new(Encoding.Latin1.GetString(data[..end]), text));
        }
    }

    /// <summary>The text of a chunk behind its keyword; null where it is malformed or too long.</summary>
    private static string? Text(string type, ReadOnlySpan<byte> data, int most)
    {
        if (type == "tEXt")
            return data.Length <= most ? Encoding.Latin1.GetString(data) : null;
        bool compressed = type == "zTXt";
        if (data.Length < 2)
            return null;
        if (compressed)
        {
            if (data[0] != 0)
                return null;
            data = data[1..];
        }
        else
        {
            if (data[0] > 1 || data[1] != 0)
                return null;
            compressed = data[0] == 1;
            data = data[2..];
            for (int i = 0; i < 2; i++)         // the language, and the keyword in that language
            {
                int end = data.IndexOf((byte)0);
                if (end < 0)
                    return null;
                data = data[(end + 1)..];
            }
        }
        if (compressed)
        {
            var inflated = new byte[most + 1];
            try
            {
                using var zlib = new ZLibStream(new MemoryStream(data.ToArray()), CompressionMode.Decompress);
                data = inflated.AsSpan(0, zlib.ReadAtLeast(inflated, inflated.Length, throwOnEndOfStream: false));
            }
            catch (Exception exception) when (exception is InvalidDataException or IOException)
            {
                return null;
            }
        }
        return data.Length > most ? null : (type == "zTXt" ? Encoding.Latin1 : Encoding.UTF8).GetString(data);
    }

    private void Begin()
    {
        if (!Png.Matches(_bytes))
            throw Error("has no PNG signature");
        _position = 8;
        string type = NextChunk(hasPixels: false, out var header);
        if (type != "IHDR")
            throw Error($"begins with the chunk {type}, expected IHDR");
        ReadHeader(header);
    }

    public Image Read()
    {
        Begin();
        string type = "IHDR";
        var compressed = new MemoryStream();
        int orientation = 1;
        for (string previous = type; ; previous = type)
        {
            type = NextChunk(compressed.Length != 0, out var data);
            switch (type)
            {
                case "PLTE":
                    if (data.Length % 3 != 0 || data.Length is 0 or > 768 || compressed.Length != 0)
                        throw Error(
                            $"has a palette (PLTE) of {data.Length} bytes {(compressed.Length == 0 ? "" : "after the pixels")}, expected "
                                + $"1 to 256 colours of 3 bytes before the pixels");
                    _palette = data;
                    break;
                case "IDAT":
                    if (compressed.Length != 0 && previous != "IDAT")
                        throw Error("has other chunks between those of the pixels (IDAT)");
                    compressed.Write(data);
                    break;
                case "tRNS" when compressed.Length == 0:
                    _transparency = data;
                    break;
                case "eXIf":
                    orientation = Exif.Orientation(data);
                    break;
                case "IEND":
                    return Decode(compressed).Upright(orientation);
                default:
                    if (char.IsAsciiLetterUpper(type[0]))
                        throw Error($"has the chunk {type}, which must be understood and is not");
                    break;
            }
        }
    }

    /// <summary>
    /// Section 5.3: length, type, data, and the check value of type and data; returns the type. What carries no pixels does not make a
    /// file unreadable: ancillary chunks (their type begins with a small letter) with a wrong check value are passed over, and behind the
    /// pixels everything that is no whole chunk counts as the last one, IEND.
    /// </summary>
    private string NextChunk(bool hasPixels, out ReadOnlySpan<byte> data)
    {
        data = [];
        while (true)
        {
            var rest = _bytes[_position..];
            if (rest.Length < 12)
                return hasPixels ? "IEND" : throw Error("is cut off: it ends before its pixels (IDAT)");
            uint length = BinaryPrimitives.ReadUInt32BigEndian(rest);
            if (rest.Slice(4, 4).ContainsAnyExcept(Letters))
                return hasPixels ? "IEND" : throw Error($"has no chunk where one is expected, at byte {_position}");
            string type = Encoding.ASCII.GetString(rest.Slice(4, 4));
            bool ancillary = char.IsAsciiLetterLower(type[0]);
            if (length > rest.Length - 12)
            {
                return hasPixels && (ancillary || type == "IEND") ? "IEND"
                    : throw Error(
                        $"is cut off: the chunk {type} at byte {_position} has {length} bytes, of which {rest.Length - 8} at most are "
                            + "there");
            }
            int end = 8 + (int)length;
            if (Crc32.HashToUInt32(rest[4..end]) == BinaryPrimitives.ReadUInt32BigEndian(rest[end..]) || type == "IEND")
            {
                _position += end + 4;
                data = rest[8..end];
                return type;
            }
            if (!ancillary)
                throw Error($"is damaged: the CRC of the chunk {type} at byte {_position} is wrong");
            _position += end + 4;
        }
    }

    /// <summary>Section 11.2.1.</summary>
    private void ReadHeader(ReadOnlySpan<byte> header)
    {
        if (header.Length != 13)
            throw Error($"has a header (IHDR) of {header.Length} bytes, expected 13");
        uint width = BinaryPrimitives.ReadUInt32BigEndian(header);
        uint height = BinaryPrimitives.ReadUInt32BigEndian(header[4..]);
        if (width is 0 or > int.MaxValue || height is 0 or > int.MaxValue)
            throw Error($"has a size of {width} x {height}, expected 1 to {int.MaxValue}");
        Image.CheckSize(width, height, _name);
        (_width, _height, _depth, _color) = ((int)width, (int)height, header[8], header[9]);
        bool known = _color switch
        {
            Gray => _depth is 1 or 2 or 4 or 8 or 16,
            Palette => _depth is 1 or 2 or 4 or 8,
            Rgb or GrayAlpha or RgbAlpha => _depth is 8 or 16,
            _ => false,
        };
        if (!known)
            throw Error($"has the colour type {_color} with {_depth} bits, which PNG does not have");
        if (header[10] != 0 || header[11] != 0 || header[12] > 1)
            throw Error(
                $"has compression {header[10]}, filter method {header[11]} and interlacing {header[12]}, expected 0, 0, and 0 or 1");
        _interlaced = header[12] == 1;
        _channels = _color switch { Rgb => 3, GrayAlpha => 2, RgbAlpha => 4, _ => 1 };
    }

    private Image Decode(MemoryStream compressed)
    {
        if (_color == Palette && _palette.IsEmpty)
            throw Error("has no palette (PLTE), which its colour type needs");
        if (Stride(_width) * _height / MaxExpansion > compressed.Length)
            throw Error($"is cut off: {compressed.Length} bytes cannot hold {_width} x {_height} pixels");
        compressed.Position = 0;
        using var zlib = new ZLibStream(compressed, CompressionMode.Decompress);
        var pixels = new byte[3 * _width * _height];
        byte[]? plane = null;
        // A tRNS chunk of another length than its colour type's is damaged, and passed over as other ancillary chunks are.
        if (_color == Palette ? _transparency.Length > _palette.Length / 3 : _transparency.Length != 2 * _channels)
            _transparency = [];
        if (_color is GrayAlpha or RgbAlpha || !_transparency.IsEmpty)
            plane = new byte[_width * _height];
        foreach (var (startX, startY, stepX, stepY) in _interlaced ? Adam7 : NotInterlaced)
        {
            int columns = (_width - startX + stepX - 1) / stepX;
            int rows = (_height - startY + stepY - 1) / stepY;
            if (columns <= 0 || rows <= 0)
                continue;
            int stride = (int)Stride(columns);
            // One byte for the filter in front of each row; the row above the first is zero.
            var (row, above) = (new byte[1 + stride], new byte[1 + stride]);
            for (int i = 0; i < rows; i++)
            {
                int y = startY + (i * stepY);
                if (Inflate(zlib, row) < row.Length)
                    throw Error($"is damaged: the pixels end in row {y} of {_height}");
                Unfilter(row[0], row.AsSpan(1), above.AsSpan(1));
                Expand(row.AsSpan(1), columns, pixels.AsSpan(3 * ((y * _width) + startX)), 3 * stepX);
                for (int x = 0; plane != null && x < columns; x++)
                    plane[(y * _width) + startX + (x * stepX)] = Alpha(row.AsSpan(1), x);
                (row, above) = (above, row);
            }
        }
        // Reading to the end makes zlib compare its checksum.
        Inflate(zlib, new byte[1]);
        return Image.Wrap(
            _width, _height, pixels, (double)_transparentPixels / ((long)_width * _height), _transparentPixels == 0 ? null : plane);
    }

    /// <summary>The bytes of a row of pixels.</summary>
    private readonly long Stride(int columns) => (((long)columns * _channels * _depth) + 7) / 8;

    private readonly int Inflate(ZLibStream zlib, Span<byte> buffer)
    {
        try
        {
            return zlib.ReadAtLeast(buffer, buffer.Length, throwOnEndOfStream: false);
        }
        catch (Exception exception) when (exception is InvalidDataException or IOException)
        {
            throw new ImageException($"'{_name}' is damaged: the pixels do not decompress.", exception);
        }
    }

    /// <summary>
    /// Section 9.2: adds what was predicted from the bytes of the pixels to the left (or of the byte before, for pixels below 8 bits) and
    /// above.
    /// </summary>
    private readonly void Unfilter(int filter, Span<byte> row, ReadOnlySpan<byte> above)
    {
        int distance = Math.Max(_channels * _depth / 8, 1);
        switch (filter)
        {
            case 0:
                break;
            case 1:
                for (int i = distance; i < row.Length; i++)
                    row[i] += row[i - distance];
                break;
            case 2:
                for (int i = 0; i < row.Length; i++)
                    row[i] += above[i];
                break;
            case 3:
                for (int i = 0; i < row.Length; i++)
                    row[i] += (byte)(((i < distance ? 0 : row[i - distance]) + above[i]) / 2);
                break;
            case 4:
                for (int i = 0; i < row.Length; i++)
                    row[i] += (byte)(i < distance ? above[i] : Png.Paeth(row[i - distance], above[i], above[i - distance]));
                break;
            default:
                throw Error($"is damaged: a row has the filter {filter}, expected 0 to 4");
        }
    }

    /// <summary>Writes a row as 8-bit RGB, with a distance of <paramref name="step"/> bytes between pixels.</summary>
    private void Expand(ReadOnlySpan<byte> row, int columns, Span<byte> pixels, int step)
    {
        int sampleBytes = _depth == 16 ? 2 : 1;
        int stretch = _color == Gray && _depth < 8 ? 255 / ((1 << _depth) - 1) : 1;
        for (int i = 0, at = 0; i < columns; i++, at += step)
        {
            var pixel = pixels.Slice(at, 3);
            if (_color is Rgb or RgbAlpha)
            {
                int from = i * _channels * sampleBytes;
                (pixel[0], pixel[1], pixel[2]) = (row[from], row[from + sampleBytes], row[from + (2 * sampleBytes)]);
                continue;
            }
            int value = _depth == 16 ? row[i * _channels * sampleBytes] : Sample(row, i * _channels);
            if (_color != Palette)
                pixel.Fill((byte)(value * stretch));
            else if (3 * value < _palette.Length)
                // an index beyond the palette is an error that the specification shows as black
                _palette.Slice(3 * value, 3).CopyTo(pixel);
        }
    }

    /// <summary>How opaque a pixel is (sections 4.3.2 and 11.3.1.1); counts those that are not wholly so.</summary>
    private byte Alpha(ReadOnlySpan<byte> row, int pixel)
    {
        int first = pixel * _channels;
        if (_color is GrayAlpha or RgbAlpha)
        {
            int sample = Sample(row, first + _channels - 1);
            if (sample != (1 << _depth) - 1)
                _transparentPixels++;
            return (byte)(_depth == 16 ? sample >> 8 : sample);
        }
        byte alpha = 255;
        if (_color != Palette)
            alpha = IsTransparentColor(row, first) ? (byte)0 : alpha;
        else if (Sample(row, pixel) is var index && index < _transparency.Length)
            alpha = _transparency[index];
        if (alpha != 255)
            _transparentPixels++;
        return alpha;
    }

    private readonly bool IsTransparentColor(ReadOnlySpan<byte> row, int first)
    {
        for (int channel = 0; channel < _channels; channel++)
        {
            if (Sample(row, first + channel) != BinaryPrimitives.ReadUInt16BigEndian(_transparency[(2 * channel)..]))
                return false;
        }
        return true;
    }

    private readonly int Sample(ReadOnlySpan<byte> row, int number) => _depth switch
    {
        16 => BinaryPrimitives.ReadUInt16BigEndian(row[(2 * number)..]),
        8 => row[number],
        _ => (row[number * _depth / 8] >> (8 - _depth - (number * _depth % 8))) & ((1 << _depth) - 1),
    };

    private readonly ImageException Error(string problem) => new($"'{_name}' {problem}.");
}
