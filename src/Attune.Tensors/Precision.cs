namespace Attune.Tensors;

/// <summary>What the elements of a tensor are held in, and what a device's products and convolutions multiply. Sums are float32.</summary>
public enum Precision
{
    /// <summary>float32, whatever the stored type of a weight is.</summary>
    Float32,

    /// <summary>
    /// bfloat16. On the CPU tensors stay float32, and activations and weights are rounded to it (relative error up to 2^-8 each) in the
    /// products and convolutions that oneDNN takes: the outputs of a layer then differ from the float32 ones by 0.24 % of their root mean
    /// square, by 0.17 % where the weights are stored as bfloat16 and are used as they are. Values below 1e-38 count as 0.
    /// </summary>
    BFloat16,

    /// <summary>float16: three bits more than bfloat16, but no number beyond 65504. No device of the CPU has it.</summary>
    Float16,
}
