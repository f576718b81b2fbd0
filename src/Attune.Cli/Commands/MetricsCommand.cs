using System.CommandLine;
using System.Globalization;
using System.Text.Json.Nodes;
using Attune.Evaluation.Experiments;
using Attune.Evaluation.Metrics;
using Attune.Guidance.Diagnostics;
using Attune.Imaging;

namespace Attune.Cli.Commands;

/// <summary><c>attune metrics NAME ...</c>: metrics of folders of pictures, the papers' above all, with released weights.</summary>
internal static class MetricsCommand
{
    private static readonly Option<bool> Json = new("--json") { Description = "Print one JSON object." };

    private static readonly Option<string> Inception = new("--inception") { Description = $"{FrechetMetric.Inception}.", Required = true };

    public static Command Create()
    {
        var command = new Command(
            "metrics",
            $"Measure folders of pictures: {string.Join(", ", MetricCatalog.All.Select(metric => metric.Title))}.") { Statistics() };
        foreach (var metric in MetricCatalog.All)
            command.Add(Of(metric));
        return command;
    }

    private static Command Of(PictureMetric metric) => metric switch
    {
        FrechetMetric => Frechet(metric),
        KernelMetric => Kernel(metric),
        LpipsMetric => Perceptual(metric),
        _ => Score(metric),
    };

    /// <summary>FID, and patch FID, which has one preparation.</summary>
    private static Command Frechet(PictureMetric metric)
    {
        var usual = metric.Usual;
        var (a, b) = (SetOrStatistics("a"), SetOrStatistics("b"));
        var inception = new Option<string?>("--inception") { Description = $"{Inception.Description} Statistics need none." };
        var preparation = PreparationOption(usual);
        var save = new Option<string?>("--save-statistics") {
            Description = "Write mean and covariance of A's features, as .npz, which pytorch-fid reads too." };
        var command = new Command(metric.Name, $"{metric.Title}: {metric.Description}.") { a, b, inception, save, Json };
        if (usual != Preparation.Patch)
            command.Add(preparation);
        command.SetAction((result, cancellation) => Task.FromResult(Report(result, metric.Name, output =>
        {
            var how = usual == Preparation.Patch ? usual : Of(result, preparation);
            string[] sets = [result.GetRequiredValue(a), result.GetRequiredValue(b)];
            using var model = OpenFor(sets, result.GetValue(inception), result);
            float[][]?[] features = [.. sets
                .Select(set => IsStatistics(set) ? null : Features(model!, PictureFolder.Files(set), how, cancellation))];
            FeatureStatistics?[] kept = [.. sets.Select(set => IsStatistics(set) ? Load(set, how) : null)];
            FeatureStatistics Statistics(int i) => kept[i] ?? Kept(features[i]!, how);
            if (result.GetValue(save) is { } path)
                Statistics(0).Save(path);
            output["preparation"] = how.Name;
            Counts(output, [.. features.Select((rows, i) => rows?.Length ?? kept[i]!.Count)], InceptionModel.Features);
            return features is [{ } x, { } y] ? Distances.Frechet(x, y) : Distances.Frechet(Statistics(0), Statistics(1));
        })));
        return command;
    }

