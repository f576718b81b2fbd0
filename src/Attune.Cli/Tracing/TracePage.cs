using System.Globalization;
using System.Text;
using System.Text.RegularExpressions;
using System.Xml;
using System.Xml.Linq;
using Attune.Guidance;
using Attune.Guidance.Diagnostics;
using Attune.Imaging;
using static Attune.Cli.Tracing.Markup;

namespace Attune.Cli.Tracing;

/// <summary>
/// A trace as a page for people: one file without scripts that needs no network, well-formed as XML too, light or dark as the reader's system is. What a number means is written in its
/// <see cref="Quantity"/>, so the page knows nothing about rules.
/// </summary>
internal static partial class TracePage
{
    /// <summary>The groups that belong to no single rule: first those about all rules together, last those about theory.</summary>
    private static readonly (string Name, string Title, string Introduction)[] First =
    [
        ("attention", "Attention", "What holds whatever the rules are: how far guidance moves the layers' outputs, and what it has to work with."),
        ("prediction", "Predictions", "What happens to whole predictions, after all layers, once for every step."),
    ];

    private static readonly (string Name, string Title, string Introduction)[] Last =
    [
        ("hopfield", "Retrieval with softmax", "Attention over the prompt as one step of a modern Hopfield network: the query is a noisy memory, the keys are the stored ones, and every update lowers an energy."),
        ("entmax", "Retrieval with sparse weights", "The same with alpha-entmax weights, which leave all but a few text tokens out."),
        ("anderson", "Acceleration", "Rules that extrapolate from dense to sparse attention take a step of Anderson acceleration with a fixed coefficient. These are the residuals of the fixed-point iteration, and the coefficient that the method itself would choose."),
    ];

    private static readonly string[] Columns = ["Rule", "Steps", "Layers", "Parameters"];

    public static void Write(TraceReport report, Stream stream)
    {
        var settings = new XmlWriterSettings { Encoding = new UTF8Encoding(encoderShouldEmitUTF8Identifier: false), OmitXmlDeclaration = true, Indent = false };
        using var writer = XmlWriter.Create(stream, settings);
        new XDocument(new XDocumentType("html", null, null, null), Page(report)).Save(writer);
    }

    private static XElement Page(TraceReport report)
    {
        TraceTable[] tables = [.. report.Trace.Series.Select(series => new TraceTable(series, report.Trace))];
        var groups = Groups(tables);
        return Element("html", [("lang", "en")],
            Element("head", [],
                Element("meta", [("charset", "utf-8")]),
                Element("meta", [("name", "viewport"), ("content", "width=device-width, initial-scale=1")]),
                Element("meta", [("name", "generator"), ("content", "Attune")]),
                Element("meta", [("name", "color-scheme"), ("content", "light dark")]),
                Element("title", [], $"Guidance trace: {report.Request.Prompt}"),
                Element("style", [], Style)),
            Element("body", [],
                Header(report),
                Tiles(tables),
                Classed("section", "panel", Element("h2", [], "Rules"), Rules(report)),
                groups.Select(group => Section(report, group.Title, group.Introduction, group.Tables)),
                Classed("footer", "note", "Made by Attune. Maps show means over tokens (and heads); rest the pointer on a cell or a point for all of its numbers. Lines show means over layers or steps, bands the range of them. " +
                    "Names of layers are shortened; the pointer shows those of the checkpoint.")));
    }

    private static List<(string Title, string Introduction, TraceTable[] Tables)> Groups(TraceTable[] tables)
    {
        string GroupOf(TraceTable table) => table.Quantity.Name.Split('.')[0];
        var own = tables.Select(GroupOf).Distinct().Where(name => First.Concat(Last).All(group => group.Name != name)).Select(name => (Name: name, Title: name.ToUpperInvariant(), Introduction: ""));
        return [.. First.Concat(own).Concat(Last).Select(group => (group.Title, group.Introduction, tables.Where(table => GroupOf(table) == group.Name).ToArray())).Where(group => group.Item3.Length > 0)];
    }

    private static XElement Header(TraceReport report)
    {
        var request = report.Request;
        string[] facts =
        [
            $"{report.Model} ({report.Pipeline})", FormattableString.Invariant($"{request.Width} \u00d7 {request.Height} pixels"),
            report.Trace.Steps.Count == 1 ? "1 step" : FormattableString.Invariant($"{report.Trace.Steps.Count} steps"), FormattableString.Invariant($"seed {request.Seed}"),
            FormattableString.Invariant($"{report.Trace.Layers.Count} attention layers watched"),
        ];
        return Element("header", [],
            Classed("div", "lead",
                Classed("p", "kicker", "Guidance trace"),
                Element("h1", [], request.Prompt.Length == 0 ? "(empty prompt)" : request.Prompt),
                string.IsNullOrEmpty(request.NegativePrompt) ? null : Classed("p", "negative", Element("b", [], "Not: "), request.NegativePrompt),
                Classed("ul", "facts", facts.Select(fact => Element("li", [], fact)))),
            report.Images.Count == 0 ? null : Classed("div", "images", report.Images.Take(4).Select(image => Element("img", [("src", DataUri(image)), ("alt", "The generated image"), ("width", image.Width), ("height", image.Height)]))));
    }

