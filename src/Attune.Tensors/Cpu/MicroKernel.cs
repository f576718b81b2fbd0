using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;

namespace Attune.Tensors.Cpu;

/// <summary>
/// The inner loop of matrix products: a tile of <see cref="Rows"/> x up to three vectors is accumulated in registers while it walks down a
/// packed panel of the right factor and reads single elements of the left one where they lie.
/// </summary>
internal unsafe interface IMicroKernel
{
    /// <summary>The height of the tile.</summary>
    static abstract int Rows { get; }

    /// <summary>The elements of one vector; the tile is at most three vectors wide.</summary>
    static abstract int Lanes { get; }

    /// <summary>tile = the sum over runs and k of rows[run][i][offset + k] panel[run][k][j]; overwrites the tile.</summary>
    /// <param name="rows">[runs, <see cref="Rows"/>] pointers.</param>
    /// <param name="runs">How many runs make up a row.</param>
    /// <param name="offset">Where each run begins, counted from its pointer.</param>
    /// <param name="length">The length of each run.</param>
    /// <param name="panel">[runs, length, width].</param>
    /// <param name="tile">[<see cref="Rows"/>, 3 vectors], of which the first <typeparamref name="TWidth"/> vectors are written.</param>
    static abstract void Multiply<TWidth>(float** rows, int runs, long offset, int length, float* panel, float* tile)
        where TWidth : IWidth;

    /// <summary>tile (+)= the sum over runs and k of rows[run][i][k] panel[run][k][j], for rows that were packed.</summary>
    /// <param name="rows">The first run, [<see cref="Rows"/>, <see cref="PackedRows.Length"/>].</param>
    /// <param name="step">From one run to the next.</param>
    /// <param name="depth">The length of all runs together; each but the last has <see cref="PackedRows.Length"/> elements.</param>
    /// <param name="panel">[depth, width].</param>
    /// <param name="pitch">From one row of the panel to the next.</param>
    /// <param name="tile">[<see cref="Rows"/>, 3 vectors], of which the first <typeparamref name="TWidth"/> vectors are written.</param>
    /// <param name="add">Whether the tile is added to rather than overwritten.</param>
    static abstract void MultiplyPacked<TWidth>(float* rows, nint step, int depth, float* panel, nint pitch, float* tile, bool add)
        where TWidth : IWidth;
}

/// <summary>
/// Rows that are copied for a micro-kernel lie side by side, cut into runs of a length that is a constant for the compiler.
/// </summary>
internal static class PackedRows
{
    public const int Length = 64;
}

/// <summary>A width of one to three vectors, as a constant for the compiler.</summary>
internal interface IWidth
{
    static abstract int Vectors { get; }
}

internal readonly struct OneVector : IWidth
{
    public static int Vectors => 1;
}

internal readonly struct TwoVectors : IWidth
{
    public static int Vectors => 2;
}

internal readonly struct ThreeVectors : IWidth
{
    public static int Vectors => 3;
}

