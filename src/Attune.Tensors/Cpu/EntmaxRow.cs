using System.Runtime.Intrinsics;

namespace Attune.Tensors.Cpu;

/// <summary>
/// alpha-entmax of one row: p = [(alpha - 1) z - tau]+ ^ (1 / (alpha - 1)) with the tau that makes the weights sum to 1. The sum falls with
/// tau; for alpha up to 2 it is convex, so that Newton's method from the left of the root climbs to it without ever passing it, and no
/// sorting is needed.
/// </summary>
internal static unsafe class EntmaxRow
{
    private const int Lanes = 16;

    /// <summary>Numbers that are summed in float32 before they go to float64.</summary>
    private const int Block = 1024;

    /// <summary>Replaces logits by weights.</summary>
    /// <param name="x">Logits minus their maximum: at most 0, at least one of them 0, minus infinity for keys that do not count.</param>
    /// <param name="count">A multiple of 16.</param>
    /// <param name="alpha">1 or more; 1 is softmax.</param>
    /// <returns>How many weights are not 0.</returns>
    public static int Apply(float* x, int count, float alpha) => alpha switch
    {
        1.5f => Entmax15(x, count),
        2f => Sparsemax(x, count),
        _ => General(x, count, alpha),
    };

    /// <summary>
    /// With v = [z - t]+ and t = 2 tau, the weights are v^2 / 4: t climbs by (sum v^2 - 4) / (2 sum v) from -2, where the largest logit
    /// alone has weight 1.
    /// </summary>
    private static int Entmax15(float* x, int count)
    {
        float t = -2;
        while (true)
        {
            var shift = Vector512.Create(t);
            double sum = 0;
            double squares = 0;
            for (int start = 0; start < count; start += Block)
            {
                int end = Math.Min(start + Block, count);
                var (s0, s1, q0, q1) = (Vector512<float>.Zero, Vector512<float>.Zero, Vector512<float>.Zero, Vector512<float>.Zero);
                int j = start;
                for (; j + Lanes < end; j += 2 * Lanes)
                {
                    var v0 = Vector512.MaxNative(Vector512<float>.Zero, Vector512.Load(x + j) - shift);
                    var v1 = Vector512.MaxNative(Vector512<float>.Zero, Vector512.Load(x + j + Lanes) - shift);
                    s0 += v0;
                    s1 += v1;
                    q0 = Vector512.FusedMultiplyAdd(v0, v0, q0);
                    q1 = Vector512.FusedMultiplyAdd(v1, v1, q1);
                }
                if (j < end)
                {
                    var v0 = Vector512.MaxNative(Vector512<float>.Zero, Vector512.Load(x + j) - shift);
                    s0 += v0;
                    q0 = Vector512.FusedMultiplyAdd(v0, v0, q0);
                }
                sum += Vector512.Sum(s0 + s1);
                squares += Vector512.Sum(q0 + q1);
            }
            float step = (float)((squares - 4) / (2 * sum));
            if (!(step > 0))
                break;
            t += step;

            // What is left after a step is at most step^2 times the support's size / 2: nothing that float32 could tell.
            if (step <= 1e-5f)
                break;
        }
        var threshold = Vector512.Create(t);
        var support = Vector512<int>.Zero;
        for (int j = 0; j < count; j += Lanes)
        {
            var v = Vector512.MaxNative(Vector512<float>.Zero, Vector512.Load(x + j) - threshold);
            support -= Vector512.GreaterThan(v, Vector512<float>.Zero).AsInt32();
            v *= Vector512.Create(0.5f);
            (v * v).Store(x + j);
        }
        return Vector512.Sum(support);
    }

