namespace Attune.Tensors.Cpu;

internal sealed partial class CpuDevice
{
    public override void Linear(Tensor x, Weight weight, Weight? bias, Activation activation, Tensor output) =>
        Gemm.Multiply(new PlainRows(Rows.Of(x)), weight, bias, activation, Rows.Of(output));
}
