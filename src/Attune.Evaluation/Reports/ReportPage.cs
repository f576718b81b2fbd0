using System.Xml.Linq;
using Attune.Evaluation.Experiments;
using Attune.Evaluation.Metrics;
using Attune.Guidance.Diagnostics;
using static Attune.Evaluation.Reports.Markup;

namespace Attune.Evaluation.Reports;

/// <summary>
/// A report as a page for people: tables, plots and pictures in one file without scripts that needs no network, well-formed as XML too.
/// </summary>
public static class ReportPage
{
    private const string Cost = "evaluate.cost";

    private static readonly Quantity Bare = new("evaluate.number", "", "", "{0}");

    /// <summary>What plots show.</summary>
    private static readonly Measure[] Measures =
    [
        new(ExperimentReport.PresenceQuantity, cell => Share(cell.Presence)),
        new(ExperimentReport.RetentionQuantity, cell => Share(cell.Retention)),
        new(
            Least("evaluate.frechet", "Frechet distance", "How far the judge's features are from those of true pictures; lower is better."),
            cell => Plain(cell.Frechet)),
        new(
            Bare with {
                Name = "evaluate.kernel", Title = "Kernel distance",
                Definition = "The same by the maximum mean discrepancy; lower is better." },
            cell => Plain(cell.Kernel)),
        new(
            Least("evaluate.critic", "Critic", "How well a linear classifier tells the pictures from true ones; 0.5 is best."),
            cell => Plain(cell.Critic)),
        new(
            Bare with { Name = "evaluate.prompt", Title = "Prompt score", Definition = "Mean likeness to the prompt; higher is better." },
            cell => Plain(cell.PromptScore)),
        new(
            Bare with {
                Name = "evaluate.negative", Title = "Negative score",
                Definition = "Mean likeness to the negative prompt; lower is better." },
            cell => Plain(cell.NegativeScore)),
        new(
            Least(Cost, "Cost", "Median of the ratios of seconds per step to the baseline's at the same prompt and seed."),
            cell => Plain(cell.CostRatio)),
    ];

    private static readonly PlotAxis ScaleAxis = new("scale", Bare);

    /// <summary>Writes a report.</summary>
    /// <exception cref="IOException">A kept picture cannot be read.</exception>
    public static void Write(ExperimentReport report, Stream stream)
    {
        ArgumentNullException.ThrowIfNull(report);
        var columns = ReportTable.Columns(report);
        var gaps = report.Gaps().ToList();
        Markup.Write(Html(
            $"Evaluation: {report.Experiment.Name}", PageStyle.Text + " " + Style,
            Element("header", [], Classed("div", "lead",
                Classed("p", "kicker", gaps.Count > 0 ? "Evaluation, partial" : "Evaluation"),
                Element("h1", [], report.Experiment.Name),
                Classed("p", "negative", ReportMarkdown.Facts(report)))),
            gaps.Count == 0 ? null
                : Classed(
                    "section", "panel partial", Element("h2", [], "This report is partial"),
                    Element("ul", [], gaps.Select(gap => Element("li", [], gap)))),
            report.Cells.GroupBy(cell => cell.Steps).Select(group => Table(report, columns, group)),
            Plots(report),
            Pictures(report),
            Methods(report),
            report.Notes.Count == 0 ? null
                : Classed(
                    "section", "panel", Element("h2", [], "Notes"),
                    Element("ul", [], report.Notes.Select(note => Element("li", [], note)))),
            Classed(
                "section", "panel", Element("h2", [], "Columns"),
                Element(
                    "dl", [],
                    columns.SelectMany(column => new[] { Element("dt", [], column.Title), Element("dd", [], column.Definition) }))),
            Classed("footer", "note", "Made by Attune. Rest the pointer on a point for its numbers.")), stream);
    }

    private static XElement Table(ExperimentReport report, IReadOnlyList<ReportColumn> columns, IGrouping<int, ReportCell> cells) =>
        Classed("section", "panel",
        Element("h2", [], Sentence(ExperimentReport.Steps(cells.Key))),
        Classed("div", "wide", Classed("table", "results",
            Element(
                "thead", [],
                Element(
                    "tr", [], Element("th", [], "method"),
                    columns.Select(column => Element("th", [("title", column.Definition)], column.Title)))),
            Element("tbody", [], cells.Select(cell => Element("tr", [],
                Element("td", [], Classed("span", "sample", SeriesPlot.Sample(StyleOf(report, cell.Variant))), cell.Variant.Name),
                columns.Select(column => Number(column.Write(cell)))))))));

