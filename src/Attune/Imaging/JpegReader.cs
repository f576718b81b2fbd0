using System.Buffers.Binary;

namespace Attune.Imaging;

/// <summary>
/// Decodes one JPEG file: its markers, frame and scans (T.81, annex B). All coefficients are kept until the last scan is read.
/// </summary>
internal ref struct JpegReader
{
    /// <summary>Progressive files have about ten scans; thousands, which cost few bytes, are meant to keep the reader busy.</summary>
    private const int MaxScans = 500;

    private readonly ReadOnlySpan<byte> _bytes;
    private readonly string _name;
    private readonly ushort[]?[] _quantization = new ushort[4][];
    private readonly JpegHuffmanTable?[] _dcTables = new JpegHuffmanTable[4];
    private readonly JpegHuffmanTable?[] _acTables = new JpegHuffmanTable[4];
    private JpegComponent[] _components = [];
    private int _position;
    private int _width, _height, _columns, _rows;
    private bool _progressive;
    private int _restartInterval, _scans;
    private bool _jfif;
    private int? _adobeTransform, _orientation;

    public JpegReader(ReadOnlySpan<byte> bytes, string name)
    {
        _bytes = bytes;
        _name = name;
    }

    /// <summary>The size, which stands in the frame header (B.2.2).</summary>
    public ImageHead ReadHead()
    {
        if (!Jpeg.Matches(_bytes))
            throw Error("has no JPEG marker at its start");
        _position = 2;
        while (true)
        {
            int marker = NextMarker();
            if (marker is 0x01 or (>= 0xD0 and <= 0xD7))
                continue;
            if (marker is 0xD9 or 0xDA)
                throw Error("is damaged: it has no frame header (SOF)");
            var segment = Segment(marker);
            if (marker is < 0xC0 or > 0xCF or 0xC4 or 0xC8 or 0xCC)
                continue;
            if (segment.Length < 6)
                throw Error($"is damaged: its frame header (SOF) has {segment.Length} bytes");
            var (height, width) = (BinaryPrimitives.ReadUInt16BigEndian(segment[1..]), BinaryPrimitives.ReadUInt16BigEndian(segment[3..]));
            if (width == 0 || height == 0)
                throw Error($"has a size of {width} x {height}");
            Image.CheckSize(width, height, _name);
            return new ImageHead(width, height, 1);
        }
    }

    public Image Read()
    {
        if (!Jpeg.Matches(_bytes))
            throw Error("has no JPEG marker at its start");
        _position = 2;
        while (!IsComplete())
        {
            int marker = NextMarker();
            if (marker is 0x01 or (>= 0xD0 and <= 0xD7))        // TEM and stray RSTm: no segment
                continue;
            if (marker == 0xD9)                                 // EOI
                break;
            var segment = Segment(marker);
            switch (marker)
            {
                case 0xC0 or 0xC1 or 0xC2:
                    ReadFrame(segment, progressive: marker == 0xC2);
                    break;
                case 0xC3:
                    throw Error("is a lossless JPEG (SOF3), which is not read");
                case 0xC5 or 0xC6 or 0xC7:
                    throw Error($"is a hierarchical JPEG (SOF{marker - 0xC0}), which is not read");
                case 0xC9 or 0xCA or 0xCB or 0xCC or 0xCD or 0xCE or 0xCF:
                    throw Error("is a JPEG with arithmetic coding, which is not read; Huffman coding is");
                case 0xC4:
                    ReadHuffmanTables(segment);
                    break;
                case 0xDA:
                    ReadScan(segment);
                    break;
                case 0xDB:
                    ReadQuantization(segment);
                    break;
                case 0xDD:
                    if (segment.Length != 2)
                        throw Error($"has a restart interval (DRI) of {segment.Length} bytes, expected 2");
                    _restartInterval = BinaryPrimitives.ReadUInt16BigEndian(segment);
                    break;
                case 0xE0 when segment.StartsWith("JFIF\0"u8):
                    _jfif = true;
                    break;
                case 0xE1 when segment.StartsWith("Exif\0"u8) && segment.Length > 6:
                    _orientation ??= Exif.Orientation(segment[6..]);
                    break;
                case 0xEE when segment.StartsWith("Adobe"u8) && segment.Length >= 12:
                    _adobeTransform = segment[11];
                    break;
            }
        }
        return Finish();
    }

    /// <summary>
    /// Whether every coefficient has all of its bits: nothing that follows carries pixels, be it the end marker (EOI), another image, what
    /// a camera or phone appends instead, or nothing. Progressive files that leave out coefficients or bits need their end marker.
    /// </summary>
    private readonly bool IsComplete()
    {
        foreach (var component in _components)
        {
            if (component.Complete != ulong.MaxValue)
                return false;
        }
        return _components.Length != 0;
    }

    /// <summary>
    /// Skips to the next marker (B.1.1.2): 0xFF, any number of times, and a code. What lies before it is what a scan left over.
    /// </summary>
    private int NextMarker()
    {
        while (true)
        {
            int found = _bytes[_position..].IndexOf((byte)0xFF);
            if (found < 0)
                throw Error("is cut off: it has no end marker (EOI), and its scans do not give every coefficient");
            _position += found;
            while (_position < _bytes.Length && _bytes[_position] == 0xFF)
                _position++;
            if (_position < _bytes.Length && _bytes[_position++] is var code and not 0)
                return code;
        }
    }

    private ReadOnlySpan<byte> Segment(int marker)
    {
        var rest = _bytes[_position..];
        int length = rest.Length < 2 ? 0 : BinaryPrimitives.ReadUInt16BigEndian(rest);
        if (rest.Length >= 2 && length < 2)
            throw Error(
                $"is damaged: the segment of the marker 0x{marker:X2} at byte {_position} has the length {length}, expected 2 or more");
        if (length == 0 || length > rest.Length)
            throw Error($"is cut off in the segment of the marker 0x{marker:X2} at byte {_position}");
        _position += length;
        return rest[2..length];
    }

    /// <summary>B.2.2, the frame header: sizes, and for each component how it is sampled.</summary>
    private void ReadFrame(ReadOnlySpan<byte> segment, bool progressive)
    {
        if (_components.Length != 0)
            throw Error("is damaged: it has two frame headers (SOF)");
        if (segment.Length < 6 || segment.Length != 6 + (3 * segment[5]))
            throw Error($"is damaged: its frame header (SOF) has {segment.Length} bytes");
        if (segment[0] != 8)
            throw Error($"is a JPEG of {segment[0]} bits per sample, which is not read; 8 is");
        _progressive = progressive;
        _height = BinaryPrimitives.ReadUInt16BigEndian(segment[1..]);
        _width = BinaryPrimitives.ReadUInt16BigEndian(segment[3..]);
        if (_width == 0 || _height == 0)
            throw Error($"has a size of {_width} x {_height}, expected 1 to 65535 (a height that follows in a DNL segment is not read)");
        Image.CheckSize(_width, _height, _name);
        if (segment[5] is not (1 or 3 or 4))
            throw Error($"has {segment[5]} components, expected 1, 3 or 4");
        var components = new JpegComponent[segment[5]];
        int maxAcross = 1, maxDown = 1;
        for (int i = 0; i < components.Length; i++)
        {
            var (id, sampling, table) = (segment[6 + (3 * i)], segment[7 + (3 * i)], segment[8 + (3 * i)]);
            var (across, down) = (sampling >> 4, sampling & 15);
            if (across is < 1 or > 4 || down is < 1 or > 4 || table > 3)
                throw Error(
                    $"is damaged: component {i} has the sampling factors {across} x {down} and quantization table {table}, expected 1 to "
                        + $"4 and 0 to 3");
            components[i] = new JpegComponent { Id = id, Across = across, Down = down, QuantizationTable = table };
            (maxAcross, maxDown) = (Math.Max(maxAcross, across), Math.Max(maxDown, down));
        }
        _columns = DivideUp(_width, 8 * maxAcross);
        _rows = DivideUp(_height, 8 * maxDown);
        long blocks = 0;
        foreach (var component in components)
        {
            component.Width = DivideUp(_width * component.Across, maxAcross);
            component.Height = DivideUp(_height * component.Down, maxDown);
            (component.StepAcross, component.StepDown) = (maxAcross, maxDown);
            blocks += (long)component.BlockColumns * component.BlockRows;
        }
        if (blocks > 8L * _bytes.Length)        // each block takes a bit at least
            throw Error($"is cut off: {_bytes.Length} bytes cannot hold {_width} x {_height} pixels");
        foreach (var component in components)
            component.Allocate(_columns * component.Across, _rows * component.Down);
        _components = components;
    }

    /// <summary>B.2.4.1.</summary>
    private readonly void ReadQuantization(ReadOnlySpan<byte> segment)
    {
        while (!segment.IsEmpty)
        {
            var (precision, index) = (segment[0] >> 4, segment[0] & 15);
            int bytes = precision + 1;
            if (precision > 1 || index > 3 || segment.Length < 1 + (64 * bytes))
                throw Error("is damaged: a quantization table (DQT) is malformed");
            var table = new ushort[64];
            for (int i = 0; i < 64; i++)
                table[JpegScan.ZigZag[i]] = bytes == 1 ? segment[1 + i] : BinaryPrimitives.ReadUInt16BigEndian(segment[(1 + (2 * i))..]);
            _quantization[index] = table;
            segment = segment[(1 + (64 * bytes))..];
        }
    }

    /// <summary>B.2.4.2.</summary>
    private readonly void ReadHuffmanTables(ReadOnlySpan<byte> segment)
    {
        while (!segment.IsEmpty)
        {
            var (kind, index) = (segment[0] >> 4, segment[0] & 15);
            int count = 0;
            for (int i = 1; i <= 16 && i < segment.Length; i++)
                count += segment[i];
            if (kind > 1 || index > 3 || count > 256 || segment.Length < 17 + count)
                throw Error("is damaged: a Huffman table (DHT) is malformed");
            (kind == 0 ? _dcTables : _acTables)[index] = JpegHuffmanTable.Create(segment[1..17], segment.Slice(17, count))
                ?? throw Error("is damaged: a Huffman table (DHT) has more codes than there are bits for");
            segment = segment[(17 + count)..];
        }
    }

    /// <summary>B.2.3, the scan header, and the scan itself.</summary>
    private void ReadScan(ReadOnlySpan<byte> segment)
    {
        if (_components.Length == 0)
            throw Error("is damaged: it has a scan (SOS) before its frame header (SOF)");
        if (++_scans > MaxScans)
            throw Error($"has more than {MaxScans} scans");
        int count = segment.IsEmpty ? 0 : segment[0];
        if (count is < 1 or > 4 || segment.Length != 4 + (2 * count))
            throw Error($"is damaged: a scan header (SOS) of {segment.Length} bytes names {count} components");
        var last = segment[(1 + (2 * count))..];
        var scan = new JpegScan(_bytes, _position, _name)
        {
            Progressive = _progressive,
            Start = _progressive ? last[0] : 0,
            End = _progressive ? last[1] : 63,
            High = _progressive ? last[2] >> 4 : 0,
            Low = _progressive ? last[2] & 15 : 0,
            RestartInterval = _restartInterval,
            Columns = _columns,
            Rows = _rows,
            Components = new JpegComponent[count],
        };
        if (_progressive && (scan.Start > scan.End || scan.End > 63 || (scan.Start == 0 && scan.End != 0) || (scan.Start > 0 && count > 1)
            || scan.Low > 13 || (scan.High != 0 && scan.High != scan.Low + 1)))
        {
            throw Error(
                $"is damaged: a scan has coefficients {scan.Start} to {scan.End}, bits {scan.High} to {scan.Low} of {count} components, "
                    + $"which is no step of a progression");
        }
        bool dc = scan.Start == 0, ac = scan.End > 0;
        for (int i = 0; i < count; i++)
        {
            var component = Component(segment[1 + (2 * i)]);
            if (Array.IndexOf(scan.Components, component) >= 0 || (!_progressive && component.Quantization != null))
                throw Error($"is damaged: component {component.Id} comes twice");
            // A table that is replaced later applies to the components whose first scan comes later.
            component.Quantization ??= _quantization[component.QuantizationTable]
                ?? throw Error($"is damaged: quantization table {component.QuantizationTable} is missing");
            var (dcTable, acTable) = (segment[2 + (2 * i)] >> 4, segment[2 + (2 * i)] & 15);
            component.DcTable = dcTable > 3 ? null : _dcTables[dcTable];
            component.AcTable = acTable > 3 ? null : _acTables[acTable];
            if ((dc && scan.High == 0 && component.DcTable == null) || (ac && component.AcTable == null))
                throw Error($"is damaged: Huffman table {(dc && component.DcTable == null ? dcTable : acTable)} is missing");
            scan.Components[i] = component;
        }
        _position = scan.Decode();
        ulong given = (ulong.MaxValue >> (63 - scan.End)) & (ulong.MaxValue << scan.Start);
        foreach (var component in scan.Components)
        {
            component.Seen |= given;
            if (scan.Low == 0)
                component.Complete |= given;
        }
    }

    private readonly JpegComponent Component(int id)
    {
        foreach (var component in _components)
        {
            if (component.Id == id)
                return component;
        }
        throw Error($"is damaged: a scan names component {id}, which the frame header does not");
    }

    private readonly Image Finish()
    {
        if (_components.Length == 0)
            throw Error("is cut off: it ends without an image");
        foreach (var component in _components)
        {
            if ((component.Seen & 1) == 0)
                throw Error($"is cut off: component {component.Id} has no scan");
        }
        return JpegSamples.ToImage(_width, _height, _components, ColorSpace()).Upright(_orientation ?? 1);
    }

    /// <summary>
    /// What the components are, which T.81 leaves to applications: decided as libjpeg does, by JFIF and Adobe segments, then by their
    /// names.
    /// </summary>
    private readonly JpegColorSpace ColorSpace()
    {
        if (_components.Length == 1)
            return JpegColorSpace.Gray;
        if (_components.Length == 4)
            return _adobeTransform is null or 0 ? JpegColorSpace.Cmyk : JpegColorSpace.Ycck;
        if (_jfif)
            return JpegColorSpace.YCbCr;
        bool namedRgb = _components[0].Id == 'R' && _components[1].Id == 'G' && _components[2].Id == 'B';
        return _adobeTransform == 0 || (_adobeTransform == null && namedRgb) ? JpegColorSpace.Rgb : JpegColorSpace.YCbCr;
    }

    private static int DivideUp(int value, int divisor) => (value + divisor - 1) / divisor;

    private readonly ImageException Error(string problem) => new($"'{_name}' {problem}.");
}

