using System.Globalization;
using System.Text;
using System.Text.Json;
using System.Text.RegularExpressions;
using Attune.Weights.Embeddings;

namespace Attune.Weights.Lora;

/// <summary>
/// What a file holds for one layer: factors, a whole difference, and what scales them. Keys of every dialect end up here.
/// </summary>
internal sealed class LoraLayer(string name)
{
    /// <summary>The layer's name as the file writes it, prefix and all: <c>lora_unet_mid_block_attentions_0_proj_in</c>.</summary>
    public string Name => name;

    /// <summary>All keys of the layer.</summary>
    public List<string> Keys { get; } = [];

    /// <summary>The tensors by what they are for the layer: <c>down</c>, <c>hada_w1_a</c>, <c>alpha</c>.</summary>
    public Dictionary<string, TensorEntry> Tensors { get; } = new(StringComparer.Ordinal);

    /// <summary>What acts on the weight, in this order.</summary>
    public List<AdapterForm> Forms { get; } = [];

    /// <summary>The length of each row of the changed weight, or of each input channel (<see cref="DoraLengths"/>).</summary>
    public TensorEntry? Magnitude { get; set; }

    /// <summary>A difference of the bias that is scaled like the factors (peft's <c>lora_bias</c>).</summary>
    public TensorEntry? UpBias { get; set; }

    /// <summary>A whole difference of the bias.</summary>
    public TensorEntry? BiasDifference { get; set; }

    /// <summary>The low-rank product, if there is one.</summary>
    public LowRankForm? LowRank => Forms.OfType<LowRankForm>().FirstOrDefault();

    /// <summary>Whether the weight changes, not the bias alone.</summary>
    public bool ChangesWeight => Forms.Count > 0;
}

/// <summary>
/// A LoRA file, sorted by layers. It knows nothing of any model: what a name means is <see cref="LoraTargets"/>'s to say.
/// </summary>
internal sealed partial class LoraFile
{
    private static readonly string[] PreferredFiles = ["pytorch_lora_weights.safetensors", "adapter_model.safetensors"];

    private readonly SortedDictionary<string, LoraLayer> _layers = new(StringComparer.Ordinal);

    private LoraFile(SafetensorsFile file)
    {
        Path = file.Path;
        foreach (var tensor in file.Tensors.Values.OrderBy(tensor => tensor.Name, StringComparer.Ordinal))
        {
            if (tensor.Name.StartsWith(EmbeddingFile.Bundle, StringComparison.Ordinal))
                Bundled++;
            else if (!Place(tensor, file))
                Unknown.Add(tensor.Name);
        }
        foreach (var layer in _layers.Values.ToArray())
        {
            foreach (var left in Understand(layer, file))
            {
                Unknown.Add(left.Name);
                layer.Keys.Remove(left.Name);
            }
            if (layer.Keys.Count == 0)
                _layers.Remove(layer.Name);
        }
        ReadScales(file);
    }

    /// <summary>The file.</summary>
    public string Path { get; }

    /// <summary>What people call it: the file's name, or the folder's where libraries name all files alike.</summary>
    public string Title => PreferredFiles.Contains(System.IO.Path.GetFileName(Path))
        ? System.IO.Path.GetFileName(System.IO.Path.GetDirectoryName(System.IO.Path.GetFullPath(Path))!)
        : System.IO.Path.GetFileNameWithoutExtension(Path);

    /// <summary>The layers, by name.</summary>
    public IEnumerable<LoraLayer> Layers => _layers.Values;

    /// <summary>Keys that no dialect has, and factors without their counterpart.</summary>
    public List<string> Unknown { get; } = [];

    /// <summary>How many tensors are embeddings that come with the file (<see cref="EmbeddingFile.ReadBundled"/>).</summary>
    public int Bundled { get; private set; }

    /// <summary>What can be read in two ways.</summary>
    public List<string> Warnings { get; } = [];

    /// <summary>The number of tensors in the file.</summary>
    public int Count => Unknown.Count + Layers.Sum(layer => layer.Keys.Count);

    /// <summary>Reads the names, shapes and scales of a file, or of the one file of a folder.</summary>
    /// <exception cref="CheckpointException">There is no such file, or it is malformed.</exception>
    public static LoraFile Read(string path)
    {
        using var file = SafetensorsFile.Open(Find(path));
        return new LoraFile(file);
    }

    /// <summary>The file, or the one file of a folder.</summary>
    public static string Find(string path)
    {
        if (!Directory.Exists(path))
            return File.Exists(path) ? path : throw new CheckpointException($"The LoRA file '{path}' does not exist.");
        string[] files = [.. Directory.GetFiles(path, "*.safetensors").Order(StringComparer.Ordinal)];
        return PreferredFiles.Select(name => System.IO.Path.Combine(path, name)).FirstOrDefault(File.Exists)
            ?? (
                files.Length == 1 ? files[0]
                    : throw new CheckpointException(
                        $"The folder '{path}' holds {files.Length} .safetensors files, expected one with LoRA weights, or "
                            + $"{PreferredFiles[0]}."));
    }

