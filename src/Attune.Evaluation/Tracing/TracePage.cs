using System.Globalization;
using System.Xml.Linq;
using Attune.Evaluation.Reports;
using Attune.Guidance;
using Attune.Guidance.Diagnostics;
using static Attune.Evaluation.Reports.Markup;

namespace Attune.Evaluation.Tracing;

/// <summary>
/// A trace as a page for people: one file without scripts that needs no network, well-formed as XML too, light or dark as the reader's
/// system is. What a number means is written in its
/// <see cref="Quantity"/>, so the page knows nothing about rules.
/// </summary>
internal static class TracePage
{
    /// <summary>The groups that belong to no single rule: first those about all rules together, last those about theory.</summary>
    private static readonly (string Name, string Title, string Introduction)[] First =
    [
        (
            "attention", "Attention",
            "What holds whatever the rules are: how far guidance moves the layers' outputs, and what it has to work with."),
        (
            "place", "Places",
            "Where in the picture or video guidance acts: over frames, rows and columns of the latents, over all layers together."),
        ("prediction", "Predictions", "What happens to whole predictions, after all layers, once for every step."),
    ];

    private static readonly (string Name, string Title, string Introduction)[] Last =
    [
        (
            "hopfield", "Retrieval with softmax",
            "Attention over the prompt as one step of a modern Hopfield network: the query is a noisy memory, the keys are the stored "
                + "ones, and every update lowers an energy."),
        ("entmax", "Retrieval with sparse weights", "The same with alpha-entmax weights, which leave all but a few text tokens out."),
        (
            "anderson", "Acceleration",
            "Rules that extrapolate from dense to sparse attention take a step of Anderson acceleration with a fixed coefficient. These "
                + "are the residuals of the fixed-point iteration, and the coefficient that the method itself would choose."),
    ];

    private static readonly string[] Columns = ["Rule", "Steps", "Layers", "Parameters"];

    public static void Write(TraceReport report, Stream stream) => Markup.Write(Page(report), stream);

    private static XElement Page(TraceReport report)
    {
        TraceTable[] tables = [.. report.Trace.Series.Select(series => new TraceTable(series, report.Trace))];
        TraceTable[] places = [.. report.Trace.Places.SelectMany(places => TraceTable.Of(places, report.Trace))];
        var groups = Groups([.. tables, .. places]);
        return Html($"Guidance trace: {report.Request.Request.Prompt}", PageStyle.Text,
            Header(report),
            Tiles(tables),
            Classed("section", "panel", Element("h2", [], "Rules"), Rules(report)),
            groups.Select(group => Section(report, group.Title, group.Introduction, group.Tables)),
            Classed(
                "footer", "note",
                "Made by Attune. Maps show means over tokens (and heads); rest the pointer on a cell or a point for all of its numbers. "
                    + "Lines show means over layers or steps, bands the range of them. " +
                "Names of layers are shortened; the pointer shows those of the checkpoint."));
    }

    private static List<(string Title, string Introduction, TraceTable[] Tables)> Groups(TraceTable[] tables)
    {
        string GroupOf(TraceTable table) => table.Quantity.Name.Split('.')[0];
        var own = tables.Select(GroupOf)
            .Distinct()
            .Where(name => First.Concat(Last).All(group => group.Name != name))
            .Select(name => (Name: name, Title: name.ToUpperInvariant(), Introduction: ""));
        return [
            .. First.Concat(own)
                .Concat(Last)
                .Select(group => (group.Title, group.Introduction, tables.Where(table => GroupOf(table) == group.Name).ToArray()))
                .Where(group => group.Item3.Length > 0)];
    }

    private static XElement Header(TraceReport report)
    {
        var request = report.Request.Request;
        string[] facts =
        [
            $"{report.Model} ({report.Pipeline})", FormattableString.Invariant($"{request.Width} \u00d7 {request.Height} pixels"),
            report.Trace.Steps.Count == 1 ? "1 step"
                : FormattableString.Invariant($"{report.Trace.Steps.Count} steps"), FormattableString.Invariant($"seed {request.Seed}"),
            FormattableString.Invariant($"{report.Trace.Layers.Count} attention layers watched"),
        ];
        return Element("header", [],
            Classed("div", "lead",
                Classed("p", "kicker", "Guidance trace"),
                Element("h1", [], request.Prompt.Length == 0 ? "(empty prompt)" : request.Prompt),
                string.IsNullOrEmpty(request.NegativePrompt) ? null
                    : Classed("p", "negative", Element("b", [], "Not: "), request.NegativePrompt),
                Classed("ul", "facts", facts.Select(fact => Element("li", [], fact)))),
            report.Images.Count == 0 ? null
                : Classed(
                    "div", "images",
                    report.Images.Take(4)
                        .Select(
                            image => Element(
                                "img",
                                [
                                    ("src", DataUri(image)), ("alt", "The generated image"), ("width", image.Width),
                                    ("height", image.Height)]))));
    }

