using System.CommandLine;
using Attune.Weights.Writing;

namespace Attune.Cli.Commands;

/// <summary><c>attune convert IN OUT</c>: writes weights into another kind of file, or with another type.</summary>
internal static class ConvertCommand
{
    public static Command Create()
    {
        var input = new Argument<string>("in") {
            Description = "A .safetensors or .gguf file, or the folder of a component or a pipeline." };
        var output = new Argument<string>("out") {
            Description = "A file that ends with .safetensors or .gguf; or a new folder, which holds safetensors and all other files." };
        var type = new Option<string?>("--type") {
            Description =
                $"{string.Join(", ", WeightConversion.Types)}. Default: each weight's own where the output can hold it, else bf16. "
                    + "q8_0 and q4_0 are for matrices in .gguf; vectors are then f32." };
        var command = new Command("convert", "Write weights as safetensors or GGUF, with another type if need be.") { input, output, type };
        command.SetAction(result => Run(
            result.GetRequiredValue(input), result.GetRequiredValue(output), result.GetValue(type), Console.Out));
        return command;
    }

    internal static int Run(string input, string output, string? type, TextWriter console)
    {
        var result = WeightConversion.Convert(input, output, type?.ToLowerInvariant());
        console.WriteLine(
            FormattableString.Invariant(
                $"{output}: {result.Tensors} tensors, {result.BytesWritten / 1048576.0:0.0} MiB (of {result.BytesRead / 1048576.0:0.0})"));
        return 0;
    }
}
