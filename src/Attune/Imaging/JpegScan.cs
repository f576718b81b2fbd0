namespace Attune.Imaging;

/// <summary>The entropy-coded data of one scan (T.81, annexes F.2 and G.2): Huffman codes and bits, which become coefficients.</summary>
internal ref struct JpegScan
{
    private readonly ReadOnlySpan<byte> _bytes;
    private readonly string _name;
    private int _position;

    // The next bits are the lowest _count of _bits; after the last byte zeros are appended, _missing of them so far.
    private ulong _bits;
    private int _count, _missing;

    /// <summary>Blocks that follow in which this scan has no new coefficients (EOBRUN).</summary>
    private int _emptyBlocks;

    public JpegScan(ReadOnlySpan<byte> bytes, int position, string name)
    {
        _bytes = bytes;
        _position = position;
        _name = name;
    }

    /// <summary>The place in a block, row by row, of the coefficient that comes as number k (figure A.6).</summary>
    public static ReadOnlySpan<byte> ZigZag =>
    [
        0, 1, 8, 16, 9, 2, 3, 10, 17, 24, 32, 25, 18, 11, 4, 5, 12, 19, 26, 33, 40, 48, 41, 34, 27, 20, 13, 6, 7, 14, 21, 28,
        35, 42, 49, 56, 57, 50, 43, 36, 29, 22, 15, 23, 30, 37, 44, 51, 58, 59, 52, 45, 38, 31, 39, 46, 53, 60, 61, 54, 47, 55, 62, 63,
    ];

    public required bool Progressive { get; init; }

    /// <summary>The first and last coefficient of the scan (Ss, Se).</summary>
    public required int Start { get; init; }

    public required int End { get; init; }

    /// <summary>The lowest bit of the coefficients that earlier scans gave, 0 if none did, and that this one gives (Ah, Al).</summary>
    public required int High { get; init; }

    public required int Low { get; init; }

    /// <summary>Units between restart markers; 0 for none.</summary>
    public required int RestartInterval { get; init; }

    /// <summary>The image in units of all components.</summary>
    public required int Columns { get; init; }

    public required int Rows { get; init; }

    public required JpegComponent[] Components { get; init; }

    /// <summary>Reads all blocks; returns the position of what follows.</summary>
    public int Decode()
    {
        Reset();
        // A component alone comes block by block without padding (A.2.2), several in units of Across x Down blocks of each (A.2.3).
        bool alone = Components.Length == 1;
        int columns = alone ? Components[0].BlockColumns : Columns;
        int rows = alone ? Components[0].BlockRows : Rows;
        int untilRestart = RestartInterval, restarts = 0;
        for (int row = 0; row < rows; row++)
        {
            for (int column = 0; column < columns; column++)
            {
                if (RestartInterval > 0 && untilRestart-- == 0)
                {
                    Restart(restarts++ & 7);
                    untilRestart = RestartInterval - 1;
                }
                if (alone)
                {
                    ReadBlock(Components[0], column, row);
                    continue;
                }
                foreach (var component in Components)
                {
                    for (int y = 0; y < component.Down; y++)
                    {
                        for (int x = 0; x < component.Across; x++)
                            ReadBlock(component, (column * component.Across) + x, (row * component.Down) + y);
                    }
                }
            }
        }
        return _position;
    }

    private void ReadBlock(JpegComponent component, int column, int row)
    {
        var block = component.Block(column, row);
        if (!Progressive)
        {
            block[0] = (short)ReadDc(component);
            ReadSequential(component.AcTable!, block);
        }
        else if (Start == 0)
        {
            if (High == 0)
                block[0] = (short)(ReadDc(component) << Low);
            else
                block[0] |= (short)(Receive(1) << Low);
        }
        else if (High == 0)
        {
            ReadFirst(component.AcTable!, block);
        }
        else
        {
            Refine(component.AcTable!, block);
        }
    }

    /// <summary>F.2.2.1: the difference from the block before.</summary>
    private int ReadDc(JpegComponent component)
    {
        int size = ReadSymbol(component.DcTable!);
        if (size > 11)
            throw Error($"a DC difference of {size} bits, expected 11 at most");
        return component.Prediction += ReceiveAndExtend(size);
    }

    /// <summary>F.2.2.2: pairs of a run of zeros and a coefficient.</summary>
    private void ReadSequential(JpegHuffmanTable table, Span<short> block)
    {
        for (int k = 1; k <= 63; k++)
        {
            int symbol = ReadSymbol(table);
            var (run, size) = (symbol >> 4, symbol & 15);
            if (size == 0 && run != 15)
                return;
            k += run;
            if (size != 0)
                block[Place(k)] = (short)ReceiveAndExtend(size);
        }
    }

    /// <summary>G.1.2.2: the first bits of a band of coefficients.</summary>
    private void ReadFirst(JpegHuffmanTable table, Span<short> block)
    {
        if (_emptyBlocks > 0)
        {
            _emptyBlocks--;
            return;
        }
        for (int k = Start; k <= End; k++)
        {
            int symbol = ReadSymbol(table);
            var (run, size) = (symbol >> 4, symbol & 15);
            if (size == 0 && run != 15)
            {
                _emptyBlocks = (1 << run) + Receive(run) - 1;
                return;
            }
            k += run;
            if (size != 0)
                block[Place(k)] = (short)(ReceiveAndExtend(size) << Low);
        }
    }

    /// <summary>
    /// G.1.2.3: one more bit of a band of coefficients. A run counts the coefficients that are still zero; those that it passes and that
    /// are not get a bit each, and at its end stands a coefficient that becomes 1 or -1.
    /// </summary>
    private void Refine(JpegHuffmanTable table, Span<short> block)
    {
        int k = Start;
        if (_emptyBlocks == 0)
        {
            for (; k <= End; k++)
            {
                int symbol = ReadSymbol(table);
                var (run, size) = (symbol >> 4, symbol & 15);
                int value = 0;
                if (size == 0 && run != 15)
                {
                    _emptyBlocks = (1 << run) + Receive(run);
                    break;
                }
                if (size == 1)
                    value = Receive(1) != 0 ? 1 << Low : -1 << Low;
                else if (size > 1)
                    throw Error($"a refinement of {size} bits, expected 1");
                for (; k <= End; k++)
                {
                    ref short coefficient = ref block[ZigZag[k]];
                    if (coefficient != 0)
                        RefineOne(ref coefficient);
                    else if (run-- == 0)
                        break;
                }
                if (value != 0)
                    block[Place(k)] = (short)value;
            }
        }
        if (_emptyBlocks > 0)
        {
            for (; k <= End; k++)
            {
                ref short coefficient = ref block[ZigZag[k]];
                if (coefficient != 0)
                    RefineOne(ref coefficient);
            }
            _emptyBlocks--;
        }
    }

    private void RefineOne(ref short coefficient)
    {
        if (Receive(1) != 0 && (coefficient & (1 << Low)) == 0)
            coefficient += (short)(coefficient > 0 ? 1 << Low : -1 << Low);
    }

    private readonly int Place(int k) => k <= End ? ZigZag[k] : throw Error($"a run of zeros to coefficient {k}, expected {End} at most");

    /// <summary>F.2.1.3.1 and G: what depends on blocks before is forgotten at the start and at restart markers.</summary>
    private void Reset()
    {
        (_bits, _count, _missing, _emptyBlocks) = (0, 0, 0, 0);
        foreach (var component in Components)
            component.Prediction = 0;
    }

    private void Restart(int number)
    {
        Reset();
        while (_position + 1 < _bytes.Length && (_bytes[_position] != 0xFF || _bytes[_position + 1] is 0x00 or 0xFF))
            _position++;
        if (_position + 1 >= _bytes.Length || _bytes[_position + 1] != 0xD0 + number)
            throw Error($"no restart marker {number}");
        _position += 2;
    }

    /// <summary>F.2.2.3: the next Huffman code.</summary>
    private int ReadSymbol(JpegHuffmanTable table)
    {
        if (_count < JpegHuffmanTable.MaxLength)
            Fill();
        int code = table.Find((int)(_bits >> (_count - JpegHuffmanTable.MaxLength)) & 0xFFFF);
        if (code < 0)
            throw Error("bits that are no Huffman code");
        Skip(code >> 8);
        return code & 0xFF;
    }

    /// <summary>F.2.2.1, EXTEND: a leading 0 marks negative numbers.</summary>
    private int ReceiveAndExtend(int size)
    {
        int value = Receive(size);
        return size > 0 && value < 1 << (size - 1) ? value - (1 << size) + 1 : value;
    }

    /// <summary>F.2.2.4: the next bits, 16 at most.</summary>
    private int Receive(int size)
    {
        if (_count < size)
            Fill();
        int value = (int)(_bits >> (_count - size)) & ((1 << size) - 1);
        Skip(size);
        return value;
    }

    private void Skip(int size)
    {
        _count -= size;
        if (_count < _missing)
            throw Error(_position + 1 >= _bytes.Length ? "the end of the file: it is cut off" : "a marker before its end");
    }

    /// <summary>Takes bytes up to the next marker; the byte 0xFF is followed by a 0 (F.1.2.3).</summary>
    private void Fill()
    {
        while (_count <= 48)
        {
            byte next = 0;
            if (_position < _bytes.Length && _bytes[_position] != 0xFF)
                next = _bytes[_position++];
            else if (_position + 1 < _bytes.Length && _bytes[_position + 1] == 0)
                (next, _position) = (0xFF, _position + 2);
            else
                _missing += 8;
            _bits = (_bits << 8) | next;
            _count += 8;
        }
    }

    private readonly ImageException Error(string found) => new($"'{_name}' is damaged: a scan has {found}, near byte {_position}.");
}

