using Attune.Tensors.Cpu;
using Attune.Tensors.OneDnn;

namespace Attune.Tensors;

/// <summary>A device that this machine may have.</summary>
/// <param name="Name">What <see cref="Devices.Open"/> knows it by.</param>
/// <param name="Description">What it is, in a sentence.</param>
public sealed record DeviceInfo(string Name, string Description);

/// <summary>
/// The devices by name, and the environment variables that applications may choose one with. The library itself never chooses: whoever
/// loads a model names its device.
/// </summary>
public static class Devices
{
    /// <summary>The environment variable that names the device (<see cref="FromEnvironment"/>).</summary>
    public const string Variable = "ATTUNE_DEVICE";

    /// <summary>The environment variable that names the precision: f32, bf16 or f16.</summary>
    public const string PrecisionVariable = "ATTUNE_PRECISION";

    /// <summary>
    /// The managed CPU device: no native library, results that do not depend on the number of threads; the reference for all others.
    /// </summary>
    public static Device Managed { get; } = new CpuDevice(new ConvolutionOptions());

    /// <summary>
    /// The devices that can be opened: <c>auto</c> is whichever of the others is the faster, as measured (docs/performance.md). In float32
    /// these are the managed kernels: oneDNN gains a few percent of a model's time at most and costs exact repeatability over numbers of
    /// threads and a second copy of the weights. In bfloat16 it is oneDNN.
    /// </summary>
    public static IReadOnlyList<DeviceInfo> All { get; } =
    [
        new("auto", "Managed kernels in float32, oneDNN in bfloat16."),
        new("managed", "Managed kernels alone, in float32: no native library, the same bits on any number of threads."),
        new("onednn", "oneDNN for every product and convolution that it has an implementation for."),
    ];

    /// <summary>
    /// A device. With oneDNN, results are the same from run to run for a fixed number of threads, but may differ in the last bits between
    /// numbers of threads; those of <see cref="Managed"/> do not.
    /// </summary>
    /// <param name="name">A name of <see cref="All"/>, in any case.</param>
    /// <param name="precision">What products and convolutions multiply.</param>
    /// <param name="convolution">How managed kernels compute convolutions; null is the fastest way.</param>
    /// <param name="option">The option or variable that has this name, for messages.</param>
    /// <exception cref="ArgumentException">There is no device of this name.</exception>
    /// <exception cref="NotSupportedException">oneDNN is asked for, or needed for the precision, and cannot be used: the message says
    /// why.</exception>
    public static Device Open(
        string name, Precision precision = Precision.Float32, ConvolutionOptions? convolution = null, string? option = null)
    {
        ArgumentNullException.ThrowIfNull(name);
        switch (name.ToLowerInvariant())
        {
            case "managed" or "auto" or "onednn" when precision == Precision.Float16:
                throw new NotSupportedException($"The device '{name}' has no f16, only devices of libtorch (torch:cuda:0) have it.");
            case "managed" when precision != Precision.Float32:
                throw new NotSupportedException("The managed device computes in float32; bfloat16 arithmetic needs oneDNN.");
            case "managed":
            case "auto" when precision == Precision.Float32:
                return convolution == null ? Managed : new CpuDevice(convolution);
            case "auto":
                return OneDnn(precision, convolution, everything: false);
            case "onednn":
                return OneDnn(precision, convolution, everything: true);
            case var torch when torch.StartsWith("torch:", StringComparison.Ordinal):
                throw new NotSupportedException($"The device '{name}' is one of the package Attune.Torch: TorchDevice.Open opens it.");
            default:
                throw new ArgumentException(
                    $"{option ?? "The device"} is '{name}', expected auto, managed, onednn, torch:cpu, torch:cuda:N or torch:mps.");
        }
    }

    /// <summary>
    /// The device that <see cref="Variable"/> and <see cref="PrecisionVariable"/> name, auto and f32 where they are not set; its managed
    /// kernels compute convolutions as <see cref="ConvolutionOptions.FromEnvironment"/> says.
    /// </summary>
    /// <exception cref="ArgumentException">A variable has a value that is not understood.</exception>
    /// <exception cref="NotSupportedException">The device cannot be used.</exception>
    public static Device FromEnvironment()
    {
        string name = Environment.GetEnvironmentVariable(Variable) is { Length: > 0 } device ? device : "auto";
        string precision = Environment.GetEnvironmentVariable(PrecisionVariable) is { Length: > 0 } number ? number : "f32";
        return Open(name, ParsePrecision(precision, PrecisionVariable), ConvolutionOptions.FromEnvironment(), Variable);
    }

    /// <summary>The precision of a name: f32, bf16 or f16, in any case.</summary>
    /// <param name="name">The name.</param>
    /// <param name="option">The option or variable that has this value, for messages.</param>
    /// <exception cref="ArgumentException">There is none with this name.</exception>
    public static Precision ParsePrecision(string name, string option) => name?.ToLowerInvariant() switch
    {
        "f32" => Precision.Float32,
        "bf16" => Precision.BFloat16,
        "f16" => Precision.Float16,
        _ => throw new ArgumentException($"{option} is '{name}', expected f32, bf16 or f16."),
    };

    /// <summary>The name of a precision: f32, bf16 or f16.</summary>
    public static string NameOf(Precision precision) => precision switch
    {
        Precision.BFloat16 => "bf16",
        Precision.Float16 => "f16",
        _ => "f32",
    };

    private static OneDnnDevice OneDnn(Precision precision, ConvolutionOptions? convolution, bool everything) =>
        OneDnnLibrary.TryLoad(out string problem) is { } library
            ? new OneDnnDevice(new CpuDevice(convolution ?? new ConvolutionOptions()), library, precision, everything)
            : throw new NotSupportedException(problem);
}