    /// <summary>Gives a tensor its place in a layer; false when its key is of no known form.</summary>
    private bool Place(TensorEntry tensor, SafetensorsFile file)
    {
        string key = tensor.Name;
        var match = FactorKey().Match(key);
        if (!match.Success)
            match = OldProcessorKey().Match(key);
        if (!match.Success)
            match = OtherKey().Match(key);
        if (!match.Success)
            match = ScaledKey().Match(key) is { Success: true } scaled
                && file.Tensors.ContainsKey(scaled.Groups["layer"].Value + ".on_input") ? scaled : match;
        if (!match.Success)
            return false;
        string name = match.Groups["layer"].Value;
        bool bias = key.EndsWith(".bias", StringComparison.Ordinal);
        string kind = match.Groups["kind"].Value;
        string? part = kind switch
        {
            "lora_A" or "lora_down" or "lora.down" or "lora_linear_layer.down" or "down" => bias ? null : "down",
            "lora_B" or "lora_up" or "lora.up" or "lora_linear_layer.up" or "up" => bias ? "up_bias" : "up",
            "lora_mid" => bias ? null : "mid",
            "alpha" or "lora.alpha" or "lora_linear_layer.alpha" => "alpha",
            "dora_scale" or "lora_magnitude_vector" => "magnitude",
            "w_norm" => "diff",
            "b_norm" => "diff_b",
            _ => kind,
        };
        if (part == null)
            return false;
        if (!_layers.TryGetValue(name, out var layer))
            _layers[name] = layer = new LoraLayer(name);
        if (!layer.Tensors.TryAdd(part, tensor))
            return false;
        layer.Keys.Add(key);
        return true;
    }

    /// <summary>
    /// Says what acts on a layer's parameters, and which tensors are left over, as a factor without its counterpart is. Types and extents
    /// are checked before a weight is changed; an alpha may be of any type of numbers.
    /// </summary>
    private IReadOnlyCollection<TensorEntry> Understand(LoraLayer layer, SafetensorsFile file)
    {
        var reader = new LayerReader(file, layer);
        layer.Forms.AddRange(AdapterForm.All.Select(read => read(reader)).OfType<AdapterForm>());
        if (layer.Forms.Any(form => form is not (DifferenceForm or ReplacementForm or InfusedForm)))
            layer.Magnitude = reader.Take("magnitude");
        if (layer.LowRank is { } product && reader.Take("up_bias") is { } bias)
        {
            layer.UpBias = bias;
            if (bias.Count != product.Up.Dimensions[0])
                throw reader.Wrong($"{bias.Name} is {bias.Extents}, expected {product.Up.Dimensions[0]} numbers");
        }
        layer.BiasDifference = reader.Take("diff_b");
        if (layer.ChangesWeight || layer.BiasDifference != null)
            reader.TakeNumber("alpha");
        if (layer.Forms.OfType<KroneckerForm>().Any(form => form.IsWhole)
            && reader.Alpha is { } alpha && file.Metadata.TryGetValue("ss_network_dim", out string? text)
            && double.TryParse(text, CultureInfo.InvariantCulture, out double rank) && alpha != rank && rank != 0)
        {
            Warnings.Add(
                FormattableString.Invariant(
                    $"'{Path}': {layer.Name} has whole factors (LoKr), for which its alpha {alpha} does not count, and the file's rank is ")
                    + FormattableString.Invariant($"{rank}; if it acts too strongly, a scale of {alpha / rank:0.####} is meant."));
        }
        return reader.Left;
    }

    /// <summary>Each layer's own alpha; where it has none, what the header or the configuration of peft says.</summary>
    private void ReadScales(SafetensorsFile file)
    {
        var metadata = PeftScales.Read(file);
        foreach (var layer in _layers.Values.Where(layer => !layer.Tensors.ContainsKey("alpha")))
        {
            if (layer.LowRank is { } product && metadata?.ScaleOf(layer.Name, product.Rank, Warnings) is { } scale)
                product.Scale = new LayerReader(file, layer).Finite(scale);
        }
    }

    /// <summary>peft, kohya, ComfyUI, and the later of the old diffusers forms; peft may put the adapter's name in between.</summary>
    [GeneratedRegex(
        @"^(?<layer>.+)\.(?<kind>lora_A|lora_B|lora_down|lora_up|lora_mid|lora\.down|lora\.up|lora_linear_layer\.down"
            + @"|lora_linear_layer\.up)(\.[A-Za-z0-9_-]+)?\.(weight|bias)$",
        RegexOptions.NonBacktracking | RegexOptions.ExplicitCapture)]
    private static partial Regex FactorKey();

    /// <summary>
    /// The first diffusers releases and xlabs: <c>processor.to_q_lora.down.weight</c>, <c>processor.qkv_lora1.up.weight</c>.
    /// </summary>
    [GeneratedRegex(@"^(?<layer>.+_lora[0-9]?)\.(?<kind>down|up)\.weight$", RegexOptions.NonBacktracking | RegexOptions.ExplicitCapture)]
    private static partial Regex OldProcessorKey();

