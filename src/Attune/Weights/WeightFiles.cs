using System.Text.RegularExpressions;

namespace Attune.Weights;

/// <summary>
/// The safetensors files of one folder that belong together: those of one name and one variant (<c>fp16</c>, <c>bf16</c>, <c>non_ema</c>).
/// A variant's name stands before the number of a shard (transformers: <c>model.fp16-00001-of-00002.safetensors</c>) or behind it
/// (diffusers: <c>model-00001-of-00002.fp16.safetensors</c>), and at any of three places in the name of an index.
/// </summary>
/// <param name="Name">What the names of the files begin with: <c>diffusion_pytorch_model</c>.</param>
/// <param name="Variant">The variant, or null for the plain files.</param>
internal sealed partial record WeightFiles(string Name, string? Variant)
{
    /// <summary>Why pickles are refused, and what to do.</summary>
    public const string Pickled =
        "pickled weights (.bin, .pt, .pth, .ckpt) are not read, because a pickle is a program; take the model's .safetensors or GGUF "
            + "version, or convert the file where a program may run: safetensors.torch.save_file(torch.load(FILE, weights_only=True), "
            + "\"model.safetensors\") in Python.";

    /// <summary>The names that diffusers and transformers give to a component's weights.</summary>
    private static readonly string[] Usual = ["diffusion_pytorch_model", "model"];

    /// <summary>The file with all weights, if there is one.</summary>
    public string? Whole { get; private set; }

    /// <summary>The list of the shards, if there is one.</summary>
    public string? Index { get; private set; }

    /// <summary>Whether there are files with a shard's number.</summary>
    public bool HasShards { get; private set; }

    /// <summary>
    /// The files that are a folder's weights: a whole file of a usual name, else what an index lists, else the one file that there is.
    /// Plain files come before those of a variant; an index of which no shard is there does not count where something else does.
    /// </summary>
    /// <param name="folder">The folder.</param>
    /// <param name="hasShard">Whether any shard of an index is there.</param>
    /// <exception cref="CheckpointException">There are no weights, or it cannot be told which of them are meant.</exception>
    public static WeightFiles Of(string folder, Predicate<string> hasShard)
    {
        var all = In(folder);
        var present = all.FindAll(files => files.Whole != null || files.HasShards || (files.Index is { } index && hasShard(index)));
        var plain = present.FindAll(files => files.Variant == null);
        var listing = all.FindAll(files => files.Index != null && (plain.Count == 0 || files.Variant == null || !files.HasShards));
        var found = plain.Count > 0 ? Plain(plain, hasShard) ?? Single(listing) : Single(present.Count > 0 ? present : listing);
        if (found is { Whole: null, Index: null })
            found = found.OnlyShard(folder);
        if (found != null)
            return found;
        if (all.Count == 0)
        {
            throw new CheckpointException(
                $"'{folder}' holds no .safetensors file"
                    + (
                        Directory.EnumerateFiles(folder).Any(IsPickled)
                            ? $"; {Pickled}"
                            : "."));
        }
        string names = string.Join(
            ", ", Directory.GetFiles(folder).Select(Path.GetFileName).Where(name => Parse(name!) != null).Order(StringComparer.Ordinal));
        bool variants = all.Select(files => files.Variant).Distinct().Count() > 1 && all.All(files => files.Variant != null);
        string what = variants ? "weights of several variants, none of them plain"
            : "several .safetensors files and "
                + (all.Count(files => files.Index != null) > 1 ? "several indices" : "no index that says which belong together");
        throw new CheckpointException($"'{folder}' holds {what}: {names}.");
    }

    /// <summary>The GGUF file of a folder that holds one and no safetensors; else null.</summary>
    public static string? OnlyGguf(string folder)
    {
        if (!Directory.Exists(folder) || Directory.EnumerateFiles(folder).Any(file => Parse(Path.GetFileName(file)) != null))
            return null;
        string[] files = [.. Directory.EnumerateFiles(folder).Where(IsGguf)];
        return files.Length == 1 ? files[0] : null;
    }

