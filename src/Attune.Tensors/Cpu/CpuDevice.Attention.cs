using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;

namespace Attune.Tensors.Cpu;

internal sealed unsafe partial class CpuDevice
{
    public override void Attention(in AttentionArguments arguments) => FlashAttention.Run(arguments);

    public override void MergeAttention(
        Tensor output1, Tensor logSumExp1, Tensor output2, Tensor logSumExp2, Tensor output, Tensor? logSumExp)
    {
        var first = Rows.Of(output1);
        var second = Rows.Of(output2);
        var target = Rows.Of(output);
        int heads = output.Shape[2];
        var weights1 = Rows.Of(logSumExp1);
        var weights2 = Rows.Of(logSumExp2);
        var weights = logSumExp == null ? default : Rows.Of(logSumExp);
        bool wanted = logSumExp != null;
        bool flat = weights1.Contiguous && weights2.Contiguous && (!wanted || weights.Contiguous);
        long groups = (target.Count + MergeLanes - 1) / MergeLanes;
        ForRows(groups, target.Columns * MergeLanes, (start, end) =>
        {
            float* room = stackalloc float[4 * MergeLanes];
            float* a = room, b = a + MergeLanes, l1 = b + MergeLanes, l2 = l1 + MergeLanes;
            for (long group = start; group < end; group++)
            {
                long at = group * MergeLanes;
                int count = (int)Math.Min(MergeLanes, target.Count - at);
                if (flat && count == MergeLanes)
                {
                    Shares(weights1.At(0) + at, weights2.At(0) + at, a, b, wanted ? weights.At(0) + at : null);
                }
                else
                {
                    new Span<float>(room, 4 * MergeLanes).Clear();
                    for (int i = 0; i < count; i++)
                    {
                        var (token, head) = Math.DivRem(at + i, heads);
                        l1[i] = weights1.At(token)[head];
                        l2[i] = weights2.At(token)[head];
                    }
                    Shares(l1, l2, a, b, l1);
                    for (int i = 0; wanted && i < count; i++)
                    {
                        var (token, head) = Math.DivRem(at + i, heads);
                        weights.At(token)[head] = l1[i];
                    }
                }
                for (int i = 0; i < count; i++)
                    RowKernels.Map(new Combination(a[i], b[i]), first.At(at + i), second.At(at + i), target.At(at + i), target.Columns);
            }
        });
    }

    private const int MergeLanes = 16;

    /// <summary>
    /// The shares of 16 pairs of partials, and the logarithm of their sum where it is wanted; zeros and minus infinity where no key counts.
    /// </summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void Shares(float* logSumExp1, float* logSumExp2, float* a, float* b, float* logSumExp)
    {
        var (l1, l2) = (Vector512.Load(logSumExp1), Vector512.Load(logSumExp2));
        var maximum = Vector512.Max(l1, l2);
        var none = Vector512.Equals(maximum, Vector512.Create(float.NegativeInfinity));
        var centre = Vector512.ConditionalSelect(none, Vector512<float>.Zero, maximum);
        var (e1, e2) = (Exponential.Of(l1 - centre), Exponential.Of(l2 - centre));
        var sum = e1 + e2;
        var inverse = Vector512.ConditionalSelect(none, Vector512<float>.Zero, Vector512<float>.One / sum);
        (e1 * inverse).Store(a);
        (e2 * inverse).Store(b);
        if (logSumExp != null)
            Vector512.ConditionalSelect(none, maximum, maximum + Exponential.Log(sum)).Store(logSumExp);
    }
}