/// <summary>24 of 32 vector registers of 512 bits hold an 8 x 48 tile.</summary>
internal readonly unsafe struct WideKernel : IMicroKernel
{
    public static int Rows => 8;

    public static int Lanes => 16;

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static void Multiply<TWidth>(float** rows, int runs, long offset, int length, float* panel, float* tile)
        where TWidth : IWidth
    {
        Vector512<float> c00 = Vector512<float>.Zero, c01 = Vector512<float>.Zero, c02 = Vector512<float>.Zero;
        Vector512<float> c10 = Vector512<float>.Zero, c11 = Vector512<float>.Zero, c12 = Vector512<float>.Zero;
        Vector512<float> c20 = Vector512<float>.Zero, c21 = Vector512<float>.Zero, c22 = Vector512<float>.Zero;
        Vector512<float> c30 = Vector512<float>.Zero, c31 = Vector512<float>.Zero, c32 = Vector512<float>.Zero;
        Vector512<float> c40 = Vector512<float>.Zero, c41 = Vector512<float>.Zero, c42 = Vector512<float>.Zero;
        Vector512<float> c50 = Vector512<float>.Zero, c51 = Vector512<float>.Zero, c52 = Vector512<float>.Zero;
        Vector512<float> c60 = Vector512<float>.Zero, c61 = Vector512<float>.Zero, c62 = Vector512<float>.Zero;
        Vector512<float> c70 = Vector512<float>.Zero, c71 = Vector512<float>.Zero, c72 = Vector512<float>.Zero;
        for (; runs > 0; runs--, rows += 8)
        {
            float* a0 = rows[0] + offset;
            float* a1 = rows[1] + offset;
            float* a2 = rows[2] + offset;
            float* a3 = rows[3] + offset;
            float* a4 = rows[4] + offset;
            float* a5 = rows[5] + offset;
            float* a6 = rows[6] + offset;
            float* a7 = rows[7] + offset;
            for (nint k = 0; k < length; k++, panel += TWidth.Vectors * 16)
            {
                var b0 = Vector512.Load(panel);
                var b1 = TWidth.Vectors > 1 ? Vector512.Load(panel + 16) : default;
                var b2 = TWidth.Vectors > 2 ? Vector512.Load(panel + 32) : default;
                var a = Vector512.Create(a0[k]);
                c00 = Vector512.FusedMultiplyAdd(a, b0, c00);
                if (TWidth.Vectors > 1)
                    c01 = Vector512.FusedMultiplyAdd(a, b1, c01);
                if (TWidth.Vectors > 2)
                    c02 = Vector512.FusedMultiplyAdd(a, b2, c02);
                a = Vector512.Create(a1[k]);
                c10 = Vector512.FusedMultiplyAdd(a, b0, c10);
                if (TWidth.Vectors > 1)
                    c11 = Vector512.FusedMultiplyAdd(a, b1, c11);
                if (TWidth.Vectors > 2)
                    c12 = Vector512.FusedMultiplyAdd(a, b2, c12);
                a = Vector512.Create(a2[k]);
                c20 = Vector512.FusedMultiplyAdd(a, b0, c20);
                if (TWidth.Vectors > 1)
                    c21 = Vector512.FusedMultiplyAdd(a, b1, c21);
                if (TWidth.Vectors > 2)
                    c22 = Vector512.FusedMultiplyAdd(a, b2, c22);
                a = Vector512.Create(a3[k]);
                c30 = Vector512.FusedMultiplyAdd(a, b0, c30);
                if (TWidth.Vectors > 1)
                    c31 = Vector512.FusedMultiplyAdd(a, b1, c31);
                if (TWidth.Vectors > 2)
                    c32 = Vector512.FusedMultiplyAdd(a, b2, c32);
                a = Vector512.Create(a4[k]);
                c40 = Vector512.FusedMultiplyAdd(a, b0, c40);
                if (TWidth.Vectors > 1)
                    c41 = Vector512.FusedMultiplyAdd(a, b1, c41);
                if (TWidth.Vectors > 2)
                    c42 = Vector512.FusedMultiplyAdd(a, b2, c42);
                a = Vector512.Create(a5[k]);
                c50 = Vector512.FusedMultiplyAdd(a, b0, c50);
                if (TWidth.Vectors > 1)
                    c51 = Vector512.FusedMultiplyAdd(a, b1, c51);
                if (TWidth.Vectors > 2)
                    c52 = Vector512.FusedMultiplyAdd(a, b2, c52);
                a = Vector512.Create(a6[k]);
                c60 = Vector512.FusedMultiplyAdd(a, b0, c60);
                if (TWidth.Vectors > 1)
                    c61 = Vector512.FusedMultiplyAdd(a, b1, c61);
                if (TWidth.Vectors > 2)
                    c62 = Vector512.FusedMultiplyAdd(a, b2, c62);
                a = Vector512.Create(a7[k]);
                c70 = Vector512.FusedMultiplyAdd(a, b0, c70);
                if (TWidth.Vectors > 1)
                    c71 = Vector512.FusedMultiplyAdd(a, b1, c71);
                if (TWidth.Vectors > 2)
                    c72 = Vector512.FusedMultiplyAdd(a, b2, c72);
            }
        }
        Store<TWidth>(tile + 0 * 3 * 16, c00, c01, c02);
        Store<TWidth>(tile + 1 * 3 * 16, c10, c11, c12);
        Store<TWidth>(tile + 2 * 3 * 16, c20, c21, c22);
        Store<TWidth>(tile + 3 * 3 * 16, c30, c31, c32);
        Store<TWidth>(tile + 4 * 3 * 16, c40, c41, c42);
        Store<TWidth>(tile + 5 * 3 * 16, c50, c51, c52);
        Store<TWidth>(tile + 6 * 3 * 16, c60, c61, c62);
        Store<TWidth>(tile + 7 * 3 * 16, c70, c71, c72);
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static void MultiplyPacked<TWidth>(float* rows, nint step, int depth, float* panel, nint pitch, float* tile, bool add)
        where TWidth : IWidth
    {
        Vector512<float> c00 = Vector512<float>.Zero, c01 = Vector512<float>.Zero, c02 = Vector512<float>.Zero;
        Vector512<float> c10 = Vector512<float>.Zero, c11 = Vector512<float>.Zero, c12 = Vector512<float>.Zero;
        Vector512<float> c20 = Vector512<float>.Zero, c21 = Vector512<float>.Zero, c22 = Vector512<float>.Zero;
        Vector512<float> c30 = Vector512<float>.Zero, c31 = Vector512<float>.Zero, c32 = Vector512<float>.Zero;
        Vector512<float> c40 = Vector512<float>.Zero, c41 = Vector512<float>.Zero, c42 = Vector512<float>.Zero;
        Vector512<float> c50 = Vector512<float>.Zero, c51 = Vector512<float>.Zero, c52 = Vector512<float>.Zero;
        Vector512<float> c60 = Vector512<float>.Zero, c61 = Vector512<float>.Zero, c62 = Vector512<float>.Zero;
        Vector512<float> c70 = Vector512<float>.Zero, c71 = Vector512<float>.Zero, c72 = Vector512<float>.Zero;
        if (add)
        {
            Load<TWidth>(tile + 0 * 3 * 16, out c00, out c01, out c02);
            Load<TWidth>(tile + 1 * 3 * 16, out c10, out c11, out c12);
            Load<TWidth>(tile + 2 * 3 * 16, out c20, out c21, out c22);
            Load<TWidth>(tile + 3 * 3 * 16, out c30, out c31, out c32);
            Load<TWidth>(tile + 4 * 3 * 16, out c40, out c41, out c42);
            Load<TWidth>(tile + 5 * 3 * 16, out c50, out c51, out c52);
            Load<TWidth>(tile + 6 * 3 * 16, out c60, out c61, out c62);
            Load<TWidth>(tile + 7 * 3 * 16, out c70, out c71, out c72);
        }
        for (; depth > 0; depth -= PackedRows.Length, rows += step)
        {
            float* a = rows;
            for (float* end = a + Math.Min(depth, PackedRows.Length); a < end; a++, panel += pitch)
            {
                var b0 = Vector512.Load(panel);
                var b1 = TWidth.Vectors > 1 ? Vector512.Load(panel + 16) : default;
                var b2 = TWidth.Vectors > 2 ? Vector512.Load(panel + 32) : default;
                var x = Vector512.Create(a[0]);
                c00 = Vector512.FusedMultiplyAdd(x, b0, c00);
                if (TWidth.Vectors > 1)
                    c01 = Vector512.FusedMultiplyAdd(x, b1, c01);
                if (TWidth.Vectors > 2)
                    c02 = Vector512.FusedMultiplyAdd(x, b2, c02);
                x = Vector512.Create(a[PackedRows.Length]);
                c10 = Vector512.FusedMultiplyAdd(x, b0, c10);
                if (TWidth.Vectors > 1)
                    c11 = Vector512.FusedMultiplyAdd(x, b1, c11);
                if (TWidth.Vectors > 2)
                    c12 = Vector512.FusedMultiplyAdd(x, b2, c12);
                x = Vector512.Create(a[2 * PackedRows.Length]);
                c20 = Vector512.FusedMultiplyAdd(x, b0, c20);
                if (TWidth.Vectors > 1)
                    c21 = Vector512.FusedMultiplyAdd(x, b1, c21);
                if (TWidth.Vectors > 2)
                    c22 = Vector512.FusedMultiplyAdd(x, b2, c22);
                x = Vector512.Create(a[3 * PackedRows.Length]);
                c30 = Vector512.FusedMultiplyAdd(x, b0, c30);
                if (TWidth.Vectors > 1)
                    c31 = Vector512.FusedMultiplyAdd(x, b1, c31);
                if (TWidth.Vectors > 2)
                    c32 = Vector512.FusedMultiplyAdd(x, b2, c32);
                x = Vector512.Create(a[4 * PackedRows.Length]);
                c40 = Vector512.FusedMultiplyAdd(x, b0, c40);
                if (TWidth.Vectors > 1)
                    c41 = Vector512.FusedMultiplyAdd(x, b1, c41);
                if (TWidth.Vectors > 2)
                    c42 = Vector512.FusedMultiplyAdd(x, b2, c42);
                x = Vector512.Create(a[5 * PackedRows.Length]);
                c50 = Vector512.FusedMultiplyAdd(x, b0, c50);
                if (TWidth.Vectors > 1)
                    c51 = Vector512.FusedMultiplyAdd(x, b1, c51);
                if (TWidth.Vectors > 2)
                    c52 = Vector512.FusedMultiplyAdd(x, b2, c52);
                x = Vector512.Create(a[6 * PackedRows.Length]);
                c60 = Vector512.FusedMultiplyAdd(x, b0, c60);
                if (TWidth.Vectors > 1)
                    c61 = Vector512.FusedMultiplyAdd(x, b1, c61);
                if (TWidth.Vectors > 2)
                    c62 = Vector512.FusedMultiplyAdd(x, b2, c62);
                x = Vector512.Create(a[7 * PackedRows.Length]);
                c70 = Vector512.FusedMultiplyAdd(x, b0, c70);
                if (TWidth.Vectors > 1)
                    c71 = Vector512.FusedMultiplyAdd(x, b1, c71);
                if (TWidth.Vectors > 2)
                    c72 = Vector512.FusedMultiplyAdd(x, b2, c72);
            }
        }
        Store<TWidth>(tile + 0 * 3 * 16, c00, c01, c02);
        Store<TWidth>(tile + 1 * 3 * 16, c10, c11, c12);
        Store<TWidth>(tile + 2 * 3 * 16, c20, c21, c22);
        Store<TWidth>(tile + 3 * 3 * 16, c30, c31, c32);
        Store<TWidth>(tile + 4 * 3 * 16, c40, c41, c42);
        Store<TWidth>(tile + 5 * 3 * 16, c50, c51, c52);
        Store<TWidth>(tile + 6 * 3 * 16, c60, c61, c62);
        Store<TWidth>(tile + 7 * 3 * 16, c70, c71, c72);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void Load<TWidth>(float* tile, out Vector512<float> c0, out Vector512<float> c1, out Vector512<float> c2)
        where TWidth : IWidth
    {
        c0 = Vector512.Load(tile);
        c1 = TWidth.Vectors > 1 ? Vector512.Load(tile + 16) : default;
        c2 = TWidth.Vectors > 2 ? Vector512.Load(tile + 32) : default;
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void Store<TWidth>(float* tile, Vector512<float> c0, Vector512<float> c1, Vector512<float> c2)
        where TWidth : IWidth
    {
        c0.Store(tile);
        if (TWidth.Vectors > 1)
            c1.Store(tile + 16);
        if (TWidth.Vectors > 2)
            c2.Store(tile + 32);
    }
}

/// <summary>12 of 16 vector registers of 256 bits hold a 4 x 24 tile; narrower processors emulate the vectors.</summary>
internal readonly unsafe struct NarrowKernel : IMicroKernel
{
    public static int Rows => 4;

    public static int Lanes => 8;

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static void Multiply<TWidth>(float** rows, int runs, long offset, int length, float* panel, float* tile)
        where TWidth : IWidth
    {
        Vector256<float> c00 = Vector256<float>.Zero, c01 = Vector256<float>.Zero, c02 = Vector256<float>.Zero;
        Vector256<float> c10 = Vector256<float>.Zero, c11 = Vector256<float>.Zero, c12 = Vector256<float>.Zero;
        Vector256<float> c20 = Vector256<float>.Zero, c21 = Vector256<float>.Zero, c22 = Vector256<float>.Zero;
        Vector256<float> c30 = Vector256<float>.Zero, c31 = Vector256<float>.Zero, c32 = Vector256<float>.Zero;
        for (; runs > 0; runs--, rows += 4)
        {
            float* a0 = rows[0] + offset;
            float* a1 = rows[1] + offset;
            float* a2 = rows[2] + offset;
            float* a3 = rows[3] + offset;
            for (nint k = 0; k < length; k++, panel += TWidth.Vectors * 8)
            {
                var b0 = Vector256.Load(panel);
                var b1 = TWidth.Vectors > 1 ? Vector256.Load(panel + 8) : default;
                var b2 = TWidth.Vectors > 2 ? Vector256.Load(panel + 16) : default;
                var a = Vector256.Create(a0[k]);
                c00 = Vector256.MultiplyAddEstimate(a, b0, c00);
                if (TWidth.Vectors > 1)
                    c01 = Vector256.MultiplyAddEstimate(a, b1, c01);
                if (TWidth.Vectors > 2)
                    c02 = Vector256.MultiplyAddEstimate(a, b2, c02);
                a = Vector256.Create(a1[k]);
                c10 = Vector256.MultiplyAddEstimate(a, b0, c10);
                if (TWidth.Vectors > 1)
                    c11 = Vector256.MultiplyAddEstimate(a, b1, c11);
                if (TWidth.Vectors > 2)
                    c12 = Vector256.MultiplyAddEstimate(a, b2, c12);
                a = Vector256.Create(a2[k]);
                c20 = Vector256.MultiplyAddEstimate(a, b0, c20);
                if (TWidth.Vectors > 1)
                    c21 = Vector256.MultiplyAddEstimate(a, b1, c21);
                if (TWidth.Vectors > 2)
                    c22 = Vector256.MultiplyAddEstimate(a, b2, c22);
                a = Vector256.Create(a3[k]);
                c30 = Vector256.MultiplyAddEstimate(a, b0, c30);
                if (TWidth.Vectors > 1)
                    c31 = Vector256.MultiplyAddEstimate(a, b1, c31);
                if (TWidth.Vectors > 2)
                    c32 = Vector256.MultiplyAddEstimate(a, b2, c32);
            }
        }
        Store<TWidth>(tile + 0 * 3 * 8, c00, c01, c02);
        Store<TWidth>(tile + 1 * 3 * 8, c10, c11, c12);
        Store<TWidth>(tile + 2 * 3 * 8, c20, c21, c22);
        Store<TWidth>(tile + 3 * 3 * 8, c30, c31, c32);
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static void MultiplyPacked<TWidth>(float* rows, nint step, int depth, float* panel, nint pitch, float* tile, bool add)
        where TWidth : IWidth
    {
        Vector256<float> c00 = Vector256<float>.Zero, c01 = Vector256<float>.Zero, c02 = Vector256<float>.Zero;
        Vector256<float> c10 = Vector256<float>.Zero, c11 = Vector256<float>.Zero, c12 = Vector256<float>.Zero;
        Vector256<float> c20 = Vector256<float>.Zero, c21 = Vector256<float>.Zero, c22 = Vector256<float>.Zero;
        Vector256<float> c30 = Vector256<float>.Zero, c31 = Vector256<float>.Zero, c32 = Vector256<float>.Zero;
        if (add)
        {
            Load<TWidth>(tile + 0 * 3 * 8, out c00, out c01, out c02);
            Load<TWidth>(tile + 1 * 3 * 8, out c10, out c11, out c12);
            Load<TWidth>(tile + 2 * 3 * 8, out c20, out c21, out c22);
            Load<TWidth>(tile + 3 * 3 * 8, out c30, out c31, out c32);
        }
        for (; depth > 0; depth -= PackedRows.Length, rows += step)
        {
            float* a = rows;
            for (float* end = a + Math.Min(depth, PackedRows.Length); a < end; a++, panel += pitch)
            {
                var b0 = Vector256.Load(panel);
                var b1 = TWidth.Vectors > 1 ? Vector256.Load(panel + 8) : default;
                var b2 = TWidth.Vectors > 2 ? Vector256.Load(panel + 16) : default;
                var x = Vector256.Create(a[0]);
                c00 = Vector256.MultiplyAddEstimate(x, b0, c00);
                if (TWidth.Vectors > 1)
                    c01 = Vector256.MultiplyAddEstimate(x, b1, c01);
                if (TWidth.Vectors > 2)
                    c02 = Vector256.MultiplyAddEstimate(x, b2, c02);
                x = Vector256.Create(a[PackedRows.Length]);
                c10 = Vector256.MultiplyAddEstimate(x, b0, c10);
                if (TWidth.Vectors > 1)
                    c11 = Vector256.MultiplyAddEstimate(x, b1, c11);
                if (TWidth.Vectors > 2)
                    c12 = Vector256.MultiplyAddEstimate(x, b2, c12);
                x = Vector256.Create(a[2 * PackedRows.Length]);
                c20 = Vector256.MultiplyAddEstimate(x, b0, c20);
                if (TWidth.Vectors > 1)
                    c21 = Vector256.MultiplyAddEstimate(x, b1, c21);
                if (TWidth.Vectors > 2)
                    c22 = Vector256.MultiplyAddEstimate(x, b2, c22);
                x = Vector256.Create(a[3 * PackedRows.Length]);
                c30 = Vector256.MultiplyAddEstimate(x, b0, c30);
                if (TWidth.Vectors > 1)
                    c31 = Vector256.MultiplyAddEstimate(x, b1, c31);
                if (TWidth.Vectors > 2)
                    c32 = Vector256.MultiplyAddEstimate(x, b2, c32);
            }
        }
        Store<TWidth>(tile + 0 * 3 * 8, c00, c01, c02);
        Store<TWidth>(tile + 1 * 3 * 8, c10, c11, c12);
        Store<TWidth>(tile + 2 * 3 * 8, c20, c21, c22);
        Store<TWidth>(tile + 3 * 3 * 8, c30, c31, c32);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void Load<TWidth>(float* tile, out Vector256<float> c0, out Vector256<float> c1, out Vector256<float> c2)
        where TWidth : IWidth
    {
        c0 = Vector256.Load(tile);
        c1 = TWidth.Vectors > 1 ? Vector256.Load(tile + 8) : default;
        c2 = TWidth.Vectors > 2 ? Vector256.Load(tile + 16) : default;
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void Store<TWidth>(float* tile, Vector256<float> c0, Vector256<float> c1, Vector256<float> c2)
        where TWidth : IWidth
    {
        c0.Store(tile);
        if (TWidth.Vectors > 1)
            c1.Store(tile + 8);
        if (TWidth.Vectors > 2)
            c2.Store(tile + 16);
    }
}