    /// <summary>Statistics of pictures, of a part of them, or of what parts were saved of.</summary>
    private static Command Statistics()
    {
        var file = new Argument<string>("output") { Description = "The .npz file to write: mu, sigma, count and preparation." };
        var sets = new Argument<string[]>("sets") {
            Description = "Folders of pictures, and .npz files that Attune saved, which are merged.", Arity = ArgumentArity.OneOrMore };
        var inception = new Option<string?>("--inception") { Description = $"{Inception.Description} Statistics need none." };
        var preparation = PreparationOption(Preparation.PytorchFid);
        var shard = new Option<string?>("--shard") {
            Description = "Take one part of the pictures, as 3/16; the parts' files are merged by giving them all to this command." };
        var command = new Command(
            "statistics", "Mean and covariance of Inception features, for fid and pfid: of pictures, a part of them, or merged parts.") {
            file, sets, inception, preparation, shard, Json };
        command.SetAction((result, cancellation) =>
        {
            var how = Preparation.Of(result.GetRequiredValue(preparation));
            var part = result.GetValue(shard) is { } text ? Shard.Parse(text) : Shard.Whole;
            string[] given = result.GetRequiredValue(sets);
            if (part.Count > 1 && given.FirstOrDefault(IsStatistics) is { } whole)
                throw new ArgumentException($"--shard takes a part of pictures, but '{whole}' holds statistics.");
            using var model = OpenFor(given, result.GetValue(inception), result);
            FeatureStatistics Of(string folder)
            {
                string[] files = [.. PictureFolder.Files(folder).Where((_, i) => i % part.Count == part.Index - 1)];
                return Kept(Features(model!, files, how, cancellation), how);
            }

            var merged = FeatureStatistics.Merge([.. given.Select(set => IsStatistics(set) ? Load(set, how) : Of(set))]);
            merged.Save(result.GetRequiredValue(file));
            var output = new JsonObject
            {
                ["file"] = result.GetRequiredValue(file), ["pictures"] = merged.Count, ["features"] = merged.Mean.Length,
                ["preparation"] = merged.Preparation,
            };
            Console.Out.WriteLine(result.GetValue(Json) ? output.ToJsonString()
                : $"{result.GetRequiredValue(file)}: {merged.Mean.Length} features of {merged.Count} pictures, made ready as "
                    + $"{merged.Preparation ?? "the files do not say"}");
            return Task.FromResult(0);
        });
        return command;
    }

    private static Command Kernel(PictureMetric metric)
    {
        var (a, b) = (Set("a"), Set("b"));
        var preparation = PreparationOption(metric.Usual);
        var package = new Option<string>("--draws") {
            Description = "Whose subsets: torch-fidelity, torchmetrics or clean-fid.", DefaultValueFactory = _ => "torch-fidelity" };
        var subsets = new Option<int>("--subsets") { Description = "How many subsets.", DefaultValueFactory = _ => KernelMetric.Subsets };
        var size = new Option<int?>("--subset-size") { Description = "Pictures of each set. Default: 1000, or all of the smaller set." };
        var seed = new Option<long>("--seed") { Description = "Of the draws.", DefaultValueFactory = _ => 2020 };
        var command = new Command(metric.Name, $"{metric.Title}: {metric.Description}.") {
            a, b, Inception, preparation, package, subsets, size, seed, Json };
        command.SetAction((result, cancellation) => Task.FromResult(Report(result, metric.Name, output =>
        {
            var draws = result.GetRequiredValue(package) switch
            {
                "torch-fidelity" => KernelSubsets.TorchFidelity,
                "torchmetrics" => KernelSubsets.TorchMetrics,
                "clean-fid" => KernelSubsets.CleanFid,
                var other => throw new ArgumentException($"--draws is '{other}', expected torch-fidelity, torchmetrics or clean-fid."),
            };
            var how = Of(result, preparation);
            using var model = InceptionModel.Load(result.GetRequiredValue(Inception), DeviceOptions.Open(result));
            float[][][] features = [.. new[] { a, b }
                .Select(set => Features(model, PictureFolder.Files(result.GetRequiredValue(set)), how, cancellation))];
            int rows = result.GetValue(size) ?? Math.Min(KernelMetric.Size, Math.Min(features[0].Length, features[1].Length));
            var estimate = Distances.KernelOfSubsets(
                features[0], features[1], draws, result.GetValue(subsets), rows, result.GetValue(seed));
            output["preparation"] = how.Name;
            output["draws"] = result.GetRequiredValue(package);
            output["subset_size"] = rows;
            output["deviation"] = estimate.Deviation;
            Counts(output, [.. features.Select(set => (long?)set.Length)], 0);
            return estimate.Mean;
        })));
        return command;
    }