    /// <summary>A value, with its interval below it.</summary>
    private static XElement Number(string text)
    {
        int interval = text.IndexOf(" (", StringComparison.Ordinal);
        return interval < 0 ? Classed("td", "number", text)
            : Classed("td", "number", text[..interval], Classed("div", "interval", text[(interval + 1)..]));
    }

    private static IEnumerable<XElement> Plots(ExperimentReport report)
    {
        var steps = report.Experiment.Steps;
        var trade = steps.Select(count => (Caption: Sentence(ExperimentReport.Steps(count)), Drawing: Trade(report, count))).ToArray();
        if (trade.Any(plot => plot.Drawing != null))
            yield return Section(
                "Suppression and retention",
                "To the left: fewer unwanted attributes. Up: more wanted ones. Lines join the scales of a method.", MethodLegend(report),
                trade);
        if (steps.Count > 1)
            yield return Section(
                "By number of steps", "A line for each method and scale.",
                Legend(report.Experiment.Variants.Select((variant, index) => (index, variant.Name))),
                [.. MeasuresOf(report).Select(measure => (measure.Quantity.Title, BySteps(report, measure)))]);
        var scaled = report.Experiment.Methods.Where(method => method.Scales.Count > 1).ToList();
        if (scaled.Count > 0)
        {
            var legend = Legend(steps.Select((count, index) => (index + 1, ExperimentReport.Steps(count))));
            var measures = MeasuresOf(report).Where(measure => measure.Quantity.Name != Cost);
            yield return Section(
                "By scale", "A line for each number of steps. What a method costs does not depend on its scale.", legend,
                [
                    .. scaled.SelectMany(
                        method => measures.Select(
                            measure => ($"{LabelOf(method)}: {measure.Quantity.Title}", ByScale(report, method, measure))))]);
        }
    }

    /// <summary>Those of every experiment, and the metrics of this one.</summary>
    private static IEnumerable<Measure> MeasuresOf(ExperimentReport report) => Measures.Concat(report.Experiment.Metrics.Select(
        metric => new Measure(
            Bare with {
                Name = $"evaluate.{metric.Metric.Name}", Title = metric.Metric.Title,
                Definition = $"{Sentence(metric.Metric.Description)}; {(metric.Metric.Rises ? "higher" : "lower")} is better." },
            cell => cell.Metrics.TryGetValue(metric.Metric.Name, out var figure)
                ? (figure.Value, figure.Interval?.Low ?? figure.Value, figure.Interval?.High ?? figure.Value) : null)));

    private static XElement Section(
        string title, string introduction, XElement legend, IReadOnlyList<(string Caption, XElement? Drawing)> plots) =>
        Classed("section", "panel",
        Element("h2", [], title),
        Classed("p", "introduction", introduction),
        legend,
        Classed(
            "div", "plots", " ",
            plots.Where(plot => plot.Drawing != null)
                .Select(plot => Element("figure", [], Element("figcaption", [], plot.Caption), plot.Drawing))));

    private static XElement? Trade(ExperimentReport report, int steps)
    {
        var series = new List<PlotSeries>();
        foreach (var group in report.Experiment.Variants.GroupBy(variant => variant.Method.Name))
        {
            var points = new List<SeriesPoint>();
            foreach (var variant in group.OrderBy(variant => variant.Scale))
            {
                if (report.Find(variant, steps) is { } cell
                    && Share(cell.Presence) is { } presence && Share(cell.Retention) is { } retention)
                {
                    points.Add(new SeriesPoint(
                        presence.Value, retention.Value, retention.Low, retention.High,
                        $"{variant.Name}\nunwanted {Scale.Format(presence.Value, ExperimentReport.PresenceQuantity)}, wanted "
                            + $"{Scale.Format(retention.Value, ExperimentReport.RetentionQuantity)}"));
                }
            }
            series.Add(new PlotSeries(StyleOf(report, group.First()), points));
        }
        return SeriesPlot.Draw(
            new PlotAxis("unwanted attributes present", ExperimentReport.PresenceQuantity),
            new PlotAxis("wanted attributes present", ExperimentReport.RetentionQuantity), series);
    }

    private static XElement? BySteps(ExperimentReport report, Measure measure)
    {
        var steps = report.Experiment.Steps;
        var series = report.Experiment.Variants
            .Select(
                (variant, index) => new PlotSeries(
                    index, [.. steps.SelectMany((count, at) => Point(report, variant, count, at, measure))]))
                .ToList();
        string[] names = [.. steps.Select(count => FormattableString.Invariant($"{count}"))];
        return SeriesPlot.Draw(new PlotAxis("steps", Bare, names), new PlotAxis(measure.Quantity.Title, measure.Quantity), series);
    }

