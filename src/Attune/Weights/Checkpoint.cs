using System.Buffers.Binary;
using System.Text.Json;
using Attune.Tensors;

namespace Attune.Weights;

/// <summary>The weights of one component: a .safetensors file, or a folder with one or with shards. Owns the mapped files.</summary>
public sealed unsafe class Checkpoint : IDisposable
{
    private readonly Dictionary<string, Weight> _weights = [];
    private readonly HashSet<string> _used = [];
    private readonly List<MappedFile> _files = [];
    private Func<string, Shape, Weight>? _make;

    private Checkpoint(string path) => Path = path;

    /// <summary>What was opened.</summary>
    public string Path { get; }

    /// <summary>The cursor at the top.</summary>
    public WeightCursor Root => new(this, "");

    /// <summary>The names of all tensors.</summary>
    public IReadOnlyCollection<string> Names => _weights.Keys;

    /// <summary>Opens a file or folder.</summary>
    /// <exception cref="CheckpointException">A file is missing or malformed.</exception>
    public static Checkpoint Open(string path)
    {
        var checkpoint = new Checkpoint(path);
        string[] files = File.Exists(path) ? [path] : [.. Directory.GetFiles(path, "*.safetensors").Order(StringComparer.Ordinal)];
        foreach (string file in files)
        {
            var mapped = new MappedFile(file);
            checkpoint._files.Add(mapped);
            long header = BinaryPrimitives.ReadInt64LittleEndian(new ReadOnlySpan<byte>(mapped.Pointer, 8));
            using var json = JsonDocument.Parse(new ReadOnlySpan<byte>(mapped.Pointer + 8, (int)header).ToArray());
            foreach (var entry in json.RootElement.EnumerateObject())
            {
                if (entry.Name == "__metadata__")
                    continue;
                var type = entry.Value.GetProperty("dtype").GetString() switch { "F32" => DataType.Float32, "F16" => DataType.Float16, "BF16" => DataType.BFloat16, _ => (DataType?)null };
                if (type == null)
                    continue;
                var shape = Shape.Create([.. entry.Value.GetProperty("shape").EnumerateArray().Select(e => e.GetInt32())]);
                checkpoint._weights[entry.Name] = new Weight(entry.Name, shape, type.Value, mapped, 8 + header + entry.Value.GetProperty("data_offsets")[0].GetInt64());
            }
        }
        return checkpoint;
    }

    /// <summary>Fails when a tensor was not read by the model that was built.</summary>
    /// <exception cref="CheckpointException">A tensor is unused.</exception>
    public void RequireAllUsed()
    {
        foreach (string name in _weights.Keys)
        {
            if (!_used.Contains(name))
                throw new CheckpointException($"'{Path}': the tensor {name} is not used by the model.");
        }
    }

    /// <inheritdoc/>
    public void Dispose() => _files.ForEach(f => f.Dispose());

    /// <summary>A checkpoint whose weights are made when a model asks for them, for measurements without files.</summary>
    internal static Checkpoint Synthetic(Func<string, Shape, Weight> make) => new("synthetic") { _make = make };

    internal bool Contains(string name) => _weights.ContainsKey(name) || _weights.Keys.Any(n => n.StartsWith(name + ".", StringComparison.Ordinal));

    internal Shape? ShapeOf(string name) => _weights.TryGetValue(name, out var weight) ? weight.Shape : null;

    internal void Ignore(string name) => _used.Add(name);

    internal Weight? Find(string name, Shape shape)
    {
        if (!_weights.TryGetValue(name, out var weight))
        {
            if (_make == null)
                return null;
            _weights[name] = weight = _make(name, shape);
        }
        if (weight.Shape != shape)
            throw new CheckpointException($"'{Path}': the tensor {name} is {weight.Shape}, expected {shape}.");
        _used.Add(name);
        return weight;
    }

    internal Weight Get(string name, Shape shape) => Find(name, shape) ?? throw new CheckpointException($"'{Path}': the tensor {name} {shape} is missing.");
}
