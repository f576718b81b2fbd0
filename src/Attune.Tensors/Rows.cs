using System.Runtime.CompilerServices;

namespace Attune.Tensors;

/// <summary>
/// A tensor seen as rows of its innermost axis: what kernels walk over. Any strides of the outer axes are allowed; the common case of
/// evenly spaced rows costs one multiplication.
/// </summary>
internal readonly unsafe struct Rows
{
    private readonly float* _pointer;
    private readonly Tensor _tensor;
    private readonly long _stride;
    private readonly bool _even;

    private Rows(Tensor tensor)
    {
        _tensor = tensor;
        _pointer = tensor.Pointer;
        var shape = tensor.Shape;
        Columns = shape.Rank == 0 ? 1 : shape[^1];
        Count = Columns == 0 ? 0 : shape.Count / Columns;
        _even = true;
        _stride = Columns;
        long reach = 0;
        bool first = true;      // an expanded axis reaches nowhere, but it is an axis
        for (int axis = shape.Rank - 2; axis >= 0; axis--)
        {
            if (shape[axis] == 1)
                continue;
            long stride = tensor.Stride(axis);
            if (first)
                _stride = stride;
            else if (stride != reach)
                _even = false;
            reach = stride * shape[axis];
            first = false;
        }
    }

    public long Count { get; }

    public int Columns { get; }

    /// <summary>Whether all rows are evenly spaced, <see cref="Stride"/> apart.</summary>
    public bool Even => _even;

    public long Stride => _stride;

    /// <summary>Whether the rows follow one another without gaps.</summary>
    public bool Contiguous => _even && (_stride == Columns || Count <= 1);

    public static Rows Of(Tensor tensor) => new(tensor);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public float* At(long row) => _even ? _pointer + row * _stride : Find(row);

    [MethodImpl(MethodImplOptions.NoInlining)]
    private float* Find(long row)
    {
        float* at = _pointer;
        for (int axis = _tensor.Shape.Rank - 2; axis >= 0; axis--)
        {
            (row, long place) = Math.DivRem(row, _tensor.Shape[axis]);
            at += place * _tensor.Stride(axis);
        }
        return at;
    }
}