    private static XElement? ByScale(ExperimentReport report, ExperimentMethod method, Measure measure)
    {
        var variants = report.Experiment.Variants.Where(variant => variant.Method.Name == method.Name)
            .OrderBy(variant => variant.Scale)
            .ToList();
        var series = report.Experiment.Steps
            .Select(
                (count, index) => new PlotSeries(
                    index + 1, [.. variants.SelectMany(variant => Point(report, variant, count, variant.Scale!.Value, measure))]))
                .ToList();
        return SeriesPlot.Draw(ScaleAxis, new PlotAxis(measure.Quantity.Title, measure.Quantity), series);
    }

    private static IEnumerable<SeriesPoint> Point(ExperimentReport report, MethodVariant variant, int steps, double x, Measure measure)
    {
        if (report.Find(variant, steps) is { } cell && measure.Of(cell) is { } y)
        {
            string Write(double value) => Scale.Format(value, measure.Quantity);
            string range = y.High > y.Low ? $" ({Write(y.Low)} to {Write(y.High)})" : "";
            yield return new SeriesPoint(
                x, y.Value, y.Low, y.High, $"{variant.Name}, {ExperimentReport.Steps(steps)}\n{Write(y.Value)}{range}");
        }
    }

    /// <summary>
    /// The kept pictures: prompts down, methods to the right, a grid for each number of steps, of which the last is open.
    /// </summary>
    private static XElement? Pictures(ExperimentReport report)
    {
        var experiment = report.Experiment;
        var variants = experiment.Variants;
        int prompts = Math.Min(experiment.Pictures, report.Prompts);
        string FileOf(int prompt, int steps, int variant) =>
            Path.Combine(report.Folder, ExperimentRunner.PictureFile(prompt, steps, variant));
        var grids = new List<XElement>();
        foreach (int steps in experiment.Steps)
        {
            int[] shown = [
                .. Enumerable.Range(0, variants.Count)
                    .Where(variant => Enumerable.Range(0, prompts).Any(prompt => File.Exists(FileOf(prompt, steps, variant))))];
            if (shown.Length == 0)
                continue;
            XElement Picture(int prompt, int variant) => File.Exists(FileOf(prompt, steps, variant))
                ? Element(
                    "td", [],
                    Element(
                        "img",
                        [
                            ("src", DataUri(File.ReadAllBytes(FileOf(prompt, steps, variant)))),
                            ("alt", $"{variants[variant].Name}: {experiment.Prompts[prompt].Prompt}"), ("loading", "lazy")]))
                : Element("td", [], "\u2013");
            grids.Add(Element("details", [("open", steps == experiment.Steps[^1] ? "open" : null)],
                Element("summary", [], Sentence(ExperimentReport.Steps(steps))),
                Classed("div", "wide", Classed("table", "grid-of-pictures",
                    Element(
                        "thead", [],
                        Element("tr", [], Element("th", [], "prompt"), shown.Select(variant => Element("th", [], variants[variant].Name)))),
                    Element("tbody", [], Enumerable.Range(0, prompts).Select(prompt => Element("tr", [],
                        Element(
                            "td", [], experiment.Prompts[prompt].Prompt.Length == 0 ? "(empty prompt)" : experiment.Prompts[prompt].Prompt,
                            string.IsNullOrEmpty(experiment.Prompts[prompt].Negative) ? null
                                : Classed("div", "whose", $"not: {experiment.Prompts[prompt].Negative}")),
                        shown.Select(variant => Picture(prompt, variant)))))))));
        }
        return grids.Count == 0 ? null
            : Classed(
                "section", "panel", Element("h2", [], "Pictures"),
                Classed("p", "introduction", FormattableString.Invariant($"Seed {experiment.FirstSeed}.")), grids);
    }

    private static XElement Methods(ExperimentReport report) =>
        Classed("section", "panel", Element("h2", [], "Methods"), Classed("div", "wide", Element("table", [],
        Element(
            "thead", [], Element("tr", [], Element("th", [], "method"), Element("th", [], "rules"), Element("th", [], "negative prompt"))),
        Element("tbody", [], report.Experiment.Variants.Select(variant => Element("tr", [],
            Element("td", [], variant.Name),
            Element("td", [], Element("code", [], variant.Rules), variant.Method.Beside),
            Element("td", [], variant.Method.Negative ? "given" : "not given")))))));

    private static XElement MethodLegend(ExperimentReport report) =>
        Legend(report.Experiment.Variants.Select(variant => variant.Method).Distinct().Select(method =>
        (
            StyleOf(report, method.Name),
            report.Experiment.Variants.Where(variant => variant.Method.Name == method.Name).ToArray() is [var one] ? one.Name
                : LabelOf(method))));

