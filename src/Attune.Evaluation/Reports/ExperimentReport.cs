using Attune.Evaluation.Experiments;
using Attune.Evaluation.Metrics;
using Attune.Guidance.Diagnostics;
using Attune.Weights;

namespace Attune.Evaluation.Reports;

/// <summary>What was measured for one method at one scale and number of steps. Numbers that there is no ground for are null.</summary>
public sealed record ReportCell
{
    /// <summary>The method at its scale.</summary>
    public required MethodVariant Variant { get; init; }

    /// <summary>The number of steps.</summary>
    public required int Steps { get; init; }

    /// <summary>The pictures that count.</summary>
    public required int Pictures { get; init; }

    /// <summary>The pictures that there are not yet.</summary>
    public required int Missing { get; init; }

    /// <summary>How often attributes that a negative prompt names are there, over all pictures and such attributes.</summary>
    public required Proportion Presence { get; init; }

    /// <summary>The same for each head.</summary>
    public required IReadOnlyDictionary<string, Proportion> PresenceByHead { get; init; }

    /// <summary><see cref="Presence"/> by the baseline's with the same prompts, seeds and steps; null for the baseline itself.</summary>
    public required RatioEstimate? PresenceRatio { get; init; }

    /// <summary>How often attributes that a prompt names are there.</summary>
    public required Proportion Retention { get; init; }

    /// <summary>The same for each head.</summary>
    public required IReadOnlyDictionary<string, Proportion> RetentionByHead { get; init; }

    /// <summary><see cref="Retention"/> by the baseline's; null for the baseline itself.</summary>
    public required RatioEstimate? RetentionRatio { get; init; }

    /// <summary>The Frechet distance to the references (<see cref="Distances"/>).</summary>
    public required double? Frechet { get; init; }

    /// <summary>The kernel distance to the references (<see cref="Distances"/>).</summary>
    public required double? Kernel { get; init; }

    /// <summary>How well a linear classifier tells the pictures from the references (<see cref="FeatureCritic"/>).</summary>
    public required double? Critic { get; init; }

    /// <summary>The mean likeness to the prompt.</summary>
    public required double? PromptScore { get; init; }

    /// <summary>The mean likeness to the negative prompt.</summary>
    public required double? NegativeScore { get; init; }

    /// <summary>The papers' metrics by their names; those that there is no ground for are left out.</summary>
    public required IReadOnlyDictionary<string, MetricFigure> Metrics { get; init; }

    /// <summary>The median of seconds per step, encoding of prompts not counted.</summary>
    public required double? SecondsPerStep { get; init; }

    /// <summary>
    /// The median of the ratios of seconds per step to the baseline's at the same prompt and seed, made by the same process; null for the
    /// baseline itself.
    /// </summary>
    public required double? CostRatio { get; init; }

    /// <summary>The same with the encoding of prompts counted, of which a method with a negative prompt has two.</summary>
    public required double? TotalCostRatio { get; init; }
}

/// <summary>A metric of a cell.</summary>
/// <param name="Value">Its value.</param>
/// <param name="Interval">Of a mean: a 95 % interval, of a bootstrap over prompts.</param>
/// <param name="Difference">
/// Of a mean: by how much it is more than the baseline's, over the prompts and seeds of both, with the interval of a bootstrap over
/// prompts. Null for the baseline and for distances.
/// </param>
public sealed record MetricFigure(double Value, Interval? Interval, MeanEstimate? Difference);

/// <summary>What an experiment found, from all records in a folder.</summary>
public sealed class ExperimentReport
{
    /// <summary>Beyond so many vectors the kernel distance is a mean over subsets.</summary>
    internal const int MaxKernelPictures = 2500;

    /// <summary>Vectors of a subset.</summary>
    internal const int KernelSubset = 1000;

    /// <summary>The number of subsets.</summary>
    internal const int KernelSubsets = 20;

