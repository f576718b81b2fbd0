using System.CommandLine;
using Attune.Cli.Benchmarks;

namespace Attune.Cli.Commands;

/// <summary><c>attune bench</c>: measures on this machine.</summary>
internal static class BenchCommand
{
    public static Command Create()
    {
        var latents = new Option<int>("--latents") { Description = "Latent tokens.", DefaultValueFactory = _ => 1024 };
        var text = new Option<int>("--text") { Description = "Text tokens of each prompt.", DefaultValueFactory = _ => 256 };
        var rounds = new Option<int>("--rounds") { Description = "Interleaved rounds; the medians count.", DefaultValueFactory = _ => 5 };
        var nag = new Command("nag", "The cost of NAG on FLUX blocks of real size, against no guidance and true CFG.") { latents, text, rounds };
        nag.SetAction(result => NagBenchmark.Run(Positive("--latents", result.GetValue(latents)), Positive("--text", result.GetValue(text)), Positive("--rounds", result.GetValue(rounds)), Console.Out));
        var kernels = new Command("kernels", "The speed of the kernels beside a native library's, in the same run.");
        kernels.SetAction(_ => KernelBenchmark.Run(Console.Out));
        return new Command("bench", "Measure on this machine.") { nag, kernels };
    }

    private static int Positive(string name, int value) => value > 0 ? value : throw new ArgumentException($"{name} is {value}, expected 1 or more.");
}
