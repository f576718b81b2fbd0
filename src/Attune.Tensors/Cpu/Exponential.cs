using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.X86;

namespace Attune.Tensors.Cpu;

/// <summary>Powers of two, for softmax.</summary>
internal static class Exponential
{
    /// <summary>1 / ln 2.</summary>
    public const float Log2E = 1.44269504f;

    /// <summary>
    /// 2^x for x of at most 0, within 1e-7 relative (0.7 units in the last place at 1); 1 at 0. Below 2^-126 the result may be 0, minus infinity gives exactly 0, and NaN stays NaN. x is split into the nearest whole number and
    /// a rest of at most a half, of which a polynomial (minimax, 3e-9) is taken.
    /// </summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector512<float> PowerOfTwo(Vector512<float> x)
    {
        // Native maxima return their second operand when one is NaN.
        x = Vector512.MaxNative(Vector512.Create(-200f), x);
        var n = Vector512.Round(x);
        var r = x - n;
        var p = Vector512.FusedMultiplyAdd(Vector512.Create(1.55946778e-4f), r, Vector512.Create(1.34066434e-3f));
        p = Vector512.FusedMultiplyAdd(p, r, Vector512.Create(9.61769279e-3f));
        p = Vector512.FusedMultiplyAdd(p, r, Vector512.Create(5.55031039e-2f));
        p = Vector512.FusedMultiplyAdd(p, r, Vector512.Create(2.40226522e-1f));
        p = Vector512.FusedMultiplyAdd(p, r, Vector512.Create(6.93147242e-1f));
        p = Vector512.FusedMultiplyAdd(p, r, Vector512<float>.One);
        if (Avx512F.IsSupported)
            return Avx512F.Scale(p, n);
        var exponent = (Vector512.ConvertToInt32(Vector512.Max(n, Vector512.Create(-127f))) + Vector512.Create(127)) << 23;
        return p * exponent.AsSingle();
    }
}
