using Attune.Evaluation.Metrics;
using Attune.Imaging;
using Attune.Tensors;
using Attune.Weights;

namespace Attune.Evaluation.Experiments;

/// <summary>Reads pictures by an experiment's metrics, and by a judge where there is one, which belongs to the caller.</summary>
public sealed class MetricsReader : IPictureReader, IDisposable
{
    private readonly IPictureReader? _judge;
    private readonly List<(ExperimentMetric Metric, IMetricReader Reader)> _metrics = [];

    /// <summary>Opens the weights of the metrics.</summary>
    /// <param name="judge">The judge, or null.</param>
    /// <param name="metrics">The metrics.</param>
    /// <param name="device">What computes.</param>
    /// <exception cref="CheckpointException">Weights are missing or malformed.</exception>
    public MetricsReader(IPictureReader? judge, IReadOnlyList<ExperimentMetric> metrics, Device device)
    {
        ArgumentNullException.ThrowIfNull(metrics);
        _judge = judge;
        try
        {
            foreach (var metric in metrics)
                _metrics.Add((metric, metric.Metric.Open(metric.Weights, metric.Preparation, device)));
        }
        catch
        {
            Dispose();
            throw;
        }
    }

    /// <inheritdoc/>
    public IReadOnlyDictionary<string, IReadOnlyList<string>> Heads => _judge?.Heads ?? new Dictionary<string, IReadOnlyList<string>>();

    /// <inheritdoc/>
    public int FeatureCount => _judge?.FeatureCount ?? 0;

    /// <inheritdoc/>
    public int? PictureSize => _judge?.PictureSize;

    /// <inheritdoc/>
    public bool ComparesWithBaseline =>
        _judge?.ComparesWithBaseline == true || _metrics.Exists(one => one.Metric.Metric.ComparesWithBaseline);

    /// <inheritdoc/>
    public PictureReading Read(Image picture, ExperimentPrompt prompt, Image? baseline = null)
    {
        ArgumentNullException.ThrowIfNull(prompt);
        var reading = _judge?.Read(picture, prompt, baseline)
            ?? new PictureReading(new Dictionary<string, HeadReading>(), Array.Empty<float>(), null, null);
        return reading with
        {
            Metrics = _metrics.ToDictionary(
                one => one.Metric.Metric.Name, one => one.Reader.Read(picture, prompt.Prompt, baseline), StringComparer.Ordinal),
        };
    }

    /// <summary>
    /// Puts what metrics compare with into the folder of the records, so that reports need neither networks nor pictures of references.
    /// What is there already and was made of the same is kept.
    /// </summary>
    /// <param name="folder">The folder of the records; made if it does not exist.</param>
    /// <param name="progress">Told how many of how many pictures of references were read.</param>
    /// <param name="cancellation">Stops between pictures.</param>
    /// <exception cref="ArgumentException">References are too few, or made ready otherwise than the metric asks.</exception>
    /// <exception cref="CheckpointException">A file of references is damaged.</exception>
    /// <exception cref="IOException">A file cannot be read or written.</exception>
    public void KeepReferences(string folder, Action<int, int>? progress = null, CancellationToken cancellation = default)
    {
        ArgumentException.ThrowIfNullOrEmpty(folder);
        Directory.CreateDirectory(folder);
        foreach (var (metric, reader) in _metrics.Where(one => one.Metric.References != null))
        {
            string file = Path.Combine(folder, metric.ReferenceFile), path = metric.References!;
            if (!File.Exists(path) && !Directory.Exists(path))
                throw new ArgumentException($"'{path}', the references of {metric.Metric.Name}, does not exist.");
            string source = metric.ReferenceSource();
            if (File.Exists(file) && ReferenceSet.Load(file).Source == source)
                continue;
            var references = File.Exists(path) ? ReferenceSet.Load(path)
                : ReferenceSet.Read(path, reader, metric.Preparation, progress, cancellation);
            if (references.Statistics.Preparation is { } preparation && preparation != metric.Preparation.Name)
                throw new ArgumentException(
                    $"'{path}' is of pictures made ready as {preparation}, expected {metric.Preparation.Name}, as {metric.Metric.Name} "
                        + "asks.");
            if (metric.Metric.Unfit(references) is { } unfit)
                throw new ArgumentException($"'{path}': {unfit}.");
            (references with { Source = source }).Save(file);
        }
    }

    /// <inheritdoc/>
    public void Dispose() => _metrics.ForEach(one => one.Reader.Dispose());
}
