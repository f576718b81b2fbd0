using System.Globalization;
using Attune.Evaluation.Reports;

namespace Attune.Evaluation.Tracing;

/// <summary>What a series says, in plain words.</summary>
internal static class TraceSummary
{
    /// <summary>One line: "tau clips 63 % of the tokens".</summary>
    public static string Line(TraceTable table) =>
        string.Format(CultureInfo.InvariantCulture, table.Quantity.Sentence, Scale.Format(table.Mean, table.Quantity));

    /// <summary>A few sentences: the mean, where it is least and greatest, and its course over the steps.</summary>
    public static string Text(TraceTable table)
    {
        var cells = table.Means.ToList();
        string line = Line(table);
        string scope = (table.Layers.Count > 1, table.BySteps.Count > 1) switch
        {
            (true, true) => $"On average over {table.Axis}s and steps, ",
            (true, false) => $"On average over {table.Axis}s, ",
            (false, true) => "On average over steps, ",
            _ => "",
        };
        string text = scope.Length > 0 ? $"{scope}{line}." : $"{char.ToUpperInvariant(line[0])}{line[1..]}.";
        string Write(double value) => Scale.Format(value, table.Quantity);
        var least = cells.MinBy(cell => cell.Mean);
        var greatest = cells.MaxBy(cell => cell.Mean);
        if (Write(least.Mean) == Write(greatest.Mean))
            return cells.Count > 1 ? $"{text} It is the same everywhere." : text;

        string[] names = table.Layers.Count > 1 ? HeatMap.ShortNames(table.Layers) : [];
        string Place((int Row, int Step, double Mean) cell) =>
            string.Join(
                ", ",
                new[] {
                    names.Length > 0 ? names[cell.Row] : null,
                    table.BySteps.Count > 1 ? FormattableString.Invariant($"step {cell.Step + 1}") : null }.Where(part => part != null));
        text += $" Least: {Write(least.Mean)} ({Place(least)}). Greatest: {Write(greatest.Mean)} ({Place(greatest)}).";
        if (names.Length > 0 && table.BySteps is [var first, .., var last])
        {
            text += Write(first.Mean) == Write(last.Mean) ? " The last step is as the first."
                : $" Over the steps it {(last.Mean > first.Mean ? "rises" : "falls")} from {Write(first.Mean)} to {Write(last.Mean)}.";
        }
        return text;
    }
}
