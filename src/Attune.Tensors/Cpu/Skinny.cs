using System.Numerics.Tensors;
using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;

namespace Attune.Tensors.Cpu;

/// <summary>
/// Products of a few rows with a weight, as dot products straight from the stored weight: reading it is all the time they take, so nothing
/// is packed.
/// </summary>
internal static unsafe class Skinny
{
    private const int Columns = 4;
    private const int Height = 4;
    private const int Block = 1024;
    private const long ElementsPerPiece = 1 << 17;

    /// <summary>Whether dot products are the faster way.</summary>
    public static bool Suits(long rows, int length) => rows <= Height && length >= 64;

    /// <summary>output = activation(rows weight^T + bias); the rows have one run.</summary>
    public static void Multiply(RowSource rows, CpuWeight weight, CpuWeight? bias, Activation activation, Rows output)
    {
        if (weight.Format == WeightFormat.BFloat16)
            Multiply<StoredBrain>(rows, weight, bias, activation, output);
        else if (weight.Format == WeightFormat.Float16)
            Multiply<StoredHalf>(rows, weight, bias, activation, output);
        else
            Multiply<StoredSingle>(rows, weight, bias, activation, output);
    }

    private static void Multiply<T>(RowSource rows, CpuWeight weight, CpuWeight? bias, Activation activation, Rows output)
        where T : IStored
    {
        int columns = weight.Shape[0];
        int perPiece = (int)Math.Clamp(ElementsPerPiece / rows.Length / Columns * Columns, Columns, 1 << 16);
        _ = weight.Pointer;        // throws before anything is computed
        Workers.For(
            (columns + perPiece - 1) / perPiece,
            piece => Compute<T>(rows, weight, piece * perPiece, Math.Min(columns, (piece + 1) * perPiece), bias, activation, output));
    }

    private static void Compute<T>(
        RowSource rows, CpuWeight weight, int start, int end, CpuWeight? bias, Activation activation, Rows output)
        where T : IStored
    {
        int count = (int)rows.Count;
        int length = rows.Length;
        float** from = stackalloc float*[Height];
        float** to = stackalloc float*[Height];
        rows.Locate(0, count, count, from, null);
        for (int i = 0; i < Height; i++)
        {
            from[i] = from[Math.Min(i, count - 1)];
            to[i] = output.At(Math.Min(i, count - 1));
        }
        if (Gemm.Wide && weight.PlainBytes > 0)
            Blocks<T>(from, to, count, weight.Pointer, length, start, end);
        else if (weight.HasDots && count == 1)
            Dots(from[0], to[0], weight, length, start, end);
        else if (weight.HasDots)
            Widened(from, to, count, weight, length, start, end);
        else
            Narrow(from, to, count, weight, length, start, end);
        float* offsets = stackalloc float[256];
        for (int i = 0; i < count; i++)
        {
            if (bias != null)
            {
                for (int n = start; n < end; n += 256)
                {
                    int width = Math.Min(end - n, 256);
                    bias.Widen(n, offsets, width);
                    for (int j = 0; j < width; j++)
                        to[i][n + j] += offsets[j];
                }
            }
            if (activation != Activation.None)
                Activations.Apply(
                    activation, new ReadOnlySpan<float>(to[i] + start, end - start), new Span<float>(to[i] + start, end - start));
        }
    }