    private ExperimentReport(
        Experiment experiment, string folder, int prompts, IReadOnlyList<RecordHeader> headers, IReadOnlyList<string> missingFiles,
        int? references, IReadOnlyList<ReportCell> cells, IReadOnlyList<string> notes)
    {
        (
            Experiment, Folder, Prompts, Headers, MissingFiles, References, Cells, Notes) = (experiment, folder, prompts, headers,
            missingFiles, references, cells, notes);
        Heads = [
            .. experiment.Prompts.SelectMany(prompt => prompt.Present.Keys.Concat(prompt.Absent.Keys))
                .Distinct()
                .Order(StringComparer.Ordinal)];
    }

    /// <summary>The experiment.</summary>
    public Experiment Experiment { get; }

    /// <summary>Where its records are.</summary>
    public string Folder { get; }

    /// <summary>How many prompts count, from the first.</summary>
    public int Prompts { get; }

    /// <summary>The headers of the files of records.</summary>
    public IReadOnlyList<RecordHeader> Headers { get; }

    /// <summary>Files of records that others of the same division say there should be.</summary>
    public IReadOnlyList<string> MissingFiles { get; }

    /// <summary>The number of references; null without, and where only some prompts count, whose pictures they do not match.</summary>
    public int? References { get; }

    /// <summary>What was measured: by number of steps, then by method in the experiment's order, the baseline first.</summary>
    public IReadOnlyList<ReportCell> Cells { get; }

    /// <summary>The heads of which prompts speak, sorted.</summary>
    public IReadOnlyList<string> Heads { get; }

    /// <summary>What must be known to read the numbers, in sentences: of metrics, of published figures, of the experiment itself.</summary>
    public IReadOnlyList<string> Notes { get; }

    /// <summary>The pictures that count.</summary>
    public int Pictures => Cells.Sum(cell => cell.Pictures);

    /// <summary>The pictures that there are not yet.</summary>
    public int Missing => Cells.Sum(cell => cell.Missing);

    /// <summary>Whether pictures are missing or only some prompts count.</summary>
    public bool IsPartial => Missing > 0 || Prompts < Experiment.Prompts.Count;

    /// <summary>What stands for the presence of unwanted attributes in plots and tables.</summary>
    internal static Quantity PresenceQuantity { get; } = Quantity.Share(
        "evaluate.presence", "Unwanted attributes present",
        "The share of attributes named by negative prompts that the judge sees nevertheless; lower is better. Whiskers: Wilson's 95 % "
            + "interval.",
        "{0} of the unwanted attributes are present");

    /// <summary>The same for wanted attributes.</summary>
    internal static Quantity RetentionQuantity { get; } = Quantity.Share(
        "evaluate.retention", "Wanted attributes present",
        "The share of attributes named by prompts that the judge sees; higher is better. Whiskers: Wilson's 95 % interval.",
        "{0} of the wanted attributes are present");

    /// <summary>Measures.</summary>
    /// <param name="experiment">The experiment; its model and judge need not be there.</param>
    /// <param name="folder">Where its records are.</param>
    /// <param name="prompts">The number of prompts that count, from the first; null for all.</param>
    /// <exception cref="FormatException">The folder holds records of another experiment, or damaged ones.</exception>
    /// <exception cref="CheckpointException">The references cannot be read or are of another judge.</exception>
    /// <exception cref="ArgumentException">There are no records.</exception>
    public static ExperimentReport Create(Experiment experiment, string folder, int? prompts = null)
    {
        ArgumentNullException.ThrowIfNull(experiment);
        ArgumentException.ThrowIfNullOrEmpty(folder);
        var files = RecordFiles.Read(folder);
        RecordFiles.Check(files, experiment, null);
        int count = Math.Min(prompts ?? int.MaxValue, experiment.Prompts.Count);
        var records = RecordFiles.Merge(files).Where(record => record.Prompt < count).ToList();
        if (records.Count == 0)
            throw new ArgumentException($"'{folder}' holds no records of '{experiment.File}'.");
        // References show what all prompts ask for: pictures of some alone are far from them, however good they are.
        TruePictures? Load(string? file) => file == null || count < experiment.Prompts.Count ? null
            : TruePictures.Load(file, records[0].Reading.Features.Count);
        var builder = new CellBuilder(
            experiment, count, records, Load(experiment.References), Load(experiment.ReferencesWithoutNegative),
            LoadReferences(experiment, folder));
        ReportCell[] cells =
        [
            .. experiment.Steps.SelectMany(
                steps => experiment.Variants.Where(
                    variant => variant.Method.Steps.Contains(steps)).Select(variant => builder.Build(variant, steps))),
        ];
        RecordHeader[] headers = [.. files.Where(file => file.Header != null).Select(file => file.Header!)];
        return new ExperimentReport(
            experiment, folder, count, headers, FindMissing(files), builder.References?.Features.Count, cells,
            [.. NotesOf(experiment, builder.MetricReferences, cells), .. builder.NotesOfReferences(cells)]);
    }

