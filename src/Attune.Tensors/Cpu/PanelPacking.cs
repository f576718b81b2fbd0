using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.X86;
using Attune.Tensors.Formats;

namespace Attune.Tensors.Cpu;

/// <summary>
/// Brings a block of a weight [out, in] into the order in which micro-kernels read it: float32, for each input the outputs of one panel
/// side by side.
/// </summary>
internal static unsafe class PanelPacking
{
    /// <summary>Floats that <see cref="Pack"/> needs room for: some inputs of as many outputs as a vector has lanes.</summary>
    public const int Room = 4096;

    private const int Group = 16;

    /// <summary>panel[order[k] * width + j] = weight[row + j, start + k] for j below columns; other columns hold anything.</summary>
    /// <param name="weight">The weight.</param>
    /// <param name="stride">Elements from one output to the next.</param>
    /// <param name="row">The first output of the panel.</param>
    /// <param name="columns">How many outputs there are.</param>
    /// <param name="start">The first input.</param>
    /// <param name="order">Where each input goes.</param>
    /// <param name="count">How many inputs.</param>
    /// <param name="panel">Where to write.</param>
    /// <param name="width">Columns of the panel, a multiple of <paramref name="lanes"/>.</param>
    /// <param name="lanes">Elements of a vector; with 16, and enough inputs, the transposition is done in registers.</param>
    /// <param name="room"><see cref="Room"/> floats.</param>
    public static void Pack(
        CpuWeight weight, long stride, long row, int columns, long start, int* order, int count, float* panel, int width, int lanes,
        float* room)
    {
        int size = weight.PlainBytes;
        if (lanes != Group || !Avx512F.IsSupported || size == 0 || count < Vector512<byte>.Count / size)
        {
            for (int j = 0; j < columns; j += lanes)
            {
                int height = Math.Min(columns - j, lanes);
                Widened(weight, (row + j) * stride + start, stride, height, order, count, panel + j, width, lanes, room);
            }
            return;
        }
        byte* origin = weight.Pointer + (row * stride + start) * size;
        for (int j = 0; j < columns; j += Group)
        {
            byte* group = origin + j * stride * size;
            int height = Math.Min(columns - j, Group);
            if (weight.Format == WeightFormat.BFloat16)
                Transpose<Brain>(group, stride * size, height, order, count, panel + j, width, ahead: true);
            else if (weight.Format == WeightFormat.Float16)
                Transpose<HalfBits>(group, stride * size, height, order, count, panel + j, width, ahead: true);
            else
                Transpose<Single>(group, stride * size, height, order, count, panel + j, width, ahead: true);
        }
    }

    /// <summary>Float32 values of the halves in the lower 16 bits of each lane.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector512<float> FromHalf(Vector512<uint> bits)
    {
        var magnitude = (bits & Vector512.Create(0x7FFFu)) << 13;
        var value = SmallFloats.Widen(magnitude, SmallFloats.Half).AsUInt32();
        // Infinities and NaN get the largest exponent.
        var special = Vector512.GreaterThanOrEqual(magnitude, Vector512.Create(0x7C00u << 13)) & Vector512.Create(0x7F800000u);
        return (value | special | ((bits & Vector512.Create(0x8000u)) << 16)).AsSingle();
    }

    /// <summary>
    /// As many outputs as a vector has lanes, in any format: some inputs of each are widened into the first-level cache, and transposed
    /// from there.
    /// </summary>
    private static void Widened(
        CpuWeight weight, long first, long stride, int height, int* order, int count, float* panel, int width, int lanes, float* room)
    {
        int most = Room / lanes;
        // Runs end where blocks do.
        int length = Math.Max((int)(most - (first + most) % Math.Min(weight.Format.BlockLength, most)), 1);
        for (int k = 0; k < count; k += length, length = most)
        {
            length = Math.Min(length, count - k);
            for (int i = 0; i < height; i++)
                weight.Widen(first + i * stride + k, room + i * most, length);
            if (lanes == Group && Avx512F.IsSupported && length >= Group)
                Transpose<Single>((byte*)room, most * sizeof(float), height, order + k, length, panel, width, ahead: false);
            else if (lanes == 8 && Avx.IsSupported && length >= 8)
                TransposeNarrow(room, most, height, order + k, length, panel, width);
            else
                Scatter(room, most, height, order + k, length, panel, width);
        }
    }