    /// <summary>
    /// The weights are v = [z - t]+: t climbs by (sum v - 1) / support from -1, and is exact once the support no longer shrinks.
    /// </summary>
    private static int Sparsemax(float* x, int count)
    {
        float t = -1;
        while (true)
        {
            var shift = Vector512.Create(t);
            double sum = 0;
            var support = Vector512<int>.Zero;
            for (int start = 0; start < count; start += Block)
            {
                int end = Math.Min(start + Block, count);
                var s = Vector512<float>.Zero;
                for (int j = start; j < end; j += Lanes)
                {
                    var v = Vector512.MaxNative(Vector512<float>.Zero, Vector512.Load(x + j) - shift);
                    s += v;
                    support -= Vector512.GreaterThan(v, Vector512<float>.Zero).AsInt32();
                }
                sum += Vector512.Sum(s);
            }
            float step = (float)((sum - 1) / Vector512.Sum(support));
            if (!(step > 0))
                break;
            t += step;
            if (step <= 1e-7f)
                break;
        }
        var threshold = Vector512.Create(t);
        var remaining = Vector512<int>.Zero;
        for (int j = 0; j < count; j += Lanes)
        {
            var v = Vector512.MaxNative(Vector512<float>.Zero, Vector512.Load(x + j) - threshold);
            remaining -= Vector512.GreaterThan(v, Vector512<float>.Zero).AsInt32();
            v.Store(x + j);
        }
        return Vector512.Sum(remaining);
    }

    /// <summary>Any alpha, in float64: Newton's method up to 2; beyond, where the sum is not convex, bisection.</summary>
    private static int General(float* x, int count, double alpha)
    {
        bool softmax = alpha == 1;
        bool convex = alpha < 2;
        double slope = softmax ? 1 : alpha - 1;
        double power = 1 / slope;
        double t = softmax ? 0 : convex ? -1 : -0.5;
        if (!softmax)
        {
            double low = -1;
            double high = 0;
            for (int i = 0; i < 200; i++)
            {
                var (sum, derivative) = Sums(x, count, slope, power, t);
                if (convex)
                {
                    double step = (sum - 1) / (power * derivative);
                    if (!(step > 1e-14))
                        break;
                    t += step;
                    continue;
                }
                (low, high) = sum >= 1 ? (t, high) : (low, t);
                double middle = (low + high) / 2;
                if (middle <= low || middle >= high)
                    break;
                t = middle;
            }
            t = convex ? t : low;
        }

        // A threshold that float64 cannot tell from the maximum (large alpha, ties) leaves a sum other than 1.
        double total = softmax ? 0 : Sums(x, count, slope, power, t).Sum;
        for (int j = 0; softmax && j < count; j++)
            total += Math.Exp(x[j]);
        double inverse = 1 / total;
        int support = 0;
        for (int j = 0; j < count; j++)
        {
            double u = slope * x[j] - t;
            double p = softmax ? Math.Exp(x[j]) : u <= 0 ? 0 : Math.Exp(power * Math.Log(u));
            x[j] = (float)(p * inverse);
            support += x[j] > 0 ? 1 : 0;
        }
        return support;
    }

    /// <summary>The sums of u^power and of u^(power - 1) over the positive u = slope x - t.</summary>
    private static (double Sum, double Derivative) Sums(float* x, int count, double slope, double power, double t)
    {
        var sum = Vector512<double>.Zero;
        var derivative = Vector512<double>.Zero;
        for (int j = 0; j < count; j += Lanes / 2)
        {
            var (lower, upper) = Vector256.Widen(Vector256.Load(x + j));
            var u = Vector512.Create(lower, upper) * slope - Vector512.Create(t);
            var positive = ~Vector512.LessThanOrEqual(u, Vector512<double>.Zero);
            if (positive == Vector512<double>.Zero)
                continue;
            u = Vector512.ConditionalSelect(positive, u, Vector512<double>.One);
            var p = Vector512.ConditionalSelect(positive, Vector512.Exp(Vector512.Log(u) * power), Vector512<double>.Zero);
            sum += p;
            derivative += p / u;
        }
        return (Vector512.Sum(sum), Vector512.Sum(derivative));
    }
}
