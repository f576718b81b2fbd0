using Attune.Attention;
using Attune.Tensors;

namespace Attune.Guidance.Diagnostics;

/// <summary>The values of one quantity in one step, at one layer or of the whole prediction.</summary>
/// <param name="Step">The index of the step in <see cref="GuidanceTrace.Steps"/>.</param>
/// <param name="Layer">The index of the layer in <see cref="GuidanceTrace.Layers"/>; null for the prediction.</param>
/// <param name="Values">How they are distributed over tokens (and heads), or over the samples of a batch.</param>
public readonly record struct TraceEntry(int Step, int? Layer, Summary Values);

/// <summary>One quantity over layers and steps.</summary>
public sealed class TraceSeries
{
    private readonly List<TraceEntry> _entries = [];

    internal TraceSeries(Quantity quantity, GuidanceRule? rule) => (Quantity, Rule) = (quantity, rule);

    /// <summary>What is measured.</summary>
    public Quantity Quantity { get; }

    /// <summary>The rule that the numbers are about; null where they are about all of them.</summary>
    public GuidanceRule? Rule { get; }

    /// <summary>The values, in the order in which they were measured.</summary>
    public IReadOnlyList<TraceEntry> Entries => _entries;

    internal void Add(TraceEntry entry) => _entries.Add(entry);
}

/// <summary>
/// Collects what guidance does in one run, layer by layer and step by step: give it to a request (<c>GenerationRequest.Trace</c>) and read
/// it when the run is done, or between its steps. It costs attention calls and time of its own, but changes no bit of the result. Passes
/// other than the one for the prompt are not watched. Not thread-safe.
/// </summary>
public sealed class GuidanceTrace : IAttentionProbe
{
    private readonly List<StepPoint> _steps = [];
    private readonly List<AttentionSite> _layers = [];
    private readonly Dictionary<AttentionSite, int> _layerIndices = [];
    private readonly List<TraceSeries> _series = [];
    private readonly List<TracePlaces> _places = [];
    private readonly Dictionary<(Quantity, GuidanceRule?), TraceSeries> _seriesByKey = [];

    /// <summary>The steps that have begun.</summary>
    public IReadOnlyList<StepPoint> Steps => _steps;

    /// <summary>The layers that were watched, in the order in which the model called them.</summary>
    public IReadOnlyList<AttentionSite> Layers => _layers;

    /// <summary>What was measured: for each quantity, and each rule that reports it, one series.</summary>
    public IReadOnlyList<TraceSeries> Series => _series;

    /// <summary>
    /// Where guidance acts: over frames, rows and columns. One for each way in which the latents lie, as at the levels of a UNet, in the
    /// order in which they were met; empty where no rule acted in attention.
    /// </summary>
    public IReadOnlyList<TracePlaces> Places => _places;

    /// <summary>Begins a step: what is observed from now on belongs to it. A pipeline does this.</summary>
    /// <exception cref="InvalidOperationException">The step does not follow the one before: the trace already holds another
    /// run.</exception>
    public void Begin(StepPoint point)
    {
        if (point.Index != _steps.Count)
            throw new InvalidOperationException(
                $"A trace records one run: step {point.Index} cannot follow {_steps.Count} recorded steps. Give every request a trace of "
                    + $"its own.");
        _steps.Add(point);
    }

    /// <inheritdoc/>
    public void Observe(AttentionFacts facts, Tensor guided, IReadOnlyList<AttentionEffect> effects)
    {
        ArgumentNullException.ThrowIfNull(facts);
        ArgumentNullException.ThrowIfNull(guided);
        ArgumentNullException.ThrowIfNull(effects);
        var site = facts.Call.Site;
        if (!_layerIndices.TryGetValue(site, out int layer))
        {
            _layerIndices[site] = layer = _layers.Count;
            _layers.Add(site);
        }
        using var scope = new TensorScope();
        GeneralMeasures.OfAttention(facts, guided, effects.Count > 0, new Recorder(this, layer, null) { Grid = GridOf(facts) });
        foreach (var effect in effects)
        {
            if ((effect.Correction ?? (object?)effect.Base) is IDiagnosedRule rule)
                rule.Measure(facts, new Recorder(this, layer, rule as GuidanceRule));
        }
    }

    /// <summary>Measures the predictions of a step. A pipeline does this.</summary>
    /// <param name="facts">The single passes.</param>
    /// <param name="guidance">What the step needed.</param>
    /// <param name="guided">What <see cref="StepGuidance.Combine"/> made of the passes.</param>
    public void Observe(PredictionFacts facts, StepGuidance guidance, Tensor guided)
    {
        ArgumentNullException.ThrowIfNull(facts);
        ArgumentNullException.ThrowIfNull(guidance);
        ArgumentNullException.ThrowIfNull(guided);
        using var scope = new TensorScope();
        GeneralMeasures.OfPredictions(facts, guided, guidance.Predictions.Count > 0, new Recorder(this, null, null));
        foreach (var pass in guidance.Passes)
        {
            if (pass.Rule is { } rule)
                GeneralMeasures.OfPerturbation(facts, facts.Perturbed(rule), new Recorder(this, null, rule));
        }
    }

    /// <summary>How the latents lie, where they are all of the rows that are guided.</summary>
    private static LatentGrid? GridOf(AttentionFacts facts)
    {
        var latents = facts.Call.Queries.Spans.FirstOrDefault(span => span.Kind == TokenKind.Latent);
        return latents.Grid is { } grid && grid.Count == latents.Length && facts.Length == latents.Length ? grid : null;
    }

    private void AddPlaces(LatentGrid grid, ReadOnlySpan<double> values)
    {
        var places = _places.Find(places => places.Grid == grid);
        if (places == null)
            _places.Add(places = new TracePlaces(grid, _steps[0].Count));
        places.Add(_steps.Count - 1, values);
    }

    private void Add(Quantity quantity, GuidanceRule? rule, int? layer, ReadOnlySpan<double> values)
    {
        if (_steps.Count == 0)
            throw new InvalidOperationException("A trace observes steps: begin one first.");
        if (Summary.Of(values) is not { } summary)
            return;
        if (!_seriesByKey.TryGetValue((quantity, rule), out var series))
        {
            _seriesByKey[(quantity, rule)] = series = new TraceSeries(quantity, rule);
            _series.Add(series);
        }
        series.Add(new TraceEntry(_steps.Count - 1, layer, summary));
    }

    private sealed class Recorder(GuidanceTrace trace, int? layer, GuidanceRule? rule) : IMeasurements
    {
        public void Add(Quantity quantity, double value) => trace.Add(quantity, rule, layer, [value]);

        /// <summary>How the values of tokens lie; null where they do not.</summary>
        public LatentGrid? Grid { get; init; }

        public void Add(Quantity quantity, ReadOnlySpan<double> values)
        {
            trace.Add(quantity, rule, layer, values);
            if (quantity == GeneralMeasures.Change && Grid is { } grid)
                trace.AddPlaces(grid, values);
        }
    }
}
