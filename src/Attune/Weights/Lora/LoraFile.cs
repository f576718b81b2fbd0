using System.Globalization;
using System.Text;
using System.Text.Json;
using System.Text.RegularExpressions;

namespace Attune.Weights.Lora;

/// <summary>
/// What a file holds for one layer: two factors, or a whole difference, and what scales them. Keys of every dialect end up here.
/// </summary>
internal sealed class LoraLayer(string name)
{
    /// <summary>The layer's name as the file writes it, prefix and all: <c>lora_unet_mid_block_attentions_0_proj_in</c>.</summary>
    public string Name => name;

    /// <summary>All keys of the layer.</summary>
    public List<string> Keys { get; } = [];

    /// <summary>[rank, in] or [rank, in, kernel, kernel].</summary>
    public TensorEntry? Down { get; set; }

    /// <summary>[rank, rank, kernel, kernel]: the core of a convolution that is factored in three (LoCon's Tucker form).</summary>
    public TensorEntry? Mid { get; set; }

    /// <summary>[out, rank] or [out, rank, 1, 1].</summary>
    public TensorEntry? Up { get; set; }

    /// <summary>The length of each row of the merged weight (DoRA; Liu et al., 2024).</summary>
    public TensorEntry? Magnitude { get; set; }

    /// <summary>A difference of the bias that is scaled like the factors (peft's <c>lora_bias</c>).</summary>
    public TensorEntry? UpBias { get; set; }

    /// <summary>A whole difference of the weight.</summary>
    public TensorEntry? Difference { get; set; }

    /// <summary>A whole difference of the bias.</summary>
    public TensorEntry? BiasDifference { get; set; }

    /// <summary>A vector that takes the place of a norm's, whatever the scale: Black Forest Labs' control files have some.</summary>
    public TensorEntry? Replacement { get; set; }

    /// <summary>The scalar that stands for alpha.</summary>
    public TensorEntry? AlphaTensor { get; set; }

    /// <summary>alpha / rank: what the product of the factors is multiplied with. Without an alpha anywhere it is 1.</summary>
    public double Scale { get; set; } = 1;