    [GeneratedRegex(
        @"^(?<layer>[^.].*?)\.(?<kind>lora\.alpha|lora_linear_layer\.alpha|alpha|dora_scale|lora_magnitude_vector|diff_b|diff|scale"
            + @"|w_norm|b_norm|hada_w[12]_[ab]|hada_t[12]|lokr_w[12](_[ab])?|lokr_t2|oft_blocks|rescale|on_input|[ab][12])"
            + @"((\.default)?\.weight|\.default)?$",
        RegexOptions.NonBacktracking | RegexOptions.ExplicitCapture)]
    private static partial Regex OtherKey();

    /// <summary>The factors of (IA)^3 are called like a weight; they are none where <c>on_input</c> stands beside them.</summary>
    [GeneratedRegex(@"^(?<layer>.+)\.(?<kind>weight)$", RegexOptions.NonBacktracking | RegexOptions.ExplicitCapture)]
    private static partial Regex ScaledKey();
}

/// <summary>
/// Scales that stand apart from the tensors: in the header's <c>lora_adapter_metadata</c> (diffusers; keys carry the component's name), or
/// in the adapter_config.json beside peft's adapter_model.safetensors.
/// </summary>
internal sealed class PeftScales
{
    private const string HeaderKey = "lora_adapter_metadata";
    private readonly ModelConfig _config;
    private readonly string[] _components;

    private PeftScales(ModelConfig config, IEnumerable<string> components) =>
        (_config, _components) = (config, [.. components.OrderByDescending(name => name.Length)]);

    public static PeftScales? Read(SafetensorsFile file)
    {
        if (file.Metadata.TryGetValue(HeaderKey, out string? text))
        {
            var config = ModelConfig.Parse($"{file.Path}: {HeaderKey}", Encoding.UTF8.GetBytes(text));
            return new PeftScales(
                config,
                config.Keys()
                    .Where(key => key.EndsWith(".lora_alpha", StringComparison.Ordinal))
                    .Select(key => key[..^"lora_alpha".Length]));
        }
        string beside = Path.Combine(Path.GetDirectoryName(Path.GetFullPath(file.Path))!, "adapter_config.json");
        return Path.GetFileName(file.Path) == "adapter_model.safetensors" && File.Exists(beside)
            ? new PeftScales(ModelConfig.Read(beside), [""])
            : null;
    }

    /// <summary>
    /// alpha / rank of a layer, or alpha / sqrt(rank) where the file says rank-stabilised; null when nothing is stated for it. The first
    /// pattern that fits counts, in the order of the JSON.
    /// </summary>
    /// <param name="layer">The layer's name.</param>
    /// <param name="rank">Its rank.</param>
    /// <param name="warnings">Receives a warning when a later pattern fits too and says otherwise: peft sorts patterns when it saves, so
    /// that the model may have been trained with that one.</param>
    public double? ScaleOf(string layer, long rank, List<string> warnings)
    {
        string? component = _components.FirstOrDefault(prefix => layer.StartsWith(prefix, StringComparison.Ordinal));
        if (component == null || _config.OptionalDouble(component + "lora_alpha") is not { } alpha)
            return null;
        if (_config.Find(component + "alpha_pattern") is { } patterns)
        {
            if (patterns.ValueKind != JsonValueKind.Object)
                throw new CheckpointException($"'{_config.Path}': {component}alpha_pattern is {patterns.ValueKind}, expected an object.");
            string? first = null;
            foreach (var pattern in patterns.EnumerateObject())
            {
                if (!Matches(layer, pattern.Name))
                    continue;
                if (pattern.Value.ValueKind != JsonValueKind.Number)
                    throw new CheckpointException(
                        $"'{_config.Path}': {component}alpha_pattern of {pattern.Name} is {pattern.Value.GetRawText()}, expected a "
                            + $"number.");
                double value = pattern.Value.GetDouble();
                if (first != null && value != alpha)
                    warnings.Add(
                        string.Create(
                            CultureInfo.InvariantCulture,
                            $"'{_config.Path}': {component}alpha_pattern has {alpha} by {first} and {value} by {pattern.Name} for the "
                                + $"layer {layer}; the first counts."));
                if (first == null)
                    (first, alpha) = (pattern.Name, value);
            }
        }
        return alpha / (_config.Bool(component + "use_rslora", false) ? Math.Sqrt(rank) : rank);
    }

    /// <summary>Patterns are regular expressions for the end of a name, from a dot on.</summary>
    private bool Matches(string layer, string pattern)
    {
        try
        {
            return Regex.IsMatch(
                layer, $@"^(.*\.)?({pattern.TrimStart('^')})$", RegexOptions.NonBacktracking | RegexOptions.CultureInvariant);
        }
        catch (Exception exception) when (exception is ArgumentException or NotSupportedException)
        {
            throw new CheckpointException(
                $"'{_config.Path}': the alpha_pattern '{pattern}' is no regular expression: {exception.Message}", exception);
        }
    }
}
