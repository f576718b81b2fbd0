namespace Attune.Tensors.Cpu;

internal sealed unsafe partial class CpuDevice
{
    public override void Attention(in AttentionArguments arguments) => FlashAttention.Run(arguments);

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
