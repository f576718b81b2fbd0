using System.Numerics.Tensors;
using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;

namespace Attune.Tensors.Cpu;

internal sealed unsafe partial class CpuDevice
{
    /// <summary>
    /// So many elements are summed in float32; longer rows, such as whole samples, are cut into pieces that are added in double precision.
    /// </summary>
    private const int SumLength = 8192;

    /// <summary>Sums within these bounds are right in float32; others are taken anew in double precision.</summary>
    private const double Smallest = 1e-30;

    private const double Largest = 1e30;

    public override void RowNorms(Tensor x, float push, Tensor? y, int p, Tensor output)
    {
        if (p == 2)
            RowNorms<Squares>(x, push, y, output);
        else
            RowNorms<Magnitudes>(x, push, y, output);
    }

    public override void RowDots(Tensor x, Tensor y, Tensor? over, Tensor output)
    {
        var (first, second, target) = (Rows.Of(x), Rows.Of(y), Rows.Of(output));
        var divisors = over == null ? default : Rows.Of(over);
        int columns = first.Columns;
        ForRows(first.Count, columns, (start, end) =>
        {
            for (long i = start; i < end; i++)
            {
                double sum = 0;
                for (int at = 0; at < columns; at += SumLength)
                {
                    int count = Math.Min(SumLength, columns - at);
                    sum += TensorPrimitives.Dot(
                        new ReadOnlySpan<float>(first.At(i) + at, count), new ReadOnlySpan<float>(second.At(i) + at, count));
                }
                if (over != null && !(Math.Abs(sum) is > Smallest and < Largest))
                    sum = PreciseDot(first.At(i), second.At(i), columns);
                double divisor = over == null ? 1 : *divisors.At(i);
                *target.At(i) = divisor == 0 ? 0 : (float)(sum / divisor);
            }
        });
    }

    public override void AddRows(Tensor into, Tensor? a, Tensor x, Tensor? b, Tensor? y)
    {
        var (target, first) = (Rows.Of(into), Rows.Of(x));
        var own = a == null ? default : Rows.Of(a);
        int columns = first.Columns;
        if (b == null || y == null)
        {
            ForRows(target.Count, columns, (start, end) =>
            {
                for (long i = start; a != null && i < end; i++)
                    RowKernels.Map(new Own(*own.At(i)), target.At(i), first.At(i), target.At(i), columns);
            });
            return;
        }
        var (second, pushes) = (Rows.Of(y), Rows.Of(b));
        ForRows(target.Count, columns, (start, end) =>
        {
            for (long i = start; i < end; i++)
            {
                if (a == null)
                    RowKernels.Map(new Pushed(*pushes.At(i)), target.At(i), first.At(i), second.At(i), target.At(i), columns);
                else
                    RowKernels.Map(new Both(*own.At(i), *pushes.At(i)), target.At(i), first.At(i), second.At(i), target.At(i), columns);
            }
        });
    }

    private static void RowNorms<TNorm>(Tensor x, float push, Tensor? y, Tensor output)
        where TNorm : struct, INorm
    {
        var (first, target) = (Rows.Of(x), Rows.Of(output));
        var second = y == null ? default : Rows.Of(y);
        int columns = first.Columns;
        ForRows(first.Count, columns, (start, end) =>
        {
            for (long i = start; i < end; i++)
            {
                double sum = 0;
                for (int at = 0; at < columns; at += SumLength)
                    sum += Sum<TNorm>(
                        first.At(i) + at, push, y == null ? null : second.At(i) + at, Math.Min(SumLength, columns - at));
                if (!(sum is > Smallest and < Largest))
                    sum = PreciseSum<TNorm>(first.At(i), push, y == null ? null : second.At(i), columns);
                *target.At(i) = (float)TNorm.Root(sum);
            }
        });
    }

    private static double PreciseDot(float* x, float* y, int count)
    {
        double sum = 0;
        for (int i = 0; i < count; i++)
            sum += (double)x[i] * y[i];
        return sum;
    }

    /// <summary>The sum of a p-norm, before its root, where float32 cannot hold squares.</summary>
    private static double PreciseSum<TNorm>(float* x, float push, float* y, int count)
        where TNorm : struct, INorm
    {
        double sum = 0;
        for (int i = 0; i < count; i++)
            sum += TNorm.Of(y == null ? x[i] : x[i] + (double)push * ((double)x[i] - y[i]));
        return sum;
    }

    /// <summary>The sum of a p-norm, before its root.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static double Sum<TNorm>(float* x, float push, float* y, int count)
        where TNorm : struct, INorm
    {
        const int lanes = 16;
        var (even, odd) = (Vector512<float>.Zero, Vector512<float>.Zero);
        int i = 0;
        for (; i <= count - 2 * lanes; i += 2 * lanes)
        {
            even += TNorm.Of(Extrapolated(x + i, push, y == null ? null : y + i));
            odd += TNorm.Of(Extrapolated(x + i + lanes, push, y == null ? null : y + i + lanes));
        }
        if (i <= count - lanes)
        {
            even += TNorm.Of(Extrapolated(x + i, push, y == null ? null : y + i));
            i += lanes;
        }
        double sum = Vector512.Sum(even + odd);
        for (; i < count; i++)
            sum += TNorm.Of(y == null ? x[i] : x[i] + push * (x[i] - y[i]));
        return sum;
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector512<float> Extrapolated(float* x, float push, float* y)
    {
        var own = Vector512.Load(x);
        return y == null ? own : own + Vector512.Create(push) * (own - Vector512.Load(y));
    }

    /// <summary>A p-norm: the root of a sum over elements.</summary>
    private interface INorm
    {
        static abstract Vector512<float> Of(Vector512<float> x);

        static abstract double Of(double x);

        static abstract double Root(double sum);
    }

    private readonly struct Magnitudes : INorm
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public static Vector512<float> Of(Vector512<float> x) => Vector512.Abs(x);

        public static double Of(double x) => Math.Abs(x);

        public static double Root(double sum) => sum;
    }

    private readonly struct Squares : INorm
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public static Vector512<float> Of(Vector512<float> x) => x * x;

        public static double Of(double x) => x * x;

        public static double Root(double sum) => Math.Sqrt(sum);
    }

    /// <summary>into + a x.</summary>
    private readonly struct Own(float a) : IMap2
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public Vector512<float> Of(Vector512<float> into, Vector512<float> x) => into + Vector512.Create(a) * x;
    }

    /// <summary>into + b (x - y).</summary>
    private readonly struct Pushed(float b) : IMap3
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public Vector512<float> Of(Vector512<float> into, Vector512<float> x, Vector512<float> y) => into + Vector512.Create(b) * (x - y);
    }

    /// <summary>into + (a x + b (x - y)).</summary>
    private readonly struct Both(float a, float b) : IMap3
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public Vector512<float> Of(Vector512<float> into, Vector512<float> x, Vector512<float> y) =>
            into + (Vector512.Create(a) * x + Vector512.Create(b) * (x - y));
    }
}
