using System.Text.Json;
using Attune.Tensors;

namespace Attune.Weights;

/// <summary>A .safetensors file, or a folder with one or with shards and their index (<see cref="WeightFiles"/>).</summary>
internal sealed class SafetensorsSource : WeightSource
{
    private readonly List<SafetensorsFile> _files = [];
    private readonly SortedDictionary<string, SafetensorsFile> _tensors = new(StringComparer.Ordinal);

    private SafetensorsSource(string path) => Path = path;

    /// <inheritdoc/>
    public override string Path { get; }

    /// <inheritdoc/>
    public override IReadOnlyCollection<string> Names => _tensors.Keys;

    /// <summary>The files that were opened.</summary>
    public IReadOnlyList<SafetensorsFile> Files => _files;

    /// <summary>The file that holds a tensor, which is one of <see cref="Names"/>.</summary>
    public SafetensorsFile FileOf(string name) => _tensors[name];

    /// <summary>Opens a file or folder.</summary>
    /// <exception cref="CheckpointException">As <see cref="WeightSource.Open"/>.</exception>
    public static new SafetensorsSource Open(string path)
    {
        ArgumentNullException.ThrowIfNull(path);
        var source = new SafetensorsSource(path);
        try
        {
            if (File.Exists(path))
                source.Add(path);
            else if (Directory.Exists(path))
                source.AddFolder();
            else
                throw new CheckpointException($"'{path}' does not exist.");
            return source;
        }
        catch
        {
            source.Dispose();
            throw;
        }
    }

    /// <inheritdoc/>
    public override TensorEntry? Describe(string name) => _tensors.TryGetValue(name, out var file) ? file.Tensors[name] : null;

    /// <inheritdoc/>
    public override StoredWeight? Find(string name, Shape? expected = null) =>
        _tensors.TryGetValue(name, out var file) ? file.ToWeight(file.Tensors[name]) : null;

    /// <inheritdoc/>
    protected override void Dispose(bool disposing) => _files.ForEach(file => file.Dispose());

    private void AddFolder()
    {
        var files = WeightFiles.Of(Path, HasShard);
        if (files.Whole is { } whole)
            Add(whole);
        else
            AddShards(files.Index!);
    }

    /// <summary>Whether any file that an index lists is there. A malformed index counts: reading it says what is wrong.</summary>
    private bool HasShard(string index) =>
        ModelConfig.Read(index).Find("weight_map") is not { ValueKind: JsonValueKind.Object } map
            || !map.EnumerateObject().Any()
            || map.EnumerateObject()
                .Any(
                    entry => entry.Value.ValueKind != JsonValueKind.String
                        || entry.Value.GetString() is var name && (!IsFileName(name!) || File.Exists(System.IO.Path.Combine(Path, name!))));

    private void AddShards(string index)
    {
        if (ModelConfig.Read(index).Find("weight_map") is not { ValueKind: JsonValueKind.Object } map)
            throw new CheckpointException($"'{index}' has no object weight_map.");
        var shards = new Dictionary<string, SafetensorsFile>(StringComparer.Ordinal);
        var listed = new HashSet<string>(StringComparer.Ordinal);
        foreach (var entry in map.EnumerateObject())
        {
            string shard = entry.Value.ValueKind == JsonValueKind.String ? entry.Value.GetString()!
                : throw new CheckpointException(
                    $"'{index}': the file of the tensor {entry.Name} is {entry.Value.GetRawText()}, expected a name.");
            if (!IsFileName(shard))
                throw new CheckpointException($"'{index}': '{shard}' of the tensor {entry.Name} is no name of a file beside the index.");
            if (!listed.Add(entry.Name))
                throw new CheckpointException($"'{index}': the tensor {entry.Name} is listed twice.");
            if (!shards.TryGetValue(shard, out var file))
            {
                string path = System.IO.Path.Combine(Path, shard);
                if (!File.Exists(path))
                    throw new CheckpointException($"'{index}': the shard '{shard}' of the tensor {entry.Name} is missing.");
                shards[shard] = file = Add(path);
            }
            if (!file.Tensors.ContainsKey(entry.Name))
            {
                string? other = shards.FirstOrDefault(pair => pair.Value.Tensors.ContainsKey(entry.Name)).Key;
                throw new CheckpointException(
                    $"'{index}': the tensor {entry.Name} is not in the shard '{shard}'{(other == null ? "" : $" but in '{other}'")}.");
            }
        }
        string?[] variants = [.. shards.Keys.Select(WeightFiles.VariantOfShard).Distinct()];
        if (variants.Length > 1)
        {
            throw new CheckpointException(
                $"'{index}' mixes shards of different variants: {string.Join(", ", shards.Keys.Order(StringComparer.Ordinal))}.");
        }
        foreach (var (name, file) in _tensors)
        {
            if (!listed.Contains(name))
                throw new CheckpointException($"'{index}': the tensor {name} of '{file.Path}' is not listed.");
        }
    }

    private static bool IsFileName(string name) =>
        name.Length > 0
            && name == System.IO.Path.GetFileName(name) && name is not ("." or "..") && !name.Contains('\\', StringComparison.Ordinal)
            && !name.Contains('\0', StringComparison.Ordinal);

    private SafetensorsFile Add(string path)
    {
        var file = SafetensorsFile.Open(path);
        _files.Add(file);
        foreach (string name in file.Tensors.Keys)
        {
            if (!_tensors.TryAdd(name, file))
                throw new CheckpointException($"The tensor {name} is in '{_tensors[name].Path}' and in '{path}'.");
        }
        return file;
    }
}
