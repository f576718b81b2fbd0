using System.CommandLine;
using Attune.Tensors;

namespace Attune.Cli;

/// <summary>The options of every command that say what computes.</summary>
internal static class DeviceOptions
{
    private static readonly Option<string?> Kind = new("--device")
    {
        Description =
            $"What computes: auto (managed kernels in float32, oneDNN in bfloat16), managed or onednn. Default: {Devices.Variable}, "
                + $"else auto.",
        Recursive = true,
    };

    private static readonly Option<string?> Precision = new("--precision")
    {
        Description = $"What products multiply: f32, or bf16 (needs oneDNN; less exact). Default: {Devices.PrecisionVariable}, else f32.",
        Recursive = true,
    };

    public static void AddTo(RootCommand root)
    {
        root.Options.Add(Kind);
        root.Options.Add(Precision);
    }

    /// <summary>The device that the command line asks for, else the environment.</summary>
    /// <exception cref="ArgumentException">An option or environment variable has a value that is not understood.</exception>
    /// <exception cref="NotSupportedException">oneDNN is asked for and cannot be used.</exception>
    public static Device Open(ParseResult result)
    {
        var (kind, kindSource) = Read(result, Kind, Devices.Variable, "auto");
        var (precision, precisionSource) = Read(result, Precision, Devices.PrecisionVariable, "f32");
        return Devices.Open(kind, Devices.ParsePrecision(precision, precisionSource), ConvolutionOptions.FromEnvironment(), kindSource);
    }

    /// <summary>The value of an option or, without it, of a variable, and where it is from.</summary>
    private static (string Value, string Source) Read(ParseResult result, Option<string?> option, string variable, string otherwise)
    {
        if (result.GetValue(option) is { } given)
            return (given, option.Name);
        return (Environment.GetEnvironmentVariable(variable) is { Length: > 0 } value ? value : otherwise, variable);
    }
}
