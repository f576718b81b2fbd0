using System.CommandLine;
using System.Globalization;
using Attune.Tensors;
using Attune.Torch;

namespace Attune.Cli;

/// <summary>The options of every command that say what computes.</summary>
internal static class DeviceOptions
{
    private static readonly Option<string?> Kind = new("--device")
    {
        Description =
            $"What computes: auto (managed kernels in float32, oneDNN in bfloat16), managed, onednn, or libtorch: torch:cuda:0 and further "
                + $"cards, torch:cpu, torch:mps (untested). Default: {Devices.Variable}, else auto.",
        Recursive = true,
    };

    private static readonly Option<string?> Precision = new("--precision")
    {
        Description =
            $"What products multiply: f32, bf16 (oneDNN or libtorch; less exact) or f16 (libtorch). Default: {Devices.PrecisionVariable}, "
                + "else f32.",
        Recursive = true,
    };

    private static readonly Option<string?> Libtorch = new("--libtorch")
    {
        Description =
            "For --device torch:...: the folder of libtorch, or of a PyTorch (python -c \"import torch; print(torch.__path__[0])\"). "
                + $"Default: {TorchLibrary.Variable}, else what is found beside the program, among NuGet's packages or in the "
                + "active Python environment.",
        Recursive = true,
    };

    private static readonly Option<string?> Memory = new("--gpu-memory")
    {
        Description =
            "For --device torch:...: how much of the device's memory may be used, such as 12GiB or 800MiB: three quarters of it by "
                + "weights, of which those that do not stay are brought for each use. Default: all.",
        Recursive = true,
    };

    public static void AddTo(RootCommand root)
    {
        root.Options.Add(Kind);
        root.Options.Add(Precision);
        root.Options.Add(Libtorch);
        root.Options.Add(Memory);
    }

    /// <summary>The device that the command line asks for, else the environment.</summary>
    /// <exception cref="ArgumentException">An option or environment variable has a value that is not understood.</exception>
    /// <exception cref="NotSupportedException">oneDNN or libtorch is asked for and cannot be used.</exception>
    public static Device Open(ParseResult result)
    {
        var (kind, kindSource) = Read(result, Kind, Devices.Variable, "auto");
        var (name, precisionSource) = Read(result, Precision, Devices.PrecisionVariable, "f32");
        var precision = Devices.ParsePrecision(name, precisionSource);
        return kind.StartsWith("torch:", StringComparison.OrdinalIgnoreCase)
            ? TorchDevice.Open(kind, precision, result.GetValue(Libtorch), kindSource, ParseBytes(result.GetValue(Memory), Memory.Name))
            : Devices.Open(kind, precision, ConvolutionOptions.FromEnvironment(), kindSource);
    }

    /// <summary>A number of bytes, as 12GiB, 1.5GiB or 800MiB; 0 for null.</summary>
    /// <exception cref="ArgumentException">It is none.</exception>
    internal static long ParseBytes(string? text, string option)
    {
        if (text == null)
            return 0;
        foreach (var (unit, bytes) in new[] { ("GiB", 1L << 30), ("MiB", 1L << 20) })
        {
            if (text.EndsWith(unit, StringComparison.OrdinalIgnoreCase)
                && double.TryParse(text[..^3], NumberStyles.AllowDecimalPoint, CultureInfo.InvariantCulture, out double number)
                && number * bytes is >= 1 and < long.MaxValue)
                return (long)(number * bytes);
        }
        throw new ArgumentException($"{option} is '{text}', expected a number of GiB or MiB such as 12GiB or 800MiB.");
    }

    /// <summary>What libtorch was found and what it computes on, or what is missing.</summary>
    public static string DescribeTorch(ParseResult result) =>
        TorchLibrary.TryLoad(out string problem, result.GetValue(Libtorch)) is { } library ? $"{library} (--device)" : problem;

    /// <summary>The value of an option or, without it, of a variable, and where it is from.</summary>
    private static (string Value, string Source) Read(ParseResult result, Option<string?> option, string variable, string otherwise)
    {
        if (result.GetValue(option) is { } given)
            return (given, option.Name);
        return (Environment.GetEnvironmentVariable(variable) is { Length: > 0 } value ? value : otherwise, variable);
    }
}
