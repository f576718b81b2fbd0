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

/// <summary>Multiplies them with four rows and adds up the products of each.</summary>
internal unsafe struct FourDotsSink(float* r0, float* r1, float* r2, float* r3) : IValueSink
{
    private nint _at;
    private Vector256<float> _a0, _a1, _a2, _a3;
    private Vector256<float> _b0, _b1, _b2, _b3;

    public readonly void Sum(float* sums)
    {
        sums[0] = Vector256.Sum(_a0 + _b0);
        sums[1] = Vector256.Sum(_a1 + _b1);
        sums[2] = Vector256.Sum(_a2 + _b2);
        sums[3] = Vector256.Sum(_a3 + _b3);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public void Take(Vector256<float> a, Vector256<float> b, Vector256<float> c, Vector256<float> d)
    {
        Add(a, ref _a0, ref _a1, ref _a2, ref _a3, _at);
        Add(b, ref _b0, ref _b1, ref _b2, ref _b3, _at + 8);
        Add(c, ref _a0, ref _a1, ref _a2, ref _a3, _at + 16);
        Add(d, ref _b0, ref _b1, ref _b2, ref _b3, _at + 24);
        _at += 32;
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private readonly void Add(
        Vector256<float> value, ref Vector256<float> s0, ref Vector256<float> s1, ref Vector256<float> s2, ref Vector256<float> s3, nint at)
    {
        s0 = Vector256.MultiplyAddEstimate(value, Vector256.Load(r0 + at), s0);
        s1 = Vector256.MultiplyAddEstimate(value, Vector256.Load(r1 + at), s1);
        s2 = Vector256.MultiplyAddEstimate(value, Vector256.Load(r2 + at), s2);
        s3 = Vector256.MultiplyAddEstimate(value, Vector256.Load(r3 + at), s3);
    }
}
