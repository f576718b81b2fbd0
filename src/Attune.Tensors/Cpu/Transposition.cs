using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.X86;

namespace Attune.Tensors.Cpu;

/// <summary>Transpositions in registers.</summary>
internal static unsafe class Transposition
{
    /// <summary>The extent of a tile.</summary>
    public const int Size = 8;

    /// <summary>target[j, i] = source[i, j] factors[j] for an 8 x 8 tile.</summary>
    /// <param name="source">The first element of the tile.</param>
    /// <param name="sourceStride">Floats from one row of the source to the next.</param>
    /// <param name="factors">What each column of the source is multiplied with.</param>
    /// <param name="target">The first element of the transposed tile.</param>
    /// <param name="targetStride">Floats from one row of the target to the next.</param>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void Tile(float* source, long sourceStride, Vector256<float> factors, float* target, long targetStride)
    {
        float* half = source + 4 * sourceStride;
        Transpose(
            Vector256.Load(source) * factors, Vector256.Load(source + sourceStride) * factors,
            Vector256.Load(source + 2 * sourceStride) * factors, Vector256.Load(source + 3 * sourceStride) * factors,
            Vector256.Load(half) * factors, Vector256.Load(half + sourceStride) * factors,
            Vector256.Load(half + 2 * sourceStride) * factors, Vector256.Load(half + 3 * sourceStride) * factors, target, targetStride);
    }

    /// <summary>target[j, i] = source[i, j] for an 8 x 8 tile.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void Tile(float* source, long sourceStride, float* target, long targetStride)
    {
        float* half = source + 4 * sourceStride;
        Transpose(
            Vector256.Load(source), Vector256.Load(source + sourceStride), Vector256.Load(source + 2 * sourceStride),
            Vector256.Load(source + 3 * sourceStride),
            Vector256.Load(half), Vector256.Load(half + sourceStride), Vector256.Load(half + 2 * sourceStride),
            Vector256.Load(half + 3 * sourceStride), target, targetStride);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void Transpose(
        Vector256<float> a, Vector256<float> b, Vector256<float> c, Vector256<float> d, Vector256<float> e, Vector256<float> f,
        Vector256<float> g, Vector256<float> h, float* target, long stride)
    {
        if (!Avx.IsSupported)
        {
            for (int j = 0; j < Size; j++, target += stride)
                Vector256.Create(a[j], b[j], c[j], d[j], e[j], f[j], g[j], h[j]).Store(target);
            return;
        }
        var (ab0, ab1, cd0, cd1) = (Avx.UnpackLow(a, b), Avx.UnpackHigh(a, b), Avx.UnpackLow(c, d), Avx.UnpackHigh(c, d));
        var (ef0, ef1, gh0, gh1) = (Avx.UnpackLow(e, f), Avx.UnpackHigh(e, f), Avx.UnpackLow(g, h), Avx.UnpackHigh(g, h));
        var (l0, l1, l2, l3) = (
            Avx.Shuffle(ab0, cd0, 0x44), Avx.Shuffle(ab0, cd0, 0xEE), Avx.Shuffle(ab1, cd1, 0x44), Avx.Shuffle(ab1, cd1, 0xEE));
        var (h0, h1, h2, h3) = (
            Avx.Shuffle(ef0, gh0, 0x44), Avx.Shuffle(ef0, gh0, 0xEE), Avx.Shuffle(ef1, gh1, 0x44), Avx.Shuffle(ef1, gh1, 0xEE));
        float* lower = target + 4 * stride;
        Avx.Permute2x128(l0, h0, 0x20).Store(target);
        Avx.Permute2x128(l1, h1, 0x20).Store(target + stride);
        Avx.Permute2x128(l2, h2, 0x20).Store(target + 2 * stride);
        Avx.Permute2x128(l3, h3, 0x20).Store(target + 3 * stride);
        Avx.Permute2x128(l0, h0, 0x31).Store(lower);
        Avx.Permute2x128(l1, h1, 0x31).Store(lower + stride);
        Avx.Permute2x128(l2, h2, 0x31).Store(lower + 2 * stride);
        Avx.Permute2x128(l3, h3, 0x31).Store(lower + 3 * stride);
    }
}
