using System.Globalization;
using System.Xml.Linq;
using Attune.Evaluation.Reports;
using static Attune.Evaluation.Reports.Markup;

namespace Attune.Evaluation.Tracing;

/// <summary>
/// A map of layers (down) and steps (to the right), each cell coloured by its mean, with all its numbers where the pointer rests.
/// </summary>
internal static class HeatMap
{
    private const double Top = 8;
    private const double CharacterWidth = 6.1;
    private const double LegendWidth = 76;

    public static XElement Draw(TraceTable table)
    {
        string[] names = ShortNames(table.Layers);
        var (rows, steps) = (table.Rows, table.Steps.Count);
        double cellWidth = Math.Clamp(Math.Floor(420.0 / steps), 7, 84);
        double cellHeight = rows <= 12 ? 26 : rows <= 30 ? 18 : rows <= 60 ? 12 : 8;
        double left = 30 + names.Max(name => name.Length) * CharacterWidth;
        var (width, height) = (cellWidth * steps, Math.Max(cellHeight * rows, 96));
        double gridHeight = cellHeight * rows;
        var colors = new ColorMap(table.Means.Min(cell => cell.Mean), table.Means.Max(cell => cell.Mean));
        var parts = new List<XElement>();
        for (int row = 0; row < rows; row++)
        {
            for (int step = 0; step < steps; step++)
            {
                if (table[row, step] is { } cell)
                    parts.AddRange(
                        Cell(
                            table, names[row], row, step, cell.Mean, colors, left + step * cellWidth, Top + row * cellHeight, cellWidth,
                            cellHeight));
            }
        }
        int everyRow = (int)Math.Ceiling(11 / cellHeight);
        for (int row = 0; row < rows; row += everyRow)
            parts.Add(Label(left - 8, Top + (row + 0.5) * cellHeight + 3.5, "tick mono", "end", names[row]));
        int everyStep = (int)Math.Ceiling(22 / cellWidth);
        for (int step = 0; step < steps; step += everyStep)
            parts.Add(
                Label(
                    left + (step + 0.5) * cellWidth, Top + gridHeight + 16, "tick", "middle",
                    (step + 1).ToString(System.Globalization.CultureInfo.InvariantCulture)));
        parts.Add(Element("rect", [("x", left), ("y", Top), ("width", width), ("height", gridHeight), ("class", "frame")]));
        parts.Add(Label(left + width / 2, Top + gridHeight + 33, "axis", "middle", "step"));
        parts.Add(
            Element(
                "text",
                [
                    ("x", 0), ("y", 0), ("class", "axis"), ("text-anchor", "middle"),
                    ("transform", FormattableString.Invariant($"translate(12 {Top + gridHeight / 2:0.#}) rotate(-90)"))],
                table.Axis));
        parts.AddRange(Legend(table, colors, left + width + 16, height));
        return Drawing(left + width + 16 + LegendWidth, Top + height + 40, $"{table.Quantity.Title}, by {table.Axis} and step", parts);
    }

    private static IEnumerable<XElement> Cell(
        TraceTable table, string name, int row, int step, double mean, ColorMap colors, double x, double y, double width, double height)
    {
        var cell = table[row, step]!.Value;
        string Write(double value) => Scale.Format(value, table.Quantity);
        string spread = cell.Count == 1 ? ""
            : string.Create(
                CultureInfo.InvariantCulture,
                $"\nmedian {Write(cell.Median)}; middle 80 %: {Write(cell.LowDecile)} to {Write(cell.HighDecile)}\nall {cell.Count}: "
                    + $"{Write(cell.Minimum)} to {Write(cell.Maximum)}");
        string path = table.Layers[row].Path;
        string place = path == name ? path : $"{name} ({path})";
        var (color, isLight) = colors.Of(mean);
        string value = Write(mean);
        bool written = width >= value.Length * CharacterWidth + 8 && height >= 15;
        yield return Element("g", [],
            Element("title", [], $"{place}\n{StepName(table, step)}\n{(cell.Count == 1 ? "" : "mean ")}{value}{spread}"),
            Element("rect", [("x", x), ("y", y), ("width", width), ("height", height), ("fill", color)]),
            written ? Label(x + width / 2, y + height / 2 + 3.5, isLight ? "in dark" : "in light", "middle", value) : null);
    }

    /// <summary>The colours with their values, from top (greatest) to bottom.</summary>
    private static IEnumerable<XElement> Legend(TraceTable table, ColorMap colors, double x, double height)
    {
        const int Pieces = 40;
        if (colors.High <= colors.Low)
        {
            yield return Element("rect", [("x", x), ("y", Top), ("width", 12), ("height", 12), ("fill", colors.Of(colors.Low).Color)]);
            yield return Label(x + 18, Top + 10, "tick", "start", Scale.Format(colors.Low, table.Quantity));
            yield break;
        }
        for (int i = 0; i < Pieces; i++)
        {
            double part = 1 - (i + 0.5) / Pieces;
            yield return Element(
                "rect",
                [
                    ("x", x), ("y", Top + height * i / Pieces), ("width", 12), ("height", height / Pieces + 0.6),
                    ("fill", colors.Of(colors.Low + part * (colors.High - colors.Low)).Color)]);
        }
        int ticks = height >= 150 ? 4 : 2;
        for (int i = 0; i <= ticks; i++)
        {
            double part = 1 - (double)i / ticks;
            yield return Label(
                x + 18, Top + height * i / ticks + (i == 0 ? 8 : i == ticks ? 0 : 3.5), "tick", "start",
                Scale.Format(colors.Low + part * (colors.High - colors.Low), table.Quantity));
        }
    }

    public static string StepName(TraceTable table, int step)
    {
        var point = table.Steps[step];
        string noise = double.IsFinite(point.Sigma) ? FormattableString.Invariant($", sigma {point.Sigma:0.###}") : "";
        return FormattableString.Invariant($"step {step + 1} of {point.Count}{noise}");
    }

    /// <summary>
    /// Names that fit beside a map: <c>double.3</c>, <c>down.1.0.0</c> (block, attention module, transformer block). If two layers would
    /// share one, all keep their paths.
    /// </summary>
    internal static string[] ShortNames(IReadOnlyList<Attention.AttentionSite> layers)
    {
        bool two = layers.Any(layer => layer.Path.StartsWith("single_transformer_blocks.", StringComparison.Ordinal));
        string Shorten(string path)
        {
            foreach (string suffix in new[] { ".attn", ".attn1", ".attn2" })
            {
                if (path.EndsWith(suffix, StringComparison.Ordinal))
                    path = path[..^suffix.Length];
            }
            foreach (
                var (prefix, name) in new[] {
                    ("single_transformer_blocks.", "single."), ("transformer_blocks.", two ? "double." : "block."),
                    ("down_blocks.", "down."), ("mid_block.", "mid."), ("up_blocks.", "up.") })
            {
                if (path.StartsWith(prefix, StringComparison.Ordinal))
                    path = name + path[prefix.Length..];
            }
            return path.Replace("attentions.", "", StringComparison.Ordinal).Replace("transformer_blocks.", "", StringComparison.Ordinal);
        }

        string[] names = [.. layers.Select(layer => Shorten(layer.Path))];
        return names.Distinct().Count() == names.Length ? names : [.. layers.Select(layer => layer.Path)];
    }
}