    /// <summary>The inner extent of the product.</summary>
    public long Rank => Down!.Dimensions[0];
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
            if (!Place(tensor))
                Unknown.Add(tensor.Name);
        }
        foreach (var layer in _layers.Values.ToArray())
        {
            CheckTypes(layer);
            bool product = layer is { Down: not null, Up: not null };
            bool halves = !product
                && (layer.Down != null || layer.Up != null || layer.Mid != null || layer.Magnitude != null || layer.UpBias != null);
            if (halves || (!product && layer is { Difference: null, BiasDifference: null, Replacement: null }))
            {
                Unknown.AddRange(layer.Keys);
                _layers.Remove(layer.Name);
            }
            else if (product)
            {
                CheckFactors(layer);
            }
        }
        ReadScales(file);
    }

    /// <summary>The file.</summary>
    public string Path { get; }

    /// <summary>The layers, by name.</summary>
    public IEnumerable<LoraLayer> Layers => _layers.Values;

    /// <summary>Keys that no dialect has, and factors without their counterpart.</summary>
    public List<string> Unknown { get; } = [];

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

    private static string Find(string path)
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
    private bool Place(TensorEntry tensor)
    {
        string key = tensor.Name;
        var match = FactorKey().Match(key);
        if (!match.Success)
            match = OldProcessorKey().Match(key);
        if (!match.Success)
            match = OtherKey().Match(key);
        if (!match.Success)
            return false;
        string name = match.Groups["layer"].Value;
        if (!_layers.TryGetValue(name, out var layer))
            _layers[name] = layer = new LoraLayer(name);
        bool bias = key.EndsWith(".bias", StringComparison.Ordinal);
        bool free = match.Groups["kind"].Value switch
        {
            "lora_A" or "lora_down" or "lora.down" or "lora_linear_layer.down" or "down" =>
                !bias && layer.Down == null && (layer.Down = tensor) != null,
            "lora_B" or "lora_up" or "lora.up" or "lora_linear_layer.up" or "up" when bias =>
                layer.UpBias == null && (layer.UpBias = tensor) != null,
            "lora_B" or "lora_up" or "lora.up" or "lora_linear_layer.up" or "up" => layer.Up == null && (layer.Up = tensor) != null,
            "lora_mid" => !bias && layer.Mid == null && (layer.Mid = tensor) != null,
            "alpha" or "lora.alpha" or "lora_linear_layer.alpha" => layer.AlphaTensor == null && (layer.AlphaTensor = tensor) != null,
            "dora_scale" or "lora_magnitude_vector" => layer.Magnitude == null && (layer.Magnitude = tensor) != null,
            "diff" => layer.Difference == null && (layer.Difference = tensor) != null,
            "scale" => layer.Replacement == null && (layer.Replacement = tensor) != null,
            _ => layer.BiasDifference == null && (layer.BiasDifference = tensor) != null,
        };
        if (!free)
            return false;
        layer.Keys.Add(key);
        return true;
    }

    /// <summary>Types are checked before a weight is changed; an alpha may be of any type of numbers.</summary>
    private static void CheckTypes(LoraLayer layer)
    {
        foreach (
            var tensor in new[] {
                layer.Down, layer.Mid, layer.Up, layer.Magnitude, layer.UpBias, layer.Difference, layer.BiasDifference, layer.Replacement })
        {
            if (tensor is { IsWeight: false })
                throw SafetensorsFile.Unsupported(tensor);
        }
    }

    private void CheckFactors(LoraLayer layer)
    {
        var (down, up, mid) = (layer.Down!, layer.Up!, layer.Mid);
        if (down.Dimensions.Count < 2
            || up.Dimensions.Count < 2 || down.Count == 0 || up.Count == 0 || up.Dimensions[1] != down.Dimensions[0] && mid == null)
            throw Wrong(layer, $"its factors are {down.Extents} and {up.Extents}, expected [rank, in, ...] and [out, rank, ...]");
        if (up.Dimensions.Skip(2).Any(extent => extent != 1))
            throw Wrong(layer, $"{up.Name} is {up.Extents}, expected a kernel of 1 x 1");
        if (mid != null
            && (
                mid.Dimensions.Count < 2
                    || mid.Count == 0 || mid.Dimensions[0] != up.Dimensions[1] || mid.Dimensions[1] != down.Dimensions[0]
                    || down.Dimensions.Skip(2).Any(extent => extent != 1)))
            throw Wrong(
                layer, $"{mid.Name} is {mid.Extents} between {down.Extents} and {up.Extents}, expected [rank, rank, kernel, kernel]");
        if (layer.UpBias is { } bias && bias.Count != up.Dimensions[0])
            throw Wrong(layer, $"{bias.Name} is {bias.Extents}, expected {up.Dimensions[0]} numbers");
    }

    /// <summary>Each layer's own alpha; where it has none, what the header or the configuration of peft says.</summary>
    private void ReadScales(SafetensorsFile file)
    {
        var metadata = PeftScales.Read(file);
        foreach (var layer in _layers.Values.Where(layer => layer.Down != null))
        {
            if (layer.AlphaTensor is { } alpha)
                layer.Scale = file.ReadNumber(alpha) / layer.Rank;
            else if (metadata?.ScaleOf(layer.Name, layer.Rank, Warnings) is { } scale)
                layer.Scale = scale;
            if (!double.IsFinite(layer.Scale))
                throw Wrong(
                    layer, string.Create(CultureInfo.InvariantCulture, $"its alpha / rank is {layer.Scale}, expected a finite number"));
        }
    }

    private CheckpointException Wrong(LoraLayer layer, string what) => new($"'{Path}': the layer {layer.Name} is malformed: {what}.");

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
        @"^(?<layer>[^.].*?)\.(?<kind>lora\.alpha|lora_linear_layer\.alpha|alpha|dora_scale|lora_magnitude_vector|diff_b"
            + @"|diff|scale)((\.default)?\.weight|\.default)?$",
        RegexOptions.NonBacktracking | RegexOptions.ExplicitCapture)]
    private static partial Regex OtherKey();
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
