using System.CommandLine;
using Attune.Bench;

namespace Attune.Cli.Commands;

/// <summary><c>attune bench</c>: measures on this machine.</summary>
internal static class BenchCommand
{
    public static Command Create()
    {
        var shape = new Option<string>("--shape")
        {
            Description = string.Join(", ", NagBenchmark.Shapes) + ".", DefaultValueFactory = _ => "flux",
        };
        var model = new Option<string?>("--model") { Description = "A folder of FLUX, whose own denoiser runs instead of a shape." };
        var latents = new Option<int?>("--latents") {
            Description = "Latent tokens. Default: 4096 for sd15 and sdxl, 64 for a model, else 1024." };
        var text = new Option<int?>("--text") {
            Description = "Text tokens of each prompt. Default: 77 for sd15 and sdxl, 32 for a model, else what is usual for the shape." };
        var rounds = new Option<int>("--rounds") { Description = "Interleaved rounds; the medians count.", DefaultValueFactory = _ => 5 };
        var only = new Option<string[]>("--only") {
            Description = $"Only some methods beside no guidance: {string.Join(", ", NagBenchmark.Methods)}. May be given several times.",
            DefaultValueFactory = _ => [] };
        var breakdown = new Option<bool>("--breakdown") { Description = "Print what each primitive took as well." };
        var nag = new Command(
            "nag", "The cost of NAG, GAG and PLADIS on blocks of real size or a model, against no guidance and CFG.") { shape, model,
            latents, text, rounds, only, breakdown };
        nag.SetAction(result => NagBenchmark.Run(
            DeviceOptions.Open(result), result.GetRequiredValue(shape), result.GetValue(model),
            Positive("--latents", result.GetValue(latents)), Positive("--text", result.GetValue(text)),
            Positive("--rounds", result.GetValue(rounds))!.Value, result.GetRequiredValue(only),
            result.GetValue(breakdown), Console.Out));
        return new Command("bench", "Measure on this machine.") { Model(), Kernels(), Weights(), Text(), Metrics(), nag };
    }

    private static Command Model()
    {
        var shape = new Option<string>("--shape") {
            Description = $"{string.Join(", ", ModelBenchmark.Shapes)}.", DefaultValueFactory = _ => "sd15" };
        var latents = new Option<int?>("--latents") {
            Description =
                "Side of the latents (default 64, for wan-vae 32; SDXL's own is 128); for flux-block the number of latent tokens (default "
                    + "1024)." };
        var memory = new Option<string?>("--vae-memory") { Description = "What decoding may take, for vae-512, such as 400MiB." };
        var frames = new Option<int?>("--frames") { Description = "Frames of wan-vae, one more than a multiple of 4. Default: 9." };
        var text = new Option<int?>("--text") { Description = "Text tokens. Default: 77, for flux-block 256." };
        var guidance = new Option<string>("--guidance", "-g") {
            Description = "For the UNets: rules that act in attention, as nag.", DefaultValueFactory = _ => "none" };
        var rounds = new Option<int>("--rounds") {
            Description = "Forward passes; the median of those at full speed counts.", DefaultValueFactory = _ => 5 };
        var json = new Option<bool>("--json") { Description = "Print one line of JSON." };
        var command = new Command(
            "model", "Forward passes of a model of real size with random weights: speed, a breakdown by primitive, memory.") { shape,
            latents, text, guidance, frames, memory, rounds, json };
        command.SetAction(result => ModelBenchmark.Run(
            DeviceOptions.Open(result), result.GetRequiredValue(shape), Positive("--latents", result.GetValue(latents)),
            Positive("--text", result.GetValue(text)),
            result.GetRequiredValue(guidance), Positive("--frames", result.GetValue(frames)),
            result.GetValue(memory) is { } most ? DeviceOptions.ParseBytes(most, memory.Name) : null,
            Positive("--rounds", result.GetValue(rounds))!.Value, result.GetValue(json), Console.Out));
        return command;
    }

