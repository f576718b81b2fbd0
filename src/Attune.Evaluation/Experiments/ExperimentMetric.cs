using Attune.Evaluation.Metrics;
using Attune.Weights;

namespace Attune.Evaluation.Experiments;

/// <summary>A metric of an experiment.</summary>
/// <param name="Metric">The metric.</param>
/// <param name="Weights">The path of its weights.</param>
/// <param name="Preparation">How pictures are made ready.</param>
/// <param name="References">
/// Of a metric that compares sets: a folder of pictures, or an <c>.npz</c> file of statistics or features. Null for others.
/// </param>
public sealed record ExperimentMetric(PictureMetric Metric, string Weights, Preparation Preparation, string? References)
{
    /// <summary>The file in the folder of records that keeps what is compared with.</summary>
    public string ReferenceFile => $"references-{Metric.Name}.npz";

    /// <summary>Reads <c>"fid": { "weights": ..., "references": ..., "preparation": ... }</c>.</summary>
    internal static ExperimentMetric Read(string name, JsonPart json, string folder)
    {
        string Resolve(string path) => Path.GetFullPath(Path.Combine(folder, path));
        T Known<T>(Func<T> find)
        {
            try
            {
                return find();
            }
            catch (ArgumentException exception)
            {
                throw new FormatException($"'{json.File}': {json.Place}: {Experiment.Line(exception)}", exception);
            }
        }

        var metric = Known(() => MetricCatalog.Of(name));
        string weights = json.Needed("weights", metric.Weights).String();
        var preparation = json.Find("preparation")?.String() is { } asked ? Known(() => Preparation.Of(asked)) : metric.Usual;
        string? references = json.Find("references")?.String();
        json.RequireAllAsked();
        if (metric.ComparesSets != (references != null))
            throw json.Wrong(
                "references", metric.ComparesSets ? "a folder of pictures or an .npz file" : $"none, since {name} compares with none");
        return new ExperimentMetric(metric, Resolve(weights), preparation, references == null ? null : Resolve(references));
    }

    /// <summary>What the references are made of: their own files, and of pictures the network and the preparation.</summary>
    internal string ReferenceSource() => File.Exists(References) ? Fingerprint.Of([], [References])
        : Fingerprint.Of([Preparation.Name], [References!, Weights]);
}

/// <summary>Figures that a paper has for methods of an experiment.</summary>
/// <param name="Source">Where they stand.</param>
/// <param name="Figures">By the name of a method at its scale, the number of steps, and the metric.</param>
public sealed record PublishedFigures(
    string Source, IReadOnlyDictionary<(string Method, int Steps), IReadOnlyDictionary<string, double>> Figures)
{
    /// <summary>A figure, or null.</summary>
    public double? Of(string method, int steps, string metric) =>
        Figures.TryGetValue((method, steps), out var row) && row.TryGetValue(metric, out double value) ? value : null;

    /// <summary>Reads <c>{ "source": ..., "figures": [{ "method": ..., "steps": ..., "fid": ... }] }</c>.</summary>
    internal static PublishedFigures Read(JsonPart json, Experiment experiment)
    {
        string source = json.Needed("source", "a text").String();
        var figures = new Dictionary<(string, int), IReadOnlyDictionary<string, double>>();
        foreach (var one in json.Needed("figures", "a list").Items())
        {
            string method = one.Needed("method", "the name of a method").String();
            int steps = (int)one.Needed("steps", "a number of steps").Integer(1, 1000);
            if (!experiment.Variants.Any(variant => variant.Name == method && variant.Method.Steps.Contains(steps)))
                throw one.Wrong(
                    "method", $"a method at {steps} steps: {string.Join(", ", experiment.Variants.Select(variant => variant.Name))}");
            var row = new Dictionary<string, double>(StringComparer.Ordinal);
            foreach (var metric in experiment.Metrics)
            {
                if (one.Find(metric.Metric.Name)?.Number() is { } value)
                    row.Add(metric.Metric.Name, value);
            }
            one.RequireAllAsked();
            if (!figures.TryAdd((method, steps), row))
                throw one.Wrong("method", "each method and number of steps once");
        }
        json.RequireAllAsked();
        return new PublishedFigures(source, figures);
    }
}
