using System.Globalization;
using System.Security.Cryptography;
using System.Text;
using System.Text.RegularExpressions;
using Attune.Tensors;
using Attune.Weights;
using Attune.Weights.Writing;

namespace Attune.Verification;

/// <summary>The tensors of a released file by their names, types and shapes, as a manifest lists them.</summary>
internal sealed partial class ManifestTensors
{
    private readonly SortedDictionary<string, TensorEntry> _tensors = new(StringComparer.Ordinal);
    private readonly string[] _ignorable;

    private ManifestTensors(GoldenCase golden)
    {
        string type = TypeOf(golden.OptionalText("dtype"));
        bool hasOthers = golden.Arguments.TryGetProperty("dtypes", out var others);
        foreach (var entry in golden.Arguments.GetProperty("tensors").EnumerateObject())
        {
            long[] shape = [.. entry.Value.EnumerateArray().Select(extent => extent.GetInt64())];
            foreach (string name in Expand(entry.Name))
            {
                string own = hasOthers && others.TryGetProperty(name, out var other) ? TypeOf(other.GetString()) : type;
                long count = shape.Aggregate(1L, (product, extent) => product * extent);
                _tensors.Add(name, new TensorEntry(name, own, shape, golden.Name, 0, count * BytesOf(own)));
            }
        }
        _ignorable = golden.Arguments.TryGetProperty("ignorable", out var list)
            ? [.. list.EnumerateObject().Select(entry => entry.Name)] : [];
    }

    /// <summary>The tensors, sorted by the bytes of their names.</summary>
    public IReadOnlyDictionary<string, TensorEntry> All => _tensors;

    /// <summary>Reads a case's list, which must be the one that its SHA-256 is of.</summary>
    public static ManifestTensors Of(GoldenCase golden, Comparison results)
    {
        var tensors = new ManifestTensors(golden);
        results.Require(
            tensors.Sha256() == golden.Text("sha256"), $"{golden.Name}: the list of names and shapes has another SHA-256");
        return tensors;
    }

    /// <summary>The config.json that a case states.</summary>
    public static ModelConfig Config(GoldenCase golden) => ModelConfig.Parse(
        golden.Name + "/config.json", Encoding.UTF8.GetBytes(golden.Arguments.GetProperty("config").GetRawText()));

    /// <summary>Whether a loader may leave a tensor unread.</summary>
    public bool MayBeLeft(string name) => _ignorable.Any(
        pattern => pattern.EndsWith('*') ? name.StartsWith(pattern[..^1], StringComparison.Ordinal) : name == pattern);

    /// <summary>
    /// Writes a safetensors file of these names, types and shapes. Its data are a hole: zeros that take no room on file systems that know
    /// of holes.
    /// </summary>
    public void Write(string path)
    {
        byte[] header = SafetensorsContainer.Header(_tensors.Values);
        using var stream = new FileStream(path, FileMode.CreateNew);
        stream.Write(BitConverter.GetBytes((long)header.Length));
        stream.Write(header);
        stream.SetLength(stream.Position + _tensors.Values.Sum(tensor => tensor.Length));
    }

    /// <summary>Of the lines "name d0,d1,...\n".</summary>
    private string Sha256()
    {
        var text = new StringBuilder();
        foreach (var tensor in _tensors.Values)
            text.Append(tensor.Name).Append(' ').AppendJoin(',', tensor.Dimensions).Append('\n');
        return Convert.ToHexStringLower(SHA256.HashData(Encoding.UTF8.GetBytes(text.ToString())));
    }

    private static string TypeOf(string? dtype) => dtype switch
    {
        "float32" => "F32",
        "float16" => "F16",
        "int64" => "I64",
        _ => "BF16",
    };

    private static int BytesOf(string type) => type switch { "I64" => 8, "F32" => 4, _ => 2 };

    /// <summary>All names of a pattern: {0..2,5} stands for 0, 1, 2, 5.</summary>
    private static IEnumerable<string> Expand(string pattern)
    {
        var brace = Braces().Match(pattern);
        if (!brace.Success)
            return [pattern];
        var (before, after) = (pattern[..brace.Index], pattern[(brace.Index + brace.Length)..]);
        return brace.Groups[1].Value.Split(',').SelectMany(Range)
            .SelectMany(number => Expand(FormattableString.Invariant($"{before}{number}{after}")));
    }

    private static IEnumerable<int> Range(string text)
    {
        string[] ends = text.Split("..");
        int first = int.Parse(ends[0], CultureInfo.InvariantCulture);
        return Enumerable.Range(first, int.Parse(ends[^1], CultureInfo.InvariantCulture) - first + 1);
    }

    [GeneratedRegex(@"\{([^}]*)\}")]
    private static partial Regex Braces();
}

/// <summary>Names and shapes of tensors; their values are those of one file without contents, as long as the largest.</summary>
internal sealed class ShapeSource : WeightSource
{
    private readonly ManifestTensors _tensors;
    private readonly string _file = System.IO.Path.GetTempFileName();
    private readonly MappedFile _zeros;

    public ShapeSource(ManifestTensors tensors)
    {
        _tensors = tensors;
        using (var file = new FileStream(_file, FileMode.Create))
            file.SetLength(tensors.All.Values.Max(tensor => tensor.Length));
        _zeros = new MappedFile(_file);
    }

    public override string Path => _file;

    public override IReadOnlyCollection<string> Names => [.. _tensors.All.Keys];

    public override TensorEntry? Describe(string name) => _tensors.All.GetValueOrDefault(name) is { } tensor
        ? tensor with { File = _file } : null;

    public override StoredWeight? Find(string name, Shape? expected = null)
    {
        if (Describe(name) is not { } tensor)
            return null;
        var format = WeightFormat.Find(tensor.Type)
            ?? throw new CheckpointException($"{name} is of type {tensor.Type}, which is no weight.");
        return new StoredWeight(name, tensor.ToShape(), format, WeightBytes.Of(_zeros, 0, tensor.Length));
    }

    protected override void Dispose(bool disposing)
    {
        _zeros.Dispose();
        File.Delete(_file);
    }
}

/// <summary>A source that counts how often each weight was asked for.</summary>
internal sealed class CountedSource(WeightSource source) : WeightSource
{
    private readonly Dictionary<string, int> _asked = [];

    public override string Path => source.Path;

    public override IReadOnlyCollection<string> Names => source.Names;

    public override TensorEntry? Describe(string name) => source.Describe(name);

    public override StoredWeight? Find(string name, Shape? expected = null)
    {
        if (source.Describe(name) != null)
            _asked[name] = _asked.GetValueOrDefault(name) + 1;
        return source.Find(name, expected);
    }

    /// <summary>Requires that every tensor was asked for once, or not at all where it may be left.</summary>
    public void RequireReadOnce(string what, Func<string, bool> mayBeLeft, Comparison results)
    {
        foreach (string name in source.Names)
        {
            int asked = _asked.GetValueOrDefault(name);
            results.Require(
                asked == 1 || (asked == 0 && mayBeLeft(name)), FormattableString.Invariant($"{what}: {name} is read {asked} times"));
        }
    }

    protected override void Dispose(bool disposing) => source.Dispose();
}
