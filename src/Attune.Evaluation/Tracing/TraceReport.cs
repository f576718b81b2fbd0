using Attune.Attention;
using Attune.Guidance;
using Attune.Guidance.Diagnostics;
using Attune.Imaging;
using Attune.Generation;

namespace Attune.Evaluation.Tracing;

/// <summary>A run and its trace, as both writers need them.</summary>
/// <param name="Pipeline">The class of the pipeline.</param>
/// <param name="Model">The name of the checkpoint's folder.</param>
/// <param name="Request">The request.</param>
/// <param name="Parameters">The request as the JSON that images carry.</param>
/// <param name="Trace">What was measured.</param>
/// <param name="Images">What came out.</param>
internal sealed record TraceReport(
    string Pipeline, string Model, ResolvedRequest Request, string Parameters, GuidanceTrace Trace, IReadOnlyList<Image> Images)
{
    /// <summary>The rules, with the position by which series name them.</summary>
    public IReadOnlyList<GuidanceRule> Rules => Request.Guidance.Rules;

    /// <summary>The position of a series' rule among the rules.</summary>
    public int? RuleOf(TraceSeries series)
    {
        for (int i = 0; i < Rules.Count; i++)
        {
            if (ReferenceEquals(Rules[i], series.Rule))
                return i;
        }
        return null;
    }

    /// <summary>A rule's name, and its parameters as they are written on the command line.</summary>
    public static (string Name, IReadOnlyList<(string Name, string Value)> Parameters) Describe(GuidanceRule rule)
    {
        string text = RuleCatalog.Format(rule);
        int colon = text.IndexOf(':', StringComparison.Ordinal);
        if (colon < 0)
            return (text, []);
        var parameters = text[(colon + 1)..].Split(',').Select(pair => pair.Split('=', 2)).Select(pair => (pair[0], pair[1]));
        return (text[..colon], [.. parameters]);
    }
}

/// <summary>A series as a table of layers (or of places) and steps, and what is read off it.</summary>
internal sealed class TraceTable
{
    private readonly Summary?[,] _cells;

    public TraceTable(TraceSeries series, GuidanceTrace trace)
    {
        (Series, Quantity) = (series, series.Quantity);
        int?[] layers = [.. series.Entries.Select(entry => entry.Layer).Distinct().Order()];
        Layers = [.. layers.Where(layer => layer != null).Select(layer => trace.Layers[layer!.Value])];
        Steps = trace.Steps;
        _cells = new Summary?[layers.Length, Steps.Count];
        foreach (var entry in series.Entries)
            _cells[Array.IndexOf(layers, entry.Layer), entry.Step] = entry.Values;
    }

    private TraceTable(Quantity quantity, string axis, IReadOnlyList<double[]> means, GuidanceTrace trace)
    {
        (Quantity, Axis, Steps) = (quantity, axis, trace.Steps);
        int count = means[0].Length;
        Layers = [.. Enumerable.Range(1, count).Select(i => new AttentionSite($"{axis} {i}", AttentionKind.Cross))];
        _cells = new Summary?[count, Steps.Count];
        for (int step = 0; step < Steps.Count; step++)
        {
            for (int row = 0; row < count; row++)
                _cells[row, step] = Summary.Of([means[step][row]]);
        }
    }

    /// <summary>Where guidance acts: a table for each axis of the latents on which there is more than one place.</summary>
    public static IEnumerable<TraceTable> Of(TracePlaces places, GuidanceTrace trace)
    {
        var grid = places.Grid;
        string form = FormattableString.Invariant(
            $"{(grid.Frames > 1 ? $"{grid.Frames} frames of " : "")}{grid.Width} x {grid.Height} tokens");
        foreach (var (axis, means) in new[] { ("frame", places.ByFrame), ("row", places.ByRow), ("column", places.ByColumn) })
        {
            if (means[0].Length == 1)
                continue;
            var quantity = new Quantity(
                $"place.{axis}", $"Change of the attention output by {axis} ({form})",
                "|output - plain| / |plain| for each latent token, as a mean over the tokens of a place and the layers where a rule acts.",
                "guidance moves the attention output by {0} of its length")
            { Unit = QuantityUnit.Share, Minimum = 0 };
            yield return new TraceTable(quantity, axis, means, trace);
        }
    }

    /// <summary>The series; null for places.</summary>
    public TraceSeries? Series { get; }

    public Quantity Quantity { get; }

    /// <summary>What the rows are.</summary>
    public string Axis { get; } = "layer";

    /// <summary>The layers that have a value in some step, or names of places; empty for numbers about predictions.</summary>
    public IReadOnlyList<AttentionSite> Layers { get; }

    public IReadOnlyList<StepPoint> Steps { get; }

    public int Rows => _cells.GetLength(0);

    public Summary? this[int row, int step] => _cells[row, step];

    /// <summary>The means of all cells that have one, with their places.</summary>
    public IEnumerable<(int Row, int Step, double Mean)> Means
    {
        get
        {
            for (int row = 0; row < Rows; row++)
            {
                for (int step = 0; step < Steps.Count; step++)
                {
                    if (_cells[row, step] is { } cell)
                        yield return (row, step, cell.Mean);
                }
            }
        }
    }

    /// <summary>The mean over everything.</summary>
    public double Mean => Means.Average(cell => cell.Mean);

    /// <summary>For every step that has values: the least, the mean and the greatest over layers.</summary>
    public IReadOnlyList<PlotPoint> BySteps => [.. Means.GroupBy(cell => cell.Step).OrderBy(group => group.Key).Select(Point)];

    /// <summary>For every layer: the least, the mean and the greatest over steps.</summary>
    public IReadOnlyList<PlotPoint> ByLayers => [.. Means.GroupBy(cell => cell.Row).OrderBy(group => group.Key).Select(Point)];

    private static PlotPoint Point(IGrouping<int, (int Row, int Step, double Mean)> group) =>
        new(group.Key, group.Min(cell => cell.Mean), group.Average(cell => cell.Mean), group.Max(cell => cell.Mean));
}
