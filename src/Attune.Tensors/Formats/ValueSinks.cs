using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;

namespace Attune.Tensors.Formats;

/// <summary>What becomes of widened values, while they are in registers.</summary>
internal interface IValueSink
{
    /// <summary>Takes the next 32 values.</summary>
    void Take(Vector256<float> a, Vector256<float> b, Vector256<float> c, Vector256<float> d);
}

/// <summary>Stores them.</summary>
internal unsafe struct StoringSink(float* values) : IValueSink
{
    private float* _values = values;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public void Take(Vector256<float> a, Vector256<float> b, Vector256<float> c, Vector256<float> d)
    {
        a.Store(_values);
        b.Store(_values + 8);
        c.Store(_values + 16);
        d.Store(_values + 24);
        _values += 32;
    }
}

/// <summary>Multiplies them with a row and adds up the products.</summary>
internal unsafe struct DotSink(float* row) : IValueSink
{
    private float* _row = row;
    private Vector256<float> _a, _b, _c, _d;

    public readonly float Sum => Vector256.Sum((_a + _b) + (_c + _d));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public void Take(Vector256<float> a, Vector256<float> b, Vector256<float> c, Vector256<float> d)
    {
        _a = Vector256.MultiplyAddEstimate(a, Vector256.Load(_row), _a);
        _b = Vector256.MultiplyAddEstimate(b, Vector256.Load(_row + 8), _b);
        _c = Vector256.MultiplyAddEstimate(c, Vector256.Load(_row + 16), _c);
        _d = Vector256.MultiplyAddEstimate(d, Vector256.Load(_row + 24), _d);
        _row += 32;
    }
}
