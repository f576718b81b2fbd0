namespace Attune.Evaluation.Reports;

/// <summary>Writes a report in all of its forms.</summary>
public static class ReportFiles
{
    /// <summary>Writes report.json, report.md and report.html beside the records; each replaces an older one when it is complete.</summary>
    /// <returns>The files.</returns>
    /// <exception cref="IOException">A file cannot be written.</exception>
    public static IReadOnlyList<string> Write(ExperimentReport report)
    {
        ArgumentNullException.ThrowIfNull(report);
        var files = new List<string>();
        foreach (
            var (name, write) in new (string, Action<ExperimentReport, Stream>)[] {
                ("report.json", ReportJson.Write), ("report.md", ReportMarkdown.Write), ("report.html", ReportPage.Write) })
        {
            string file = Path.Combine(report.Folder, name);
            OutputFile.Write(file, stream => write(report, stream));
            files.Add(file);
        }
        return files;
    }
}