    private static XElement Legend(IEnumerable<(int Style, string Name)> entries) =>
        Classed("ul", "facts legend", entries.Select(entry => Element("li", [], SeriesPlot.Sample(entry.Style), " ", entry.Name)));

    /// <summary>The name of a method at any of its scales.</summary>
    private static string LabelOf(ExperimentMethod method) =>
        method.Name.Replace("{scale}", "", StringComparison.Ordinal).Trim(' ', ':', '=', '-', ',', '(', ')') is { Length: > 0 } label
            ? label
            : method.Name;

    private static int StyleOf(ExperimentReport report, MethodVariant variant) => StyleOf(report, variant.Method.Name);

    /// <summary>0 for the baseline, then by the order of the file.</summary>
    private static int StyleOf(ExperimentReport report, string method) =>
        report.Experiment.Variants.Select(variant => variant.Method.Name).Distinct().ToList().IndexOf(method);

    private static Quantity Least(string name, string title, string definition) => new(name, title, definition, "{0}") { Minimum = 0 };

    private static (double Value, double Low, double High)? Share(Proportion share)
    {
        if (share.Trials == 0)
            return null;
        var interval = share.Wilson();
        return (share.Value, interval.Low, interval.High);
    }

    private static (double Value, double Low, double High)? Plain(double? value) =>
        value is { } number && double.IsFinite(number) ? (number, number, number) : null;

    private static string Sentence(string text) => char.ToUpperInvariant(text[0]) + text[1..];

    /// <summary>What a plot shows: the quantity, and its value with the ends of its whisker.</summary>
    private sealed record Measure(Quantity Quantity, Func<ReportCell, (double Value, double Low, double High)?> Of);

    /// <summary>What the pages of reports have beside the common style: eight colours that stay apart without red and green.</summary>
    private static string Style { get; } = PageStyle.Join("""
        :root { --c0: #7a8494; --c1: #2f6db5; --c2: #c9731d; --c3: #2a8f78; --c4: #b0468c; --c5: #8a7a1f; --c6: #5b57b8; --c7: #b3443a; }
        @media (prefers-color-scheme: dark) {
          :root { --c0: #9aa4b3; --c1: #6fa9ec; --c2: #eda055; --c3: #5cc4ab; --c4: #e08cc2; --c5: #cdbb55; --c6: #a29ef0; --c7: #ec8d83; }
        }
        .s0 { --c: var(--c0); } .s1 { --c: var(--c1); } .s2 { --c: var(--c2); } .s3 { --c: var(--c3); } .s4 { --c: var(--c4); }
          .s5 { --c: var(--c5); } .s6 { --c: var(--c6); } .s7 { --c: var(--c7); }
        .series { fill: none; stroke: var(--c); stroke-width: 1.8; stroke-linejoin: round; opacity: 0.8; }
        .series.dash1 { stroke-dasharray: 5 3; } .series.dash2 { stroke-dasharray: 1.5 3; } .series.dash3 { stroke-dasharray: 9 3 2 3; }
        .plots { display: grid; grid-template-columns: repeat(auto-fill, minmax(min(380px, 100%), 1fr)); }
        .plots svg { width: 100%; }
        .mark { fill: var(--c); stroke: var(--panel); stroke-width: 1; }
        .whisker { stroke: var(--c); stroke-width: 1.2; opacity: 0.45; }
        .sample svg, .legend svg { display: inline-block; vertical-align: -1px; margin-right: 6px; max-width: none; }
        body { max-width: 1720px; }
        .results { font-size: 13px; }
        .results th, .results td { padding-right: 9px; }
        .results td:first-child { white-space: normal; min-width: 130px; }
        .legend { margin: 0 0 14px; }
        .partial { border-color: var(--c2); }
        .partial ul { margin: 0; padding-left: 20px; }
        td.number { white-space: nowrap; font-variant-numeric: tabular-nums; }
        .interval { color: var(--muted); font-size: 11.5px; }
        .panel td:first-child { white-space: nowrap; }
        .grid-of-pictures td, .grid-of-pictures th { padding: 3px 6px 3px 0; border-bottom: 0; vertical-align: middle; }
        .grid-of-pictures td:first-child { white-space: normal; min-width: 150px; max-width: 220px; font-size: 13px; }
        .grid-of-pictures img { display: block; width: 112px; height: auto; border-radius: 4px; }
        .introduction + details, details + details { margin-top: 10px; }
        summary { cursor: pointer; font-weight: 600; margin-bottom: 8px; }
        dl { margin: 0; font-size: 14px; }
        dt { font-weight: 600; }
        dd { margin: 0 0 8px; color: var(--muted); }
        """);
}
