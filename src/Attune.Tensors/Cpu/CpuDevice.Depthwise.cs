using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;

namespace Attune.Tensors.Cpu;

internal sealed unsafe partial class CpuDevice
{
    /// <summary>Channels of which sums stay in the first cache.</summary>
    private const int DepthwiseChannels = 1024;

    /// <summary>Tokens whose sums are added up before they are added to those of all.</summary>
    private const int StateTokens = 128;

    public override void DepthwiseConv2d(Tensor x, Tensor kernel, Tensor? bias, Tensor output)
    {
        var (height, width, channels) = (x.Shape[1], x.Shape[2], x.Shape[3]);
        var (rows, columns) = (kernel.Shape[0], kernel.Shape[1]);
        var (source, target, taps) = (Rows.Of(x), Rows.Of(output), Rows.Of(kernel));
        float* start = bias == null ? null : Rows.Of(bias).At(0);
        Workers.For(x.Shape[0] * height, line =>
        {
            int y = line % height;
            for (int first = 0; first < channels; first += DepthwiseChannels)
            {
                int count = Math.Min(DepthwiseChannels, channels - first);
                for (int column = 0; column < width; column++)
                {
                    float* sum = target.At((long)line * width + column) + first;
                    if (start == null)
                        new Span<float>(sum, count).Clear();
                    else
                        new ReadOnlySpan<float>(start + first, count).CopyTo(new Span<float>(sum, count));
                    for (int ky = 0; ky < rows; ky++)
                    {
                        int down = ky - rows / 2;
                        if ((uint)(y + down) >= (uint)height)
                            continue;
                        for (int kx = 0; kx < columns; kx++)
                        {
                            int at = column + kx - columns / 2;
                            if ((uint)at < (uint)width)
                            {
                                float* pixel = source.At(((long)line + down) * width + at) + first;
                                RowKernels.Map(default(ProductSum), pixel, taps.At(ky * columns + kx) + first, sum, sum, count);
                            }
                        }
                    }
                }
            }
        });
    }

    /// <summary>Each head of each item is one piece of work, so that sums have one order.</summary>
    public override void LinearAttention(Tensor query, Tensor key, Tensor value, float epsilon, Tensor output)
    {
        var (tokens, heads, channels) = (query.Shape[1], query.Shape[2], query.Shape[3]);
        var (q, k, v, target) = (Rows.Of(query), Rows.Of(key), Rows.Of(value), Rows.Of(output));
        if (tokens == 0 || channels == 0)
            return;
        Workers.For(query.Shape[0] * heads, piece =>
        {
            long first = (long)(piece / heads) * tokens * heads + piece % heads;
            int width = channels + 1;           // the last column is the sum of the keys

            // [channels, width]: of all tokens, and of some of them.
            float[] all = new float[channels * width];
            float[] some = new float[channels * width];
            float[] row = new float[width];
            fixed (float* states = all, part = some, extended = row)
            {
                extended[channels] = 1;
                for (int begin = 0; begin < tokens; begin += StateTokens)
                {
                    new Span<float>(part, channels * width).Clear();
                    for (int i = begin; i < Math.Min(begin + StateTokens, tokens); i++)
                    {
                        float* keys = k.At(first + (long)i * heads);
                        new ReadOnlySpan<float>(v.At(first + (long)i * heads), channels).CopyTo(new Span<float>(extended, channels));
                        for (int c = 0; c < channels; c++)
                            AddMultiple(keys[c], extended, part + c * width, width);
                    }
                    for (int c = 0; c < channels * width; c++)
                        states[c] += part[c];
                }
                for (int i = 0; i < tokens; i++)
                {
                    float* queries = q.At(first + (long)i * heads);
                    new Span<float>(extended, width).Clear();
                    for (int c = 0; c < channels; c++)
                        AddMultiple(queries[c], states + c * width, extended, width);
                    float* result = target.At(first + (long)i * heads);
                    float divisor = extended[channels] + epsilon;
                    for (int c = 0; c < channels; c++)
                        result[c] = extended[c] / divisor;
                }
            }
        });
    }

    /// <summary>sum += factor x.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void AddMultiple(float factor, float* x, float* sum, int count)
    {
        var factors = Vector256.Create(factor);
        int i = 0;
        for (; i <= count - Vector256<float>.Count; i += Vector256<float>.Count)
            Vector256.FusedMultiplyAdd(factors, Vector256.Load(x + i), Vector256.Load(sum + i)).Store(sum + i);
        for (; i < count; i++)
            sum[i] = MathF.FusedMultiplyAdd(factor, x[i], sum[i]);
    }

    private readonly struct ProductSum : IMap3
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public Vector512<float> Of(Vector512<float> x, Vector512<float> factor, Vector512<float> sum) =>
            Vector512.FusedMultiplyAdd(x, factor, sum);
    }
}