/// <summary>
/// The codes of a Huffman table (T.81, annex C): those of one length are consecutive numbers, and follow on the shorter ones.
/// </summary>
internal sealed class JpegHuffmanTable
{
    public const int MaxLength = 16;
    private const int FastLength = 9;

    // For the next 9 bits the length and symbol of the code that they begin with, 0 if it is longer.
    private readonly ushort[] _fast = new ushort[1 << FastLength];
    // For each length the number after its last code, and what to add to a code for its place among the symbols.
    private readonly int[] _end = new int[MaxLength + 1];
    private readonly int[] _offset = new int[MaxLength + 1];
    private readonly byte[] _symbols;

    private JpegHuffmanTable(byte[] symbols) => _symbols = symbols;

    /// <summary>The table, or null when there are more codes than their lengths allow.</summary>
    /// <param name="counts">How many codes have 1 to 16 bits.</param>
    /// <param name="symbols">What they stand for, in order.</param>
    public static JpegHuffmanTable? Create(ReadOnlySpan<byte> counts, ReadOnlySpan<byte> symbols)
    {
        var table = new JpegHuffmanTable(symbols.ToArray());
        int code = 0, at = 0;
        for (int length = 1; length <= MaxLength; length++, code <<= 1)
        {
            table._offset[length] = at - code;
            for (int i = 0; i < counts[length - 1]; i++, code++, at++)
            {
                if (length <= FastLength && code < 1 << length)
                    table._fast.AsSpan(code << (FastLength - length), 1 << (FastLength - length))
                        .Fill((ushort)((length << 8) | symbols[at]));
            }
            if (code > 1 << length)
                return null;
            table._end[length] = code;
        }
        return table;
    }

    /// <summary>The code that 16 bits begin with, as 256 times its length plus its symbol; -1 if there is none.</summary>
    public int Find(int bits)
    {
        int fast = _fast[bits >> (MaxLength - FastLength)];
        if (fast != 0)
            return fast;
        for (int length = FastLength + 1; length <= MaxLength; length++)
        {
            int code = bits >> (MaxLength - length);
            if (code < _end[length])
                return (length << 8) | _symbols[_offset[length] + code];
        }
        return -1;
    }
}
