using System.Numerics.Tensors;

namespace Attune.Tensors;

/// <summary>Reads the elements of a stored weight as float32: runs that begin and end anywhere, with the scales beside them.</summary>
internal sealed unsafe class WeightReader
{
    /// <summary>Elements that are widened at a time, a multiple of every block.</summary>
    private const int Chunk = 1 << 20;

    /// <summary>Scales that are kept widened; more of them are read as they are needed, so that they take no memory of their own.</summary>
    private const int KeptScales = 1 << 14;

    private readonly WeightBytes _bytes;
    private readonly WeightReader? _scale;
    private readonly float[]? _scales;
    private readonly float[]? _factors;
    private readonly long _columns = 1;
    private readonly long _rowsPerScale;
    private readonly long _columnsPerScale;

    /// <exception cref="ArgumentException">The scales do not fit.</exception>
    public WeightReader(StoredWeight weight)
    {
        (_bytes, Format) = (weight.Bytes, weight.Format);
        var shape = weight.Shape;
        int rows = shape.Rank == 0 ? 1 : shape[0];
        _columns = shape.Count / Math.Max(rows, 1);
        if (weight.Companions.TryGetValue(StoredWeight.ScaleCompanion, out var scale))
        {
            var parts = scale.Shape;
            int rowParts = parts.Count == 1 ? 1 : parts[0];
            long columnParts = parts.Count / Math.Max(rowParts, 1);
            if (parts.Count == 0 || rows % rowParts != 0 || _columns % columnParts != 0)
                throw new ArgumentException($"{weight.Name}: {scale.Name} {parts} does not scale {shape} in parts of equal size.");
            (_rowsPerScale, _columnsPerScale) = (rows / rowParts, _columns / columnParts);
            _scale = new WeightReader(scale);
            if (parts.Count <= KeptScales)
                _scales = Widened(scale);
        }
        if (weight.Companions.TryGetValue(StoredWeight.ColumnsCompanion, out var factors))
        {
            if (factors.Shape.Count != _columns)
                throw new ArgumentException($"{weight.Name}: {factors.Name} {factors.Shape} does not scale the columns of {shape}.");
            _factors = Widened(factors);
        }
    }

    /// <summary>
    /// Whether rows can be multiplied without being widened first: the format can, rows are whole blocks, and there is at most one scale
    /// for each row.
    /// </summary>
    public bool HasDots =>
        Format.HasDots && _columns % Format.BlockLength == 0 && _factors == null && (_scale == null || _columnsPerScale == _columns);

    /// <summary>How the elements lie in memory.</summary>
    public WeightFormat Format { get; }

    /// <summary>The first byte; not necessarily aligned.</summary>
    /// <exception cref="ObjectDisposedException">The file or memory was disposed.</exception>
    public byte* Pointer => _bytes.Pointer;

    /// <summary>Widens elements [start, start + count) to float32.</summary>
    public void Widen(long start, float* destination, long count)
    {
        WidenBlocks(start, destination, count);
        if (_scale != null)
            Scale(start, destination, count);
        if (_factors != null)
            ScaleColumns(start, destination, count);
    }

    /// <summary>The product of a row with floats.</summary>
    /// <param name="row">The row.</param>
    /// <param name="floats">As many floats as it has elements.</param>
    /// <param name="sums">The sums of each <see cref="WeightFormat.SumLength"/> of them.</param>
    public float Dot(long row, float* floats, float* sums) =>
        Format.Dot(Pointer + Format.BytesOf(row * _columns), (int)_columns, floats, sums) * ScaleOf(row);

    private float ScaleOf(long row)
    {
        if (_scale == null)
            return 1;
        if (_scales != null)
            return _scales[row / _rowsPerScale];
        float scale;
        _scale.Widen(row / _rowsPerScale, &scale, 1);
        return scale;
    }

    private static float[] Widened(StoredWeight scale)
    {
        var values = new float[scale.Shape.Count];
        scale.Widen(0, values);
        return values;
    }

    private void Scale(long start, float* destination, long count)
    {
        const int AtOnce = 64;
        float* read = stackalloc float[_scales == null ? AtOnce : 0];
        long perRow = _columns / _columnsPerScale;
        while (count > 0)
        {
            // What is left of a row, or as much of it as there are scales at hand.
            var (row, column) = Math.DivRem(start, _columns);
            long part = column / _columnsPerScale;
            long index = row / _rowsPerScale * perRow + part;
            long scales = Math.Min(perRow - part, (column % _columnsPerScale + count + _columnsPerScale - 1) / _columnsPerScale);
            if (_scales == null)
            {
                scales = Math.Min(scales, AtOnce);
                _scale!.Widen(index, read, scales);
            }
            for (long i = 0; i < scales && count > 0; i++)
            {
                int run = (int)Math.Min(Math.Min(count, (part + i + 1) * _columnsPerScale - column), int.MaxValue);
                var values = new Span<float>(destination, run);
                TensorPrimitives.Multiply(values, _scales != null ? _scales[index + i] : read[i], values);
                start += run;
                column += run;
                destination += run;
                count -= run;
            }
        }
    }

    private void ScaleColumns(long start, float* destination, long count)
    {
        while (count > 0)
        {
            int column = (int)(start % _columns);
            int run = (int)Math.Min(count, _columns - column);
            var values = new Span<float>(destination, run);
            TensorPrimitives.Multiply(values, new ReadOnlySpan<float>(_factors!, column, run), values);
            start += run;
            destination += run;
            count -= run;
        }
    }

    private void WidenBlocks(long start, float* destination, long count)
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
            Format.Widen(new ReadOnlySpan<byte>(block, bytes), new Span<float>(whole ? destination : values, elements));
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
