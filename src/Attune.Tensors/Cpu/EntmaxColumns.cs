using System.Runtime.Intrinsics;

namespace Attune.Tensors.Cpu;

/// <summary>
/// alpha-entmax of 16 columns at a time (see <see cref="EntmaxRow"/>): each lane climbs to its own threshold and stays there, so it does
/// not depend on its neighbours.
/// </summary>
internal static unsafe class EntmaxColumns
{
    private const int Lanes = 16;

    /// <summary>Numbers that are summed before they go to a sum of sums.</summary>
    private const int Block = 64;

    /// <summary>Replaces logits by weights.</summary>
    /// <param name="x">[count, width]: logits minus the maximum of their column, minus infinity for keys that do not count.</param>
    /// <param name="count">The number of logits of a column.</param>
    /// <param name="width">A multiple of 16.</param>
    /// <param name="alpha">1 or more; 1 is softmax.</param>
    /// <param name="support">[width]: how many weights of a column are not 0.</param>
    /// <param name="room">Room for <paramref name="count"/> numbers, rounded up to a multiple of 16; for an alpha that has no kernel of its
    /// own.</param>
    public static void Apply(float* x, int count, int width, float alpha, float* support, float* room)
    {
        if (alpha == 1.5f)
        {
            for (int j = 0; j < width; j += Lanes)
                Entmax15(x + j, count, width, support + j);
            return;
        }
        for (int j = 0; j < width; j++)
            support[j] = Column(x + j, count, width, alpha, room);
    }

    /// <summary>
    /// With v = [z - t]+ and t = 2 tau, the weights are v^2 / 4: t climbs by (sum v^2 - 4) / (2 sum v) from -2, where the largest logit
    /// alone has weight 1.
    /// </summary>
    private static void Entmax15(float* x, int count, int width, float* support)
    {
        var t = Vector512.Create(-2f);
        var climbing = Vector512<float>.AllBitsSet;
        do
        {
            var (sum, squares) = (Vector512<float>.Zero, Vector512<float>.Zero);
            for (int start = 0; start < count; start += Block)
            {
                int end = Math.Min(start + Block, count);
                var (s0, s1, q0, q1) = (Vector512<float>.Zero, Vector512<float>.Zero, Vector512<float>.Zero, Vector512<float>.Zero);
                int k = start;
                for (float* p = x + (long)start * width; k + 1 < end; k += 2, p += 2 * width)
                {
                    var v0 = Vector512.MaxNative(Vector512<float>.Zero, Vector512.Load(p) - t);
                    var v1 = Vector512.MaxNative(Vector512<float>.Zero, Vector512.Load(p + width) - t);
                    s0 += v0;
                    s1 += v1;
                    q0 = Vector512.FusedMultiplyAdd(v0, v0, q0);
                    q1 = Vector512.FusedMultiplyAdd(v1, v1, q1);
                }
                if (k < end)
                {
                    var v0 = Vector512.MaxNative(Vector512<float>.Zero, Vector512.Load(x + (long)k * width) - t);
                    s0 += v0;
                    q0 = Vector512.FusedMultiplyAdd(v0, v0, q0);
                }
                sum += s0 + s1;
                squares += q0 + q1;
            }
            var step = (squares - Vector512.Create(4f)) / (sum + sum);
            climbing &= Vector512.GreaterThan(step, Vector512<float>.Zero);
            t += step & climbing;

            // What is left after a step is at most step^2 times the support's size / 2: nothing that float32 could tell.
            climbing &= Vector512.GreaterThan(step, Vector512.Create(1e-5f));
        }
        while (climbing != Vector512<float>.Zero);

        var positive = Vector512<int>.Zero;
        for (int k = 0; k < count; k++, x += width)
        {
            var v = Vector512.MaxNative(Vector512<float>.Zero, Vector512.Load(x) - t);
            positive -= Vector512.GreaterThan(v, Vector512<float>.Zero).AsInt32();
            v *= Vector512.Create(0.5f);
            (v * v).Store(x);
        }
        Vector512.ConvertToSingle(positive).Store(support);
    }

    private static int Column(float* x, int count, int width, float alpha, float* room)
    {
        float maximum = float.NegativeInfinity;
        for (int k = 0; k < count; k++)
        {
            room[k] = x[(long)k * width];
            maximum = MathF.Max(maximum, room[k]);
        }
        int positive = 0;
        if (float.IsNegativeInfinity(maximum))
        {
            new Span<float>(room, count).Clear();
        }
        else
        {
            int padded = (count + Lanes - 1) / Lanes * Lanes;
            new Span<float>(room + count, padded - count).Fill(float.NegativeInfinity);
            positive = EntmaxRow.Apply(room, padded, alpha);
        }
        for (int k = 0; k < count; k++)
            x[(long)k * width] = room[k];
        return positive;
    }
}
