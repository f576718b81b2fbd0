using System.Globalization;
using Attune.Evaluation.Experiments;
using Attune.Generation;
using Attune.Guidance;
using Attune.Tensors;

namespace Attune.Bench;

/// <summary>
/// What an experiment takes on this machine, before anything of it is computed: the arithmetic of its pictures by the speed of products
/// here, its memory, and the files that are missing. Where the model is there its own arithmetic is counted, in a run of each method whose
/// products are left out; where it is not, what the experiment states of a pass (<see cref="Experiment.PassTeraflops"/>) counts.
/// </summary>
public static class ExperimentEstimate
{
    /// <summary>Prints an estimate.</summary>
    /// <param name="experiment">The experiment.</param>
    /// <param name="shard">The part that is to be done.</param>
    /// <param name="prompts">The number of prompts, from the first; null for all.</param>
    /// <param name="device">What is to compute.</param>
    /// <param name="output">Where to print.</param>
    /// <param name="cancellation">Stops between steps.</param>
    public static async Task<int> PrintAsync(
        Experiment experiment, Shard shard, int? prompts, Device device, TextWriter output, CancellationToken cancellation = default)
    {
        var pictures = ExperimentPlan.Items(experiment, shard, prompts).CountBy(item => item.Steps).ToDictionary();
        (string What, string Path)[] needs = [.. Needs(experiment)];
        string[] missing = [.. needs.Where(need => !File.Exists(need.Path) && !Directory.Exists(need.Path))
            .Select(need => $"{need.What}: {need.Path}")];
        bool counted = Directory.Exists(experiment.Model) || File.Exists(experiment.Model);
        var (cells, activations) = counted ? await CountAsync(experiment, device, cancellation).ConfigureAwait(false)
            : (Stated(experiment), (long?)null);
        double rate = ProductRate(device);
        int all = cells.Sum(cell => pictures.GetValueOrDefault(cell.Steps));
        output.WriteLine(string.Create(
            CultureInfo.InvariantCulture, $"{experiment.Name}: {all} pictures{(shard.Count == 1 ? "" : $", part {shard}")}"));
        double total = 0;
        foreach (var (variant, steps, teraflops) in cells)
        {
            int count = pictures.GetValueOrDefault(steps);
            total += count * (teraflops ?? double.NaN);
            output.WriteLine(teraflops is { } known
                ? string.Create(CultureInfo.InvariantCulture, $"  {variant}, steps {steps}: {count} pictures of {known:0.####} TFLOP")
                : string.Create(CultureInfo.InvariantCulture, $"  {variant}, steps {steps}: {count} pictures"));
        }
        output.WriteLine(string.Create(
            CultureInfo.InvariantCulture, $"speed of products here: {rate / 1e3:0.00} TFLOP/s ({device.Description})"));
        output.WriteLine(double.IsNaN(total)
            ? "time: not known; the model is not there, and the experiment states no passTeraflops"
            : string.Create(
                CultureInfo.InvariantCulture,
                $"time: about {Duration(total / rate * 1e3)} {(counted ? "(counted on the model)"
                    : "(passes as the experiment states them; what rules add within a pass, and decoding, is not counted)")}"));
        long weights = needs.Where(need => need.Weights()).Sum(need => Bytes(need.Path));
        string working = activations is { } bytes ? $"about {Gib(bytes)} GiB for activations, " : "";
        string there = missing.Length > 0 ? " that are there" : "";
        output.WriteLine(
            $"memory: {working}{Gib(weights)} GiB of weights{there} (mapped), of "
                + $"{Gib(GC.GetGCMemoryInfo().TotalAvailableMemoryBytes)} GiB");
        output.WriteLine(missing.Length == 0 ? "missing: nothing" : "missing:");
        foreach (string one in missing)
            output.WriteLine($"  {one}");
        return 0;
    }

    /// <summary>The files and folders that a run reads.</summary>
    internal static IEnumerable<(string What, string Path)> Needs(Experiment experiment)
    {
        yield return ("model", experiment.Model);
        foreach (var lora in experiment.Loras)
            yield return ("LoRA", lora.Path);
        if (experiment.Judge is { } judge)
            yield return ("judge", judge);
        if (experiment.DualEncoder is { } encoder)
            yield return ("dual encoder", encoder);
        if (experiment.PromptFile is { } prompts)
            yield return ("prompts", prompts);
        foreach (var metric in experiment.Metrics)
        {
            yield return ($"weights of {metric.Metric.Name}, {metric.Metric.Weights}", metric.Weights);
            if (metric.References is { } references)
                yield return ($"references of {metric.Metric.Name}, a folder of pictures or an .npz file", references);
        }
    }