    /// <summary>The shares at a glance.</summary>
    private static XElement? Tiles(TraceTable[] tables)
    {
        var shares = tables.Where(table => table.Quantity.Unit == QuantityUnit.Share).ToList();
        return shares.Count == 0 ? null : Classed("section", "tiles", shares.Select(table => Classed("div", "tile",
            Classed("div", "value", Scale.Format(table.Mean, table.Quantity)),
            Classed("div", "name", table.Quantity.Title),
            table.Series?.Rule is not { } rule ? null : Classed("div", "whose", rule.Form.Name))));
    }

    private static XElement Rules(TraceReport report)
    {
        if (report.Rules.Count == 0)
            return Classed("p", "note", "None: this is the plain model.");
        return Classed("div", "wide", Element("table", [],
            Element("thead", [], Element("tr", [], Columns.Select(title => Element("th", [], title)))),
            Element("tbody", [], report.Rules.Select(rule => Element("tr", [],
                Element("td", [], Element("code", [], TraceReport.Describe(rule).Name), rule.IsNeutral ? " (off)" : ""),
                Element("td", [], rule.Steps.ToString()),
                Element("td", [], rule.Layers.ToString()),
                Classed(
                    "td", "chips", " ",
                    TraceReport.Describe(rule).Parameters.Where(parameter => parameter.Name is not ("steps" or "layers"))
                    .SelectMany(parameter => new object[] { Element("code", [], $"{parameter.Name} = {parameter.Value}"), " " })))))));
    }

    private static XElement Section(TraceReport report, string title, string introduction, TraceTable[] tables) => Element("section", [],
        Element("h2", [], title),
        introduction.Length == 0 ? null : Classed("p", "introduction", introduction),
        tables.All(table => table.Layers.Count == 0) ? Classed("div", "pairs", tables.Select(table => Card(report, table)))
            : tables.Select(table => Card(report, table)));

    private static XElement Card(TraceReport report, TraceTable table)
    {
        XElement?[] lines =
        [
            table.Steps.Count > 1 || table.Layers.Count == 0
                ? Figure(table.Layers.Count > 1 ? $"by step, over all {table.Axis}s" : "by step", BySteps(table))
                : null,
            table.Layers.Count > 8 ? Figure($"by {table.Axis}{(table.Steps.Count > 1 ? ", over all steps" : "")}", ByLayers(table)) : null,
        ];
        bool several = report.Trace.Series.Count(series => series.Quantity == table.Quantity) > 1;
        return Classed("article", "panel",
            Element(
                "h3", [], table.Quantity.Title,
                several && table.Series?.Rule is { } rule ? Classed("span", "whose", RuleCatalog.Format(rule)) : null),
            Classed("p", "says", TraceSummary.Text(table)),
            Classed("div", "plots",
                table.Layers.Count == 0 ? null : Figure($"by {table.Axis} and step", HeatMap.Draw(table)),
                lines.Any(line => line != null) ? Classed("div", "lines", lines) : null),
            Classed("p", "definition", table.Quantity.Definition));
    }

    private static XElement BySteps(TraceTable table) =>
        LinePlot.Draw(
            table, table.BySteps, table.Steps.Count, "step",
            at => ((at + 1).ToString(CultureInfo.InvariantCulture), HeatMap.StepName(table, at)));

    private static XElement ByLayers(TraceTable table)
    {
        string[] names = HeatMap.ShortNames(table.Layers);
        return LinePlot.Draw(
            table, table.ByLayers, table.Rows, table.Axis, at => ((at + 1).ToString(CultureInfo.InvariantCulture), names[at]));
    }

    private static XElement Figure(string caption, XElement drawing) => Element("figure", [], Element("figcaption", [], caption), drawing);
}