    private static string DataUri(Image image)
    {
        using var stream = new MemoryStream();
        Png.Write(image, stream);
        return $"data:image/png;base64,{Convert.ToBase64String(stream.GetBuffer(), 0, (int)stream.Length)}";
    }

    /// <summary>The shares at a glance.</summary>
    private static XElement? Tiles(TraceTable[] tables)
    {
        var shares = tables.Where(table => table.Quantity.Unit == QuantityUnit.Share).ToList();
        return shares.Count == 0 ? null : Classed("section", "tiles", shares.Select(table => Classed("div", "tile",
            Classed("div", "value", Scale.Format(table.Mean, table.Quantity)),
            Classed("div", "name", table.Quantity.Title),
            table.Series.Rule == null ? null : Classed("div", "whose", RuleCatalog.NameOf(table.Series.Rule.GetType())))));
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
                Classed("td", "chips", " ", TraceReport.Describe(rule).Parameters.Where(parameter => parameter.Name is not ("steps" or "layers"))
                    .SelectMany(parameter => new object[] { Element("code", [], $"{parameter.Name} = {parameter.Value}"), " " })))))));
    }

    private static XElement Section(TraceReport report, string title, string introduction, TraceTable[] tables) => Element("section", [],
        Element("h2", [], title),
        introduction.Length == 0 ? null : Classed("p", "introduction", introduction),
        tables.All(table => table.Layers.Count == 0) ? Classed("div", "pairs", tables.Select(table => Card(report, table))) : tables.Select(table => Card(report, table)));

    private static XElement Card(TraceReport report, TraceTable table)
    {
        XElement?[] lines =
        [
            table.Steps.Count > 1 || table.Layers.Count == 0 ? Figure(table.Layers.Count > 1 ? "by step, over all layers" : "by step", BySteps(table)) : null,
            table.Layers.Count > 8 ? Figure(table.Steps.Count > 1 ? "by layer, over all steps" : "by layer", ByLayers(table)) : null,
        ];
        bool several = report.Trace.Series.Count(series => series.Quantity == table.Quantity) > 1;
        return Classed("article", "panel",
            Element("h3", [], table.Quantity.Title, several && table.Series.Rule != null ? Classed("span", "whose", RuleCatalog.Format(table.Series.Rule)) : null),
            Classed("p", "says", TraceSummary.Text(table)),
            Classed("div", "plots",
                table.Layers.Count == 0 ? null : Figure("by layer and step", HeatMap.Draw(table)),
                lines.Any(line => line != null) ? Classed("div", "lines", lines) : null),
            Classed("p", "definition", table.Quantity.Definition));
    }

    private static XElement BySteps(TraceTable table) =>
        LinePlot.Draw(table, table.BySteps, table.Steps.Count, "step", at => ((at + 1).ToString(CultureInfo.InvariantCulture), HeatMap.StepName(table, at)));

    private static XElement ByLayers(TraceTable table)
    {
        string[] names = HeatMap.ShortNames(table.Layers);
        return LinePlot.Draw(table, table.ByLayers, table.Rows, "layer", at => ((at + 1).ToString(CultureInfo.InvariantCulture), names[at]));
    }

    private static XElement Figure(string caption, XElement drawing) => Element("figure", [], Element("figcaption", [], caption), drawing);

    /// <summary>No character of it may need escaping: readers of HTML take style sheets as they are.</summary>
    private static string Style => Blanks().Replace("""
        :root { --page: #f5f6f8; --panel: #ffffff; --ink: #1b1f27; --muted: #5d6675; --rule: #dfe3e9; --grid: #e8ebf0; --accent: #2f5c94; --band: rgba(47, 92, 148, 0.16); --chip: #eef1f5; }
        @media (prefers-color-scheme: dark) {
          :root { --page: #12151b; --panel: #1a1f27; --ink: #e7eaef; --muted: #9aa4b3; --rule: #2c333e; --grid: #272d37; --accent: #7fb2ea; --band: rgba(127, 178, 234, 0.18); --chip: #262c36; }
        }
        * { box-sizing: border-box; }
        body { margin: 0 auto; padding: 40px 28px 56px; max-width: 1120px; background: var(--page); color: var(--ink); font: 15px/1.55 system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", Arial, sans-serif; }
        header { display: flex; gap: 32px; justify-content: space-between; align-items: flex-start; margin-bottom: 28px; }
        .lead { min-width: 0; }
        .kicker { margin: 0 0 6px; font-size: 12px; letter-spacing: 0.08em; text-transform: uppercase; color: var(--accent); font-weight: 600; }
        h1 { margin: 0 0 8px; font-size: 27px; line-height: 1.25; font-weight: 650; overflow-wrap: anywhere; }
        h2 { margin: 44px 0 4px; font-size: 20px; font-weight: 650; }
        .panel h2 { margin: 0 0 12px; }
        h3 { margin: 0 0 4px; font-size: 16px; font-weight: 650; }
        .negative { margin: 0 0 10px; color: var(--muted); overflow-wrap: anywhere; }
        .facts { display: flex; flex-wrap: wrap; gap: 6px 20px; margin: 12px 0 0; padding: 0; list-style: none; color: var(--muted); font-size: 13.5px; }
        .images { display: flex; gap: 8px; flex: none; }
        .images img { width: auto; height: 136px; max-width: 240px; border-radius: 8px; border: 1px solid var(--rule); object-fit: contain; }
        .tiles { display: grid; grid-template-columns: repeat(auto-fit, minmax(165px, 1fr)); gap: 12px; margin-bottom: 24px; }
        .tile, .panel { background: var(--panel); border: 1px solid var(--rule); border-radius: 10px; }
        .tile { padding: 14px 16px; }
        .tile .value { font-size: 25px; font-weight: 650; line-height: 1.2; font-variant-numeric: tabular-nums; }
        .tile .name { font-size: 13px; color: var(--muted); line-height: 1.35; margin-top: 4px; }
        .whose { font: 11.5px ui-monospace, SFMono-Regular, Menlo, Consolas, monospace; color: var(--muted); }
        .tile .whose { margin-top: 5px; }
        h3 .whose { margin-left: 10px; font-weight: 400; }
        .panel { padding: 20px 22px; margin-bottom: 16px; }
        .introduction { margin: 0 0 14px; color: var(--muted); max-width: 76ch; }
        .pairs { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(440px, 100%), 1fr)); gap: 16px; margin-bottom: 16px; }
        .pairs .panel { margin: 0; }
        h2 + article { margin-top: 14px; }
        .says { margin: 0 0 14px; max-width: 92ch; }
        .definition { margin: 14px 0 0; padding-top: 12px; border-top: 1px solid var(--rule); font-size: 13px; color: var(--muted); max-width: 110ch; }
        .plots { display: flex; width: 100%; flex-wrap: wrap; gap: 20px 28px; align-items: flex-start; }
        .lines { display: flex; flex-wrap: wrap; gap: 16px 28px; flex: 1 1 320px; min-width: 0; }
        figure { margin: 0; min-width: 0; max-width: 100%; }
        figcaption { font-size: 12px; color: var(--muted); margin-bottom: 4px; }
        svg { display: block; max-width: 100%; height: auto; }
        svg text { font: 11px system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", Arial, sans-serif; fill: var(--muted); font-variant-numeric: tabular-nums; }
        svg text.mono { font: 10px ui-monospace, SFMono-Regular, Menlo, Consolas, monospace; }
        svg text.axis { font-size: 11.5px; fill: var(--ink); }
        svg text.in { font-size: 10.5px; pointer-events: none; }
        svg text.dark { fill: #14181f; }
        svg text.light { fill: #ffffff; }
        svg g rect { stroke: var(--panel); stroke-width: 0.4; }
        svg g:hover rect { stroke: var(--ink); stroke-width: 1.6; }
        .frame { fill: none; stroke: var(--rule); }
        .grid { stroke: var(--grid); stroke-width: 1; }
        .band { fill: var(--band); }
        .line { fill: none; stroke: var(--accent); stroke-width: 2; stroke-linejoin: round; }
        .dot { fill: var(--accent); stroke: var(--panel); stroke-width: 1.2; }
        .reach { fill: transparent; }
        .wide { overflow-x: auto; }
        table { border-collapse: collapse; width: 100%; font-size: 14px; }
        th { text-align: left; font-weight: 600; font-size: 12.5px; color: var(--muted); padding: 0 18px 7px 0; border-bottom: 1px solid var(--rule); }
        td { padding: 9px 18px 7px 0; border-bottom: 1px solid var(--rule); vertical-align: top; }
        tr:last-child td { border-bottom: 0; padding-bottom: 0; }
        code { font: 12.5px ui-monospace, SFMono-Regular, Menlo, Consolas, monospace; background: var(--chip); border-radius: 5px; padding: 2px 6px; white-space: nowrap; }
        .chips code { display: inline-block; margin-bottom: 3px; }
        .note { color: var(--muted); font-size: 13px; margin: 0; }
        footer.note { margin-top: 32px; max-width: 100ch; }
        @media (max-width: 720px) { header { flex-direction: column; } body { padding: 24px 14px; } .panel { padding: 16px 14px; } }
        @media print { body { background: none; } .panel, .tile { break-inside: avoid; } }
        """, " ");

    [GeneratedRegex(@"\s*\n\s*")]
    private static partial Regex Blanks();
}
