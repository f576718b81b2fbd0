using System.Collections.Concurrent;
using System.IO.Enumeration;
using System.Text.Json;
using Attune.Tensors;
using Attune.Weights.Lora;

namespace Attune.Weights;

/// <summary>
/// The weights of one component: a .safetensors file, or a folder with one or with shards and their index. Nothing but headers is read when
/// it is opened. Owns the mapped files, and the few weights that are made when a model asks for them (merged LoRA, transposed): a weight
/// must not be used after its checkpoint was disposed.
/// </summary>
public sealed class Checkpoint : IDisposable
{
    private static readonly string[] PreferredFiles = ["diffusion_pytorch_model.safetensors", "model.safetensors"];
    private readonly List<SafetensorsFile> _files = [];
    private readonly SortedDictionary<string, (StoredTensor Tensor, SafetensorsFile File)> _tensors = new(StringComparer.Ordinal);
    private readonly HashSet<string> _transposed = new(StringComparer.Ordinal);
    private readonly Dictionary<string, (Weight Weight, Tensor Memory)> _made = new(StringComparer.Ordinal);
    private LoraPatch? _patch;
    private readonly ConcurrentDictionary<string, bool> _used = new(StringComparer.Ordinal);
    private readonly HashSet<string> _places = new(StringComparer.Ordinal);
    private Func<string, Shape, Weight>? _make;

    private Checkpoint(string path) => Path = path;

    /// <summary>What was opened.</summary>
    public string Path { get; }

    /// <summary>The cursor at the top.</summary>
    public WeightCursor Root => new(this, "");

    /// <summary>The names of all tensors, sorted.</summary>
    public IReadOnlyCollection<string> Names => _tensors.Keys;

    /// <summary>All tensors as the headers describe them, sorted by name; those that are no floats too.</summary>
    public IEnumerable<StoredTensor> StoredTensors => _tensors.Values.Select(entry => entry.Tensor);

    /// <summary>Opens a file or folder. A folder holds an index (*.safetensors.index.json) with its shards, or one file.</summary>
    /// <exception cref="CheckpointException">A file is missing or malformed, or shards and index do not agree; the message names file and
    /// tensor.</exception>
    public static Checkpoint Open(string path)
    {
        ArgumentNullException.ThrowIfNull(path);
        var checkpoint = new Checkpoint(path);
        try
        {
            if (File.Exists(path))
                checkpoint.Add(path);
            else if (Directory.Exists(path))
                checkpoint.AddFolder();
            else
                throw new CheckpointException($"'{path}' does not exist.");
            checkpoint.IndexPlaces();
            return checkpoint;
        }
        catch
        {
            checkpoint.Dispose();
            throw;
        }
    }

    /// <summary>Tensors of a file under other names, or parts of them: one component of a file that holds several.</summary>
    /// <param name="path">The file.</param>
    /// <param name="select">Chooses the tensors of the opened file. They may lie anywhere within the data of its own.</param>
    /// <exception cref="CheckpointException">The file is malformed, or two tensors get one name.</exception>
    internal static Checkpoint OpenPart(string path, Func<SafetensorsFile, IEnumerable<MappedTensor>> select)
    {
        var checkpoint = new Checkpoint(path);
        try
        {
            var file = SafetensorsFile.Open(path);
            checkpoint._files.Add(file);
            foreach (var (tensor, transposed) in select(file))
            {
                if (!checkpoint._tensors.TryAdd(tensor.Name, (tensor, file)))
                    throw new CheckpointException($"'{path}' holds the tensor {tensor.Name} twice, under two names.");
                if (transposed)
                    checkpoint._transposed.Add(tensor.Name);
            }
            checkpoint.IndexPlaces();
            return checkpoint;
        }
        catch
        {
            checkpoint.Dispose();
            throw;
        }
    }

    /// <summary>Changes weights before a model gets them. The checkpoint disposes the patch.</summary>
    internal void Attach(LoraPatch patch) => _patch = patch;

    /// <summary>Fails when a tensor was not read by the model that was built.</summary>
    /// <param name="ignorable">Patterns of names that may be left over; * is any text.</param>
    /// <exception cref="CheckpointException">Tensors are unused; the message names the first of them.</exception>
    public void RequireAllUsed(params ReadOnlySpan<string> ignorable)
    {
        var unused = new List<string>();
        foreach (string name in _tensors.Keys)
        {
            bool ignored = _used.ContainsKey(name);
            foreach (string pattern in ignorable)
                ignored |= FileSystemName.MatchesSimpleExpression(pattern, name, ignoreCase: false);
            if (!ignored)
                unused.Add(name);
        }
        if (unused.Count > 0)
            throw new CheckpointException(
                $"'{Path}': {unused.Count} tensors are not used by the model: "
                    + $"{string.Join(", ", unused.Take(5))}{(unused.Count > 5 ? ", ..." : "")}.");
    }

