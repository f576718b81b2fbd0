using Attune.Generation;
using Attune.Guidance;
using Attune.Models;
using Attune.Server.Requests;

namespace Attune.Server.Engine;

/// <summary>What is known of a model without keeping it in memory.</summary>
/// <param name="Served">Its name and files.</param>
/// <param name="Identity">Its name and hash, as pictures state them.</param>
/// <param name="Facts">What it is, and what requests may ask of it.</param>
/// <param name="SizeMultiple">Of which width and height are multiples, in pixels.</param>
/// <param name="Preset">What is published for it; null for nothing.</param>
/// <param name="Scheduler">The class of its own scheduler.</param>
/// <param name="Bytes">Of its weights.</param>
/// <param name="Created">When its files were written.</param>
internal sealed record ModelInfo(
    ServedModel Served, ModelIdentity Identity, FamilyFacts Facts, int SizeMultiple, ModelPreset? Preset, string Scheduler, long Bytes,
    DateTimeOffset Created)
{
    public string Name => Served.Name;

    public int DefaultWidth => Facts.DefaultSize;

    public int DefaultHeight => Facts.DefaultHeight ?? Facts.DefaultSize;

    /// <summary>What a model is. It is opened for a moment; its weights are mapped, and not read.</summary>
    public static ModelInfo Of(ServedModel served)
    {
        using var pipeline = DiffusionPipeline.Load(served.Path, served.Options);
        return new ModelInfo(
            served, ModelIdentity.Of(served.Path, served.Options.Parts), pipeline.Facts, pipeline.SizeMultiple, pipeline.Preset,
            pipeline.Scheduler.ClassName, ModelIdentity.WeightBytes([served.Path, .. served.Options.Parts]),
            new DateTimeOffset(File.GetLastWriteTimeUtc(served.Path), TimeSpan.Zero));
    }
}

/// <summary>The models that a server has.</summary>
internal sealed class ModelCatalog
{
    private readonly Dictionary<string, ModelInfo> _known;

    /// <param name="models">The models; the first is the default.</param>
    /// <param name="aliases">Other names of them.</param>
    /// <exception cref="ArgumentException">There is none, two have one name, or an alias names none.</exception>
    public ModelCatalog(IReadOnlyList<ModelInfo> models, IReadOnlyDictionary<string, string> aliases)
    {
        if (models.Count == 0)
            throw new ArgumentException("A server has one model at least.", nameof(models));
        All = models;
        _known = new Dictionary<string, ModelInfo>(StringComparer.Ordinal);
        foreach (var model in models)
        {
            if (!_known.TryAdd(model.Name, model))
                throw new ArgumentException($"Two models are called '{model.Name}'.", nameof(models));
        }
        foreach (var (alias, name) in aliases)
        {
            if (!_known.TryGetValue(name, out var model))
                throw new ArgumentException($"The alias {alias} is for '{name}', which is no model; there are: {Names}.", nameof(aliases));
            _known.TryAdd(alias, model);
        }
    }

    public IReadOnlyList<ModelInfo> All { get; }

    public ModelInfo Default => All[0];

    private string Names => string.Join(", ", All.Select(model => model.Name));

    /// <summary>The model of a name or alias; null is the default.</summary>
    /// <exception cref="ApiException">There is none: 404.</exception>
    public ModelInfo Find(string? name)
    {
        if (name == null)
            return Default;
        return _known.GetValueOrDefault(name)
            ?? throw ApiException.NotFound(
                $"The model '{(name.Length > 60 ? name[..60] + "..." : name)}' does not exist; there are: {Names}.", "model_not_found",
                "model");
    }
}
