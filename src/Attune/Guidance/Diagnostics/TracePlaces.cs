using Attune.Attention;

namespace Attune.Guidance.Diagnostics;

/// <summary>
/// Where guidance acts: the relative change of the attention output (<c>attention.change</c>) as means over everything but one axis of the
/// latents, for each step, over all layers whose latents lie in the same way and where a rule acted.
/// </summary>
public sealed class TracePlaces
{
    private readonly (double Sum, long Count)[][] _frames;
    private readonly (double Sum, long Count)[][] _rows;
    private readonly (double Sum, long Count)[][] _columns;

    internal TracePlaces(LatentGrid grid, int steps)
    {
        (double, long)[][] Axis(int length) => [.. Enumerable.Range(0, steps).Select(_ => new (double, long)[length])];
        Grid = grid;
        (_frames, _rows, _columns) = (Axis(grid.Frames), Axis(grid.Height), Axis(grid.Width));
    }

    /// <summary>How the tokens of the latents lie.</summary>
    public LatentGrid Grid { get; }

    /// <summary>For each step of the run the mean of each frame of the latents; NaN where nothing acted.</summary>
    public IReadOnlyList<double[]> ByFrame => Means(_frames);

    /// <summary>For each step of the run the mean of each row of a frame, over all frames; NaN where nothing acted.</summary>
    public IReadOnlyList<double[]> ByRow => Means(_rows);

    /// <summary>For each step of the run the mean of each column of a frame, over all frames; NaN where nothing acted.</summary>
    public IReadOnlyList<double[]> ByColumn => Means(_columns);

    /// <summary>Adds the numbers of a layer, one for each token of each sample.</summary>
    internal void Add(int step, ReadOnlySpan<double> values)
    {
        for (int i = 0; i < values.Length; i++)
        {
            if (!double.IsFinite(values[i]))
                continue;
            int token = i % Grid.Count;
            Count(ref _frames[step][token / (Grid.Height * Grid.Width)], values[i]);
            Count(ref _rows[step][token / Grid.Width % Grid.Height], values[i]);
            Count(ref _columns[step][token % Grid.Width], values[i]);
        }
    }

    private static void Count(ref (double Sum, long Count) cell, double value) => cell = (cell.Sum + value, cell.Count + 1);

    private static double[][] Means((double Sum, long Count)[][] cells) =>
        [.. cells.Select(step => step.Select(cell => cell.Count == 0 ? double.NaN : cell.Sum / cell.Count).ToArray())];
}