    /// <summary>What metrics compare with, as runs keep it; what is not there is left out.</summary>
    private static Dictionary<string, ReferenceSet> LoadReferences(Experiment experiment, string folder) => experiment.Metrics
        .Where(metric => File.Exists(Path.Combine(folder, metric.ReferenceFile)))
        .ToDictionary(metric => metric.Metric.Name, metric => ReferenceSet.Load(Path.Combine(folder, metric.ReferenceFile)));

    private static IEnumerable<string> NotesOf(
        Experiment experiment, Dictionary<string, ReferenceSet> references, IReadOnlyList<ReportCell> cells)
    {
        foreach (string note in experiment.Notes)
            yield return note;
        if (experiment.Published is { } published)
            yield return $"Published figures: {published.Source}.";
        foreach (var metric in experiment.Metrics)
        {
            string title = metric.Metric.Title;
            if (!metric.Metric.ComparesSets)
            {
                yield return $"{title}: pictures are made ready as {metric.Preparation.Name} ({metric.Preparation.Description}).";
                continue;
            }
            if (!references.TryGetValue(metric.Metric.Name, out var set))
            {
                yield return $"{title} is missing: there is no {metric.ReferenceFile}, which a run makes.";
                continue;
            }
            string count = set.Statistics.Count is { } known ? FormattableString.Invariant($"{known} references")
                : "references whose number their file does not say";
            yield return $"{title}: {count}; pictures are made ready as {metric.Preparation.Name} ({metric.Preparation.Description}).";
            int fewest = cells.Where(cell => cell.Metrics.ContainsKey(metric.Metric.Name)).Select(cell => cell.Pictures).DefaultIfEmpty(0)
                .Min();
            if (metric.Metric is FrechetMetric && fewest > 0 && fewest <= set.Statistics.Mean.Length)
                yield return FormattableString.Invariant(
                    $"{title} of {fewest} pictures, no more than the {set.Statistics.Mean.Length} features, is far too large: compare ")
                    + "equal numbers of pictures alone.";
        }
    }

    /// <summary>The cell of a method at a number of steps.</summary>
    internal ReportCell? Find(MethodVariant variant, int steps) =>
        Cells.FirstOrDefault(cell => cell.Variant.Name == variant.Name && cell.Steps == steps);

    /// <summary>What is missing, in words; empty when nothing is.</summary>
    public IEnumerable<string> Gaps()
    {
        if (Prompts < Experiment.Prompts.Count)
        {
            yield return FormattableString.Invariant($"Only the first {Prompts} of {Experiment.Prompts.Count} prompts count")
                + (Experiment.References == null ? "." : "; there are no distances, since the references are for all of them.");
        }
        if (Missing > 0)
            yield return FormattableString.Invariant($"{Missing} of {Pictures + Missing} pictures are missing.");
        foreach (string file in Missing > 0 ? MissingFiles : [])
            yield return $"There is no {file}.";
        foreach (var cell in Cells.Where(cell => cell.Missing > 0))
            yield return FormattableString.Invariant(
                $"{cell.Variant.Name}, {Steps(cell.Steps)}: {cell.Missing} of {cell.Pictures + cell.Missing} missing.");
    }

