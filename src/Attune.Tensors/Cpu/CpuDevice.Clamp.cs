using System.Numerics.Tensors;

namespace Attune.Tensors.Cpu;

internal sealed unsafe partial class CpuDevice
{
    public override void Clamp(Tensor x, float minimum, float maximum, Tensor output) =>
        ForRuns(Rows.Of(x), Rows.Of(output), (p, r, count) =>
        {
            var result = new Span<float>(r, count);
            TensorPrimitives.Max(new ReadOnlySpan<float>(p, count), minimum, result);
            TensorPrimitives.Min(result, maximum, result);
        });
}