    private static Command Text()
    {
        var shape = new Option<string>("--shape") {
            Description = $"{string.Join(", ", TextBenchmark.Shapes)}.", DefaultValueFactory = _ => "gemma2" };
        var template = new Option<int?>("--template") { Description = "Tokens before every prompt. Default: as many as the family has." };
        var prompt = new Option<int>("--text") { Description = "Tokens of a prompt.", DefaultValueFactory = _ => 32 };
        var rounds = new Option<int>("--rounds") { Description = "Rounds; the medians count.", DefaultValueFactory = _ => 5 };
        var command = new Command(
            "text", "The first and the second prompt of a language model of real widths: what a template costs that is kept.") { shape,
            template, prompt, rounds };
        command.SetAction(result => TextBenchmark.Run(
            DeviceOptions.Open(result), result.GetRequiredValue(shape), Positive("--template", result.GetValue(template)),
            Positive("--text", result.GetValue(prompt))!.Value, Positive("--rounds", result.GetValue(rounds))!.Value, Console.Out));
        return command;
    }

    private static Command Metrics()
    {
        var pictures = new Option<int>("--pictures") { Description = "Pictures of each set.", DefaultValueFactory = _ => 50_000 };
        var features = new Option<int>("--features") { Description = "Features of each picture.", DefaultValueFactory = _ => 2048 };
        var subsets = new Option<int>("--subsets") { Description = "Subsets of the kernel distance.", DefaultValueFactory = _ => 100 };
        var size = new Option<int>("--subset-size") { Description = "Pictures of each set in each.", DefaultValueFactory = _ => 1000 };
        var json = new Option<bool>("--json") { Description = "Print one line of JSON." };
        var command = new Command(
            "metrics", "Frechet and kernel distances of sets as large as papers take them: time and memory.") { pictures, features, subsets,
            size, json };
        int Value(ParseResult result, Option<int> option, int least) => result.GetValue(option) is var value && value >= least ? value
            : throw new ArgumentException($"{option.Name} is {value}, expected {least} or more.");
        command.SetAction(result => MetricBenchmark.Run(
            Value(result, pictures, 2), Value(result, features, 1), Value(result, subsets, 1), Value(result, size, 2),
            result.GetValue(json), Console.Out));
        return command;
    }

    private static Command Kernels()
    {
        var only = new Option<string[]>("--only") {
            Description = $"Only some groups: {string.Join(", ", KernelBenchmark.Groups)}. May be given several times.",
            DefaultValueFactory = _ => [] };
        var rounds = new Option<int>("--rounds") {
            Description = "Samples of each kernel; the median of those at full speed counts.", DefaultValueFactory = _ => 7 };
        var json = new Option<bool>("--json") { Description = "Print one line of JSON." };
        var command = new Command(
            "kernels", "Each primitive beside what the machine can do and beside native libraries, in the same run.") { only, rounds,
            json };
        command.SetAction(
            result => KernelBenchmark.Run(
                result.GetRequiredValue(only), Positive("--rounds", result.GetValue(rounds))!.Value, result.GetValue(json), Console.Out));
        return command;
    }

    private static Command Weights()
    {
        var formats = new Option<string[]>("--format") {
            Description = $"A format of weights, may be given several times. Default: {string.Join(", ", WeightBenchmark.Formats)}.",
            DefaultValueFactory = _ => [] };
        var latents = new Option<int>("--latents") {
            Description = "Latent tokens of the blocks; 0 leaves them out.", DefaultValueFactory = _ => 1024 };
        var text = new Option<int>("--text") { Description = "Text tokens.", DefaultValueFactory = _ => 256 };
        var rounds = new Option<int>("--rounds") { Description = "Interleaved rounds; the medians count.", DefaultValueFactory = _ => 5 };
        var ggml = new Option<string?>("--ggml") {
            Description = "A folder with the libraries ggml-base and ggml-cpu, whose product of many rows is measured in the same run." };
        var command = new Command(
            "weights", "FLUX blocks and the product of a single row with weights of few bits, beside bfloat16 in the same run.") { formats,
            latents, text, rounds, ggml };
        command.SetAction(result => WeightBenchmark.Run(
            DeviceOptions.Open(result), result.GetRequiredValue(formats), result.GetValue(latents),
            Positive("--text", result.GetValue(text))!.Value, Positive("--rounds", result.GetValue(rounds))!.Value, result.GetValue(ggml),
            Console.Out));
        return command;
    }

    private static int? Positive(string name, int? value) =>
        value is null or > 0 ? value : throw new ArgumentException($"{name} is {value}, expected 1 or more.");
}
