using System.CommandLine;
using System.Globalization;
using System.Text.Json.Nodes;
using Attune.Evaluation.Metrics;
using Attune.Imaging;

namespace Attune.Cli.Commands;

/// <summary><c>attune metrics NAME ...</c>: the papers' metrics of folders of pictures, with released weights.</summary>
internal static class MetricsCommand
{
    private static readonly string[] Extensions = [".png", ".jpg", ".jpeg", ".webp", ".bmp", ".gif", ".tif", ".tiff"];

    private static readonly Option<bool> Json = new("--json") { Description = "Print one JSON object." };

    private static readonly Option<string> Inception = new("--inception") {
        Description = "Inception v3 of FID: pt_inception-2015-12-05-6726825d.pth, or its names in safetensors.", Required = true };

    public static Command Create() => new(
        "metrics", "Measure folders of pictures: FID, KID, patch FID, CLIPScore, PickScore, HPSv2, ImageReward, LPIPS.")
    {
        Frechet(), Kernel(), Patch(), ClipScore(), Preference("pick-score"), Preference("hps-v2"), Reward(), Perceptual(),
    };

    private static Command Frechet()
    {
        var (a, b) = (Set("a"), Set("b"));
        var inception = new Option<string?>("--inception") { Description = $"{Inception.Description} Statistics need none." };
        var preparation = PreparationOption(Preparation.PytorchFid);
        var save = new Option<string?>("--save-statistics") {
            Description = "Write mean and covariance of A's features, as .npz, which pytorch-fid reads too." };
        var command = new Command("fid", "Frechet distance of Inception features. A and B are folders, or .npz files of statistics.") {
            a, b, inception, preparation, save, Json };
        command.SetAction((result, cancellation) => Task.FromResult(Report(result, "fid", output =>
        {
            var how = Of(result, preparation);
            string[] sets = [result.GetRequiredValue(a), result.GetRequiredValue(b)];
            bool reads = !sets.All(IsStatistics);
            if (reads && result.GetValue(inception) == null)
                throw new ArgumentException("--inception is needed to read pictures; expected a file of weights.");
            using var model = reads ? InceptionModel.Load(result.GetValue(inception)!, DeviceOptions.Open(result)) : null;
            float[][]?[] features = [.. sets.Select(set => IsStatistics(set) ? null : Features(model!, set, how, cancellation))];
            FeatureStatistics Statistics(int i) => features[i] is { } rows ? FeatureMoments.Of(rows).ToStatistics()
                : FeatureStatistics.Load(sets[i]);
            if (result.GetValue(save) is { } path)
                Statistics(0).Save(path);
            output["preparation"] = how.Name;
            Counts(output, features, InceptionModel.Features);
            return features is [{ } x, { } y] ? Distances.Frechet(x, y) : Distances.Frechet(Statistics(0), Statistics(1));
        })));
        return command;
    }

    private static Command Patch()
    {
        var (a, b) = (Set("a"), Set("b"));
        var command = new Command("pfid", "Patch FID: the middle 299 x 299 pixels of each picture, nothing resized.") {
            a, b, Inception, Json };
        command.SetAction((result, cancellation) => Task.FromResult(Report(result, "pfid", output =>
        {
            using var model = InceptionModel.Load(result.GetRequiredValue(Inception), DeviceOptions.Open(result));
            float[][][] features = [.. new[] { a, b }
                .Select(set => Features(model, result.GetRequiredValue(set), Preparation.Patch, cancellation))];
            output["preparation"] = Preparation.Patch.Name;
            Counts(output, features, InceptionModel.Features);
            return Distances.Frechet(features[0], features[1]);
        })));
        return command;
    }

