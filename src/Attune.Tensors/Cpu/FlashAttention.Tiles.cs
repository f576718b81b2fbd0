using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;

namespace Attune.Tensors.Cpu;

/// <summary>
/// The two register tiles of attention. Queries lie side by side in the vectors, so that softmax needs no sums across lanes, and eight keys
/// or eight channels form the tile's rows, so that any multiple of 8 channels wastes nothing. With vectors of 512 bits a tile is 8 x 48, 24
/// of 32 registers; else 4 x 16 at a time.
/// </summary>
internal unsafe partial struct FlashAttention
{
    /// <summary>
    /// 8 keys against up to 48 queries: logits[i, j] = sum over c of keys[i, c] queries[c, j]. Raises the maxima where they are given.
    /// </summary>
    /// <param name="keys">[8, channels].</param>
    /// <param name="queries">[channels, width].</param>
    /// <param name="channels">A multiple of 8.</param>
    /// <param name="logits">[8, width].</param>
    /// <param name="maxima">[width], or null.</param>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void Scores<TWidth>(float* keys, float* queries, int channels, float* logits, float* maxima)
        where TWidth : IWidth
    {
        if (!Vector512.IsHardwareAccelerated)
        {
            NarrowScores<TWidth>(keys, queries, channels, logits, maxima);
            return;
        }
        Vector512<float> c00 = Vector512<float>.Zero, c01 = Vector512<float>.Zero, c02 = Vector512<float>.Zero;
        Vector512<float> c10 = Vector512<float>.Zero, c11 = Vector512<float>.Zero, c12 = Vector512<float>.Zero;
        Vector512<float> c20 = Vector512<float>.Zero, c21 = Vector512<float>.Zero, c22 = Vector512<float>.Zero;
        Vector512<float> c30 = Vector512<float>.Zero, c31 = Vector512<float>.Zero, c32 = Vector512<float>.Zero;
        Vector512<float> c40 = Vector512<float>.Zero, c41 = Vector512<float>.Zero, c42 = Vector512<float>.Zero;
        Vector512<float> c50 = Vector512<float>.Zero, c51 = Vector512<float>.Zero, c52 = Vector512<float>.Zero;
        Vector512<float> c60 = Vector512<float>.Zero, c61 = Vector512<float>.Zero, c62 = Vector512<float>.Zero;
        Vector512<float> c70 = Vector512<float>.Zero, c71 = Vector512<float>.Zero, c72 = Vector512<float>.Zero;
        long row = channels;
        float* k0 = keys, k1 = k0 + row, k2 = k1 + row, k3 = k2 + row;
        float* k4 = k3 + row, k5 = k4 + row, k6 = k5 + row, k7 = k6 + row;
        for (nint c = 0; c < channels; c++, queries += TWidth.Vectors * Lanes)
        {
            var b0 = Vector512.Load(queries);
            var b1 = TWidth.Vectors > 1 ? Vector512.Load(queries + Lanes) : default;
            var b2 = TWidth.Vectors > 2 ? Vector512.Load(queries + 2 * Lanes) : default;
            Vector512<float> a;
            a = Vector512.Create(k0[c]);
            c00 = Vector512.FusedMultiplyAdd(a, b0, c00);
            if (TWidth.Vectors > 1)
                c01 = Vector512.FusedMultiplyAdd(a, b1, c01);
            if (TWidth.Vectors > 2)
                c02 = Vector512.FusedMultiplyAdd(a, b2, c02);
            a = Vector512.Create(k1[c]);
            c10 = Vector512.FusedMultiplyAdd(a, b0, c10);
            if (TWidth.Vectors > 1)
                c11 = Vector512.FusedMultiplyAdd(a, b1, c11);
            if (TWidth.Vectors > 2)
                c12 = Vector512.FusedMultiplyAdd(a, b2, c12);
            a = Vector512.Create(k2[c]);
            c20 = Vector512.FusedMultiplyAdd(a, b0, c20);
            if (TWidth.Vectors > 1)
                c21 = Vector512.FusedMultiplyAdd(a, b1, c21);
            if (TWidth.Vectors > 2)
                c22 = Vector512.FusedMultiplyAdd(a, b2, c22);
            a = Vector512.Create(k3[c]);
            c30 = Vector512.FusedMultiplyAdd(a, b0, c30);
            if (TWidth.Vectors > 1)
                c31 = Vector512.FusedMultiplyAdd(a, b1, c31);
            if (TWidth.Vectors > 2)
                c32 = Vector512.FusedMultiplyAdd(a, b2, c32);
            a = Vector512.Create(k4[c]);
            c40 = Vector512.FusedMultiplyAdd(a, b0, c40);
            if (TWidth.Vectors > 1)
                c41 = Vector512.FusedMultiplyAdd(a, b1, c41);
            if (TWidth.Vectors > 2)
                c42 = Vector512.FusedMultiplyAdd(a, b2, c42);
            a = Vector512.Create(k5[c]);
            c50 = Vector512.FusedMultiplyAdd(a, b0, c50);
            if (TWidth.Vectors > 1)
                c51 = Vector512.FusedMultiplyAdd(a, b1, c51);
            if (TWidth.Vectors > 2)
                c52 = Vector512.FusedMultiplyAdd(a, b2, c52);
            a = Vector512.Create(k6[c]);
            c60 = Vector512.FusedMultiplyAdd(a, b0, c60);
            if (TWidth.Vectors > 1)
                c61 = Vector512.FusedMultiplyAdd(a, b1, c61);
            if (TWidth.Vectors > 2)
                c62 = Vector512.FusedMultiplyAdd(a, b2, c62);
            a = Vector512.Create(k7[c]);
            c70 = Vector512.FusedMultiplyAdd(a, b0, c70);
            if (TWidth.Vectors > 1)
                c71 = Vector512.FusedMultiplyAdd(a, b1, c71);
            if (TWidth.Vectors > 2)
                c72 = Vector512.FusedMultiplyAdd(a, b2, c72);
        }
        Put<TWidth>(logits + 0 * TWidth.Vectors * Lanes, c00, c01, c02);
        Put<TWidth>(logits + 1 * TWidth.Vectors * Lanes, c10, c11, c12);
        Put<TWidth>(logits + 2 * TWidth.Vectors * Lanes, c20, c21, c22);
        Put<TWidth>(logits + 3 * TWidth.Vectors * Lanes, c30, c31, c32);
        Put<TWidth>(logits + 4 * TWidth.Vectors * Lanes, c40, c41, c42);
        Put<TWidth>(logits + 5 * TWidth.Vectors * Lanes, c50, c51, c52);
        Put<TWidth>(logits + 6 * TWidth.Vectors * Lanes, c60, c61, c62);
        Put<TWidth>(logits + 7 * TWidth.Vectors * Lanes, c70, c71, c72);
        if (maxima == null)
            return;
        Vector512.MaxNative(
            Vector512.MaxNative(
                Vector512.MaxNative(Vector512.MaxNative(c00, c10), Vector512.MaxNative(c20, c30)),
                Vector512.MaxNative(Vector512.MaxNative(c40, c50), Vector512.MaxNative(c60, c70))),
            Vector512.Load(maxima))
            .Store(maxima);
        if (TWidth.Vectors > 1)
            Vector512.MaxNative(
                Vector512.MaxNative(
                    Vector512.MaxNative(Vector512.MaxNative(c01, c11), Vector512.MaxNative(c21, c31)),
                    Vector512.MaxNative(Vector512.MaxNative(c41, c51), Vector512.MaxNative(c61, c71))),
                Vector512.Load(maxima + 1 * Lanes))
                .Store(maxima + 1 * Lanes);
        if (TWidth.Vectors > 2)
            Vector512.MaxNative(
                Vector512.MaxNative(
                    Vector512.MaxNative(Vector512.MaxNative(c02, c12), Vector512.MaxNative(c22, c32)),
                    Vector512.MaxNative(Vector512.MaxNative(c42, c52), Vector512.MaxNative(c62, c72))),
                Vector512.Load(maxima + 2 * Lanes))
                .Store(maxima + 2 * Lanes);
    }