    /// <summary>Four columns at a time, in registers.</summary>
    private static void Blocks<T>(float** from, float** to, int count, byte* weight, int length, int start, int end)
        where T : IStored
    {
        float* sums = stackalloc float[Height * Columns];
        byte** columns = stackalloc byte*[Columns];
        for (int n = start; n < end; n += Columns)
        {
            int valid = Math.Min(end - n, Columns);
            for (int j = 0; j < Columns; j++)
                columns[j] = weight + (n + Math.Min(j, valid - 1)) * (long)length * T.Size;
            if (count == 1)
                One<T>(from[0], columns, length, sums);
            else
                Four<T>(from, columns, length, sums);
            for (int i = 0; i < count; i++)
            {
                for (int j = 0; j < valid; j++)
                    to[i][n + j] = sums[i * Columns + j];
            }
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void One<T>(float* row, byte** columns, int length, float* sums)
        where T : IStored
    {
        Vector512<float> s0 = default, s1 = default, s2 = default, s3 = default;
        Vector512<float> t0 = default, t1 = default, t2 = default, t3 = default;
        byte* w0 = columns[0], w1 = columns[1], w2 = columns[2], w3 = columns[3];
        nint k = 0;
        for (; k <= length - 32; k += 32)
        {
            var x = Vector512.Load(row + k);
            s0 = Vector512.FusedMultiplyAdd(T.Load(w0, k), x, s0);
            s1 = Vector512.FusedMultiplyAdd(T.Load(w1, k), x, s1);
            s2 = Vector512.FusedMultiplyAdd(T.Load(w2, k), x, s2);
            s3 = Vector512.FusedMultiplyAdd(T.Load(w3, k), x, s3);
            x = Vector512.Load(row + k + 16);
            t0 = Vector512.FusedMultiplyAdd(T.Load(w0, k + 16), x, t0);
            t1 = Vector512.FusedMultiplyAdd(T.Load(w1, k + 16), x, t1);
            t2 = Vector512.FusedMultiplyAdd(T.Load(w2, k + 16), x, t2);
            t3 = Vector512.FusedMultiplyAdd(T.Load(w3, k + 16), x, t3);
        }
        sums[0] = Vector512.Sum(s0 + t0) + Rest<T>(row, w0, k, length);
        sums[1] = Vector512.Sum(s1 + t1) + Rest<T>(row, w1, k, length);
        sums[2] = Vector512.Sum(s2 + t2) + Rest<T>(row, w2, k, length);
        sums[3] = Vector512.Sum(s3 + t3) + Rest<T>(row, w3, k, length);
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void Four<T>(float** rows, byte** columns, int length, float* sums)
        where T : IStored
    {
        Vector512<float> c00 = default, c01 = default, c02 = default, c03 = default;
        Vector512<float> c10 = default, c11 = default, c12 = default, c13 = default;
        Vector512<float> c20 = default, c21 = default, c22 = default, c23 = default;
        Vector512<float> c30 = default, c31 = default, c32 = default, c33 = default;
        float* x0 = rows[0], x1 = rows[1], x2 = rows[2], x3 = rows[3];
        byte* w0 = columns[0], w1 = columns[1], w2 = columns[2], w3 = columns[3];
        nint k = 0;
        for (; k <= length - 16; k += 16)
        {
            var b0 = T.Load(w0, k);
            var b1 = T.Load(w1, k);
            var b2 = T.Load(w2, k);
            var b3 = T.Load(w3, k);
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
        Store<T>(sums, c00, c01, c02, c03, x0, columns, k, length);
        Store<T>(sums + 4, c10, c11, c12, c13, x1, columns, k, length);
        Store<T>(sums + 8, c20, c21, c22, c23, x2, columns, k, length);
        Store<T>(sums + 12, c30, c31, c32, c33, x3, columns, k, length);
    }

    /// <summary>One row with a format of few bits, which is widened in registers.</summary>
    private static void Dots(float* from, float* to, CpuWeight weight, int length, int start, int end)
    {
        int unit = weight.Format.SumLength;
        int count = unit == 0 ? 0 : length / unit;
        using var scratch = new Scratch((nuint)count * sizeof(float));
        float* sums = scratch.Take<float>(count);
        for (int i = 0; i < count; i++)
            sums[i] = TensorPrimitives.Sum(new ReadOnlySpan<float>(from + i * unit, unit));
        for (int n = start; n < end; n++)
            to[n] = weight.Dot(n, from, sums);
    }

    /// <summary>Up to four rows with such a format: each column is widened once.</summary>
    private static void Widened(float** from, float** to, int count, CpuWeight weight, int length, int start, int end)
    {
        using var scratch = new Scratch((nuint)length * sizeof(float));
        float* line = scratch.Take<float>(length);
        float* sums = stackalloc float[Height];
        for (int n = start; n < end; n++)
        {
            weight.Widen((long)n * length, line, length);
            FourDots(from, line, length, sums);
            for (int i = 0; i < count; i++)
                to[i][n] = sums[i];
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void FourDots(float** rows, float* line, int length, float* sums)
    {
        Vector256<float> a0 = default, a1 = default, a2 = default, a3 = default;
        Vector256<float> b0 = default, b1 = default, b2 = default, b3 = default;
        float* x0 = rows[0], x1 = rows[1], x2 = rows[2], x3 = rows[3];
        nint k = 0;
        for (; k <= length - 16; k += 16)
        {
            var w = Vector256.Load(line + k);
            a0 = Vector256.MultiplyAddEstimate(w, Vector256.Load(x0 + k), a0);
            a1 = Vector256.MultiplyAddEstimate(w, Vector256.Load(x1 + k), a1);
            a2 = Vector256.MultiplyAddEstimate(w, Vector256.Load(x2 + k), a2);
            a3 = Vector256.MultiplyAddEstimate(w, Vector256.Load(x3 + k), a3);
            w = Vector256.Load(line + k + 8);
            b0 = Vector256.MultiplyAddEstimate(w, Vector256.Load(x0 + k + 8), b0);
            b1 = Vector256.MultiplyAddEstimate(w, Vector256.Load(x1 + k + 8), b1);
            b2 = Vector256.MultiplyAddEstimate(w, Vector256.Load(x2 + k + 8), b2);
            b3 = Vector256.MultiplyAddEstimate(w, Vector256.Load(x3 + k + 8), b3);
        }
        (sums[0], sums[1]) = (Vector256.Sum(a0 + b0), Vector256.Sum(a1 + b1));
        (sums[2], sums[3]) = (Vector256.Sum(a2 + b2), Vector256.Sum(a3 + b3));
        for (; k < length; k++)
        {
            for (int i = 0; i < Height; i++)
                sums[i] += rows[i][k] * line[k];
        }
    }

    /// <summary>
    /// For processors without 512-bit vectors, and formats that are not read in registers: each column is widened before it is multiplied.
    /// </summary>
    private static void Narrow(float** from, float** to, int count, CpuWeight weight, int length, int start, int end)
    {
        using var scratch = new Scratch((nuint)length * sizeof(float));
        float* line = scratch.Take<float>(length);
        for (int n = start; n < end; n++)
        {
            weight.Widen((long)n * length, line, length);
            for (int i = 0; i < count; i++)
            {
                // In blocks, so that the rounding errors of a processor without any vectors do not pile up.
                float sum = 0;
                for (int k = 0; k < length; k += Block)
                    sum += TensorPrimitives.Dot(
                        new ReadOnlySpan<float>(from[i] + k, Math.Min(Block, length - k)),
                        new ReadOnlySpan<float>(line + k, Math.Min(Block, length - k)));
                to[i][n] = sum;
            }
        }
    }

    private static void Store<T>(
        float* sums, Vector512<float> c0, Vector512<float> c1, Vector512<float> c2, Vector512<float> c3, float* row, byte** columns, nint k,
        int length)
        where T : IStored
    {
        sums[0] = Vector512.Sum(c0) + Rest<T>(row, columns[0], k, length);
        sums[1] = Vector512.Sum(c1) + Rest<T>(row, columns[1], k, length);
        sums[2] = Vector512.Sum(c2) + Rest<T>(row, columns[2], k, length);
        sums[3] = Vector512.Sum(c3) + Rest<T>(row, columns[3], k, length);
    }

    private static float Rest<T>(float* row, byte* column, nint k, int length)
        where T : IStored
    {
        float sum = 0;
        for (; k < length; k++)
            sum += row[k] * T.One(column, k);
        return sum;
    }

    /// <summary>A stored type, read at any byte address.</summary>
    private interface IStored
    {
        static abstract int Size { get; }

        static abstract Vector512<float> Load(byte* at, nint index);

        static abstract float One(byte* at, nint index);
    }

    private readonly struct StoredSingle : IStored
    {
        public static int Size => 4;

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public static Vector512<float> Load(byte* at, nint index) => Vector512.Load((float*)at + index);

        public static float One(byte* at, nint index) => Unsafe.ReadUnaligned<float>((float*)at + index);
    }

    private readonly struct StoredBrain : IStored
    {
        public static int Size => 2;

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public static Vector512<float> Load(byte* at, nint index) => (Bits(at, index) << 16).AsSingle();

        public static float One(byte* at, nint index) => Conversion.FromBFloat16(Unsafe.ReadUnaligned<ushort>((ushort*)at + index));
    }

    private readonly struct StoredHalf : IStored
    {
        public static int Size => 2;

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public static Vector512<float> Load(byte* at, nint index) => PanelPacking.FromHalf(Bits(at, index));

        public static float One(byte* at, nint index) => (float)Unsafe.ReadUnaligned<Half>((Half*)at + index);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector512<uint> Bits(byte* at, nint index) =>
        Vector512.WidenLower(Vector256.Load((ushort*)at + index).ToVector512Unsafe());
}