    /// <summary>Whether a folder holds weights, readable ones or not.</summary>
    public static bool AnyIn(string folder) =>
        Directory.Exists(folder)
            && Directory.EnumerateFiles(folder).Any(file => Parse(Path.GetFileName(file)) != null || IsGguf(file) || IsPickled(file));

    /// <summary>The variant of a shard by its name; null for plain ones and for names without a number.</summary>
    public static string? VariantOfShard(string file) => Parse(file) is { Shard: true } parsed ? parsed.Variant : null;

    private static List<WeightFiles> In(string folder)
    {
        var all = new List<WeightFiles>();
        foreach (string path in Directory.GetFiles(folder).Order(StringComparer.Ordinal))
        {
            if (Parse(Path.GetFileName(path)) is not { } parsed)
                continue;
            var files = all.Find(files => files.Name == parsed.Name && files.Variant == parsed.Variant);
            if (files == null)
                all.Add(files = new WeightFiles(parsed.Name, parsed.Variant));
            if (parsed.Index)
                files.Index ??= path;
            else if (parsed.Shard)
                files.HasShards = true;
            else
                files.Whole = path;
        }
        return all;
    }

    /// <summary>A whole file of a usual name, the one index, or the one file.</summary>
    private static WeightFiles? Plain(List<WeightFiles> plain, Predicate<string> hasShard) =>
        plain.Where(files => files.Whole != null && Usual.Contains(files.Name)).MinBy(files => Array.IndexOf(Usual, files.Name))
            ?? Single(plain.FindAll(files => files.Index is { } index && hasShard(index)))
            ?? (plain.All(files => files.Index == null) ? Single(plain) : null);

    private static WeightFiles? Single(List<WeightFiles> all) => all.Count == 1 ? all[0] : null;

    /// <summary>A file whose name says that it is one of several, but which is alone, may hold all there is.</summary>
    private WeightFiles? OnlyShard(string folder)
    {
        string[] files = [.. Directory.GetFiles(folder).Where(file => Parse(Path.GetFileName(file)) != null)];
        return files.Length == 1 ? new WeightFiles(Name, Variant) { Whole = files[0] } : null;
    }

    private static (string Name, string? Variant, bool Shard, bool Index)? Parse(string file)
    {
        var match = FileName().Match(file);
        bool index = !match.Success;
        if (index)
            match = IndexName().Match(file);
        return match.Success
            ? (match.Groups["name"].Value, match.Groups["variant"].Success ? match.Groups["variant"].Value : null,
                match.Groups["shard"].Success, index)
            : null;
    }

    private static bool IsGguf(string file) => Path.GetExtension(file).Equals(".gguf", StringComparison.OrdinalIgnoreCase);

    /// <summary>Whether a file is one of <c>torch.save</c>, by its name.</summary>
    internal static bool IsPickled(string file) => Path.GetExtension(file) is ".bin" or ".pt" or ".pth" or ".ckpt";

    [GeneratedRegex(
        @"^(?<name>[^.]+?)(?<shard>-[0-9]{5}-of-[0-9]{5})\.(?<variant>[^.]+)\.safetensors$"
            + @"|^(?<name>[^.]+?)(\.(?<variant>[^.]+?))?(?<shard>-[0-9]{5}-of-[0-9]{5})?\.safetensors$"
            + @"|^(?<name>.+)\.safetensors$",
        RegexOptions.ExplicitCapture | RegexOptions.CultureInvariant)]
    private static partial Regex FileName();

    [GeneratedRegex(
        @"^(?<name>[^.]+)(\.(?<variant>[^.]+))?\.safetensors\.index\.json$|^(?<name>[^.]+)\.safetensors\.index\.(?<variant>[^.]+)\.json$"
            + @"|^(?<name>[^.]+)\.safetensors\.(?<variant>[^.]+)\.index\.json$|^(?<name>.+)\.safetensors\.index\.json$",
        RegexOptions.ExplicitCapture | RegexOptions.CultureInvariant)]
    private static partial Regex IndexName();
}