    /// <summary>A metric that every picture and its prompt has a number of.</summary>
    private static Command Score(PictureMetric metric)
    {
        var set = Set("pictures");
        var prompts = Prompts();
        var weights = new Option<string>("--" + metric.WeightsOption) { Description = $"{Sentence(metric.Weights)}.", Required = true };
        var preparation = PreparationOption(metric.Usual);
        var command = new Command(metric.Name, $"{metric.Title}: {metric.Description}.") { set, weights, preparation, Json };
        if (metric.ReadsPrompts)
            command.Add(prompts);
        var cut = new Option<bool>("--cut-long") {
            Description = "Cut texts beyond 77 tokens with their end, as torchmetrics does; otherwise the end of text stays." };
        if (metric is ClipScoreMetric)
            command.Add(cut);
        command.SetAction((result, cancellation) => Task.FromResult(Report(result, metric.Name, output =>
        {
            var how = Of(result, preparation);
            string folder = result.GetRequiredValue(set);
            var (files, texts) = metric.ReadsPrompts ? Pairs(folder, result.GetRequiredValue(prompts))
                : (PictureFolder.Files(folder), null);
            var asked = metric is ClipScoreMetric && result.GetValue(cut) ? new ClipScoreMetric(LongText.Cut) : metric;
            using var reader = asked.Open(result.GetRequiredValue(weights), how, DeviceOptions.Open(result));
            var readings = new float[files.Length][];
            for (int i = 0; i < files.Length; i++)
            {
                cancellation.ThrowIfCancellationRequested();
                readings[i] = reader.Read(Image.Load(files[i]), texts?[i] ?? "");
            }
            output["preparation"] = how.Name;
            Interval(output, [.. readings.Select(reading => (double)reading[0])]);
            return asked.Sum(readings, null);
        })));
        return command;
    }

    private static Command Perceptual(PictureMetric metric)
    {
        var (a, b) = (Set("a"), Set("b"));
        var backbone = new Option<string>("--backbone") {
            Description = "AlexNet, VGG 16 or SqueezeNet 1.1 of torchvision.", Required = true };
        var linear = new Option<string>("--linear") {
            Description = "The weights of the lpips package for that network: alex.pth, vgg.pth or squeeze.pth.", Required = true };
        var command = new Command(
            metric.Name, $"{metric.Title}: the mean distance of pictures of one name, or one place, in two folders.") {
            a, b, backbone, linear, Json };
        command.SetAction((result, cancellation) => Task.FromResult(Report(result, metric.Name, output =>
        {
            var (first, second) = (PictureFolder.Files(result.GetRequiredValue(a)), PictureFolder.Files(result.GetRequiredValue(b)));
            if (first.Length != second.Length)
                throw new ArgumentException($"The folders hold {first.Length} and {second.Length} pictures, expected as many.");
            using var model = Lpips.Load(
                result.GetRequiredValue(backbone), result.GetRequiredValue(linear), DeviceOptions.Open(result));
            var distances = new double[first.Length];
            for (int i = 0; i < distances.Length; i++)
            {
                cancellation.ThrowIfCancellationRequested();
                distances[i] = model.Distance(Image.Load(first[i]), Image.Load(second[i]));
            }
            output["net"] = model.Net;
            return Interval(output, distances);
        })));
        return command;
    }

    private static Argument<string> Set(string name) => new(name) { Description = "A folder of pictures, in the order of their names." };

    private static Argument<string> SetOrStatistics(string name) => new(name) {
        Description = "A folder of pictures, or an .npz file of statistics." };

    private static Option<string> Prompts() => new("--prompts") {
        Description = "A text file with a prompt a line, for the pictures in the order of their names.", Required = true };

    private static Option<string> PreparationOption(Preparation usual) => new("--preparation") {
        Description = $"How pictures are resized and scaled: {string.Join(", ", Preparation.All.Select(one => one.Name))}.",
        DefaultValueFactory = _ => usual.Name };

    private static Preparation Of(ParseResult result, Option<string> option) => Preparation.Of(result.GetRequiredValue(option));

