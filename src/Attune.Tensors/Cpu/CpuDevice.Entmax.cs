using System.Numerics.Tensors;

namespace Attune.Tensors.Cpu;

internal sealed unsafe partial class CpuDevice
{
    public override void Entmax(Tensor x, float alpha, Tensor output)
    {
        var source = Rows.Of(x);
        var target = Rows.Of(output);
        int columns = source.Columns;
        int padded = (columns + 15) / 16 * 16;
        ForRows(source.Count, columns, (first, end) =>
        {
            void* memory = TensorMemory.Rent((nuint)padded * sizeof(float), out nuint size);
            try
            {
                float* row = (float*)memory;
                for (long i = first; i < end; i++)
                {
                    var logits = new ReadOnlySpan<float>(source.At(i), columns);
                    var result = new Span<float>(target.At(i), columns);
                    float maximum = TensorPrimitives.Max(logits);
                    if (float.IsNegativeInfinity(maximum))
                    {
                        result.Clear();
                        continue;
                    }
                    TensorPrimitives.Subtract(logits, maximum, new Span<float>(row, columns));
                    new Span<float>(row + columns, padded - columns).Fill(float.NegativeInfinity);
                    EntmaxRow.Apply(row, padded, alpha);
                    new ReadOnlySpan<float>(row, columns).CopyTo(result);
                }
            }
            finally
            {
                TensorMemory.Return(memory, size);
            }
        });
    }

    public override void EntmaxAttention(in AttentionArguments arguments, float alpha, Tensor? dense, Tensor? support) =>
        FlashAttention.RunEntmax(arguments, alpha, dense, support);
}