    /// <summary>A number of steps in words.</summary>
    internal static string Steps(int steps) => steps == 1 ? "1 step" : FormattableString.Invariant($"{steps} steps");

    /// <summary>Files of the same division as one that is there.</summary>
    private static string[] FindMissing(IReadOnlyList<RecordFile> files)
    {
        var names = files.Select(file => Path.GetFileName(file.Path)).ToHashSet(StringComparer.Ordinal);
        var missing = new List<string>();
        foreach (int parts in names.Select(CountOf).Where(parts => parts > 1).Distinct().Order())
            missing.AddRange(
                Enumerable.Range(1, parts)
                    .Select(index => Shard.Parse(FormattableString.Invariant($"{index}/{parts}")).FileName)
                    .Where(name => !names.Contains(name)));
        return [.. missing];
    }

    /// <summary>Of how many parts a file of records is one, by its name; 1 for any other.</summary>
    private static int CountOf(string name)
    {
        string stem = Path.GetFileNameWithoutExtension(name);
        int at = stem.LastIndexOf("-of-", StringComparison.Ordinal);
        return at > 0
            && int.TryParse(
                stem.AsSpan(at + 4), System.Globalization.NumberStyles.None, System.Globalization.CultureInfo.InvariantCulture,
                out int parts) && parts <= 99999 ? parts
            : 1;
    }

    /// <summary>What the judge sees in true pictures, and in others of them after the autoencoder, where the file has these.</summary>
    private sealed class TruePictures(List<float[]> features, List<float[]>? reconstructed)
    {
        public List<float[]> Features { get; } = features;

        public FeatureMoments Moments { get; } = FeatureMoments.Of(features);

        public List<float[]>? Reconstructed { get; } = reconstructed;

        public static TruePictures Load(string file, int features) =>
            new(ReferenceFeatures.Load(file, features), ReferenceFeatures.LoadReconstructed(file, features));

        /// <summary>What a perfect denoiser would have: a sentence about so many of the true pictures behind the autoencoder.</summary>
        public string? Best(string of, int pictures)
        {
            if (Reconstructed == null || pictures < FeatureCritic.Folds || Reconstructed.Count < pictures)
                return null;
            List<float[]> some = [.. FeatureCritic.Spaced(Reconstructed, pictures)];
            double distance = Distances.Frechet(FeatureMoments.Of(some), Moments), kernel = CellBuilder.Kernel(some, Features);
            return string.Create(
                System.Globalization.CultureInfo.InvariantCulture,
                $"{pictures} true pictures {of} after the autoencoder: Frechet distance {distance:0.00}, kernel distance {kernel:0.000}, "
                    + $"critic {FeatureCritic.Accuracy(some, Features):0.00}.");
        }
    }

    /// <summary>Measures single cells.</summary>
    private sealed class CellBuilder
    {
        private readonly Experiment _experiment;
        private readonly int _prompts;
        private readonly MethodVariant _baseline;
        private readonly Dictionary<(string Method, double? Scale, int Steps), List<ExperimentRecord>> _records;
        private readonly TruePictures? _withoutNegative;

        private static readonly Dictionary<string, MetricFigure> NoFigures = [];

        public CellBuilder(
            Experiment experiment, int prompts, List<ExperimentRecord> records, TruePictures? references, TruePictures? withoutNegative,
            Dictionary<string, ReferenceSet> metricReferences)
        {
            (_experiment, _prompts, References, MetricReferences) = (experiment, prompts, references, metricReferences);
            _baseline = experiment.Variants[0];
            _records = records.GroupBy(record => (record.Method, record.Scale, record.Steps))
                .ToDictionary(group => group.Key, group => group.OrderBy(record => record.Prompt).ThenBy(record => record.Seed).ToList());
            _withoutNegative = withoutNegative ?? references;
        }

