using Attune.Tensors.Cpu;
using Attune.Tensors.OneDnn;

namespace Attune.Tensors;

/// <summary>Which devices may compute.</summary>
public enum DeviceKind
{
    /// <summary>
    /// Whatever is the faster, as measured (docs/performance.md): managed kernels in float32, where oneDNN gains a few percent of a model's
    /// time at most and would cost exact repeatability over numbers of threads and a second copy of the weights; in bfloat16 oneDNN.
    /// </summary>
    Auto,

    /// <summary>Managed kernels alone: no native library, and results that do not depend on the number of threads.</summary>
    Managed,

    /// <summary>oneDNN for every product and convolution that it has an implementation for. An error when it is absent.</summary>
    OneDnn,
}

/// <summary>What products and convolutions multiply. Sums, and everything else, are always float32.</summary>
public enum Precision
{
    /// <summary>float32, whatever the stored type of a weight is.</summary>
    Float32,

    /// <summary>
    /// Activations and weights rounded to bfloat16 (relative error up to 2^-8 each), in the products and convolutions that oneDNN takes.
    /// The outputs of a layer then differ from the float32 ones by 0.24 % of their root mean square, by 0.17 % where the weights are stored
    /// as bfloat16 and are used as they are. Values below 1e-38 count as 0.
    /// </summary>
    BFloat16,
}

public abstract partial class Device
{
    /// <summary>The environment variable that chooses <see cref="Default"/>: auto, managed or onednn.</summary>
    public const string KindVariable = "ATTUNE_DEVICE";

    /// <summary>The environment variable that chooses the precision of <see cref="Default"/>: f32 or bf16.</summary>
    public const string PrecisionVariable = "ATTUNE_PRECISION";

    private static Device? _default;

    /// <summary>The managed CPU device, which needs no native library and is the reference for all others.</summary>
    public static Device Managed => Devices.Managed;

    /// <summary>
    /// The device of new tensors. Chosen when it is first needed, by <see cref="KindVariable"/> and <see cref="PrecisionVariable"/> (auto
    /// and f32 when they are not set), unless
    /// <see cref="Select"/> was called before.
    /// </summary>
    /// <exception cref="ArgumentException">A variable has a value that is not understood.</exception>
    /// <exception cref="NotSupportedException">oneDNN is asked for and cannot be used.</exception>
    public static Device Default =>
        Volatile.Read(ref _default) ?? (Interlocked.CompareExchange(ref _default, FromEnvironment(), null) ?? _default);

    /// <summary>
    /// Makes a device the <see cref="Default"/>. To be called at the start: tensors, and what is computed from them, stay with the device
    /// that they were made on. All devices work on the same memory, so that tensors of several may meet.
    /// </summary>
    public static void Select(Device device)
    {
        ArgumentNullException.ThrowIfNull(device);
        Volatile.Write(ref _default, device);
    }

    /// <summary>
    /// A device. With oneDNN, results are the same from run to run for a fixed number of threads, but may differ in the last bits between
    /// numbers of threads; those of
    /// <see cref="Managed"/> do not.
    /// </summary>
    /// <param name="kind">Which.</param>
    /// <param name="precision">What products and convolutions multiply.</param>
    /// <exception cref="NotSupportedException">oneDNN is asked for, or needed for the precision, and cannot be used: the message says
    /// why.</exception>
    public static Device Create(DeviceKind kind, Precision precision = Precision.Float32)
    {
        if (kind == DeviceKind.Managed && precision != Precision.Float32)
            throw new NotSupportedException("The managed device computes in float32; bfloat16 arithmetic needs oneDNN.");
        if (kind == DeviceKind.Managed || (kind == DeviceKind.Auto && precision == Precision.Float32))
            return Managed;
        var library = OneDnnLibrary.TryLoad(out string problem) ?? throw new NotSupportedException(problem);
        return new OneDnnDevice(Managed, library, precision, everything: kind == DeviceKind.OneDnn);
    }

    /// <summary>The device that the environment asks for.</summary>
    /// <exception cref="ArgumentException">A variable has a value that is not understood.</exception>
    /// <exception cref="NotSupportedException">oneDNN is asked for and cannot be used.</exception>
    public static Device FromEnvironment() => Create(
        ParseKind(Environment.GetEnvironmentVariable(KindVariable) is { Length: > 0 } kind ? kind : "auto", KindVariable),
        ParsePrecision(
            Environment.GetEnvironmentVariable(PrecisionVariable) is { Length: > 0 } precision ? precision : "f32", PrecisionVariable));

    /// <summary>The kind of a name: auto, managed or onednn.</summary>
    /// <param name="name">The name.</param>
    /// <param name="option">The option or variable that has this value, for messages.</param>
    /// <exception cref="ArgumentException">There is none with this name.</exception>
    public static DeviceKind ParseKind(string name, string option) => name?.ToLowerInvariant() switch
    {
        "auto" => DeviceKind.Auto,
        "managed" => DeviceKind.Managed,
        "onednn" => DeviceKind.OneDnn,
        _ => throw new ArgumentException($"{option} is '{name}', expected auto, managed or onednn."),
    };

    /// <summary>The precision of a name: f32 or bf16.</summary>
    /// <param name="name">The name.</param>
    /// <param name="option">The option or variable that has this value, for messages.</param>
    /// <exception cref="ArgumentException">There is none with this name.</exception>
    public static Precision ParsePrecision(string name, string option) => name?.ToLowerInvariant() switch
    {
        "f32" => Precision.Float32,
        "bf16" => Precision.BFloat16,
        _ => throw new ArgumentException($"{option} is '{name}', expected f32 or bf16."),
    };
}