    private static Command Kernel()
    {
        var (a, b) = (Set("a"), Set("b"));
        var preparation = PreparationOption(Preparation.TorchFidelity);
        var package = new Option<string>("--draws") {
            Description = "Whose subsets: torch-fidelity, torchmetrics or clean-fid.", DefaultValueFactory = _ => "torch-fidelity" };
        var subsets = new Option<int>("--subsets") { Description = "How many subsets.", DefaultValueFactory = _ => 100 };
        var size = new Option<int?>("--subset-size") { Description = "Pictures of each set. Default: 1000, or all of the smaller set." };
        var seed = new Option<long>("--seed") { Description = "Of the draws.", DefaultValueFactory = _ => 2020 };
        var command = new Command("kid", "Kernel distance of Inception features, over subsets.") {
            a, b, Inception, preparation, package, subsets, size, seed, Json };
        command.SetAction((result, cancellation) => Task.FromResult(Report(result, "kid", output =>
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
            float[][][] features = [.. new[] { a, b }.Select(set => Features(model, result.GetRequiredValue(set), how, cancellation))];
            int rows = result.GetValue(size) ?? Math.Min(1000, Math.Min(features[0].Length, features[1].Length));
            var estimate = Distances.KernelOfSubsets(
                features[0], features[1], draws, result.GetValue(subsets), rows, result.GetValue(seed));
            output["preparation"] = how.Name;
            output["draws"] = result.GetRequiredValue(package);
            output["subset_size"] = rows;
            output["deviation"] = estimate.Deviation;
            Counts(output, features, 0);
            return estimate.Mean;
        })));
        return command;
    }

    private static Command ClipScore()
    {
        var set = Set("pictures");
        var prompts = Prompts();
        var clip = Clip();
        var preparation = PreparationOption(Preparation.Clip);
        var cut = new Option<bool>("--cut-long") {
            Description = "Cut texts beyond 77 tokens with their end, as torchmetrics does; otherwise the end of text stays." };
        var command = new Command("clip-score", "100 times the mean cosine of pictures and their prompts, no less than 0.") {
            set, prompts, clip, preparation, cut, Json };
        command.SetAction((result, cancellation) => Task.FromResult(Report(result, "clip-score", output =>
        {
            var how = Of(result, preparation);
            var (files, texts) = Pairs(result.GetRequiredValue(set), result.GetRequiredValue(prompts));
            using var model = ClipModel.Load(result.GetRequiredValue(clip), DeviceOptions.Open(result));
            double[] cosines = Cosines(
                model, files, texts, how, result.GetValue(cut) ? LongText.Cut : LongText.KeepEnd, cancellation);
            output["preparation"] = how.Name;
            Interval(output, [.. cosines.Select(cosine => 100 * cosine)]);
            return ClipModel.Score(cosines);
        })));
        return command;
    }

    /// <summary>PickScore and HPSv2: the cosines of a CLIP-H, with and without its scale.</summary>
    private static Command Preference(string name)
    {
        bool scaled = name == "pick-score";
        var set = Set("pictures");
        var prompts = Prompts();
        var clip = Clip();
        var preparation = PreparationOption(scaled ? Preparation.ClipPillow : Preparation.OpenClip);
        var command = new Command(
            name, scaled ? "PickScore: the mean of cosines times the model's scale." : "HPSv2: the mean of cosines.") {
            set, prompts, clip, preparation, Json };
        command.SetAction((result, cancellation) => Task.FromResult(Report(result, name, output =>
        {
            var how = Of(result, preparation);
            var (files, texts) = Pairs(result.GetRequiredValue(set), result.GetRequiredValue(prompts));
            using var model = ClipModel.Load(result.GetRequiredValue(clip), DeviceOptions.Open(result));
            double scale = scaled ? model.LogitScale : 1;
            double[] scores = [.. Cosines(model, files, texts, how, LongText.KeepEnd, cancellation).Select(cosine => scale * cosine)];
            output["preparation"] = how.Name;
            return Interval(output, scores);
        })));
        return command;
    }

    private static Command Reward()
    {
        var set = Set("pictures");
        var prompts = Prompts();
        var model = new Option<string>("--model") {
            Description = "A folder with ImageReward.pt, med_config.json and the tokenizer of bert-base-uncased.", Required = true };
        var command = new Command("image-reward", "ImageReward: how pictures please people who read the prompts, on average.") {
            set, prompts, model, Json };
        command.SetAction((result, cancellation) => Task.FromResult(Report(result, "image-reward", output =>
        {
            var (files, texts) = Pairs(result.GetRequiredValue(set), result.GetRequiredValue(prompts));
            using var reward = ImageReward.Load(result.GetRequiredValue(model), DeviceOptions.Open(result));
            var scores = new double[files.Length];
            for (int i = 0; i < files.Length; i++)
            {
                cancellation.ThrowIfCancellationRequested();
                scores[i] = reward.Score([texts[i]], [Image.Load(files[i])])[0][0];
            }
            output["preparation"] = Preparation.ImageReward.Name;
            return Interval(output, scores);
        })));
        return command;
    }

    private static Command Perceptual()
    {
        var (a, b) = (Set("a"), Set("b"));
        var backbone = new Option<string>("--backbone") {
            Description = "AlexNet, VGG 16 or SqueezeNet 1.1 of torchvision.", Required = true };
        var linear = new Option<string>("--linear") {
            Description = "The weights of the lpips package for that network: alex.pth, vgg.pth or squeeze.pth.", Required = true };
        var command = new Command("lpips", "LPIPS: the mean distance of pictures of one name, or one place, in two folders.") {
            a, b, backbone, linear, Json };
        command.SetAction((result, cancellation) => Task.FromResult(Report(result, "lpips", output =>
        {
            var (first, second) = (Files(result.GetRequiredValue(a)), Files(result.GetRequiredValue(b)));
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

    private static Option<string> Prompts() => new("--prompts") {
        Description = "A text file with a prompt a line, for the pictures in the order of their names.", Required = true };

    private static Option<string> Clip() => new("--clip") {
        Description = "A folder with a CLIPModel of transformers, or a model of open_clip, and its tokenizer.", Required = true };

    private static Option<string> PreparationOption(Preparation usual) => new("--preparation") {
        Description = $"How pictures are resized and scaled: {string.Join(", ", Preparation.All.Select(one => one.Name))}.",
        DefaultValueFactory = _ => usual.Name };

    private static Preparation Of(ParseResult result, Option<string> option) => Preparation.Of(result.GetRequiredValue(option));

    private static bool IsStatistics(string set) => set.EndsWith(".npz", StringComparison.OrdinalIgnoreCase);

    /// <summary>The pictures of a folder, in the ordinal order of their names.</summary>
    private static string[] Files(string folder)
    {
        if (!Directory.Exists(folder))
            throw new ArgumentException($"'{folder}' is no folder; expected a folder of pictures.");
        string[] files = [.. Directory.EnumerateFiles(folder)
            .Where(file => Extensions.Contains(Path.GetExtension(file), StringComparer.OrdinalIgnoreCase))
            .Order(StringComparer.Ordinal)];
        return files.Length > 0 ? files : throw new ArgumentException($"'{folder}' holds no pictures ({string.Join(", ", Extensions)}).");
    }

    private static (string[] Files, string[] Texts) Pairs(string folder, string prompts)
    {
        string[] files = Files(folder);
        if (!File.Exists(prompts))
            throw new ArgumentException($"'{prompts}' does not exist; expected a text file with a prompt a line.");
        string[] texts = File.ReadAllLines(prompts);
        return texts.Length == files.Length ? (files, texts)
            : throw new ArgumentException(
                $"'{prompts}' has {texts.Length} lines and '{folder}' {files.Length} pictures, expected as many.");
    }

    private static float[][] Features(InceptionModel model, string folder, Preparation preparation, CancellationToken cancellation)
    {
        var features = new List<float[]>();
        foreach (string file in Files(folder))
        {
            cancellation.ThrowIfCancellationRequested();
            features.Add(model.Apply(Image.Load(file), preparation));
        }
        return [.. features];
    }

    private static double[] Cosines(
        ClipModel model, string[] files, string[] texts, Preparation preparation, LongText longer, CancellationToken cancellation)
    {
        var cosines = new double[files.Length];
        for (int i = 0; i < files.Length; i++)
        {
            cancellation.ThrowIfCancellationRequested();
            float[] text = model.TextFeatures(model.Tokenize([texts[i]], longer))[0];
            cosines[i] = ClipModel.Cosine(model.ImageFeature(Image.Load(files[i]), preparation), text);
        }
        return cosines;
    }

    private static void Counts(JsonObject output, IReadOnlyList<float[][]?> features, int needed)
    {
        output["pictures"] = new JsonArray([.. features.Select(rows => (JsonNode?)rows?.Length)]);
        if (features.Any(rows => rows?.Length <= needed))
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
