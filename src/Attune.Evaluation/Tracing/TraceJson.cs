using System.Text.Encodings.Web;
using System.Text.Json;
using Attune.Guidance;
using Attune.Guidance.Diagnostics;

namespace Attune.Evaluation.Tracing;

/// <summary>
/// A trace as one JSON document: <c>format</c>, <c>version</c>, <c>request</c>, <c>model</c>, <c>rules</c>, <c>steps</c>, <c>layers</c>,
/// <c>quantities</c>, <c>series</c>, whose values name steps, layers and rules by their positions in the lists, with a few sentences, and
/// <c>places</c>: where guidance acts, by frame, row and column of the latents, for each step. What is unknown or unbounded is null.
/// </summary>
internal static class TraceJson
{
    /// <summary>Raised when a reader of older documents would misread newer ones.</summary>
    public const int Version = 1;

    public static void Write(TraceReport report, Stream stream) => Write(report, stream, indented: true);

    /// <summary>Writes a trace.</summary>
    /// <param name="report">The trace.</param>
    /// <param name="stream">Where to.</param>
    /// <param name="indented">Whether people read it.</param>
    public static void Write(TraceReport report, Stream stream, bool indented)
    {
        var options = new JsonWriterOptions { Indented = indented, Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping };
        using var json = new Utf8JsonWriter(stream, options);
        json.WriteStartObject();
        json.WriteString("format", "attune-trace");
        json.WriteNumber("version", Version);
        json.WritePropertyName("request");
        json.WriteRawValue(report.Parameters);
        json.WriteStartObject("model");
        json.WriteString("pipeline", report.Pipeline);
        json.WriteString("name", report.Model);
        json.WriteEndObject();
        WriteList(json, "rules", report.Rules, rule =>
        {
            var (name, parameters) = TraceReport.Describe(rule);
            json.WriteString("name", name);
            json.WriteString("text", RuleCatalog.Format(rule));
            json.WriteStartObject("parameters");
            foreach (var (parameter, value) in parameters)
                json.WriteString(parameter, value);
            json.WriteEndObject();
        });
        WriteList(json, "steps", report.Trace.Steps, step =>
        {
            json.WriteNumber("index", step.Index);
            WriteNumber(json, "timestep", step.Timestep);
            WriteNumber(json, "sigma", step.Sigma);
        });
        WriteList(json, "layers", report.Trace.Layers, layer =>
        {
            json.WriteString("path", layer.Path);
            json.WriteString("kind", layer.Kind.ToString().ToLowerInvariant());
        });
        var quantities = report.Trace.Series.Select(series => series.Quantity).Distinct().ToList();
        WriteList(json, "quantities", quantities, quantity =>
        {
            json.WriteString("name", quantity.Name);
            json.WriteString("title", quantity.Title);
            json.WriteString("definition", quantity.Definition);
            json.WriteString("unit", quantity.Unit.ToString().ToLowerInvariant());
            WriteNumber(json, "minimum", quantity.Minimum);
            WriteNumber(json, "maximum", quantity.Maximum);
        });
        WriteList(json, "series", report.Trace.Series, series =>
        {
            json.WriteString("quantity", series.Quantity.Name);
            WriteIndex(json, "rule", report.RuleOf(series));
            json.WriteString("says", TraceSummary.Text(new TraceTable(series, report.Trace)));
            WriteList(json, "values", series.Entries, entry => WriteEntry(json, entry));
        });
        WriteList(json, "places", report.Trace.Places, places =>
        {
            json.WriteNumber("frames", places.Grid.Frames);
            json.WriteNumber("rows", places.Grid.Height);
            json.WriteNumber("columns", places.Grid.Width);
            WriteSteps(json, "by_frame", places.ByFrame, report.Trace.Steps.Count);
            WriteSteps(json, "by_row", places.ByRow, report.Trace.Steps.Count);
            WriteSteps(json, "by_column", places.ByColumn, report.Trace.Steps.Count);
        });
        json.WriteEndObject();
    }

    private static void WriteEntry(Utf8JsonWriter json, TraceEntry entry)
    {
        json.WriteNumber("step", entry.Step);
        WriteIndex(json, "layer", entry.Layer);
        json.WriteNumber("count", entry.Values.Count);
        json.WriteNumber("mean", entry.Values.Mean);
        json.WriteNumber("min", entry.Values.Minimum);
        json.WriteNumber("p10", entry.Values.LowDecile);
        json.WriteNumber("median", entry.Values.Median);
        json.WriteNumber("p90", entry.Values.HighDecile);
        json.WriteNumber("max", entry.Values.Maximum);
    }

    private static void WriteList<T>(Utf8JsonWriter json, string name, IEnumerable<T> items, Action<T> write)
    {
        json.WriteStartArray(name);
        foreach (var item in items)
        {
            json.WriteStartObject();
            write(item);
            json.WriteEndObject();
        }
        json.WriteEndArray();
    }

    /// <summary>A list of numbers for each step; null where nothing acted.</summary>
    private static void WriteSteps(Utf8JsonWriter json, string name, IReadOnlyList<double[]> means, int steps)
    {
        json.WriteStartArray(name);
        foreach (double[] step in means.Take(steps))
        {
            if (step.All(double.IsNaN))
            {
                json.WriteNullValue();
                continue;
            }
            json.WriteStartArray();
            foreach (double mean in step)
            {
                if (double.IsFinite(mean))
                    json.WriteNumberValue(mean);
                else
                    json.WriteNullValue();
            }
            json.WriteEndArray();
        }
        json.WriteEndArray();
    }

    private static void WriteIndex(Utf8JsonWriter json, string name, int? index)
    {
        if (index is { } value)
            json.WriteNumber(name, value);
        else
            json.WriteNull(name);
    }

    private static void WriteNumber(Utf8JsonWriter json, string name, double value)
    {
        if (double.IsFinite(value))
            json.WriteNumber(name, value);
        else
            json.WriteNull(name);
    }
}