    /// <summary>One element after the other.</summary>
    private static void Scatter(float* source, int pitch, int height, int* order, int count, float* panel, int width)
    {
        for (int k = 0; k < count; k++)
        {
            float* to = panel + (nint)order[k] * width;
            for (int i = 0; i < height; i++)
                to[i] = source[i * pitch + k];
        }
    }

    /// <summary>Transposes eight rows of at least eight floats, in registers.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void TransposeNarrow(float* source, int pitch, int height, int* order, int count, float* panel, int width)
    {
        float* s0 = source, s1 = Row(1), s2 = Row(2), s3 = Row(3), s4 = Row(4), s5 = Row(5), s6 = Row(6), s7 = Row(7);
        int k = 0;
        while (true)
        {
            Interleave(s0 + k, s1 + k, s2 + k, s3 + k, out var a0, out var a1, out var a2, out var a3);
            Interleave(s4 + k, s5 + k, s6 + k, s7 + k, out var b0, out var b1, out var b2, out var b3);
            int* to = order + k;
            Avx.Permute2x128(a0, b0, 0x20).Store(panel + (nint)to[0] * width);
            Avx.Permute2x128(a1, b1, 0x20).Store(panel + (nint)to[1] * width);
            Avx.Permute2x128(a2, b2, 0x20).Store(panel + (nint)to[2] * width);
            Avx.Permute2x128(a3, b3, 0x20).Store(panel + (nint)to[3] * width);
            Avx.Permute2x128(a0, b0, 0x31).Store(panel + (nint)to[4] * width);
            Avx.Permute2x128(a1, b1, 0x31).Store(panel + (nint)to[5] * width);
            Avx.Permute2x128(a2, b2, 0x31).Store(panel + (nint)to[6] * width);
            Avx.Permute2x128(a3, b3, 0x31).Store(panel + (nint)to[7] * width);
            if (k == count - 8)
                break;
            // What is left over is done together with some of what is already done.
            k = Math.Min(k + 8, count - 8);
        }

        float* Row(int i) => source + Math.Min(i, height - 1) * pitch;
    }

