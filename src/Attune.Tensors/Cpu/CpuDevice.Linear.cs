namespace Attune.Tensors.Cpu;

internal sealed partial class CpuDevice
{
    public override void Linear(Tensor x, PreparedWeight weight, PreparedWeight? bias, Activation activation, Tensor output) =>
        Gemm.Multiply(new PlainRows(Rows.Of(x)), CpuWeight.Of(weight), CpuWeight.Find(bias), activation, Rows.Of(output));

    public override void AddLinear(Tensor residual, Tensor x, PreparedWeight weight, PreparedWeight? bias, Tensor output)
    {
        var rows = new PlainRows(Rows.Of(x));
        if (Gemm.Adds(rows))
            Gemm.Multiply(rows, CpuWeight.Of(weight), CpuWeight.Find(bias), Activation.None, Rows.Of(output), Rows.Of(residual));
        else
            base.AddLinear(residual, x, weight, bias, output);
    }
}
