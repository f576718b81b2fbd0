using System.Text.RegularExpressions;
using Attune.Tensors;
using Attune.Weights.SingleFile;

namespace Attune.Weights.Lora;

/// <summary>Rows of a module's parameters that are rows of a layer of a LoRA file.</summary>
/// <param name="Module">The module in the checkpoint.</param>
/// <param name="SourceStart">The first row of the file's layer.</param>
/// <param name="TargetStart">The first row of the parameter.</param>
/// <param name="Rows">How many.</param>
internal readonly record struct LoraTarget(string Module, int SourceStart, int TargetStart, int Rows);

/// <summary>
/// The modules of one component under all names that LoRA files use for them. Names are matched against those of the checkpoint, with
/// underscores for dots on both sides: nobody has to guess where a dot was.
/// </summary>
internal sealed partial class LoraTargets
{
    private readonly Dictionary<string, Shape> _shapes;
    private readonly HashSet<string> _modules = new(StringComparer.Ordinal);
    private readonly Dictionary<string, string[]> _fused = new(StringComparer.Ordinal);
    private readonly Dictionary<string, string> _names = new(StringComparer.Ordinal);
    private readonly HashSet<string> _swapped = new(StringComparer.Ordinal);

    public LoraTargets(string component, WeightSource source)
    {
        Component = component;
        _shapes = source.Entries
            .Where(
                tensor => tensor.IsWeight
                    && tensor.Dimensions.Count is > 0 and <= Shape.MaxRank
                    && tensor.Dimensions.All(extent => extent is > 0 and <= int.MaxValue))
            .ToDictionary(tensor => tensor.Name, tensor => tensor.ToShape(), StringComparer.Ordinal);
        foreach (string name in _shapes.Keys)
            _modules.Add(ModuleOf(name));
        foreach (string module in _modules)
        {
            AddName(module, module);
            foreach (string alias in OldNames(module))
                AddName(alias, module);
        }
        AddLdmNames();
        AddOriginalNames();
    }

    /// <summary>The component's name in the pipeline: <c>unet</c>.</summary>
    public string Component { get; }

    /// <summary>Whether the component is a CLIP text encoder.</summary>
    public bool IsClip => _modules.Contains("text_model.final_layer_norm") || _modules.Contains("encoder.layers.0.self_attn.q_proj");

    /// <summary>The modules that a name means, or none.</summary>
    public IReadOnlyList<LoraTarget> Find(string name)
    {
        if (!_names.TryGetValue(Underscored(name), out string? module))
            return [];
        string[] parts = _fused.GetValueOrDefault(module, [module]);
        var targets = new List<LoraTarget>();
        int row = 0;
        foreach (string part in parts)
        {
            int rows = Rows(part);
            targets.Add(new LoraTarget(part, row, 0, rows));
            row += rows;
        }
        if (!_swapped.Contains(module))
            return targets;
        int half = row / 2;
        return [new LoraTarget(parts[0], half, 0, half), new LoraTarget(parts[0], 0, half, half)];
    }

    /// <summary>A module's weight or bias in the checkpoint, or null.</summary>
    public string? Parameter(string module, bool bias)
    {
        string name = bias ? module + ".bias" : module + ".weight";
        return _shapes.ContainsKey(name) ? name : !bias && _shapes.ContainsKey(module) ? module : null;
    }

    /// <summary>The shape of a parameter.</summary>
    public Shape ShapeOf(string parameter) => _shapes[parameter];

    private static string ModuleOf(string name) =>
        name.EndsWith(".weight", StringComparison.Ordinal)
            ? name[..^".weight".Length]
            : name.EndsWith(".bias", StringComparison.Ordinal) ? name[..^".bias".Length]
            : name;

    private static string Underscored(string name) => name.Replace('.', '_');

    private int Rows(string module) => (Parameter(module, bias: false) ?? Parameter(module, bias: true)) is { } name ? _shapes[name][0] : 0;

    /// <summary>The first meaning of a name stays: real names come first, so that no alias hides one.</summary>
    private void AddName(string name, string module) => _names.TryAdd(Underscored(name), module);

    /// <summary>The attention processors of the first diffusers releases, and text encoders with and without their outer name.</summary>
    private static IEnumerable<string> OldNames(string module)
    {
        var processor = DenoiserProjection().Match(module);
        if (processor.Success)
            yield return $"{processor.Groups[1].Value}.processor.to_{processor.Groups[2].Value}_lora";
        var projection = TextProjection().Match(module);
        if (projection.Success)
            yield return $"{projection.Groups[1].Value}.to_{projection.Groups[2].Value}_lora";
        const string TextModel = "text_model.";
        if (module.StartsWith(TextModel, StringComparison.Ordinal))
            yield return module[TextModel.Length..];
        else if (module.StartsWith("encoder.layers.", StringComparison.Ordinal))
            yield return TextModel + module;
    }

    private void AddLdmNames()
    {
        int levels = 0;
        int layers = 0;
        while (_modules.Contains(FormattableString.Invariant($"down_blocks.{levels}.resnets.0.conv1")))
            levels++;
        while (_modules.Contains(FormattableString.Invariant($"down_blocks.0.resnets.{layers}.conv1")))
            layers++;
        if (levels == 0)
            return;
        var ldm = new PrefixMap(LdmUnetNames.Pairs(levels, layers).Select(pair => (pair.Diffusers, pair.Ldm)));
        foreach (string module in _modules)
        {
            foreach (string alias in ldm.Rename(module))
                AddName(alias, module);
        }
    }

    private void AddOriginalNames()
    {
        foreach (var original in OriginalNames.All.Where(original => original is { Modules.Length: > 0, TableRows: 0 }))
        {
            for (int i = 0; ; i++)
            {
                string[] parts = [.. original.Modules.Select(module => OriginalNames.Numbered(module, i))];
                if (!parts.All(_modules.Contains))
                    break;
                string name = OriginalNames.Numbered(original.Name, i);
                bool swapped = original.HalvesSwapped
                    && !(original.SwappedUnless is { } other && _modules.Contains(OriginalNames.Numbered(other, i)));
                if (parts.Length == 1 && !swapped)
                {
                    AddName(name, parts[0]);
                }
                else if (!_names.ContainsKey(Underscored(name)))
                {
                    _names[Underscored(name)] = name;
                    _fused[name] = parts;
                    if (swapped)
                        _swapped.Add(name);
                }
                if (!original.Name.Contains(OriginalNames.Number, StringComparison.Ordinal))
                    break;
            }
        }
    }

    [GeneratedRegex(@"^(.+)\.to_(q|k|v|out)(?:\.0)?$", RegexOptions.NonBacktracking)]
    private static partial Regex DenoiserProjection();

    [GeneratedRegex(@"^(.+\.self_attn)\.(q|k|v|out)_proj$", RegexOptions.NonBacktracking)]
    private static partial Regex TextProjection();
}
