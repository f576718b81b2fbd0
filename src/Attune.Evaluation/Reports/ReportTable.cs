using System.Globalization;
using Attune.Evaluation.Metrics;

namespace Attune.Evaluation.Reports;

/// <summary>A column of the tables of a report.</summary>
/// <param name="Title">Its heading.</param>
/// <param name="Definition">What it is, in a sentence.</param>
/// <param name="Write">A cell's text; a dash where there is nothing.</param>
public sealed record ReportColumn(string Title, string Definition, Func<ReportCell, string> Write);

/// <summary>The columns of a report's tables: those that have something in some row.</summary>
public static class ReportTable
{
    private const string Nothing = "\u2013";

    /// <summary>The columns behind the method's name.</summary>
    public static IReadOnlyList<ReportColumn> Columns(ExperimentReport report)
    {
        var columns = new List<ReportColumn>
        {
            new(
                "unwanted", "How often attributes that the negative prompt names are there, with Wilson's 95 % interval; lower is better.",
                cell => Write(cell.Presence)),
            new(
                "unwanted \u00d7 baseline",
                "The same by the baseline's over the same prompts and seeds, with the 95 % interval of a bootstrap over prompts.",
                cell => Write(cell.PresenceRatio)),
            new("wanted", "How often attributes that the prompt names are there; higher is better.", cell => Write(cell.Retention)),
            new("wanted \u00d7 baseline", "The same by the baseline's.", cell => Write(cell.RetentionRatio)),
        };
        foreach (string head in report.Heads.Where(head => report.Cells.Any(cell => Trials(cell.RetentionByHead, head) > 0)))
            columns.Add(
                new ReportColumn(
                    head, $"How often the {head} that the prompt names is there.",
                    cell => Trials(cell.RetentionByHead, head) == 0 ? Nothing : Percent(cell.RetentionByHead[head].Value)));
        columns.Add(new ReportColumn(
            "Frechet", string.Create(
                CultureInfo.InvariantCulture,
                $"Frechet distance of the judge's features to {report.References} true pictures; lower is better, comparable among equal "
                    + $"numbers of pictures."),
            cell => Number(cell.Frechet)));
        bool all = Math.Max(report.References ?? 0, report.Cells.Max(cell => cell.Pictures)) <= ExperimentReport.MaxKernelPictures;
        string over = all ? "over all pairs" : string.Create(
            CultureInfo.InvariantCulture,
            $"the mean of {ExperimentReport.KernelSubsets} subsets of at most {ExperimentReport.KernelSubset} pictures where there are "
                + $"more than {ExperimentReport.MaxKernelPictures}");
        columns.Add(
            new ReportColumn("kernel", $"Kernel distance of the same, {over}; it may be a little below 0.", cell => Number(cell.Kernel)));
        columns.Add(
            new ReportColumn(
                "critic",
                "How well a linear classifier tells the pictures from the true ones by the judge's features, in five folds; 0.5 is best.",
                cell => Number(cell.Critic)));
        columns.Add(
            new ReportColumn("prompt score", "Mean likeness (cosine) to the prompt; higher is better.", cell => Number(cell.PromptScore)));
        columns.Add(
            new ReportColumn(
                "negative score", "Mean likeness (cosine) to the negative prompt; lower is better.", cell => Number(cell.NegativeScore)));
        foreach (var metric in report.Experiment.Metrics)
            columns.AddRange(Columns(report, metric.Metric));
        columns.Add(
            new ReportColumn(
                "s/step", "Median seconds per step; encoding of prompts, decoding and judging not counted.",
                cell => Number(cell.SecondsPerStep)));
        columns.Add(
            new ReportColumn(
                "cost", "Median of the ratios of seconds per step to the baseline's at the same prompt and seed, made in one run.",
                cell => Number(cell.CostRatio)));
        columns.Add(
            new ReportColumn(
                "cost in all", "The same from the prompt to the last latents, with the encoding of prompts.",
                cell => Number(cell.TotalCostRatio)));
        columns.Add(
            new ReportColumn(
                "pictures", "How many pictures count.",
                cell => cell.Missing == 0 ? Integer(cell.Pictures)
                    : $"{Integer(cell.Pictures)} of {Integer(cell.Pictures + cell.Missing)}"));
        return [.. columns.Where(column => report.Cells.Any(cell => column.Write(cell) != Nothing))];
    }

    private static IEnumerable<ReportColumn> Columns(ExperimentReport report, PictureMetric metric)
    {
        string better = metric.Rises ? "higher is better" : "lower is better";
        yield return new ReportColumn(
            metric.Title,
            Sentence(metric.Description)
                + $"{(metric.ComparesSets ? "" : ", with the 95 % interval of a bootstrap over prompts")}; {better}.",
            cell => cell.Metrics.TryGetValue(metric.Name, out var figure) ? Figure(figure.Value, figure.Interval) : Nothing);
        yield return new ReportColumn(
            $"{metric.Title}, published", $"What {report.Experiment.Published?.Source} has for it.",
            cell => Number(report.Experiment.Published?.Of(cell.Variant.Name, cell.Steps, metric.Name)));
        yield return new ReportColumn(
            $"{metric.Title} \u2212 baseline",
            "By how much it is more than the baseline's over the same prompts and seeds, with the 95 % interval of a bootstrap over "
                + "prompts.",
            cell => cell.Metrics.GetValueOrDefault(metric.Name)?.Difference is { } more ? Figure(more.Mean, more.Interval) : Nothing);
    }

    private static string Figure(double value, Interval? interval) => interval is not { } known ? Number(value)
        : $"{Number(value)} ({Number(known.Low)}\u2013{Number(known.High)})";

    private static string Sentence(string text) => char.ToUpperInvariant(text[0]) + text[1..];

    /// <summary>A number with three digits, or a dash.</summary>
    public static string Number(double? value) => value is not { } number || double.IsNaN(number) ? Nothing
        : double.IsInfinity(number) ? (number > 0 ? "\u221e" : "\u2212\u221e") : Digits(number).Replace('-', '\u2212');

    private static string Digits(double number) =>
        Math.Abs(number) is > 0 and < 1e-3 ? number.ToString("0.#e0", CultureInfo.InvariantCulture)
        : number.ToString(
            Math.Abs(number) switch { < 1 => "0.000", < 10 => "0.00", < 100 => "0.0", _ => "0" }, CultureInfo.InvariantCulture);

    private static string Integer(int value) => value.ToString(CultureInfo.InvariantCulture);

    private static int Trials(IReadOnlyDictionary<string, Proportion> heads, string head) =>
        heads.TryGetValue(head, out var share) ? share.Trials : 0;

    private static string Percent(double value) => (100 * value).ToString("0.0", CultureInfo.InvariantCulture) + " %";

    private static string Write(Proportion share)
    {
        if (share.Trials == 0)
            return Nothing;
        var interval = share.Wilson();
        return string.Create(
            CultureInfo.InvariantCulture, $"{Percent(share.Value)} ({100 * interval.Low:0.0}\u2013{100 * interval.High:0.0})");
    }

    private static string Write(RatioEstimate? ratio) => ratio is not { } known || double.IsNaN(known.Value) ? Nothing
        : double.IsNaN(known.Interval.Low) ? Number(known.Value)
            : $"{Number(known.Value)} ({Number(known.Interval.Low)}\u2013{Number(known.Interval.High)})";
}
