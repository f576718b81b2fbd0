using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;

namespace Attune.Tensors.Cpu;

/// <summary>A function of one element.</summary>
internal interface IMap
{
    Vector512<float> Of(Vector512<float> x);
}

/// <summary>A function of two elements.</summary>
internal interface IMap2
{
    Vector512<float> Of(Vector512<float> x, Vector512<float> y);
}

/// <summary>A function of three elements.</summary>
internal interface IMap3
{
    Vector512<float> Of(Vector512<float> x, Vector512<float> y, Vector512<float> z);
}

/// <summary>A function of four elements.</summary>
internal interface IMap4
{
    Vector512<float> Of(Vector512<float> x, Vector512<float> y, Vector512<float> z, Vector512<float> w);
}

/// <summary>
/// Loops over contiguous floats. What an element becomes does not depend on its place: where a row is no whole number of vectors, the last
/// overlaps the one before, with operands read before anything is written, so that a result may take an operand's place; rows shorter than
/// a vector are filled up.
/// </summary>
internal static unsafe class RowKernels
{
    private const int Lanes = 16;

    /// <summary>r = f(x).</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static void Map<T>(T f, float* x, float* r, long count)
        where T : struct, IMap
    {
        if (count < Lanes)
        {
            MapShort(f, x, r, count);
            return;
        }
        long whole = count / Lanes * Lanes;
        long last = count - Lanes;
        var end = whole == count ? default : f.Of(Vector512.Load(x + last));
        for (long i = 0; i < whole; i += Lanes)
            f.Of(Vector512.Load(x + i)).Store(r + i);
        if (whole < count)
            end.Store(r + last);
    }

    /// <summary>r = f(x, y).</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static void Map<T>(T f, float* x, float* y, float* r, long count)
        where T : struct, IMap2
    {
        if (count < Lanes)
        {
            MapShort(f, x, y, r, count);
            return;
        }
        long whole = count / Lanes * Lanes;
        long last = count - Lanes;
        var end = whole == count ? default : f.Of(Vector512.Load(x + last), Vector512.Load(y + last));
        for (long i = 0; i < whole; i += Lanes)
            f.Of(Vector512.Load(x + i), Vector512.Load(y + i)).Store(r + i);
        if (whole < count)
            end.Store(r + last);
    }

    /// <summary>r = f(x, y, z).</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static void Map<T>(T f, float* x, float* y, float* z, float* r, long count)
        where T : struct, IMap3
    {
        if (count < Lanes)
        {
            MapShort(f, x, y, z, r, count);
            return;
        }
        long whole = count / Lanes * Lanes;
        long last = count - Lanes;
        var end = whole == count ? default : f.Of(Vector512.Load(x + last), Vector512.Load(y + last), Vector512.Load(z + last));
        for (long i = 0; i < whole; i += Lanes)
            f.Of(Vector512.Load(x + i), Vector512.Load(y + i), Vector512.Load(z + i)).Store(r + i);
        if (whole < count)
            end.Store(r + last);
    }

    /// <summary>r = f(x, y, z, w).</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static void Map<T>(T f, float* x, float* y, float* z, float* w, float* r, long count)
        where T : struct, IMap4
    {
        if (count < Lanes)
        {
            MapShort(f, x, y, z, w, r, count);
            return;
        }
        long whole = count / Lanes * Lanes;
        long last = count - Lanes;
        var end = whole == count ? default
            : f.Of(Vector512.Load(x + last), Vector512.Load(y + last), Vector512.Load(z + last), Vector512.Load(w + last));
        for (long i = 0; i < whole; i += Lanes)
            f.Of(Vector512.Load(x + i), Vector512.Load(y + i), Vector512.Load(z + i), Vector512.Load(w + i)).Store(r + i);
        if (whole < count)
            end.Store(r + last);
    }

    [MethodImpl(MethodImplOptions.NoInlining)]
    private static void MapShort<T>(T f, float* x, float* r, long count)
        where T : struct, IMap => PutShort(f.Of(Short(x, count)), r, count);

    [MethodImpl(MethodImplOptions.NoInlining)]
    private static void MapShort<T>(T f, float* x, float* y, float* r, long count)
        where T : struct, IMap2 => PutShort(f.Of(Short(x, count), Short(y, count)), r, count);

    [MethodImpl(MethodImplOptions.NoInlining)]
    private static void MapShort<T>(T f, float* x, float* y, float* z, float* r, long count)
        where T : struct, IMap3 => PutShort(f.Of(Short(x, count), Short(y, count), Short(z, count)), r, count);

    [MethodImpl(MethodImplOptions.NoInlining)]
    private static void MapShort<T>(T f, float* x, float* y, float* z, float* w, float* r, long count)
        where T : struct, IMap4 => PutShort(f.Of(Short(x, count), Short(y, count), Short(z, count), Short(w, count)), r, count);

