namespace Attune.Tensors;

/// <summary>Reads the elements of a stored weight as float32: runs that begin and end anywhere, with the scales beside them.</summary>
internal sealed unsafe class WeightReader
{
    /// <summary>Elements that are widened at a time, a multiple of every block.</summary>
    private const int Chunk = 1 << 20;

    private readonly WeightBytes _bytes;
    private readonly float[]? _scales;
    private readonly long _columns;
    private readonly long _rowsPerScale;
    private readonly long _columnsPerScale;

    /// <exception cref="ArgumentException">The scales do not fit.</exception>
    public WeightReader(StoredWeight weight)
    {
        (_bytes, Format) = (weight.Bytes, weight.Format);
        if (!weight.Companions.TryGetValue(StoredWeight.ScaleCompanion, out var scale))
            return;
        var (shape, parts) = (weight.Shape, scale.Shape);
        int rows = shape.Rank == 0 ? 1 : shape[0];
        int rowParts = parts.Count == 1 ? 1 : parts[0];
        _columns = shape.Count / Math.Max(rows, 1);
        long columnParts = parts.Count / Math.Max(rowParts, 1);
        if (parts.Count == 0 || rows % rowParts != 0 || _columns % columnParts != 0)
            throw new ArgumentException($"{weight.Name}: {scale.Name} {parts} does not scale {shape} in parts of equal size.");
        (_rowsPerScale, _columnsPerScale) = (rows / rowParts, _columns / columnParts);
        _scales = new float[parts.Count];
        scale.Widen(0, _scales);
    }

    /// <summary>How the elements lie in memory.</summary>
    public WeightFormat Format { get; }

    /// <summary>Whether values are what the format says, without scales.</summary>
    public bool IsUnscaled => _scales == null;

    /// <summary>The first byte; not necessarily aligned.</summary>
    /// <exception cref="ObjectDisposedException">The file or memory was disposed.</exception>
    public byte* Pointer => _bytes.Pointer;

    /// <summary>Widens elements [start, start + count) to float32.</summary>
    public void Widen(long start, float* destination, long count)
    {
        if (_scales == null)
        {
            Widen(start, destination, count, 1);
            return;
        }
        while (count > 0)
        {
            var (row, column) = Math.DivRem(start, _columns);
            long part = column / _columnsPerScale;
            long run = Math.Min(count, (part + 1) * _columnsPerScale - column);
            Widen(start, destination, run, _scales[row / _rowsPerScale * (_columns / _columnsPerScale) + part]);
            start += run;
            destination += run;
            count -= run;
        }
    }

    private void Widen(long start, float* destination, long count, float scale)
    {
        int length = Format.BlockLength;
        byte* block = Pointer + start / length * Format.BlockBytes;
        int skipped = (int)(start % length);
        float* values = stackalloc float[skipped == 0 && count % length == 0 ? 0 : length];
        while (count > 0)
        {
            bool whole = skipped == 0 && count >= length;
            int elements = whole ? (int)Math.Min(count - count % length, Chunk) : length;
            int bytes = elements / length * Format.BlockBytes;
            Format.Widen(new ReadOnlySpan<byte>(block, bytes), new Span<float>(whole ? destination : values, elements), scale);
            int taken = elements;
            if (!whole)
            {
                taken = (int)Math.Min(length - skipped, count);
                new ReadOnlySpan<float>(values + skipped, taken).CopyTo(new Span<float>(destination, taken));
                skipped = 0;
            }
            block += bytes;
            destination += taken;
            count -= taken;
        }
    }
}