    /// <summary>Of four rows: half h of result j holds the elements 4 h + j.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void Interleave(
        float* s0, float* s1, float* s2, float* s3, out Vector256<float> r0, out Vector256<float> r1, out Vector256<float> r2,
        out Vector256<float> r3)
    {
        var x0 = Vector256.Load(s0);
        var x1 = Vector256.Load(s1);
        var x2 = Vector256.Load(s2);
        var x3 = Vector256.Load(s3);
        var low01 = Avx.UnpackLow(x0, x1).AsDouble();
        var high01 = Avx.UnpackHigh(x0, x1).AsDouble();
        var low23 = Avx.UnpackLow(x2, x3).AsDouble();
        var high23 = Avx.UnpackHigh(x2, x3).AsDouble();
        r0 = Avx.UnpackLow(low01, low23).AsSingle();
        r1 = Avx.UnpackHigh(low01, low23).AsSingle();
        r2 = Avx.UnpackLow(high01, high23).AsSingle();
        r3 = Avx.UnpackHigh(high01, high23).AsSingle();
    }

    /// <summary>
    /// Transposes 16 rows of 32-bit words, 64 bytes at least, in registers; a word of a 16-bit type holds two neighbours of one row.
    /// </summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void Transpose<T>(byte* source, long pitch, int height, int* order, int count, float* panel, int width, bool ahead)
        where T : struct
    {
        int size = typeof(T) == typeof(Single) ? 4 : 2;
        int step = 64 / size;
        byte** rows = stackalloc byte*[Group];
        for (int i = 0; i < Group; i++)
            rows[i] = source + Math.Min(i, height - 1) * pitch;
        // The rows of the next group are fetched meanwhile, whole rows one after the other: too short a way for the processor to foresee.
        byte* next = source + Group * pitch;
        int fetches = ahead ? (Group * step + count - 1) / count : 0;
        int k = 0;
        while (true)
        {
            nint at = (nint)k * size;
            for (int i = 0; i < fetches; i++, next += pitch)
            {
                for (nint line = 0; line < (nint)count * size; line += 64)
                    Sse.Prefetch1(next + line);
            }
            Interleave(rows, at, out var a0, out var a1, out var a2, out var a3);
            Interleave(rows + 4, at, out var b0, out var b1, out var b2, out var b3);
            Interleave(rows + 8, at, out var c0, out var c1, out var c2, out var c3);
            Interleave(rows + 12, at, out var d0, out var d1, out var d2, out var d3);
            Emit<T>(a0, b0, c0, d0, order + k, 0, panel, width);
            Emit<T>(a1, b1, c1, d1, order + k, 1, panel, width);
            Emit<T>(a2, b2, c2, d2, order + k, 2, panel, width);
            Emit<T>(a3, b3, c3, d3, order + k, 3, panel, width);
            if (k == count - step)
                break;
            // What is left over is done together with some of what is already done.
            k = Math.Min(k + step, count - step);
        }
    }

    /// <summary>Of four rows: quarter q of result j holds the words 4 q + j.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void Interleave(
        byte** rows, nint at, out Vector512<long> r0, out Vector512<long> r1, out Vector512<long> r2, out Vector512<long> r3)
    {
        var x0 = Vector512.Load((int*)(rows[0] + at));
        var x1 = Vector512.Load((int*)(rows[1] + at));
        var x2 = Vector512.Load((int*)(rows[2] + at));
        var x3 = Vector512.Load((int*)(rows[3] + at));
        var low01 = Avx512F.UnpackLow(x0, x1).AsInt64();
        var high01 = Avx512F.UnpackHigh(x0, x1).AsInt64();
        var low23 = Avx512F.UnpackLow(x2, x3).AsInt64();
        var high23 = Avx512F.UnpackHigh(x2, x3).AsInt64();
        r0 = Avx512F.UnpackLow(low01, low23);
        r1 = Avx512F.UnpackHigh(low01, low23);
        r2 = Avx512F.UnpackLow(high01, high23);
        r3 = Avx512F.UnpackHigh(high01, high23);
    }

    /// <summary>Writes the words 4 q + j of all sixteen rows.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void Emit<T>(
        Vector512<long> a, Vector512<long> b, Vector512<long> c, Vector512<long> d, int* order, int j, float* panel, int width)
        where T : struct
    {
        var even01 = Avx512F.Shuffle4x128(a, b, 0x88);
        var odd01 = Avx512F.Shuffle4x128(a, b, 0xDD);
        var even23 = Avx512F.Shuffle4x128(c, d, 0x88);
        var odd23 = Avx512F.Shuffle4x128(c, d, 0xDD);
        Write<T>(Avx512F.Shuffle4x128(even01, even23, 0x88), order, j, panel, width);
        Write<T>(Avx512F.Shuffle4x128(odd01, odd23, 0x88), order, j + 4, panel, width);
        Write<T>(Avx512F.Shuffle4x128(even01, even23, 0xDD), order, j + 8, panel, width);
        Write<T>(Avx512F.Shuffle4x128(odd01, odd23, 0xDD), order, j + 12, panel, width);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void Write<T>(Vector512<long> words, int* order, int word, float* panel, int width)
        where T : struct
    {
        if (typeof(T) == typeof(Single))
        {
            words.AsSingle().Store(panel + (nint)order[word] * width);
            return;
        }
        var bits = words.AsUInt32();
        float* first = panel + (nint)order[2 * word] * width;
        float* second = panel + (nint)order[2 * word + 1] * width;
        if (typeof(T) == typeof(Brain))
        {
            (bits << 16).AsSingle().Store(first);
            (bits & Vector512.Create(0xFFFF0000u)).AsSingle().Store(second);
        }
        else
        {
            FromHalf(bits & Vector512.Create(0xFFFFu)).Store(first);
            FromHalf(bits >> 16).Store(second);
        }
    }

    private readonly struct Single;

    private readonly struct Brain;

    private readonly struct HalfBits;
}
