using System.Globalization;
using System.Xml.Linq;
using Attune.Guidance.Diagnostics;
using static Attune.Evaluation.Reports.Markup;

namespace Attune.Evaluation.Reports;

/// <summary>A point of a series.</summary>
/// <param name="X">To the right.</param>
/// <param name="Y">Up.</param>
/// <param name="Low">The lower end of the whisker; equal to <paramref name="Y"/> for none.</param>
/// <param name="High">Its upper end.</param>
/// <param name="Title">What is shown where the pointer rests.</param>
internal readonly record struct SeriesPoint(double X, double Y, double Low, double High, string Title);

/// <summary>Points that are joined by lines.</summary>
/// <param name="Style">Colour and mark, from 0 for the baseline's.</param>
/// <param name="Points">The points, in the order in which they are joined.</param>
internal sealed record PlotSeries(int Style, IReadOnlyList<SeriesPoint> Points);

/// <summary>One axis of a plot.</summary>
/// <param name="Title">What it counts.</param>
/// <param name="Quantity">The possible range, and how numbers are written.</param>
/// <param name="Names">For an axis of positions 0, 1, 2, ... their names; null for one of numbers.</param>
internal sealed record PlotAxis(string Title, Quantity Quantity, IReadOnlyList<string>? Names = null);

/// <summary>Several series in one frame.</summary>
internal static class SeriesPlot
{
    private const double Width = 415;
    private const double Height = 290;
    private const double Left = 62;
    private const double Top = 10;
    private const double Right = 14;
    private const double Bottom = 42;

    /// <summary>How many colours and marks there are before both repeat with other dashes.</summary>
    private const int Styles = 8;
    private const int Dashes = 4;

    /// <summary>Draws a plot, or nothing where there is no point.</summary>
    public static XElement? Draw(PlotAxis across, PlotAxis up, IReadOnlyList<PlotSeries> series)
    {
        var points = series.SelectMany(one => one.Points).ToList();
        if (points.Count == 0)
            return null;
        var vertical = Scale.Around(points.Min(point => point.Low), points.Max(point => point.High), up.Quantity);
        var horizontal = across.Names == null ? Scale.Around(points.Min(point => point.X), points.Max(point => point.X), across.Quantity)
            : null;
        var (width, height) = (Width - Left - Right, Height - Top - Bottom);
        double X(double value) =>
            Left + 10 + (width - 20) * (
                horizontal != null ? horizontal.Position(value) : across.Names!.Count == 1 ? 0.5 : value / (across.Names.Count - 1));
        double Y(double value) => Top + height * (1 - vertical.Position(value));

        var parts = new List<XElement>();
        foreach (double tick in vertical.Ticks)
        {
            parts.Add(Element("line", [("x1", Left), ("x2", Left + width), ("y1", Y(tick)), ("y2", Y(tick)), ("class", "grid")]));
            parts.Add(Label(Left - 7, Y(tick) + 3.5, "tick", "end", vertical.FormatTick(tick, up.Quantity)));
        }
        IEnumerable<(double At, string Name)> ticks = horizontal != null
            ? horizontal.Ticks.Select(tick => (tick, horizontal.FormatTick(tick, across.Quantity)))
            : across.Names!.Select((name, at) => ((double)at, name));
        foreach (var (at, name) in ticks)
        {
            if (horizontal != null)
                parts.Add(Element("line", [("x1", X(at)), ("x2", X(at)), ("y1", Top), ("y2", Top + height), ("class", "grid")]));
            parts.Add(Label(X(at), Top + height + 17, "tick", "middle", name));
        }
        parts.Add(Label(Left + width / 2, Top + height + 35, "axis", "middle", across.Title));
        parts.Add(
            Element(
                "text",
                [
                    ("x", 0), ("y", 0), ("class", "axis"), ("text-anchor", "middle"),
                    ("transform", FormattableString.Invariant($"translate(13 {Top + height / 2:0.#}) rotate(-90)"))],
                up.Title));
        foreach (var one in series)
        {
            string kind = ClassOf(one.Style);
            if (one.Points.Count > 1)
                parts.Add(
                    Element(
                        "polyline",
                        [
                            ("class", $"series {kind}"),
                            (
                                "points",
                                string.Join(
                                    ' ',
                                    one.Points.Select(
                                        point => string.Create(CultureInfo.InvariantCulture, $"{X(point.X):0.#},{Y(point.Y):0.#}"))))]));
            foreach (var point in one.Points)
            {
                parts.Add(Element("g", [("class", kind)],
                    Element("title", [], point.Title),
                    point.High > point.Low
                        ? Element(
                            "line",
                            [("class", "whisker"), ("x1", X(point.X)), ("x2", X(point.X)), ("y1", Y(point.Low)), ("y2", Y(point.High))])
                        : null,
                    Mark(one.Style, X(point.X), Y(point.Y)),
                    Element("circle", [("cx", X(point.X)), ("cy", Y(point.Y)), ("r", 9.0), ("class", "reach")])));
            }
        }
        return Drawing(Width, Height, $"{up.Title} by {across.Title}", parts);
    }

    /// <summary>A line and its mark, for a legend.</summary>
    public static XElement Sample(int style)
    {
        string kind = ClassOf(style);
        return Element("svg", [("viewBox", "0 0 26 12"), ("width", 26.0), ("height", 12.0), ("aria-hidden", "true")],
            Element("polyline", [("class", $"series {kind}"), ("points", "1,6 25,6")]),
            Element("g", [("class", kind)], Mark(style, 13, 6)));
    }

    private static string ClassOf(int style) => $"s{style % Styles}" + (style < Styles ? "" : $" dash{style / Styles % Dashes}");

    /// <summary>Marks differ in shape as well as in colour.</summary>
    private static XElement Mark(int style, double x, double y)
    {
        string Points(params (double X, double Y)[] corners) =>
            string.Join(
                ' ', corners.Select(corner => string.Create(CultureInfo.InvariantCulture, $"{x + corner.X:0.#},{y + corner.Y:0.#}")));
        return (style % 4) switch
        {
            1 => Element("polygon", [("class", "mark"), ("points", Points((0, -4.6), (4.4, 3.4), (-4.4, 3.4)))]),
            2 => Element("polygon", [("class", "mark"), ("points", Points((-3.3, -3.3), (3.3, -3.3), (3.3, 3.3), (-3.3, 3.3)))]),
            3 => Element("polygon", [("class", "mark"), ("points", Points((0, -4.8), (4.8, 0), (0, 4.8), (-4.8, 0)))]),
            _ => Element("circle", [("class", "mark"), ("cx", x), ("cy", y), ("r", 3.6)]),
        };
    }
}
