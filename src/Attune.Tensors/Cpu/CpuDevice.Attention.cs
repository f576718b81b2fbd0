using System.Numerics.Tensors;

namespace Attune.Tensors.Cpu;

internal sealed unsafe partial class CpuDevice
{
    public override void Attention(in AttentionArguments arguments)
    {
        var (query, key, value, scale, output, logSumExp, mask) = arguments;
        var (batch, queries, heads, channels) = (query.Shape[0], query.Shape[1], query.Shape[2], query.Shape[3]);
        int keys = key.Shape[1];
        int group = heads / key.Shape[2];
        Workers.For(batch * heads, index =>
        {
            int item = index / heads;
            int head = index % heads;
            int keyItem = key.Shape[0] == 1 ? 0 : item;
            using var logits = TensorScope.Detach(Tensor.Empty([Math.Max(keys, 1)]));
            float* z = logits.Pointer;
            for (int i = 0; i < queries; i++)
            {
                var q = query.Row(item, i, head);
                float maximum = float.NegativeInfinity;
                for (int j = 0; j < keys; j++)
                {
                    float logit = TensorPrimitives.Dot<float>(q, key.Row(keyItem, j, head / group)) * scale;
                    if (mask != null)
                    {
                        if (mask.SoftCap > 0)
                            logit = mask.SoftCap * MathF.Tanh(logit / mask.SoftCap);
                        if (mask.Bias is { } bias)
                            logit += bias.Row(bias.Shape[0] == 1 ? 0 : item, bias.Shape[1] == 1 ? 0 : head, i)[j];
                        if (mask.Keys is { } counted && counted.Row(counted.Shape[0] == 1 ? 0 : item)[j] == 0)
                            logit = float.NegativeInfinity;
                        int distance = i + keys - queries - j;
                        if (mask.Causal && (distance < 0 || (mask.Window > 0 && distance >= mask.Window)))
                            logit = float.NegativeInfinity;
                    }
                    z[j] = logit;
                    maximum = MathF.Max(maximum, logit);
                }
                var result = output.Row(item, i, head);
                result.Clear();
                if (float.IsNegativeInfinity(maximum))
                {
                    if (logSumExp != null)
                        logSumExp.Row(item, i)[head] = float.NegativeInfinity;
                    continue;
                }
                double sum = 0;
                for (int j = 0; j < keys; j++)
                    sum += z[j] = MathF.Exp(z[j] - maximum);
                float inverse = (float)(1 / sum);
                for (int j = 0; j < keys; j++)
                    TensorPrimitives.MultiplyAdd(value.Row(keyItem, j, head / group), z[j] * inverse, result, result);
                if (logSumExp != null)
                    logSumExp.Row(item, i)[head] = maximum + (float)Math.Log(sum);
            }
        });
    }

    public override void MergeAttention(Tensor output1, Tensor logSumExp1, Tensor output2, Tensor logSumExp2, Tensor output, Tensor? logSumExp)
    {
        var first = Rows.Of(output1);
        var second = Rows.Of(output2);
        var target = Rows.Of(output);
        int heads = output.Shape[2];
        var weights1 = Rows.Of(logSumExp1);
        var weights2 = Rows.Of(logSumExp2);
        var weights = logSumExp == null ? default : Rows.Of(logSumExp);
        bool wanted = logSumExp != null;
        ForRows(target.Count, target.Columns, (start, end) =>
        {
            for (long i = start; i < end; i++)
            {
                float l1 = weights1.At(i / heads)[i % heads];
                float l2 = weights2.At(i / heads)[i % heads];
                float maximum = MathF.Max(l1, l2);
                float e1 = float.IsNegativeInfinity(l1) ? 0 : MathF.Exp(l1 - maximum);
                float e2 = float.IsNegativeInfinity(l2) ? 0 : MathF.Exp(l2 - maximum);
                float inverse = e1 + e2 > 0 ? 1 / (e1 + e2) : 0;
                float a = e1 * inverse;
                float b = e2 * inverse;
                float* p = first.At(i);
                float* q = second.At(i);
                float* r = target.At(i);
                for (int c = 0; c < target.Columns; c++)
                    r[c] = a * p[c] + b * q[c];
                if (wanted)
                    weights.At(i / heads)[i % heads] = e1 + e2 > 0 ? maximum + MathF.Log(e1 + e2) : float.NegativeInfinity;
            }
        });
    }
}
