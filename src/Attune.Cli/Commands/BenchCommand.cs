using System.CommandLine;
using Attune.Cli.Benchmarks;

namespace Attune.Cli.Commands;

/// <summary><c>attune bench</c>: measures on this machine.</summary>
internal static class BenchCommand
{
    public static Command Create()
    {
        var shape = new Option<string>("--shape") { Description = "flux, sdxl or sd15.", DefaultValueFactory = _ => "flux" };
        var latents = new Option<int?>("--latents") { Description = "Latent tokens. Default: 1024 for flux, else 4096." };
        var text = new Option<int?>("--text") { Description = "Text tokens of each prompt. Default: 256 for flux, else 77." };
        var rounds = new Option<int>("--rounds") { Description = "Interleaved rounds; the medians count.", DefaultValueFactory = _ => 5 };
        var nag = new Command("nag", "The cost of NAG, GAG and PLADIS on blocks of real size, against no guidance and CFG.") { shape, latents, text, rounds };
        nag.SetAction(result => NagBenchmark.Run(
            result.GetRequiredValue(shape), Positive("--latents", result.GetValue(latents)), Positive("--text", result.GetValue(text)), Positive("--rounds", result.GetValue(rounds))!.Value, Console.Out));
        var modelShape = new Option<string>("--shape") { Description = "sdxl or sd15.", DefaultValueFactory = _ => "sdxl" };
        var size = new Option<int?>("--size") { Description = "The side of the image in pixels. Default: the model's, 1024 or 512." };
        var modelRounds = new Option<int>("--rounds") { Description = "Interleaved rounds; the medians count.", DefaultValueFactory = _ => 1 };
        var model = new Command("model", "The time of a step and its memory for a whole denoiser of real size, unguided and with NAG.") { modelShape, size, modelRounds };
        model.SetAction(result => ModelBenchmark.Run(
            result.GetRequiredValue(modelShape), Positive("--size", result.GetValue(size)), Positive("--rounds", result.GetValue(modelRounds))!.Value, Console.Out));
        var kernels = new Command("kernels", "The speed of the kernels beside a native library's, in the same run.");
        kernels.SetAction(_ => KernelBenchmark.Run(Console.Out));
        return new Command("bench", "Measure on this machine.") { nag, model, kernels };
    }

    private static int? Positive(string name, int? value) => value is null or > 0 ? value : throw new ArgumentException($"{name} is {value}, expected 1 or more.");
}