    private static string Sentence(string text) => char.ToUpperInvariant(text[0]) + text[1..];

    private static bool IsStatistics(string set) => set.EndsWith(".npz", StringComparison.OrdinalIgnoreCase);

    private static (string[] Files, string[] Texts) Pairs(string folder, string prompts)
    {
        string[] files = PictureFolder.Files(folder);
        if (!File.Exists(prompts))
            throw new ArgumentException($"'{prompts}' does not exist; expected a text file with a prompt a line.");
        string[] texts = File.ReadAllLines(prompts);
        return texts.Length == files.Length ? (files, texts)
            : throw new ArgumentException(
                $"'{prompts}' has {texts.Length} lines and '{folder}' {files.Length} pictures, expected as many.");
    }

    /// <summary>The network, if one of the sets is a folder of pictures.</summary>
    private static InceptionModel? OpenFor(string[] sets, string? inception, ParseResult result) => sets.All(IsStatistics) ? null
        : InceptionModel.Load(
            inception ?? throw new ArgumentException("--inception is needed to read pictures; expected a file of weights."),
            DeviceOptions.Open(result));

    private static FeatureStatistics Load(string file, Preparation preparation)
    {
        var statistics = FeatureStatistics.Load(file);
        return statistics.Preparation is null || statistics.Preparation == preparation.Name ? statistics
            : throw new ArgumentException(
                $"'{file}' holds statistics of pictures made ready as {statistics.Preparation}, expected {preparation.Name}.");
    }

    private static FeatureStatistics Kept(float[][] features, Preparation preparation) => features.Length > 1
        ? FeatureMoments.Of(features).ToStatistics() with { Preparation = preparation.Name }
        : throw new ArgumentException($"Statistics need two pictures at least, not {features.Length}.");

    private static float[][] Features(
        InceptionModel model, IReadOnlyList<string> files, Preparation preparation, CancellationToken cancellation)
    {
        var features = new List<float[]>();
        foreach (string file in files)
        {
            cancellation.ThrowIfCancellationRequested();
            features.Add(model.Apply(Image.Load(file), preparation));
        }
        return [.. features];
    }

    private static void Counts(JsonObject output, IReadOnlyList<long?> pictures, int needed)
    {
        output["pictures"] = new JsonArray([.. pictures.Select(count => (JsonNode?)count)]);
        if (pictures.Any(count => count <= needed))
        {
            output["warning"] =
                $"there are no more pictures than the {needed} features: the distance is far too large, compare sets of one size";
        }
    }

    private static double Interval(JsonObject output, double[] values)
    {
        var estimate = MeanEstimate.Of(values);
        output["pictures"] = values.Length;
        output["deviation"] = estimate.Deviation;
        output["interval"] = new JsonArray(estimate.Interval.Low, estimate.Interval.High);
        double[] sorted = [.. values.Order()];
        output["quartiles"] = new JsonArray(
            Summary.Quantile(sorted, 0.25), Summary.Quantile(sorted, 0.5), Summary.Quantile(sorted, 0.75));
        return estimate.Mean;
    }

    /// <summary>Prints a number with what it was computed by: in words, a warning apart, or as JSON.</summary>
    private static int Report(ParseResult result, string name, Func<JsonObject, double> compute)
    {
        var output = new JsonObject { ["metric"] = name, ["value"] = 0 };
        double value = compute(output);
        output["value"] = value;
        if (result.GetValue(Json))
        {
            Console.Out.WriteLine(output.ToJsonString());
            return 0;
        }
        string details = string.Join(", ", output.Where(pair => pair.Key is not ("metric" or "value" or "warning"))
            .Select(pair => $"{pair.Key.Replace('_', ' ')} {pair.Value?.ToJsonString().Trim('"')}"));
        Console.Out.WriteLine(string.Create(CultureInfo.InvariantCulture, $"{name} {value:0.######}  ({details})"));
        if (output["warning"] is { } warning)
            Console.Error.WriteLine($"attune: warning: {warning.GetValue<string>()}");
        return 0;
    }
}