        public TruePictures? References { get; }

        public Dictionary<string, ReferenceSet> MetricReferences { get; }

        /// <summary>What true pictures have, as many as a cell has at most.</summary>
        public IEnumerable<string> NotesOfReferences(IReadOnlyList<ReportCell> cells)
        {
            int pictures = cells.Max(cell => cell.Pictures);
            bool two = _withoutNegative != References;
            return new[]
            {
                References?.Best(two ? "of the prompts without what their negatives name" : "of the prompts", pictures),
                two ? _withoutNegative?.Best("of the prompts alone", pictures) : null,
            }.OfType<string>();
        }

        public ReportCell Build(MethodVariant variant, int steps)
        {
            var records = Of(variant, steps);
            var baseline = Of(_baseline, steps).ToDictionary(record => (record.Prompt, record.Seed));
            bool isBaseline = variant.Name == _baseline.Name;
            var pairs = isBaseline ? []
                : records.Where(record => baseline.ContainsKey((record.Prompt, record.Seed)))
                    .Select(record => (Record: record, Baseline: baseline[(record.Prompt, record.Seed)]))
                    .ToList();
            RatioEstimate? Ratio(Func<ExperimentPrompt, IReadOnlyDictionary<string, string>> attributes) =>
                isBaseline || pairs.Count == 0 ? null : Proportion.Ratio(
                [
                    .. pairs.GroupBy(pair => pair.Record.Prompt)
                        .Select(
                            group => new PairedProportions(
                                Count(group.Select(pair => pair.Record), attributes),
                                Count(group.Select(pair => pair.Baseline), attributes)))]);
            var timed = pairs.Where(pair => pair.Record.Source == pair.Baseline.Source && pair.Record.Session == pair.Baseline.Session)
                .ToList();
            var references = records.Count < 2 ? null : variant.Method.Negative ? References : _withoutNegative;
            return new ReportCell
            {
                Variant = variant,
                Steps = steps,
                Pictures = records.Count,
                Missing = Math.Max(0, _prompts * _experiment.SeedCount - records.Count),
                Presence = Count(records, prompt => prompt.Absent),
                PresenceByHead = ByHead(records, prompt => prompt.Absent),
                PresenceRatio = Ratio(prompt => prompt.Absent),
                Retention = Count(records, prompt => prompt.Present),
                RetentionByHead = ByHead(records, prompt => prompt.Present),
                RetentionRatio = Ratio(prompt => prompt.Present),
                Frechet = references == null ? null : Distances.Frechet(FeatureMoments.Of(Features(records)), references.Moments),
                Kernel = references == null ? null : Kernel(Features(records), references.Features),
                Critic = references == null || Math.Min(records.Count, references.Features.Count) < FeatureCritic.Folds ? null
                    : FeatureCritic.Accuracy(Features(records), references.Features),
                PromptScore = Mean(records.Select(record => record.Reading.PromptScore)),
                NegativeScore = Mean(records.Select(record => record.Reading.NegativeScore)),
                Metrics = FiguresOf(records, pairs),
                SecondsPerStep = Median(records.Select(record => record.Seconds / steps)),
                CostRatio = Median(timed.Select(pair => pair.Record.Seconds / pair.Baseline.Seconds)),
                TotalCostRatio = Median(timed.Select(pair => pair.Record.Total / pair.Baseline.Total)),
            };
        }

        private List<ExperimentRecord> Of(MethodVariant variant, int steps) =>
            _records.GetValueOrDefault((variant.Method.Name, variant.Scale, steps)) ?? [];

        private Dictionary<string, MetricFigure> FiguresOf(
            List<ExperimentRecord> records, List<(ExperimentRecord Record, ExperimentRecord Baseline)> pairs) =>
            _experiment.Metrics.Count == 0 ? NoFigures
                : _experiment.Metrics.Select(metric => (metric.Metric.Name, Figure: FigureOf(metric.Metric, records, pairs)))
                    .Where(one => one.Figure != null)
                    .ToDictionary(one => one.Name, one => one.Figure!, StringComparer.Ordinal);