    private static bool Weights(this (string What, string Path) need) =>
        !need.What.StartsWith("prompts", StringComparison.Ordinal) && !need.What.StartsWith("references", StringComparison.Ordinal);

    private static IReadOnlyList<(string Variant, int Steps, double? Teraflops)> Stated(Experiment experiment) =>
    [
        .. experiment.Variants.SelectMany(variant => variant.Method.Steps.Select(steps =>
        {
            var preset = variant.Method.Preset is { } family ? GuidancePresets.For(family) : null;
            var schedule = new GuidanceSchedule(RuleCatalog.Parse(variant.Rules, preset));
            int passes = Enumerable.Range(0, steps).Sum(step => 1 + schedule.At(step, steps).Passes.Count);
            return (variant.Name, steps, passes * experiment.PassTeraflops);
        })),
    ];

    /// <summary>The arithmetic of a picture of each method, and the largest of their activations.</summary>
    private static async Task<(IReadOnlyList<(string Variant, int Steps, double? Teraflops)> Cells, long? Activations)> CountAsync(
        Experiment experiment, Device device, CancellationToken cancellation)
    {
        var counting = new CountingDevice(device, computes: false);
        using var pipeline = DiffusionPipeline.Load(
            experiment.Model, new LoadOptions { Device = counting, Loras = [.. experiment.Loras.Where(lora => File.Exists(lora.Path))] });
        var plan = ExperimentPlan.ForEstimate(experiment, pipeline);
        var cells = new List<(string, int, double?)>();
        long activations = 0;
        for (int variant = 0; variant < plan.Variants.Count; variant++)
        {
            foreach (int steps in plan.Variants[variant].Method.Steps)
            {
                var request = plan.RequestFor(new WorkItem(0, experiment.SeedOf(0, 0), steps, 0), variant);
                activations = Math.Max(activations, pipeline.EstimateActivations(pipeline.Resolve(request)));
                counting.Take();
                await foreach (var step in pipeline.DenoiseAsync(request, cancellation: cancellation).ConfigureAwait(false))
                {
                    if (step.IsLast)
                        await step.DecodeAsync(cancellation).ConfigureAwait(false);
                }
                cells.Add((plan.Variants[variant].Name, steps, counting.Take().Values.Sum(entry => entry.Operations) / 1e12));
            }
        }
        return (cells, activations);
    }

    /// <summary>GFLOP/s of a product as large models have them.</summary>
    private static double ProductRate(Device device)
    {
        using var scope = new TensorScope();
        const int Rows = 1024, Channels = 2048;
        var x = Noise.Of([1, Rows, Channels], 1);
        using var weight = device.Prepare(StoredWeight.Of("w", Noise.Of([Channels, Channels], 2)), WeightRole.Matrix);
        var result = Tensor.Empty(device, [1, Rows, Channels]);
        double best = double.PositiveInfinity;
        for (int i = 0; i < 12; i++)
        {
            double start = Clock.Seconds;
            device.Linear(x, weight, null, Activation.None, result);
            best = Math.Min(best, Clock.Seconds - start);
        }
        return 2.0 * Rows * Channels * Channels / best / 1e9;
    }

    private static long Bytes(string path) => File.Exists(path) ? new FileInfo(path).Length
        : !Directory.Exists(path) ? 0
        : Directory.EnumerateFiles(path, "*", SearchOption.AllDirectories)
            .Sum(file => (File.ResolveLinkTarget(file, returnFinalTarget: true) as FileInfo ?? new FileInfo(file)).Length);

    private static string Gib(long bytes) => FormattableString.Invariant($"{bytes / (double)(1L << 30):0.0}");

    private static string Duration(double seconds) => seconds switch
    {
        < 120 => FormattableString.Invariant($"{seconds:0} seconds"),
        < 7200 => FormattableString.Invariant($"{seconds / 60:0} minutes"),
        < 72 * 3600 => FormattableString.Invariant($"{seconds / 3600:0.0} hours"),
        _ => FormattableString.Invariant($"{seconds / 3600:0} hours ({seconds / 86400:0} days)"),
    };
}