    /// <summary>
    /// Up to 48 rows of weights against 8 channels of values: sums[i, j] = sums[i, j] factors[j] + sum over k of values[k, i] weights[k,
    /// j].
    /// </summary>
    /// <param name="values">[count, 8].</param>
    /// <param name="weights">[count, width].</param>
    /// <param name="count">How many keys.</param>
    /// <param name="factors">[width].</param>
    /// <param name="sums">[8, width].</param>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void Values<TWidth>(float* values, float* weights, int count, float* factors, float* sums)
        where TWidth : IWidth
    {
        if (!Vector512.IsHardwareAccelerated)
        {
            NarrowValues<TWidth>(values, weights, count, factors, sums);
            return;
        }
        Vector512<float> c00 = Vector512<float>.Zero, c01 = Vector512<float>.Zero, c02 = Vector512<float>.Zero;
        Vector512<float> c10 = Vector512<float>.Zero, c11 = Vector512<float>.Zero, c12 = Vector512<float>.Zero;
        Vector512<float> c20 = Vector512<float>.Zero, c21 = Vector512<float>.Zero, c22 = Vector512<float>.Zero;
        Vector512<float> c30 = Vector512<float>.Zero, c31 = Vector512<float>.Zero, c32 = Vector512<float>.Zero;
        Vector512<float> c40 = Vector512<float>.Zero, c41 = Vector512<float>.Zero, c42 = Vector512<float>.Zero;
        Vector512<float> c50 = Vector512<float>.Zero, c51 = Vector512<float>.Zero, c52 = Vector512<float>.Zero;
        Vector512<float> c60 = Vector512<float>.Zero, c61 = Vector512<float>.Zero, c62 = Vector512<float>.Zero;
        Vector512<float> c70 = Vector512<float>.Zero, c71 = Vector512<float>.Zero, c72 = Vector512<float>.Zero;
        for (; count > 0; count--, values += TileRows, weights += TWidth.Vectors * Lanes)
        {
            var b0 = Vector512.Load(weights);
            var b1 = TWidth.Vectors > 1 ? Vector512.Load(weights + Lanes) : default;
            var b2 = TWidth.Vectors > 2 ? Vector512.Load(weights + 2 * Lanes) : default;
            Vector512<float> a;
            a = Vector512.Create(values[0]);
            c00 = Vector512.FusedMultiplyAdd(a, b0, c00);
            if (TWidth.Vectors > 1)
                c01 = Vector512.FusedMultiplyAdd(a, b1, c01);
            if (TWidth.Vectors > 2)
                c02 = Vector512.FusedMultiplyAdd(a, b2, c02);
            a = Vector512.Create(values[1]);
            c10 = Vector512.FusedMultiplyAdd(a, b0, c10);
            if (TWidth.Vectors > 1)
                c11 = Vector512.FusedMultiplyAdd(a, b1, c11);
            if (TWidth.Vectors > 2)
                c12 = Vector512.FusedMultiplyAdd(a, b2, c12);
            a = Vector512.Create(values[2]);
            c20 = Vector512.FusedMultiplyAdd(a, b0, c20);
            if (TWidth.Vectors > 1)
                c21 = Vector512.FusedMultiplyAdd(a, b1, c21);
            if (TWidth.Vectors > 2)
                c22 = Vector512.FusedMultiplyAdd(a, b2, c22);
            a = Vector512.Create(values[3]);
            c30 = Vector512.FusedMultiplyAdd(a, b0, c30);
            if (TWidth.Vectors > 1)
                c31 = Vector512.FusedMultiplyAdd(a, b1, c31);
            if (TWidth.Vectors > 2)
                c32 = Vector512.FusedMultiplyAdd(a, b2, c32);
            a = Vector512.Create(values[4]);
            c40 = Vector512.FusedMultiplyAdd(a, b0, c40);
            if (TWidth.Vectors > 1)
                c41 = Vector512.FusedMultiplyAdd(a, b1, c41);
            if (TWidth.Vectors > 2)
                c42 = Vector512.FusedMultiplyAdd(a, b2, c42);
            a = Vector512.Create(values[5]);
            c50 = Vector512.FusedMultiplyAdd(a, b0, c50);
            if (TWidth.Vectors > 1)
                c51 = Vector512.FusedMultiplyAdd(a, b1, c51);
            if (TWidth.Vectors > 2)
                c52 = Vector512.FusedMultiplyAdd(a, b2, c52);
            a = Vector512.Create(values[6]);
            c60 = Vector512.FusedMultiplyAdd(a, b0, c60);
            if (TWidth.Vectors > 1)
                c61 = Vector512.FusedMultiplyAdd(a, b1, c61);
            if (TWidth.Vectors > 2)
                c62 = Vector512.FusedMultiplyAdd(a, b2, c62);
            a = Vector512.Create(values[7]);
            c70 = Vector512.FusedMultiplyAdd(a, b0, c70);
            if (TWidth.Vectors > 1)
                c71 = Vector512.FusedMultiplyAdd(a, b1, c71);
            if (TWidth.Vectors > 2)
                c72 = Vector512.FusedMultiplyAdd(a, b2, c72);
        }
        var f0 = Vector512.Load(factors);
        var f1 = TWidth.Vectors > 1 ? Vector512.Load(factors + Lanes) : default;
        var f2 = TWidth.Vectors > 2 ? Vector512.Load(factors + 2 * Lanes) : default;
        Accumulate<TWidth>(sums + 0 * TWidth.Vectors * Lanes, f0, f1, f2, c00, c01, c02);
        Accumulate<TWidth>(sums + 1 * TWidth.Vectors * Lanes, f0, f1, f2, c10, c11, c12);
        Accumulate<TWidth>(sums + 2 * TWidth.Vectors * Lanes, f0, f1, f2, c20, c21, c22);
        Accumulate<TWidth>(sums + 3 * TWidth.Vectors * Lanes, f0, f1, f2, c30, c31, c32);
        Accumulate<TWidth>(sums + 4 * TWidth.Vectors * Lanes, f0, f1, f2, c40, c41, c42);
        Accumulate<TWidth>(sums + 5 * TWidth.Vectors * Lanes, f0, f1, f2, c50, c51, c52);
        Accumulate<TWidth>(sums + 6 * TWidth.Vectors * Lanes, f0, f1, f2, c60, c61, c62);
        Accumulate<TWidth>(sums + 7 * TWidth.Vectors * Lanes, f0, f1, f2, c70, c71, c72);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void Put<TWidth>(float* target, Vector512<float> c0, Vector512<float> c1, Vector512<float> c2)
        where TWidth : IWidth
    {
        c0.Store(target);
        if (TWidth.Vectors > 1)
            c1.Store(target + Lanes);
        if (TWidth.Vectors > 2)
            c2.Store(target + 2 * Lanes);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void Accumulate<TWidth>(
        float* target, Vector512<float> f0, Vector512<float> f1, Vector512<float> f2, Vector512<float> c0, Vector512<float> c1,
        Vector512<float> c2)
        where TWidth : IWidth
    {
        Vector512.FusedMultiplyAdd(Vector512.Load(target), f0, c0).Store(target);
        if (TWidth.Vectors > 1)
            Vector512.FusedMultiplyAdd(Vector512.Load(target + Lanes), f1, c1).Store(target + Lanes);
        if (TWidth.Vectors > 2)
            Vector512.FusedMultiplyAdd(Vector512.Load(target + 2 * Lanes), f2, c2).Store(target + 2 * Lanes);
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void NarrowScores<TWidth>(float* keys, float* queries, int channels, float* logits, float* maxima)
        where TWidth : IWidth
    {
        int width = TWidth.Vectors * Lanes;
        for (int i = 0; i < TileRows; i += 4)
            NarrowRows<TWidth>(keys + (long)i * channels, 1, channels, queries, channels, null, logits + i * width);
        for (int j = 0; maxima != null && j < width; j += Lanes)
            Maximum(logits + j, TileRows, width, maxima + j);
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void NarrowValues<TWidth>(float* values, float* weights, int count, float* factors, float* sums)
        where TWidth : IWidth
    {
        for (int i = 0; i < TileRows; i += 4)
            NarrowRows<TWidth>(values + i, TileRows, 1, weights, count, factors, sums + i * TWidth.Vectors * Lanes);
    }

    /// <summary>
    /// Four rows of a product: 48 columns as twice 24, whose sums take 12 of 16 registers and hide the latency of additions; others 16 at
    /// a time.
    /// </summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void NarrowRows<TWidth>(float* a, long step, long apart, float* b, int depth, float* factors, float* c)
        where TWidth : IWidth
    {
        int width = TWidth.Vectors * Lanes;
        if (width == TileWidth)
        {
            for (int j = 0; j < width; j += TileWidth / 2)
                NarrowTile<ThreeVectors>(a, step, apart, b + j, width, depth, factors == null ? null : factors + j, c + j);
            return;
        }
        for (int j = 0; j < width; j += Lanes)
            NarrowTile<TwoVectors>(a, step, apart, b + j, width, depth, factors == null ? null : factors + j, c + j);
    }

    /// <summary>
    /// c[i, j] = sum over k of a[k step + i apart] b[k, j] for 4 rows and two or three vectors of 8 columns, plus c[i, j] factors[j] where
    /// factors are given. Rows of b and c are <paramref name="width"/> apart.
    /// </summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void NarrowTile<TColumns>(float* a, long step, long apart, float* b, int width, int depth, float* factors, float* c)
        where TColumns : IWidth
    {
        Vector256<float> c00 = Vector256<float>.Zero, c01 = Vector256<float>.Zero, c02 = Vector256<float>.Zero;
        Vector256<float> c10 = Vector256<float>.Zero, c11 = Vector256<float>.Zero, c12 = Vector256<float>.Zero;
        Vector256<float> c20 = Vector256<float>.Zero, c21 = Vector256<float>.Zero, c22 = Vector256<float>.Zero;
        Vector256<float> c30 = Vector256<float>.Zero, c31 = Vector256<float>.Zero, c32 = Vector256<float>.Zero;
        for (; depth > 0; depth--, a += step, b += width)
        {
            var b0 = Vector256.Load(b);
            var b1 = Vector256.Load(b + 8);
            var b2 = TColumns.Vectors > 2 ? Vector256.Load(b + 16) : default;
            var x = Vector256.Create(a[0]);
            c00 = Vector256.FusedMultiplyAdd(x, b0, c00);
            c01 = Vector256.FusedMultiplyAdd(x, b1, c01);
            if (TColumns.Vectors > 2)
                c02 = Vector256.FusedMultiplyAdd(x, b2, c02);
            x = Vector256.Create(a[1 * apart]);
            c10 = Vector256.FusedMultiplyAdd(x, b0, c10);
            c11 = Vector256.FusedMultiplyAdd(x, b1, c11);
            if (TColumns.Vectors > 2)
                c12 = Vector256.FusedMultiplyAdd(x, b2, c12);
            x = Vector256.Create(a[2 * apart]);
            c20 = Vector256.FusedMultiplyAdd(x, b0, c20);
            c21 = Vector256.FusedMultiplyAdd(x, b1, c21);
            if (TColumns.Vectors > 2)
                c22 = Vector256.FusedMultiplyAdd(x, b2, c22);
            x = Vector256.Create(a[3 * apart]);
            c30 = Vector256.FusedMultiplyAdd(x, b0, c30);
            c31 = Vector256.FusedMultiplyAdd(x, b1, c31);
            if (TColumns.Vectors > 2)
                c32 = Vector256.FusedMultiplyAdd(x, b2, c32);
        }
        Keep<TColumns>(c + 0 * width, factors, c00, c01, c02);
        Keep<TColumns>(c + 1 * width, factors, c10, c11, c12);
        Keep<TColumns>(c + 2 * width, factors, c20, c21, c22);
        Keep<TColumns>(c + 3 * width, factors, c30, c31, c32);
    }

    /// <summary>Writes a row of sums, with what was there times factors where they are given.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void Keep<TColumns>(float* c, float* factors, Vector256<float> c0, Vector256<float> c1, Vector256<float> c2)
        where TColumns : IWidth
    {
        if (factors != null)
        {
            c0 = Vector256.FusedMultiplyAdd(Vector256.Load(c), Vector256.Load(factors), c0);
            c1 = Vector256.FusedMultiplyAdd(Vector256.Load(c + 8), Vector256.Load(factors + 8), c1);
            if (TColumns.Vectors > 2)
                c2 = Vector256.FusedMultiplyAdd(Vector256.Load(c + 16), Vector256.Load(factors + 16), c2);
        }
        c0.Store(c);
        c1.Store(c + 8);
        if (TColumns.Vectors > 2)
            c2.Store(c + 16);
    }

    /// <summary>Raises the maxima of 16 columns to the largest of some rows.</summary>
    private static void Maximum(float* logits, int rows, int width, float* maxima)
    {
        var largest = Vector512.Load(maxima);
        for (int i = 0; i < rows; i++)
            largest = Vector512.MaxNative(Vector512.Load(logits + i * width), largest);
        largest.Store(maxima);
    }
}
