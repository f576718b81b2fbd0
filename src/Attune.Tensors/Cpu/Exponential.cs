using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.X86;

namespace Attune.Tensors.Cpu;

/// <summary>Powers of two and of e, and logarithms. NaN stays NaN.</summary>
internal static class Exponential
{
    /// <summary>1 / ln 2.</summary>
    public const float Log2E = 1.44269504f;

    /// <summary>
    /// 2^x for x of at most 0, within 1e-7 relative; 1 at 0. Below 2^-126 the result may be 0, and minus infinity gives exactly 0. x is
    /// split into the nearest whole number and a rest of at most a half.
    /// </summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector512<float> PowerOfTwo(Vector512<float> x)
    {
        // Native maxima return their second operand when one is NaN.
        x = Vector512.MaxNative(Vector512.Create(-200f), x);
        var n = Vector512.Round(x);
        return Scale(Fraction(x - n), n);
    }

    /// <summary>
    /// e^x within 2e-7 relative. Below e^-87 the result may be 0, above e^88.7 it is infinity; infinities give exactly 0 and infinity. The
    /// rest x - n ln 2 is taken with ln 2 in two parts, the first of which has so few bits that its products with n are exact.
    /// </summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector512<float> Of(Vector512<float> x)
    {
        x = Vector512.MinNative(Vector512.Create(100f), Vector512.MaxNative(Vector512.Create(-130f), x));
        var n = Vector512.Round(x * Vector512.Create(Log2E));
        var r = Vector512.FusedMultiplyAdd(n, Vector512.Create(-0.693359375f), x);
        r = Vector512.FusedMultiplyAdd(n, Vector512.Create(2.12194440e-4f), r);
        return Scale(Fraction(r * Vector512.Create(Log2E)), n);
    }

    /// <summary>
    /// The natural logarithm of normal numbers above 0, within 1e-7 relative to the larger of 1 and the result: the fraction is taken
    /// between sqrt(1/2) and sqrt(2), and its logarithm is Cephes' polynomial. NaN for infinity.
    /// </summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector512<float> Log(Vector512<float> x)
    {
        var bits = x.AsInt32();
        var k = (bits - Vector512.Create(0x3f3504f3)) >> 23;
        var f = (bits - (k << 23)).AsSingle() - Vector512<float>.One;
        var n = Vector512.ConvertToSingle(k);
        var square = f * f;
        var p = Vector512.FusedMultiplyAdd(Vector512.Create(7.0376836292e-2f), f, Vector512.Create(-1.1514610310e-1f));
        p = Vector512.FusedMultiplyAdd(p, f, Vector512.Create(1.1676998740e-1f));
        p = Vector512.FusedMultiplyAdd(p, f, Vector512.Create(-1.2420140846e-1f));
        p = Vector512.FusedMultiplyAdd(p, f, Vector512.Create(1.4249322787e-1f));
        p = Vector512.FusedMultiplyAdd(p, f, Vector512.Create(-1.6668057665e-1f));
        p = Vector512.FusedMultiplyAdd(p, f, Vector512.Create(2.0000714765e-1f));
        p = Vector512.FusedMultiplyAdd(p, f, Vector512.Create(-2.4999993993e-1f));
        p = Vector512.FusedMultiplyAdd(p, f, Vector512.Create(3.3333331174e-1f));
        p = Vector512.FusedMultiplyAdd(n, Vector512.Create(-2.12194440e-4f), p * f * square);
        p = Vector512.FusedMultiplyAdd(square, Vector512.Create(-0.5f), p);

        // x - x is 0, but for infinity and NaN, whose bits would pass for a number's.
        return Vector512.FusedMultiplyAdd(n, Vector512.Create(0.693359375f), f + p) + (x - x);
    }

    /// <summary>2^r for r from -1/2 to 1/2: a polynomial with an error of 3e-9 (minimax, with the value 1 at 0).</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector512<float> Fraction(Vector512<float> r)
    {
        var p = Vector512.FusedMultiplyAdd(Vector512.Create(1.55946778e-4f), r, Vector512.Create(1.34066434e-3f));
        p = Vector512.FusedMultiplyAdd(p, r, Vector512.Create(9.61769279e-3f));
        p = Vector512.FusedMultiplyAdd(p, r, Vector512.Create(5.55031039e-2f));
        p = Vector512.FusedMultiplyAdd(p, r, Vector512.Create(2.40226522e-1f));
        p = Vector512.FusedMultiplyAdd(p, r, Vector512.Create(6.93147242e-1f));
        return Vector512.FusedMultiplyAdd(p, r, Vector512<float>.One);
    }

    /// <summary>p 2^n for a whole number n.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector512<float> Scale(Vector512<float> p, Vector512<float> n)
    {
        if (Avx512F.IsSupported)
            return Avx512F.Scale(p, n);
        n = Vector512.Min(Vector512.Max(n, Vector512.Create(-127f)), Vector512.Create(128f));
        return p * ((Vector512.ConvertToInt32(n) + Vector512.Create(127)) << 23).AsSingle();
    }
}
