using System.Numerics.Tensors;

namespace Attune.Tensors.Cpu;

internal sealed unsafe partial class CpuDevice
{
    public override void Clamp(Tensor x, float minimum, float maximum, Tensor output)
    {
        var source = Rows.Of(x);
        var target = Rows.Of(output);
        ForRows(source.Count, source.Columns, (first, end) =>
        {
            for (long i = first; i < end; i++)
            {
                var result = new Span<float>(target.At(i), source.Columns);
                TensorPrimitives.Max(new ReadOnlySpan<float>(source.At(i), source.Columns), minimum, result);
                TensorPrimitives.Min(result, maximum, result);
            }
        });
    }
}