        private MetricFigure? FigureOf(
            PictureMetric metric, List<ExperimentRecord> records, List<(ExperimentRecord Record, ExperimentRecord Baseline)> pairs)
        {
            float[] Reading(ExperimentRecord record) => record.Reading.Metrics.TryGetValue(metric.Name, out float[]? reading) ? reading
                : throw new FormatException(
                    $"'{record.Source}': the record of {record.Method}, prompt {record.Prompt}, seed {record.Seed} has no {metric.Name}.");
            if (metric.ComparesSets)
            {
                return records.Count < 2 || !MetricReferences.TryGetValue(metric.Name, out var references) ? null
                    : new MetricFigure(metric.Sum([.. records.Select(Reading)], references), null, null);
            }
            if (records.Count == 0)
                return null;
            // Numbers of one prompt are alike: prompts are drawn whole.
            MeanEstimate Mean<T>(IEnumerable<T> items, Func<T, int> prompt, Func<T, double> value) =>
                MeanEstimate.Of([.. items.GroupBy(prompt, value).Select(group => group.Average())]);
            return new MetricFigure(
                metric.Sum([.. records.Select(Reading)], null),
                Mean(records, record => record.Prompt, record => Reading(record)[0]).Interval,
                pairs.Count == 0 ? null : Mean(
                    pairs, pair => pair.Record.Prompt, pair => (double)Reading(pair.Record)[0] - Reading(pair.Baseline)[0]));
        }

        private Proportion Count(
            IEnumerable<ExperimentRecord> records, Func<ExperimentPrompt, IReadOnlyDictionary<string, string>> attributes,
            string? only = null)
        {
            var (seen, asked) = (0, 0);
            foreach (var record in records)
            {
                foreach (var (head, value) in attributes(_experiment.Prompts[record.Prompt]))
                {
                    if (only != null && head != only)
                        continue;
                    asked++;
                    if (ValueOf(record, head) == value)
                        seen++;
                }
            }
            return new Proportion(seen, asked);
        }

        private SortedDictionary<string,
        Proportion> ByHead(List<ExperimentRecord> records, Func<ExperimentPrompt, IReadOnlyDictionary<string, string>> attributes)
        {
            var counts = new SortedDictionary<string, Proportion>(StringComparer.Ordinal);
            foreach (string head in _experiment.Prompts.SelectMany(prompt => attributes(prompt).Keys).Distinct())
                counts.Add(head, Count(records, attributes, head));
            return counts;
        }

        private static string ValueOf(ExperimentRecord record, string head) =>
            record.Reading.Heads.TryGetValue(head, out var reading) ? reading.Value
            : throw new FormatException(
                FormattableString.Invariant(
                    $"'{record.Source}': the record of {record.Method}, prompt {record.Prompt}, seed {record.Seed} has no head {head}."));

        private static List<float[]> Features(List<ExperimentRecord> records) =>
            [.. records.Select(record => record.Reading.Features as float[] ?? [.. record.Reading.Features])];

        public static double Kernel(List<float[]> features, List<float[]> references)
        {
            int fewer = Math.Min(features.Count, references.Count);
            return Math.Max(features.Count, references.Count) <= MaxKernelPictures
                ? Distances.Kernel(features, references)
                : Distances.KernelOfSubsets(features, references, KernelSubsets, Math.Min(KernelSubset, fewer)).Mean;
        }

        private static double? Mean(IEnumerable<float?> values)
        {
            double[] known = [.. values.Where(value => value != null).Select(value => (double)value!.Value)];
            return known.Length == 0 ? null : known.Average();
        }

        private static double? Median(IEnumerable<double> values)
        {
            double[] sorted = [.. values.Where(double.IsFinite).Order()];
            return sorted.Length == 0 ? null : (sorted[(sorted.Length - 1) / 2] + sorted[sorted.Length / 2]) / 2;
        }
    }
}