/// <summary>What the components of a JPEG file mean.</summary>
internal enum JpegColorSpace
{
    Gray,
    YCbCr,
    Rgb,
    Cmyk,
    Ycck,
}

/// <summary>One colour of a JPEG image: its sampling, and its coefficients in blocks of 8 x 8, row by row within each.</summary>
internal sealed class JpegComponent
{
    public required int Id { get; init; }

    /// <summary>
    /// Its sampling factors, H and V; <see cref="StepAcross"/> and <see cref="StepDown"/> are the largest of all components.
    /// </summary>
    public required int Across { get; init; }

    public required int Down { get; init; }

    public required int QuantizationTable { get; init; }

    public int StepAcross { get; set; }

    public int StepDown { get; set; }

    /// <summary>In samples.</summary>
    public int Width { get; set; }

    public int Height { get; set; }

    /// <summary>The blocks that hold samples; more are stored where units of several components are interleaved.</summary>
    public int BlockColumns => (Width + 7) / 8;

    public int BlockRows => (Height + 7) / 8;

    public int StoredColumns { get; private set; }

    public int StoredRows { get; private set; }

    public short[] Coefficients { get; private set; } = [];

    /// <summary>In the order of the coefficients; set by the first scan.</summary>
    public ushort[]? Quantization { get; set; }

    public JpegHuffmanTable? DcTable { get; set; }

    public JpegHuffmanTable? AcTable { get; set; }

    /// <summary>The coefficients, a bit each, that scans gave so far, and those of which they gave the last bit.</summary>
    public ulong Seen { get; set; }

    public ulong Complete { get; set; }

    /// <summary>The DC coefficient of the block before.</summary>
    public int Prediction { get; set; }

    public void Allocate(int columns, int rows)
    {
        (StoredColumns, StoredRows) = (columns, rows);
        Coefficients = new short[64L * columns * rows];
    }

    public Span<short> Block(int column, int row) => Coefficients.AsSpan(64 * ((row * StoredColumns) + column), 64);
}
