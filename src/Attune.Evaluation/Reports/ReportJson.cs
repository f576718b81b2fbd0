using System.Text.Encodings.Web;
using System.Text.Json;
using Attune.Evaluation.Experiments;
using Attune.Evaluation.Metrics;

namespace Attune.Evaluation.Reports;

/// <summary>A report as one JSON document. Numbers that there is no ground for, and those that are infinite, are null.</summary>
public static class ReportJson
{
    /// <summary>Writes a report.</summary>
    public static void Write(ExperimentReport report, Stream stream)
    {
        ArgumentNullException.ThrowIfNull(report);
        using var json = new Utf8JsonWriter(
            stream, new JsonWriterOptions { Indented = true, NewLine = "\n", Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping });
        var experiment = report.Experiment;
        json.WriteStartObject();
        json.WriteString("format", "attune-evaluation");
        json.WriteNumber("version", 1);
        json.WriteString("name", experiment.Name);
        json.WriteString("model", report.Headers[0].Model);
        json.WriteString("fingerprint", report.Headers[0].Fingerprint);
        WriteTexts(json, "devices", report.Headers.Select(header => header.Device).Distinct());
        json.WriteString("baseline", experiment.Baseline);
        WriteOptions(json, experiment.Options);
        json.WriteNumber("prompts", report.Prompts);
        json.WriteNumber("seeds", experiment.SeedCount);
        json.WriteNumber("pictures", report.Pictures);
        json.WriteBoolean("partial", report.IsPartial);
        WriteTexts(json, "missing", report.Gaps());
        if (report.References is { } references)
            json.WriteNumber("references", references);
        if (report.Notes.Count > 0)
            WriteTexts(json, "notes", report.Notes);
        json.WriteStartArray("results");
        foreach (var cell in report.Cells)
            WriteCell(json, cell, experiment);
        json.WriteEndArray();
        json.WriteEndObject();
    }

    private static void WriteCell(Utf8JsonWriter json, ReportCell cell, Experiment experiment)
    {
        json.WriteStartObject();
        json.WriteString("name", cell.Variant.Name);
        json.WriteString("method", cell.Variant.Method.Name);
        WriteNumber(json, "scale", cell.Variant.Scale);
        json.WriteString("rules", cell.Variant.Rules);
        WriteOptions(json, cell.Variant.Method.Options);
        json.WriteNumber("steps", cell.Steps);
        json.WriteNumber("pictures", cell.Pictures);
        json.WriteNumber("missing", cell.Missing);
        WriteShares(json, "presence", cell.Presence, cell.PresenceByHead);
        WriteRatio(json, "presence_ratio", cell.PresenceRatio);
        WriteShares(json, "retention", cell.Retention, cell.RetentionByHead);
        WriteRatio(json, "retention_ratio", cell.RetentionRatio);
        WriteNumber(json, "frechet", cell.Frechet);
        WriteNumber(json, "kernel", cell.Kernel);
        WriteNumber(json, "critic", cell.Critic);
        WriteNumber(json, "prompt_score", cell.PromptScore);
        WriteNumber(json, "negative_score", cell.NegativeScore);
        if (experiment.Metrics.Count > 0)
            WriteMetrics(json, cell, experiment);
        WriteNumber(json, "seconds_per_step", cell.SecondsPerStep);
        WriteNumber(json, "cost_ratio", cell.CostRatio);
        WriteNumber(json, "total_cost_ratio", cell.TotalCostRatio);
        json.WriteEndObject();
    }

    private static void WriteMetrics(Utf8JsonWriter json, ReportCell cell, Experiment experiment)
    {
        json.WriteStartObject("metrics");
        foreach (var metric in experiment.Metrics)
        {
            string name = metric.Metric.Name;
            var figure = cell.Metrics.GetValueOrDefault(name);
            json.WriteStartObject(name);
            WriteNumber(json, "value", figure?.Value);
            if (figure?.Interval is { } interval)
            {
                WriteNumber(json, "low", interval.Low);
                WriteNumber(json, "high", interval.High);
            }
            if (figure?.Difference is { } more)
            {
                WriteNumber(json, "difference", more.Mean);
                WriteNumber(json, "difference_low", more.Interval.Low);
                WriteNumber(json, "difference_high", more.Interval.High);
            }
            if (experiment.Published?.Of(cell.Variant.Name, cell.Steps, name) is { } published)
                json.WriteNumber("published", published);
            json.WriteString("preparation", metric.Preparation.Name);
            json.WriteEndObject();
        }
        json.WriteEndObject();
    }

    private static void WriteShares(Utf8JsonWriter json, string key, Proportion all, IReadOnlyDictionary<string, Proportion> heads)
    {
        json.WriteStartObject(key);
        WriteShare(json, all);
        json.WriteStartObject("heads");
        foreach (var (head, share) in heads)
        {
            json.WriteStartObject(head);
            WriteShare(json, share);
            json.WriteEndObject();
        }
        json.WriteEndObject();
        json.WriteEndObject();
    }

    private static void WriteShare(Utf8JsonWriter json, Proportion share)
    {
        var interval = share.Wilson();
        json.WriteNumber("count", share.Successes);
        json.WriteNumber("of", share.Trials);
        WriteNumber(json, "value", share.Trials == 0 ? null : share.Value);
        WriteNumber(json, "low", share.Trials == 0 ? null : interval.Low);
        WriteNumber(json, "high", share.Trials == 0 ? null : interval.High);
    }

    private static void WriteRatio(Utf8JsonWriter json, string key, RatioEstimate? ratio)
    {
        if (ratio is not { } known)
        {
            json.WriteNull(key);
            return;
        }
        json.WriteStartObject(key);
        WriteNumber(json, "value", known.Value);
        WriteNumber(json, "low", known.Interval.Low);
        WriteNumber(json, "high", known.Interval.High);
        json.WriteEndObject();
    }

    private static void WriteNumber(Utf8JsonWriter json, string key, double? value)
    {
        if (value is { } number && double.IsFinite(number))
            json.WriteNumber(key, number);
        else
            json.WriteNull(key);
    }

    private static void WriteOptions(Utf8JsonWriter json, IReadOnlyDictionary<string, string> options)
    {
        if (options.Count == 0)
            return;
        json.WriteStartObject("options");
        foreach (var (key, text) in options)
            json.WriteString(key, text);
        json.WriteEndObject();
    }

    private static void WriteTexts(Utf8JsonWriter json, string key, IEnumerable<string> texts)
    {
        json.WriteStartArray(key);
        foreach (string text in texts)
            json.WriteStringValue(text);
        json.WriteEndArray();
    }
}