    /// <summary>Unmaps the files. Weights throw from here on.</summary>
    public void Dispose()
    {
        lock (_made)
        {
            foreach (var (_, memory) in _made.Values)
                memory.Dispose();
        }
        _patch?.Dispose();
        _files.ForEach(file => file.Dispose());
    }

    /// <summary>A checkpoint whose weights are made when a model asks for them, for measurements without files.</summary>
    internal static Checkpoint Synthetic(Func<string, Shape, Weight> make) => new("synthetic") { _make = make };

    internal bool Contains(string name) => _tensors.ContainsKey(name) || _places.Contains(name);

    internal Shape? ShapeOf(string name) => _tensors.TryGetValue(name, out var entry) ? entry.File.ToWeight(entry.Tensor).Shape : null;

    internal void Ignore(string name) => _used.TryAdd(name, true);

    internal Weight? Find(string name, Shape shape)
    {
        if (_make != null)
            return _make(name, shape);
        return FindStored(name, shape) is not { } stored
            ? null
            : _transposed.Contains(name) || _patch?.Changes(name) == true ? Made(name, stored)
            : stored;
    }

    internal Weight Get(string name, Shape shape) => Find(name, shape) ?? throw Missing(name, shape);

    /// <summary>
    /// A weight of a layer that can compute low-rank addends itself; there are none unless the user wants LoRA kept apart.
    /// </summary>
    internal LayerWeight GetLayer(string name, Shape shape)
    {
        if (_patch?.Changes(name) != true || _transposed.Contains(name))
            return new LayerWeight(Get(name, shape));
        var stored = FindStored(name, shape) ?? throw Missing(name, shape);
        var addends = _patch.KeptApart(name, shape);
        return addends == null ? new LayerWeight(Made(name, stored)) : new LayerWeight(stored, addends);
    }

    private Weight? FindStored(string name, Shape shape)
    {
        if (!_tensors.TryGetValue(name, out var entry))
            return null;
        var weight = entry.File.ToWeight(entry.Tensor);
        if (weight.Shape != shape)
            throw new CheckpointException($"'{entry.Tensor.File}': the tensor {name} is {weight.Shape}, expected {shape}.");
        _used.TryAdd(name, true);
        return weight;
    }

    private CheckpointException Missing(string name, Shape shape) => new($"'{Path}': the tensor {name} {shape} is missing.");

    /// <summary>A weight that is no view on a file: made once, in float32.</summary>
    private Weight Made(string name, Weight stored)
    {
        lock (_made)
        {
            if (_made.TryGetValue(name, out var made))
                return made.Weight;
            var weight = stored;
            Tensor? memory = null;
            if (_transposed.Contains(name))
                weight = new Weight(name, memory = Transpose(stored));
            if (_patch?.Changes(name) == true)
            {
                using var before = memory;
                weight = new Weight(name, memory = _patch.Merge(name, weight));
            }
            _made[name] = (weight, memory!);
            return weight;
        }
    }

    private static Tensor Transpose(Weight stored)
    {
        using var scope = new TensorScope();
        return TensorScope.Detach(stored.Reshape([stored.Shape[1], stored.Shape[0]]).ToTensor().Permute(1, 0));
    }

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
        foreach (var (name, (tensor, _)) in _tensors)
        {
            if (!listed.Contains(name))
                throw new CheckpointException($"'{index}': the tensor {name} of '{tensor.File}' is not listed.");
        }
    }

    private SafetensorsFile Add(string path)
    {
        var file = SafetensorsFile.Open(path);
        _files.Add(file);
        foreach (var tensor in file.Tensors.Values)
        {
            if (!_tensors.TryAdd(tensor.Name, (tensor, file)))
                throw new CheckpointException($"The tensor {tensor.Name} is in '{_tensors[tensor.Name].Tensor.File}' and in '{path}'.");
        }
        return file;
    }

    /// <summary>Notes every beginning of a name that ends before a dot.</summary>
    private void IndexPlaces()
    {
        foreach (string name in _tensors.Keys)
        {
            for (int dot = name.LastIndexOf('.'); dot > 0 && _places.Add(name[..dot]); dot = name.LastIndexOf('.', dot - 1))
            {
                // A place that is known has known places above it.
            }
        }
    }

    private static bool IsPickled(string file) => System.IO.Path.GetExtension(file) is ".bin" or ".pt" or ".pth" or ".ckpt";
}

/// <summary>A tensor of a component, and where it lies in a file: whole, or some rows of a larger one.</summary>
/// <param name="Tensor">Its name and shape in the component, its place in the file.</param>
/// <param name="Transposed">Whether the file has it with its two axes exchanged.</param>
internal readonly record struct MappedTensor(StoredTensor Tensor, bool Transposed = false);
