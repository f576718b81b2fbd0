using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;

namespace Attune.Tensors.Cpu;

/// <summary>
/// Products of many rows with a weight of few outputs, as the last convolution of a decoder is: outputs do not fill a vector, so the inner
/// dimension is laid across it. Four rows by four outputs are accumulated in registers and summed across at the end.
/// </summary>
internal static unsafe class FewOutputs
{
    private const int Height = 4;
    private const int Columns = 4;
    private const int RowsPerPiece = 512;

    /// <summary>Whether this is the faster way.</summary>
    public static bool Suits(RowSource rows, int outputs) =>
        Gemm.Wide
            && outputs <= 2 * Columns && rows.RoomPerRow == 0 && rows.Length % Vector512<float>.Count == 0 && rows.Count >= 4 * Height;

    /// <summary>output = rows weight^T + bias (+ residual); the arguments are those of <see cref="Gemm.Multiply"/>.</summary>
    public static void Multiply(RowSource rows, CpuWeight weight, CpuWeight? bias, Rows output, Rows? residual)
    {
        int outputs = weight.Shape[0];
        int padded = (outputs + Columns - 1) / Columns * Columns;
        long depth = (long)rows.Runs * rows.Length;
        using var scratch = new Scratch((nuint)((padded + 1) * depth + padded) * sizeof(float));
        // [padded outputs, runs, length], with the last output repeated, from a weight whose runs are innermost.
        float* ordered = scratch.Take<float>(padded * depth);
        float* line = scratch.Take<float>(depth);
        float* offsets = scratch.Take<float>(padded);
        new Span<float>(offsets, padded).Clear();
        if (bias != null)
            bias.Widen(0, offsets, outputs);
        for (int n = 0; n < padded; n++)
        {
            weight.Widen(Math.Min(n, outputs - 1) * depth, line, depth);
            for (int run = 0; run < rows.Runs; run++)
            {
                for (int k = 0; k < rows.Length; k++)
                    ordered[n * depth + run * rows.Length + k] = line[k * rows.Runs + run];
            }
        }
        int pieces = checked((int)((rows.Count + RowsPerPiece - 1) / RowsPerPiece));
        Workers.For(pieces, piece => Compute(rows, (long)piece * RowsPerPiece, ordered, offsets, outputs, output, residual));
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void Compute(RowSource rows, long first, float* weight, float* offsets, int outputs, Rows output, Rows? residual)
    {
        int count = (int)Math.Min(rows.Count - first, RowsPerPiece);
        int tiles = (count + Height - 1) / Height;
        using var scratch = new Scratch((nuint)(tiles * Height * rows.Runs) * (nuint)sizeof(float*));
        float** pointers = (float**)scratch.Take<nint>((long)tiles * Height * rows.Runs);
        rows.Locate(first, count, Height, pointers, null);
        float* sums = stackalloc float[Height * Columns];
        long depth = (long)rows.Runs * rows.Length;
        for (int t = 0; t < tiles; t++)
        {
            int valid = Math.Min(count - t * Height, Height);
            float** from = pointers + (long)t * Height * rows.Runs;
            for (int run = 0; run < rows.Runs; run++)
            {
                for (int i = valid; i < Height; i++)
                    from[run * Height + i] = from[run * Height];
            }
            for (int n = 0; n < outputs; n += Columns)
            {
                Tile(from, rows.Runs, rows.Length, weight + n * depth, depth, sums);
                for (int i = 0; i < valid; i++)
                {
                    long row = first + t * Height + i;
                    float* to = output.At(row);
                    float* added = residual is { } addend ? addend.At(row) : null;
                    for (int j = 0; j < Columns && n + j < outputs; j++)
                        to[n + j] = sums[i * Columns + j] + offsets[n + j] + (added != null ? added[n + j] : 0);
                }
            }
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void Tile(float** rows, int runs, int length, float* weight, long depth, float* sums)
    {
        Vector512<float> c00 = default, c01 = default, c02 = default, c03 = default;
        Vector512<float> c10 = default, c11 = default, c12 = default, c13 = default;
        Vector512<float> c20 = default, c21 = default, c22 = default, c23 = default;
        Vector512<float> c30 = default, c31 = default, c32 = default, c33 = default;
        float* w0 = weight, w1 = weight + depth, w2 = weight + 2 * depth, w3 = weight + 3 * depth;
        for (; runs > 0; runs--, rows += Height, w0 += length, w1 += length, w2 += length, w3 += length)
        {
            float* x0 = rows[0], x1 = rows[1], x2 = rows[2], x3 = rows[3];
            for (nint k = 0; k < length; k += 16)
            {
                var b0 = Vector512.Load(w0 + k);
                var b1 = Vector512.Load(w1 + k);
                var b2 = Vector512.Load(w2 + k);
                var b3 = Vector512.Load(w3 + k);
                var a = Vector512.Load(x0 + k);
                c00 = Vector512.FusedMultiplyAdd(a, b0, c00);
                c01 = Vector512.FusedMultiplyAdd(a, b1, c01);
                c02 = Vector512.FusedMultiplyAdd(a, b2, c02);
                c03 = Vector512.FusedMultiplyAdd(a, b3, c03);
                a = Vector512.Load(x1 + k);
                c10 = Vector512.FusedMultiplyAdd(a, b0, c10);
                c11 = Vector512.FusedMultiplyAdd(a, b1, c11);
                c12 = Vector512.FusedMultiplyAdd(a, b2, c12);
                c13 = Vector512.FusedMultiplyAdd(a, b3, c13);
                a = Vector512.Load(x2 + k);
                c20 = Vector512.FusedMultiplyAdd(a, b0, c20);
                c21 = Vector512.FusedMultiplyAdd(a, b1, c21);
                c22 = Vector512.FusedMultiplyAdd(a, b2, c22);
                c23 = Vector512.FusedMultiplyAdd(a, b3, c23);
                a = Vector512.Load(x3 + k);
                c30 = Vector512.FusedMultiplyAdd(a, b0, c30);
                c31 = Vector512.FusedMultiplyAdd(a, b1, c31);
                c32 = Vector512.FusedMultiplyAdd(a, b2, c32);
                c33 = Vector512.FusedMultiplyAdd(a, b3, c33);
            }
        }
        Store(sums, c00, c01, c02, c03);
        Store(sums + Columns, c10, c11, c12, c13);
        Store(sums + 2 * Columns, c20, c21, c22, c23);
        Store(sums + 3 * Columns, c30, c31, c32, c33);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void Store(float* sums, Vector512<float> c0, Vector512<float> c1, Vector512<float> c2, Vector512<float> c3)
    {
        sums[0] = Vector512.Sum(c0);
        sums[1] = Vector512.Sum(c1);
        sums[2] = Vector512.Sum(c2);
        sums[3] = Vector512.Sum(c3);
    }
}
