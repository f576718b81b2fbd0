using System.Globalization;
using System.Text;

namespace Attune.Evaluation.Reports;

/// <summary>A report as Markdown: a table for each number of steps.</summary>
public static class ReportMarkdown
{
    /// <summary>Writes a report.</summary>
    public static void Write(ExperimentReport report, Stream stream)
    {
        ArgumentNullException.ThrowIfNull(report);
        var columns = ReportTable.Columns(report);
        using var text = new StreamWriter(
            stream, new UTF8Encoding(encoderShouldEmitUTF8Identifier: false), leaveOpen: true) { NewLine = "\n" };
        text.WriteLine($"# {Escape(report.Experiment.Name)}");
        text.WriteLine();
        text.WriteLine(Facts(report));
        var gaps = report.Gaps().ToList();
        if (gaps.Count > 0)
        {
            text.WriteLine();
            text.WriteLine("**Partial.**");
            text.WriteLine();
            foreach (string gap in gaps)
                text.WriteLine($"- {Escape(gap)}");
        }
        foreach (var group in report.Cells.GroupBy(cell => cell.Steps))
        {
            text.WriteLine();
            text.WriteLine($"## {char.ToUpperInvariant(ExperimentReport.Steps(group.Key)[0])}{ExperimentReport.Steps(group.Key)[1..]}");
            text.WriteLine();
            text.WriteLine($"| method | {string.Join(" | ", columns.Select(column => Escape(column.Title)))} |");
            text.WriteLine($"|---|{string.Concat(columns.Select(_ => "---:|"))}");
            foreach (var cell in group)
                text.WriteLine($"| {Escape(cell.Variant.Name)} | {string.Join(" | ", columns.Select(column => column.Write(cell)))} |");
        }
        text.WriteLine();
        text.WriteLine("Methods:");
        text.WriteLine();
        foreach (var variant in report.Experiment.Variants)
            text.WriteLine(
                $"- {Escape(variant.Name)}: `{variant.Rules}`{Escape(variant.Method.Beside)}"
                    + (variant.Method.Negative ? "" : ", without the negative prompt"));
        if (report.Notes.Count > 0)
        {
            text.WriteLine();
            text.WriteLine("Notes:");
            text.WriteLine();
            foreach (string note in report.Notes)
                text.WriteLine($"- {Escape(note)}");
        }
        text.WriteLine();
        text.WriteLine("Columns:");
        text.WriteLine();
        foreach (var column in columns)
            text.WriteLine($"- {Escape(column.Title)}: {column.Definition}");
    }

    /// <summary>What was compared, in a sentence.</summary>
    internal static string Facts(ExperimentReport report)
    {
        string devices = string.Join("; ", report.Headers.Select(header => header.Device).Distinct());
        var (first, last) = (report.Experiment.FirstSeed, report.Experiment.FirstSeed + (ulong)report.Experiment.SeedCount - 1);
        string seeds = first == last ? FormattableString.Invariant($"seed {first}")
            : FormattableString.Invariant($"seeds {first} to {last}");
        string prompts = report.Prompts == 1 ? "1 prompt" : FormattableString.Invariant($"{report.Prompts} prompts");
        string options = string.Concat(report.Experiment.Options.Select(option => $", {option.Key} {option.Value}"));
        return string.Create(
            CultureInfo.InvariantCulture,
            $"{report.Headers[0].Model}, {prompts}, {seeds}{options}, {report.Pictures} pictures; baseline {report.Experiment.Baseline}; "
                + $"computed by {devices}.");
    }

    private static string Escape(string text)
    {
        var escaped = new StringBuilder();
        foreach (char c in text.ReplaceLineEndings(" "))
            escaped.Append(c is '|' or '\\' or '`' or '*' or '_' or '<' or '[' ? $"\\{c}" : c.ToString());
        return escaped.ToString();
    }
}
