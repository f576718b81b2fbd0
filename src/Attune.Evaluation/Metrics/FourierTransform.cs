using System.Numerics;
using System.Numerics.Tensors;

namespace Attune.Evaluation.Metrics;

/// <summary>
/// The discrete Fourier transform of square pictures whose side is a power of two, for correlations. Butterflies are those of whole rows,
/// along the first axis; the other is brought there by a transposition.
/// </summary>
internal static class FourierTransform
{
    /// <summary>Transforms in place: X[u, v] = sum over y, x of (real + i imaginary)[y, x] exp(-2 pi i (u y + v x) / side).</summary>
    /// <param name="real">[side, side].</param>
    /// <param name="imaginary">[side, side].</param>
    /// <param name="side">A power of two.</param>
    /// <exception cref="ArgumentException">It is none, or the numbers are not as many.</exception>
    public static void Forward(double[] real, double[] imaginary, int side)
    {
        if (side < 1 || !BitOperations.IsPow2(side) || real.Length != side * side || imaginary.Length != side * side)
            throw new ArgumentException(
                $"{real.Length} and {imaginary.Length} numbers of side {side}, expected squares of a power of two.");
        for (int axis = 0; axis < 2; axis++)
        {
            AlongFirst(real, imaginary, side);
            Transpose(real, side);
            Transpose(imaginary, side);
        }
    }

    /// <summary>The inverse of <see cref="Forward"/>, times side squared: with exchanged parts it is the same sum.</summary>
    public static void InverseUnscaled(double[] real, double[] imaginary, int side) => Forward(imaginary, real, side);

    private static void AlongFirst(double[] real, double[] imaginary, int side)
    {
        Reorder(real, side);
        Reorder(imaginary, side);
        double[] x = new double[side], y = new double[side];
        for (int half = 1; half < side; half *= 2)
        {
            for (int k = 0; k < half; k++)
            {
                var (sine, cosine) = Math.SinCos(-Math.PI * k / half);
                for (int start = k; start < side; start += 2 * half)
                {
                    Span<double> a = real.AsSpan(start * side, side), b = imaginary.AsSpan(start * side, side);
                    Span<double> c = real.AsSpan((start + half) * side, side), d = imaginary.AsSpan((start + half) * side, side);
                    // (x, y) = (c, d) turned by the angle; then the sum and the difference.
                    TensorPrimitives.Multiply(d, -sine, x);
                    TensorPrimitives.MultiplyAdd(c, cosine, x, x);
                    TensorPrimitives.Multiply(c, sine, y);
                    TensorPrimitives.MultiplyAdd(d, cosine, y, y);
                    TensorPrimitives.Subtract(a, x, c);
                    TensorPrimitives.Subtract(b, y, d);
                    TensorPrimitives.Add(a, x, a);
                    TensorPrimitives.Add(b, y, b);
                }
            }
        }
    }

    /// <summary>Rows in the order of their numbers read backwards, bit by bit.</summary>
    private static void Reorder(double[] rows, int side)
    {
        double[] held = new double[side];
        for (int i = 1, j = 0; i < side; i++)
        {
            int bit = side >> 1;
            for (; (j & bit) != 0; bit >>= 1)
                j ^= bit;
            j |= bit;
            if (i >= j)
                continue;
            Span<double> a = rows.AsSpan(i * side, side), b = rows.AsSpan(j * side, side);
            a.CopyTo(held);
            b.CopyTo(a);
            held.CopyTo(b);
        }
    }

    private static void Transpose(double[] values, int side)
    {
        for (int y = 0; y < side; y++)
        {
            for (int x = y + 1; x < side; x++)
                (values[y * side + x], values[x * side + y]) = (values[x * side + y], values[y * side + x]);
        }
    }
}
