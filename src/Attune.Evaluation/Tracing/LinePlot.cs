using System.Globalization;
using System.Xml.Linq;
using Attune.Evaluation.Reports;
using static Attune.Evaluation.Reports.Markup;

namespace Attune.Evaluation.Tracing;

/// <summary>One point of a line, with the range that its band shows.</summary>
/// <param name="At">The position, from 0.</param>
/// <param name="Low">The lower edge of the band.</param>
/// <param name="Mean">The line.</param>
/// <param name="High">The upper edge of the band.</param>
internal readonly record struct PlotPoint(int At, double Low, double Mean, double High);

/// <summary>A line of means with a band around it.</summary>
internal static class LinePlot
{
    private const double Width = 400;
    private const double Height = 190;
    private const double Left = 58;
    private const double Top = 10;
    private const double Right = 14;
    private const double Bottom = 42;

    /// <summary>Draws a line.</summary>
    /// <param name="table">What is drawn: for the units.</param>
    /// <param name="points">The points; gaps in their positions are gaps in the line.</param>
    /// <param name="positions">How many positions the axis has.</param>
    /// <param name="axis">What the positions count.</param>
    /// <param name="label">The label of a position, short, and in full for where the pointer rests.</param>
    public static XElement Draw(
        TraceTable table, IReadOnlyList<PlotPoint> points, int positions, string axis, Func<int, (string Short, string Full)> label)
    {
        var scale = Scale.Around(points.Min(point => point.Low), points.Max(point => point.High), table.Quantity);
        var (width, height) = (Width - Left - Right, Height - Top - Bottom);
        double X(int at) => Left + (positions == 1 ? width / 2 : 10 + (width - 20) * at / (positions - 1));
        double Y(double value) => Top + height * (1 - scale.Position(value));
        var parts = new List<XElement>();
        foreach (double tick in scale.Ticks)
        {
            parts.Add(Element("line", [("x1", Left), ("x2", Left + width), ("y1", Y(tick)), ("y2", Y(tick)), ("class", "grid")]));
            parts.Add(Label(Left - 7, Y(tick) + 3.5, "tick", "end", scale.FormatTick(tick, table.Quantity)));
        }
        string[] names = [.. Enumerable.Range(0, positions).Select(at => label(at).Short)];
        int every = (int)Math.Ceiling((names.Max(name => name.Length) * 6.1 + 8) * positions / width);
        for (int at = 0; at < positions; at += every)
            parts.Add(Label(X(at), Top + height + 17, "tick", "middle", names[at]));
        parts.Add(Label(Left + width / 2, Top + height + 35, "axis", "middle", axis));
        foreach (var run in Runs(points))
        {
            if (run.Exists(point => point.High > point.Low))
                parts.Add(
                    Element(
                        "polygon",
                        [
                            ("class", "band"),
                            (
                                "points",
                                Path(
                                    run.Select(point => (X(point.At), Y(point.High)))
                                        .Concat(Enumerable.Reverse(run).Select(point => (X(point.At), Y(point.Low))))))]));
            parts.Add(Element("polyline", [("class", "line"), ("points", Path(run.Select(point => (X(point.At), Y(point.Mean)))))]));
        }
        foreach (var point in points)
        {
            string Write(double value) => Scale.Format(value, table.Quantity);
            string range = point.High > point.Low ? $"\n{Write(point.Low)} to {Write(point.High)}" : "";
            parts.Add(Element("g", [],
                Element("title", [], $"{label(point.At).Full}\n{Write(point.Mean)}{range}"),
                Element("circle", [("cx", X(point.At)), ("cy", Y(point.Mean)), ("r", points.Count > 40 ? 2.0 : 3.2), ("class", "dot")]),
                Element("circle", [("cx", X(point.At)), ("cy", Y(point.Mean)), ("r", 9.0), ("class", "reach")])));
        }
        return Drawing(Width, Height, $"{table.Quantity.Title}, by {axis}", parts);
    }

    /// <summary>Points that follow each other.</summary>
    private static List<List<PlotPoint>> Runs(IReadOnlyList<PlotPoint> points)
    {
        var runs = new List<List<PlotPoint>>();
        foreach (var point in points)
        {
            if (runs.Count == 0 || runs[^1][^1].At != point.At - 1)
                runs.Add([]);
            runs[^1].Add(point);
        }
        return runs;
    }

    private static string Path(IEnumerable<(double X, double Y)> points) =>
        string.Join(' ', points.Select(point => string.Create(CultureInfo.InvariantCulture, $"{point.X:0.#},{point.Y:0.#}")));
}
