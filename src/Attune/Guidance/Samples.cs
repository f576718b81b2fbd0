using Attune.Tensors;

namespace Attune.Guidance;

/// <summary>
/// Arithmetic on predictions, sample by sample: item i of the batch, all other axes taken as one vector. Sums are taken in double
/// precision, in one order.
/// </summary>
internal static class Samples
{
    /// <summary>Sample <paramref name="item"/> of a contiguous tensor.</summary>
    public static Span<float> Of(Tensor x, int item)
    {
        int length = (int)(x.Count / x.Shape[0]);
        return x.Span.Slice(item * length, length);
    }

    /// <summary>The sum of products.</summary>
    public static double Dot(ReadOnlySpan<float> a, ReadOnlySpan<float> b)
    {
        double sum = 0;
        for (int i = 0; i < a.Length; i++)
            sum += (double)a[i] * b[i];
        return sum;
    }

    /// <summary>The Euclidean norm.</summary>
    public static double Norm(ReadOnlySpan<float> a) => Math.Sqrt(Dot(a, a));

    /// <summary>The standard deviation, with Bessel's correction.</summary>
    public static double Deviation(ReadOnlySpan<float> a)
    {
        double mean = 0;
        foreach (float value in a)
            mean += value;
        mean /= a.Length;
        double sum = 0;
        foreach (float value in a)
            sum += (value - mean) * (value - mean);
        return Math.Sqrt(sum / (a.Length - 1));
    }

    /// <summary>A tensor whose samples are sums of those of two tensors, with weights of their own for every sample.</summary>
    /// <param name="a">[batch, ...], contiguous.</param>
    /// <param name="b">As a.</param>
    /// <param name="weights">The weights of a sample of a and of b.</param>
    public static Tensor Combine(Tensor a, Tensor b, Func<Pair, (double A, double B)> weights)
    {
        var result = Tensor.Empty(a.Shape, a.Device);
        for (int item = 0; item < a.Shape[0]; item++)
        {
            var (wa, wb) = weights(new Pair(a, b, item));
            var x = Of(a, item);
            var y = Of(b, item);
            var sum = Of(result, item);
            for (int i = 0; i < sum.Length; i++)
                sum[i] = (float)(wa * x[i] + wb * y[i]);
        }
        return result;
    }

    /// <summary>One sample of two tensors.</summary>
    public readonly struct Pair(Tensor a, Tensor b, int item)
    {
        /// <summary>The sample of the first tensor.</summary>
        public ReadOnlySpan<float> A => Of(a, item);

        /// <summary>The sample of the second tensor.</summary>
        public ReadOnlySpan<float> B => Of(b, item);
    }
}
