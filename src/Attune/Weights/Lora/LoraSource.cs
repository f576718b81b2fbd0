using System.Globalization;
using System.Text;

namespace Attune.Weights.Lora;

/// <summary>How LoRA files are applied.</summary>
/// <param name="Merge">Whether factors are merged into the weights, or kept apart where the layer can compute them.</param>
/// <param name="Lenient">Whether keys that match nothing are a warning, not an error.</param>
/// <param name="Warn">Receives a warning for each such key.</param>
internal sealed record LoraSettings(bool Merge, bool Lenient, Action<string>? Warn);

/// <summary>
/// A model with LoRA files: its components' weights are changed when they are opened. Every key must match and fit; that is checked here,
/// before anything is loaded.
/// </summary>
internal sealed class LoraSource : ModelSource
{
    /// <summary>How many names a message shows.</summary>
    private const int Shown = 20;

    private static readonly string[] Denoisers = ["unet", "transformer"];
    private static readonly string[] TextEncoders = ["text_encoder", "text_encoder_2", "text_encoder_3"];

    /// <summary>What stands before the names of modules, longest first, and the component that it means: null is the denoiser.</summary>
    private static readonly (string Prefix, string? Component)[] Prefixes =
    [
        ("text_encoders.clip_l.transformer.", "text_encoder"), ("text_encoders.clip_g.transformer.", "text_encoder_2"),
        ("base_model.model.", null), ("model.diffusion_model.", null),
        ("diffusion_model.", null), ("text_encoder_3.", "text_encoder_3"), ("text_encoder_2.", "text_encoder_2"),
        ("text_encoder.", "text_encoder"), ("transformer.", null), ("unet.", null),
        ("lora_transformer_", null), ("lora_unet_", null), ("lora_te1_", "text_encoder"), ("lora_te2_", "text_encoder_2"),
        ("lora_te3_", "text_encoder_3"), ("lora_te_", "text_encoder"),
    ];

    private readonly ModelSource _model;
    private readonly LoraSettings _settings;
    private readonly Dictionary<string, List<LoraDelta>> _deltas = new(StringComparer.Ordinal);

    /// <summary>The input channels of components that get more of them.</summary>
    private readonly Dictionary<string, (int Before, int After)> _widths = new(StringComparer.Ordinal);

    /// <exception cref="CheckpointException">A file is malformed, does not fit the model, or has keys that match nothing in it.</exception>
    public LoraSource(ModelSource model, IEnumerable<(string Path, float Scale)> files, LoraSettings settings)
        : base(model.Device)
    {
        (_model, _settings) = (model, settings);
        var components = new Dictionary<string, LoraTargets>(StringComparer.Ordinal);
        foreach (string name in Denoisers.Concat(TextEncoders).Where(model.Has))
        {
            using var source = model.Component(name).OpenWeights();
            components[name] = new LoraTargets(name, source);
            _deltas[name] = [];
        }
        string? denoiser = Denoisers.FirstOrDefault(components.ContainsKey);
        foreach (var (path, scale) in files)
        {
            if (!float.IsFinite(scale))
                throw new ArgumentException(
                    string.Create(
                        CultureInfo.InvariantCulture, $"The scale of the LoRA file '{path}' is {scale}, expected a finite number."));
            Add(LoraFile.Read(path), scale, components, denoiser);
        }
    }

    /// <inheritdoc/>
    public override string Path => _model.Path;

    /// <inheritdoc/>
    public override ModelConfig Index => _model.Index;

    /// <inheritdoc/>
    public override ModelConfig Scheduler => _model.Scheduler;

    /// <inheritdoc/>
    public override bool Has(string component) => _model.Has(component);

    /// <inheritdoc/>
    public override string Tokenizer(string name) => _model.Tokenizer(name);

    /// <inheritdoc/>
    public override ComponentSource Component(string name)
    {
        var component = _model.Component(name);
        if (!_deltas.TryGetValue(name, out var deltas) || deltas.Count == 0)
            return component;
        var config = component.Config;
        if (_widths.TryGetValue(name, out var width))
        {
            int outputs = config.Int("out_channels", width.Before);
            config = config.With("in_channels", width.After).With("out_channels", outputs);
        }
        return new ComponentSource(config, Device, () => new AdaptedSource(component.OpenWeights(), deltas, _settings.Merge));
    }

