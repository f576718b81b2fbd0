using System.Globalization;
using System.Text;
using System.Text.RegularExpressions;
using Attune.Weights.Embeddings;

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
internal sealed partial class LoraSource : ModelSource
{
    /// <summary>How many names a message shows.</summary>
    private const int Shown = 20;

    private static readonly string[] Denoisers = ["unet", "transformer"];

    /// <summary>The second network of models with one for high and one for low noise (Wan 2.2).</summary>
    private const string LowNoise = "transformer_2";

    private static readonly string[] TextEncoders = ["text_encoder", "text_encoder_2", "text_encoder_3"];

    /// <summary>Stands for the denoiser.</summary>
    private const string Denoiser = "";

    /// <summary>Stands for the text encoder that is no CLIP, whatever its number: T5, where these names are in use.</summary>
    private const string OtherEncoder = "*";

    /// <summary>
    /// What stands before the names of modules, longest first, and the components that it may mean, the first that has the module. A number
    /// means the encoder of that number; but trainers count T5 as the second encoder of FLUX (OneTrainer) or as the third (sd-scripts), so
    /// that a layer that no encoder of this number has may be one of T5. ComfyUI names the encoders.
    /// </summary>
    private static readonly (string Prefix, string[] Components)[] Prefixes =
    [
        .. new (string, string[])[]
        {
            ("base_model.model.", [Denoiser]), ("model.diffusion_model.", [Denoiser]), ("diffusion_model.", [Denoiser]),
            ("transformer.", [Denoiser]), ("transformer_2.", [LowNoise]), ("unet.", [Denoiser]),
            ("lora_transformer_", [Denoiser]), ("lora_unet_", [Denoiser]), ("lycoris_", [Denoiser]),
            ("text_encoder.", ["text_encoder"]), ("text_encoder_2.", ["text_encoder_2"]), ("text_encoder_3.", ["text_encoder_3"]),
            ("lora_te_", ["text_encoder"]), ("lora_te1_", ["text_encoder"]), ("lora_te2_", ["text_encoder_2", OtherEncoder]),
            ("lora_te3_", ["text_encoder_3", OtherEncoder]),
        },
        .. Encoder("clip_l", "text_encoder"), .. Encoder("clip_h", "text_encoder"), .. Encoder("clip_g", "text_encoder_2"),
        .. Encoder("t5xxl", OtherEncoder),
    ];

    /// <summary>Keys of what is no LoRA although it comes in the same files, and what to say of it.</summary>
    private static readonly (string Mark, string What)[] OtherKinds =
    [
        (".oft_R", PeftRotations), (".oft_r", PeftRotations), (".oft_blocks.", " OFT blocks in tensors of their own are not supported."),
        ("string_to_param", Embedding), ("emb_params", Embedding),
    ];

    private const string PeftRotations = " The OFT of peft, which rotates inputs, is not supported.";
    private const string Embedding = " It is an embedding (textual inversion): --embedding takes it.";

    private readonly ModelSource _model;
    private readonly LoraSettings _settings;
    private readonly Dictionary<string, LoraTargets> _components = new(StringComparer.Ordinal);
    private readonly Dictionary<string, List<LoraDelta>> _deltas = new(StringComparer.Ordinal);

    /// <summary>The input channels of components that get more of them.</summary>
    private readonly Dictionary<string, (int Before, int After)> _widths = new(StringComparer.Ordinal);

