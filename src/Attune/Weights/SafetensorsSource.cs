using System.Text.Json;
using Attune.Tensors;

namespace Attune.Weights;

/// <summary>A .safetensors file, or a folder with one or with shards and their index (*.safetensors.index.json).</summary>
internal sealed class SafetensorsSource : WeightSource
{
    private static readonly string[] PreferredFiles = ["diffusion_pytorch_model.safetensors", "model.safetensors"];
    private readonly List<SafetensorsFile> _files = [];
    private readonly SortedDictionary<string, SafetensorsFile> _tensors = new(StringComparer.Ordinal);

    private SafetensorsSource(string path) => Path = path;

    /// <inheritdoc/>
    public override string Path { get; }

    /// <inheritdoc/>
    public override IReadOnlyCollection<string> Names => _tensors.Keys;

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
        string[] indices = [.. Directory.GetFiles(Path, "*.safetensors.index.json").Order(StringComparer.Ordinal)];
        string[] files = [.. Directory.GetFiles(Path, "*.safetensors").Order(StringComparer.Ordinal)];
        string? preferred = PreferredFiles.Select(name => System.IO.Path.Combine(Path, name)).FirstOrDefault(File.Exists);
        if (preferred != null || (files.Length == 1 && indices.Length == 0))
            Add(preferred ?? files[0]);
        else if (indices.Length == 1)
            AddShards(indices[0]);
        else if (files.Length == 0)
            throw new CheckpointException(
                $"'{Path}' holds no .safetensors file"
                    + (Directory.EnumerateFiles(Path).Any(IsPickled) ? "; pickled weights (.bin, .pt, .pth, .ckpt) are not read." : "."));
        else
            throw new CheckpointException(
                $"'{Path}' holds several .safetensors files and {(indices.Length == 0 ? "no index" : "several indices")}: "
                    + $"{string.Join(", ", files.Concat(indices).Select(System.IO.Path.GetFileName))}.");
    }

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
            if (shard.Length == 0
                || shard != System.IO.Path.GetFileName(shard) || shard is "." or ".." || shard.Contains('\\', StringComparison.Ordinal)
                || shard.Contains('\0', StringComparison.Ordinal))
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
        foreach (var (name, file) in _tensors)
        {
            if (!listed.Contains(name))
                throw new CheckpointException($"'{index}': the tensor {name} of '{file.Path}' is not listed.");
        }
    }

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

    private static bool IsPickled(string file) => System.IO.Path.GetExtension(file) is ".bin" or ".pt" or ".pth" or ".ckpt";
}
