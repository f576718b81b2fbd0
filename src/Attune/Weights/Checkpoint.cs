using System.Collections.Concurrent;
using System.IO.Enumeration;
using Attune.Tensors;
using Attune.Weights.Lora;

namespace Attune.Weights;

/// <summary>
/// The weights of one component on a device: what a model is built from. Nothing but headers is read when it is opened. Owns its source and
/// every weight that was prepared for a layer: none may be used after the checkpoint was disposed.
/// </summary>
public sealed class Checkpoint : IDisposable
{
    private readonly WeightSource _source;
    private readonly List<PreparedWeight> _prepared = [];
    private readonly ConcurrentDictionary<string, bool> _used = new(StringComparer.Ordinal);
    private readonly HashSet<string> _places = new(StringComparer.Ordinal);

    /// <summary>Weights of any source.</summary>
    /// <param name="source">Where they come from; the checkpoint disposes it.</param>
    /// <param name="device">What computes with them.</param>
    /// <exception cref="CheckpointException">They were saved with a LoRA inside.</exception>
    public Checkpoint(WeightSource source, Device device)
    {
        ArgumentNullException.ThrowIfNull(source);
        ArgumentNullException.ThrowIfNull(device);
        (_source, Device) = (source, device);
        AdapterInside.Refuse(source);

        // Every beginning of a name that ends before a dot is a place.
        foreach (string name in source.Names)
        {
            for (int dot = name.LastIndexOf('.'); dot > 0 && _places.Add(name[..dot]); dot = name.LastIndexOf('.', dot - 1))
            {
                // A place that is known has known places above it.
            }
        }
    }

    /// <summary>What was opened.</summary>
    public string Path => _source.Path;

    /// <summary>The device that the weights are prepared for, on which the model computes.</summary>
    public Device Device { get; }

    /// <summary>The cursor at the top.</summary>
    public WeightCursor Root => new(this, "");

    /// <summary>The names of all tensors, sorted.</summary>
    public IReadOnlyCollection<string> Names => _source.Names;

    /// <summary>Opens a file or folder. A folder holds an index (*.safetensors.index.json) with its shards, or one file.</summary>
    /// <param name="path">The file or folder.</param>
    /// <param name="device">What computes with the weights.</param>
    /// <exception cref="CheckpointException">A file is missing or malformed, or shards and index do not agree; the message names file and
    /// tensor.</exception>
    public static Checkpoint Open(string path, Device device) => new(WeightSource.Open(path), device);

    /// <summary>Fails when a tensor was not read by the model that was built.</summary>
    /// <param name="ignorable">Patterns of names that may be left over; * is any text.</param>
    /// <exception cref="CheckpointException">Tensors are unused; the message names the first of them.</exception>
    public void RequireAllUsed(params ReadOnlySpan<string> ignorable)
    {
        var unused = new List<string>();
        foreach (string name in Names)
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

    /// <summary>Frees the prepared weights and closes the files. Weights throw from here on.</summary>
    public void Dispose()
    {
        lock (_prepared)
        {
            _prepared.ForEach(weight => weight.Dispose());
            _prepared.Clear();
        }
        _source.Dispose();
    }

    internal bool Contains(string name) => _source.Describe(name) != null || _places.Contains(name);

    internal Shape? ShapeOf(string name) => _source.ShapeOf(name);

    internal void Ignore(string name) => _used.TryAdd(name, true);

    internal StoredWeight Read(string name, Shape shape) => LowRankProduct.Merge(FindStored(name, shape) ?? throw Missing(name, shape));

    internal PreparedWeight Get(string name, Shape shape, WeightRole role) => Find(name, shape, role) ?? throw Missing(name, shape);

    internal PreparedWeight? Find(string name, Shape shape, WeightRole role)
    {
        if (FindStored(name, shape) is not { } stored)
            return null;
        if (role == WeightRole.Matrix && shape.Rank >= 4)
            stored = stored.Reshape([shape[0], (int)(shape.Count / shape[0])]);
        if (role == WeightRole.Table)
        {
            stored = shape.Rank switch
            {
                1 => stored.Reshape([1, shape[0]]),
                3 => stored.Reshape([shape[1], shape[2]]),
                4 => stored.Reshape([shape[0], shape[2] * shape[3]]),
                _ => stored,
            };
        }
        if (role == WeightRole.Vector && shape.Rank > 1)
            stored = stored.Reshape([(int)shape.Count]);
        if (role is WeightRole.Vector or WeightRole.Table || shape.Rank == 5)
            stored = LowRankProduct.Merge(stored);
        return Keep(stored, role);
    }

    /// <summary>A vector that must exist, with a number added to each of its elements.</summary>
    internal PreparedWeight GetPlus(string name, Shape shape, float number)
    {
        using var stored = Read(name, shape);
        using var scope = new TensorScope();
        return Keep(StoredWeight.Owning(name, stored.ToTensor(Devices.Managed).Affine(1, number)), WeightRole.Vector);
    }

    private PreparedWeight Keep(StoredWeight stored, WeightRole role)
    {
        try
        {
            var prepared = Device.Prepare(stored, role);
            lock (_prepared)
                _prepared.Add(prepared);
            return prepared;
        }
        catch
        {
            stored.Dispose();
            throw;
        }
    }

    private StoredWeight? FindStored(string name, Shape shape)
    {
        if (_source.Find(name, shape) is not { } stored)
            return null;
        if (stored.Shape != shape)
        {
            var found = stored.Shape;
            stored.Dispose();
            throw new CheckpointException(
                $"'{_source.Describe(name)?.File ?? Path}': the tensor {name} is {found}, expected {shape}.");
        }
        _used.TryAdd(name, true);
        return stored;
    }

    private CheckpointException Missing(string name, Shape shape) => new($"'{Path}': the tensor {name} {shape} is missing.");
}