    /// <summary>r = x.</summary>
    public static void Copy(float* x, float* r, long count) => Map(default(Identity), x, r, count);

    private readonly struct Identity : IMap
    {
        public Vector512<float> Of(Vector512<float> x) => x;
    }

    /// <summary>The sum over x - centre, and over its square.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static (double Sum, double Squares) CentredSums(float* x, int count, float centre)
    {
        if (count < Lanes)
            return ShortCentredSums(x, count, centre);
        var c = Vector512.Create(centre);
        var (s0, s1, q0, q1) = (Vector512<float>.Zero, Vector512<float>.Zero, Vector512<float>.Zero, Vector512<float>.Zero);
        int i = 0;
        for (; i <= count - 2 * Lanes; i += 2 * Lanes)
        {
            var v0 = Vector512.Load(x + i) - c;
            var v1 = Vector512.Load(x + i + Lanes) - c;
            s0 += v0;
            s1 += v1;
            q0 = Vector512.FusedMultiplyAdd(v0, v0, q0);
            q1 = Vector512.FusedMultiplyAdd(v1, v1, q1);
        }
        for (; i < count; i += Lanes)
        {
            var v = i <= count - Lanes ? Vector512.Load(x + i) - c : (Vector512.Load(x + count - Lanes) - c) & Unread(i, count);
            s0 += v;
            q0 = Vector512.FusedMultiplyAdd(v, v, q0);
        }
        return (Vector512.Sum(s0 + s1), Vector512.Sum(q0 + q1));
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static float Sum(float* x, int count)
    {
        if (count < Lanes)
            return Vector512.Sum(Short(x, count));
        var (s0, s1, s2, s3) = (Vector512<float>.Zero, Vector512<float>.Zero, Vector512<float>.Zero, Vector512<float>.Zero);
        int i = 0;
        for (; i <= count - 4 * Lanes; i += 4 * Lanes)
        {
            s0 += Vector512.Load(x + i);
            s1 += Vector512.Load(x + i + Lanes);
            s2 += Vector512.Load(x + i + 2 * Lanes);
            s3 += Vector512.Load(x + i + 3 * Lanes);
        }
        for (; i < count; i += Lanes)
            s0 += i <= count - Lanes ? Vector512.Load(x + i) : Vector512.Load(x + count - Lanes) & Unread(i, count);
        return Vector512.Sum((s0 + s1) + (s2 + s3));
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static float SumOfSquares(float* x, int count)
    {
        if (count < Lanes)
            return (float)ShortCentredSums(x, count, 0).Squares;
        var (s0, s1, s2, s3) = (Vector512<float>.Zero, Vector512<float>.Zero, Vector512<float>.Zero, Vector512<float>.Zero);
        int i = 0;
        for (; i <= count - 4 * Lanes; i += 4 * Lanes)
        {
            var (v0, v1, v2, v3) = (
                Vector512.Load(x + i), Vector512.Load(x + i + Lanes), Vector512.Load(x + i + 2 * Lanes), Vector512.Load(x + i + 3 * Lanes));
            s0 = Vector512.FusedMultiplyAdd(v0, v0, s0);
            s1 = Vector512.FusedMultiplyAdd(v1, v1, s1);
            s2 = Vector512.FusedMultiplyAdd(v2, v2, s2);
            s3 = Vector512.FusedMultiplyAdd(v3, v3, s3);
        }
        for (; i < count; i += Lanes)
        {
            var v = i <= count - Lanes ? Vector512.Load(x + i) : Vector512.Load(x + count - Lanes) & Unread(i, count);
            s0 = Vector512.FusedMultiplyAdd(v, v, s0);
        }
        return Vector512.Sum((s0 + s1) + (s2 + s3));
    }

    /// <summary>The largest element; one that is NaN may be passed over.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static float Maximum(float* x, int count)
    {
        if (count < Lanes)
            return ShortMaximum(x, count);
        var (m0, m1) = (Vector512.Create(float.NegativeInfinity), Vector512.Create(float.NegativeInfinity));
        int i = 0;
        for (; i <= count - 2 * Lanes; i += 2 * Lanes)
        {
            m0 = Vector512.MaxNative(Vector512.Load(x + i), m0);
            m1 = Vector512.MaxNative(Vector512.Load(x + i + Lanes), m1);
        }
        for (; i < count; i += Lanes)
            m0 = Vector512.MaxNative(i <= count - Lanes ? Vector512.Load(x + i) : Vector512.Load(x + count - Lanes), m0);
        m0 = Vector512.MaxNative(m0, m1);
        var m = Vector256.MaxNative(m0.GetLower(), m0.GetUpper());
        float maximum = m[0];
        for (int lane = 1; lane < 8; lane++)
            maximum = m[lane] > maximum ? m[lane] : maximum;
        return maximum;
    }

    /// <summary>r = exp(x - centre).</summary>
    /// <returns>The sum of r.</returns>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static float Exponentials(float* x, float centre, float* r, int count)
    {
        if (count < Lanes)
            return ShortExponentials(x, centre, r, count);
        var c = Vector512.Create(centre);
        int whole = count / Lanes * Lanes;
        var last = whole == count ? default : Exponential.Of(Vector512.Load(x + count - Lanes) - c);
        var (s0, s1) = (whole == count ? default : last & Unread(whole, count), Vector512<float>.Zero);
        int i = 0;
        for (; i <= whole - 2 * Lanes; i += 2 * Lanes)
        {
            var e0 = Exponential.Of(Vector512.Load(x + i) - c);
            var e1 = Exponential.Of(Vector512.Load(x + i + Lanes) - c);
            e0.Store(r + i);
            e1.Store(r + i + Lanes);
            s0 += e0;
            s1 += e1;
        }
        if (i < whole)
        {
            var e = Exponential.Of(Vector512.Load(x + i) - c);
            e.Store(r + i);
            s0 += e;
        }
        if (whole < count)
            last.Store(r + count - Lanes);
        return Vector512.Sum(s0 + s1);
    }

    /// <summary>totals += x, widened.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static void AddTo(double* totals, float* x, int count)
    {
        int i = 0;
        for (; i <= count - Lanes; i += Lanes)
        {
            var (low, high) = Vector512.Widen(Vector512.Load(x + i));
            (Vector512.Load(totals + i) + low).Store(totals + i);
            (Vector512.Load(totals + i + 8) + high).Store(totals + i + 8);
        }
        for (; i < count; i++)
            totals[i] += x[i];
    }

    /// <summary>Adds the differences of four rows to their centres, and the squares of these.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static void AddDifferences(float* sums, float* squares, float* a, float* b, float* c, float* d, float* centres, int count)
    {
        int i = 0;
        for (; i <= count - Lanes; i += Lanes)
        {
            var centre = Vector512.Load(centres + i);
            var (p, q, r, s) = (
                Vector512.Load(a + i) - centre, Vector512.Load(b + i) - centre, Vector512.Load(c + i) - centre,
                Vector512.Load(d + i) - centre);
            var first = Vector512.FusedMultiplyAdd(p, p, q * q);
            var second = Vector512.FusedMultiplyAdd(r, r, s * s);
            (Vector512.Load(sums + i) + ((p + q) + (r + s))).Store(sums + i);
            (Vector512.Load(squares + i) + (first + second)).Store(squares + i);
        }
        for (; i < count; i++)
        {
            var (p, q, r, s) = (a[i] - centres[i], b[i] - centres[i], c[i] - centres[i], d[i] - centres[i]);
            sums[i] += (p + q) + (r + s);
            squares[i] += (p * p + q * q) + (r * r + s * s);
        }
    }

    /// <summary>The first elements of a vector, and zeros.</summary>
    [MethodImpl(MethodImplOptions.NoInlining)]
    public static Vector512<float> Short(float* x, long count)
    {
        if (count >= Lanes)
            return Vector512.Load(x);
        var result = Vector512<float>.Zero;
        float* room = stackalloc float[Lanes];
        result.Store(room);
        int i = 0;
        if (count >= 8)
        {
            Vector256.Load(x).Store(room);
            i = 8;
        }
        for (; i < count; i++)
            room[i] = x[i];
        return Vector512.Load(room);
    }

    private static void PutShort(Vector512<float> values, float* r, long count)
    {
        float* room = stackalloc float[Lanes];
        values.Store(room);
        new ReadOnlySpan<float>(room, (int)count).CopyTo(new Span<float>(r, (int)count));
    }

    private static (double Sum, double Squares) ShortCentredSums(float* x, int count, float centre)
    {
        var (sum, squares) = (0f, 0f);
        for (int i = 0; i < count; i++)
        {
            float v = x[i] - centre;
            sum += v;
            squares += v * v;
        }
        return (sum, squares);
    }

    private static float ShortMaximum(float* x, int count)
    {
        float maximum = float.NegativeInfinity;
        for (int i = 0; i < count; i++)
            maximum = x[i] > maximum ? x[i] : maximum;
        return maximum;
    }

    [MethodImpl(MethodImplOptions.NoInlining)]
    private static float ShortExponentials(float* x, float centre, float* r, int count)
    {
        PutShort(Exponential.Of(Short(x, count) - Vector512.Create(centre)), r, count);
        float sum = 0;
        for (int i = 0; i < count; i++)
            sum += r[i];
        return sum;
    }

    /// <summary>All bits where the last vector of a row holds elements from <paramref name="read"/> on.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector512<float> Unread(int read, int count) =>
        Vector512.GreaterThanOrEqual(Vector512<int>.Indices, Vector512.Create(Lanes - (count - read))).AsSingle();
}