    /// <exception cref="CheckpointException">A file is malformed, does not fit the model, or has keys that match nothing in it.</exception>
    public LoraSource(ModelSource model, IEnumerable<(string Path, float Scale)> files, LoraSettings settings)
        : base(model.Device)
    {
        (_model, _settings) = (model, settings);
        foreach (string name in Denoisers.Append(LowNoise).Concat(TextEncoders).Where(model.Has))
        {
            using var source = model.Component(name).OpenWeights();
            AdapterInside.Refuse(source);
            _components[name] = new LoraTargets(name, source);
            _deltas[name] = [];
        }
        foreach (var (path, scale) in files)
        {
            if (!float.IsFinite(scale))
                throw new ArgumentException(
                    string.Create(
                        CultureInfo.InvariantCulture, $"The scale of the LoRA file '{path}' is {scale}, expected a finite number."));
            Add(LoraFile.Read(path), scale);
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
    internal override IReadOnlyList<NamedTokens> AddedTokens(string tokenizer) => _model.AddedTokens(tokenizer);

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

    private void Add(LoraFile file, float scale)
    {
        file.Warnings.ForEach(warning => _settings.Warn?.Invoke(warning));
        var unmatched = file.Unknown.Select(key => (Layer: key, Keys: new List<string> { key })).ToList();
        var added = new Dictionary<(string Component, string Parameter), List<LoraDelta>>();
        LoraTargets[] networks = NetworksOf(file);
        foreach (var layer in file.Layers)
        {
            var (component, targets) = Resolve(layer.Name);
            (LoraTargets Network, List<LoraDelta>? Deltas)[] changes = component == null ? [] :
            [
                .. (Denoisers.Contains(component.Component) ? networks : [component])
                    .Select(network => (network, DeltasOf(file, layer, scale, network, targets))),
            ];
            if (changes.Length == 0 || changes.Any(change => change.Deltas == null))
            {
                unmatched.Add((layer.Name, layer.Keys));
                continue;
            }
            foreach (var (network, deltas) in changes)
                deltas!.ForEach(delta => AddOnce(added, network, delta));
        }
        if (unmatched.Count == 0)
            return;
        int count = unmatched.Sum(layer => layer.Keys.Count);
        var message = new StringBuilder()
            .Append(
                CultureInfo.InvariantCulture,
                $"'{file.Path}': {count} of {file.Count} keys match nothing in '{_model.Path}' ({string.Join(", ", _components.Keys)}): ");
        message.AppendJoin(
            ", ",
            unmatched.Take(Shown)
                .Select(
                    layer => layer.Keys.Count == 1 ? layer.Keys[0]
                        : $"{layer.Layer}.{{{string.Join(", ", layer.Keys.Select(key => key[(layer.Layer.Length + 1)..]))}}}"));
        if (unmatched.Count > Shown)
            message.Append(CultureInfo.InvariantCulture, $", and {unmatched.Count - Shown} more");
        message.Append('.');
        var said = new List<string>();
        foreach (var (mark, what) in OtherKinds)
        {
            if (file.Unknown.Any(key => key.Contains(mark, StringComparison.Ordinal)) && !said.Contains(what))
                said.Add(what);
        }
        message.AppendJoin("", said);
        if (_settings.Lenient && count < file.Count)
            _settings.Warn?.Invoke(message.ToString());
        else
            throw new CheckpointException(
                message.Append(count == file.Count ? "" : " LenientLora (--lora-lenient) leaves them out with a warning.").ToString());
    }

    /// <summary>
    /// The networks that a file for "the denoiser" means. Of two, for high and for low noise, the keys are equal in all tools but
    /// diffusers; the file's name tells them apart, as that of the network itself does. Where it does not, the file was made for a model
    /// with one network (Wan 2.1), and such files are used for both.
    /// </summary>
    private LoraTargets[] NetworksOf(LoraFile file)
    {
        LoraTargets[] first = [.. Meaning(Denoiser)];
        if (!_components.TryGetValue(LowNoise, out var low) || first.Length == 0)
            return first;
        if (file.Layers.Any(layer => layer.Name.StartsWith(LowNoise, StringComparison.Ordinal)))
            return first;
        foreach (var noise in NoiseInName.Of(file.Title))
        {
            if (noise.InFull || Details().IsMatch(noise.Behind))
                return noise.IsLow ? [low] : first;
        }
        _settings.Warn?.Invoke(
            $"'{file.Path}' changes both networks of '{_model.Path}': '{file.Title}' says neither high_noise nor low_noise.");
        return [first[0], low];
    }

    /// <summary>
    /// What may stand behind high or low alone: nothing, a type, a rank or a version. Styles are called high contrast and low poly.
    /// </summary>
    [GeneratedRegex(@"^(?:$|[-_ .](?:fp|bf|rank|r?\d|v\d))", RegexOptions.IgnoreCase | RegexOptions.CultureInvariant)]
    private static partial Regex Details();

    /// <summary>ComfyUI's names of a text encoder, outer ones first.</summary>
    private static IEnumerable<(string Prefix, string[] Components)> Encoder(string name, string component) =>
        [
            ($"text_encoders.{name}.transformer.", [component]), ($"text_encoders.{name}.", [component]),
            ($"{name}.transformer.", [component]), ($"{name}.", [component]),
        ];

    /// <summary>The modules that a layer's name means: the name is looked up as it is, then without one prefix after the other.</summary>
    private (LoraTargets? Component, IReadOnlyList<LoraTarget> Targets) Resolve(string name)
    {
        string[] meant = [Denoiser];
        while (true)
        {
            foreach (var component in meant.SelectMany(Meaning))
            {
                if (component.Find(name) is { Count: > 0 } found)
                    return (component, found);
            }
            var (prefix, components) = Prefixes.Where(prefix => name.StartsWith(prefix.Prefix, StringComparison.Ordinal))
                .OrderByDescending(prefix => prefix.Prefix.Length)
                .FirstOrDefault();
            if (prefix == null)
                return (null, []);
            (name, meant) = (name[prefix.Length..], components);
        }
    }

    /// <summary>The components of the model that an entry of <see cref="Prefixes"/> means.</summary>
    private IEnumerable<LoraTargets> Meaning(string component) => component switch
    {
        Denoiser => Denoisers.Where(_components.ContainsKey).Take(1).Select(name => _components[name]),
        OtherEncoder => TextEncoders.Where(name => _components.TryGetValue(name, out var targets) && !targets.IsClip)
            .Select(name => _components[name]),
        _ => _components.TryGetValue(component, out var targets) ? [targets] : [],
    };

    /// <summary>What a layer changes; null when a parameter that it changes does not exist.</summary>
    private static List<LoraDelta>? DeltasOf(
        LoraFile file, LoraLayer layer, float scale, LoraTargets component, IReadOnlyList<LoraTarget> targets)
    {
        var deltas = new List<LoraDelta>();
        int rows = targets.Sum(target => target.Rows);
        foreach (var target in targets)
        {
            foreach (bool bias in new[] { false, true })
            {
                if (bias ? layer is { UpBias: null, BiasDifference: null } : !layer.ChangesWeight)
                    continue;
                if (component.Parameter(target.Module, bias) is not { } parameter)
                    return null;
                var delta = new LoraDelta(file.Path, layer, parameter, bias, target, scale);
                delta.Check(component.ShapeOf(parameter), rows);
                deltas.Add(delta);
            }
        }
        LoraDelta[] whole = [.. deltas.Where(delta => !delta.IsBias)];
        foreach (var delta in whole)
            delta.Whole = whole;
        return deltas;
    }

    /// <summary>Adds a change. A file that has one layer under two names would act twice as strongly as it was made to.</summary>
    /// <param name="added">What the file changed so far.</param>
    /// <param name="component">Where it belongs.</param>
    /// <param name="delta">The change.</param>
    /// <exception cref="CheckpointException">Another layer of the file changes the same rows.</exception>
    private void AddOnce(
        Dictionary<(string Component, string Parameter), List<LoraDelta>> added, LoraTargets component, LoraDelta delta)
    {
        string name = component.Component;
        if (!added.TryGetValue((name, delta.Parameter), out var others))
            added[(name, delta.Parameter)] = others = [];
        var (start, rows) = (delta.Rows.TargetStart, delta.Rows.Rows);
        if (others.Find(other => other.Rows.TargetStart < start + rows && start < other.Rows.TargetStart + other.Rows.Rows) is { } other)
        {
            throw new CheckpointException(
                $"'{delta.File}': the layers {other.Layer.Name} and {delta.Layer.Name} both change {name}.{delta.Parameter}.");
        }
        others.Add(delta);

        // A file with scale 0 is switched off; merging nothing would still fix the lengths of DoRA's rows.
        if (delta.UserScale == 0)
            return;
        _deltas[name].Add(delta);
        var shape = component.ShapeOf(delta.Parameter);
        if (delta.Widens(shape))
            _widths[name] = (shape[1], Math.Max((int)delta.Columns, _widths.GetValueOrDefault(name).After));
    }
}