    private void Add(LoraFile file, float scale, Dictionary<string, LoraTargets> components, string? denoiser)
    {
        file.Warnings.ForEach(warning => _settings.Warn?.Invoke(warning));
        var unmatched = file.Unknown.Select(key => (Layer: key, Keys: new List<string> { key })).ToList();
        foreach (var layer in file.Layers)
        {
            var (component, targets) = Resolve(layer.Name, components, denoiser);
            if (component == null || !Add(file, layer, scale, component, targets))
                unmatched.Add((layer.Name, layer.Keys));
        }
        if (unmatched.Count == 0)
            return;
        int count = unmatched.Sum(layer => layer.Keys.Count);
        var message = new StringBuilder()
            .Append(
                CultureInfo.InvariantCulture,
                $"'{file.Path}': {count} of {file.Count} keys match nothing in '{_model.Path}' ({string.Join(", ", components.Keys)}): ");
        message.AppendJoin(
            ", ",
            unmatched.Take(Shown)
                .Select(
                    layer => layer.Keys.Count == 1 ? layer.Keys[0]
                        : $"{layer.Layer}.{{{string.Join(", ", layer.Keys.Select(key => key[(layer.Layer.Length + 1)..]))}}}"));
        if (unmatched.Count > Shown)
            message.Append(CultureInfo.InvariantCulture, $", and {unmatched.Count - Shown} more");
        message.Append('.');
        if (file.Unknown.Any(key => key.Contains(".hada_", StringComparison.Ordinal) || key.Contains(".lokr_", StringComparison.Ordinal)))
            message.Append(" LoHa and LoKr are not supported.");
        if (!_settings.Lenient)
            throw new CheckpointException(message.ToString());
        _settings.Warn?.Invoke(message.ToString());
    }

    /// <summary>The modules that a layer's name means: the name is looked up as it is, then without one prefix after the other.</summary>
    private static (LoraTargets? Component, IReadOnlyList<LoraTarget> Targets) Resolve(
        string name, Dictionary<string, LoraTargets> components, string? denoiser)
    {
        string? component = denoiser;
        while (true)
        {
            if (component != null && components.TryGetValue(component, out var targets) && targets.Find(name) is { Count: > 0 } found)
                return (targets, found);
            var (prefix, meant) = Prefixes.FirstOrDefault(prefix => name.StartsWith(prefix.Prefix, StringComparison.Ordinal));
            if (prefix == null)
                return (null, []);
            (name, component) = (name[prefix.Length..], meant ?? denoiser);
        }
    }

    /// <summary>Adds what a layer changes; false when a parameter that it changes does not exist.</summary>
    private bool Add(LoraFile file, LoraLayer layer, float scale, LoraTargets component, IReadOnlyList<LoraTarget> targets)
    {
        var deltas = new List<LoraDelta>();
        int rows = targets.Sum(target => target.Rows);
        foreach (var target in targets)
        {
            foreach (bool bias in new[] { false, true })
            {
                if (bias ? layer is { UpBias: null, BiasDifference: null } : layer is { Down: null, Difference: null, Replacement: null })
                    continue;
                if (component.Parameter(target.Module, bias) is not { } parameter)
                    return false;
                var delta = new LoraDelta(file.Path, layer, parameter, bias, target, scale);
                delta.Check(component.ShapeOf(parameter), rows);
                deltas.Add(delta);
            }
        }

        // A file with scale 0 is switched off; merging nothing would still fix the lengths of DoRA's rows.
        if (scale == 0)
            return true;
        _deltas[component.Component].AddRange(deltas);
        foreach (var delta in deltas)
        {
            var shape = component.ShapeOf(delta.Parameter);
            if (delta.Widens(shape))
                _widths[component.Component] = (
                    shape[1], Math.Max((int)delta.Columns, _widths.GetValueOrDefault(component.Component).After));
        }
        return true;
    }
}
