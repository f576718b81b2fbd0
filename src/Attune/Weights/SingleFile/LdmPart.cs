using System.Text.Json.Nodes;

namespace Attune.Weights.SingleFile;

/// <summary>
/// How the names of one component of a single file become those of diffusers or transformers, and what its shapes say about its
/// configuration.
/// </summary>
internal interface ILdmLayout
{
    /// <summary>The keys of the configuration that follow from names and shapes.</summary>
    /// <exception cref="CheckpointException">A tensor is missing.</exception>
    JsonObject Describe(LdmPart part);

    /// <summary>The tensors under their new names. One that is not known keeps its old name, so that the model reports it.</summary>
    /// <exception cref="CheckpointException">A tensor is missing or has a shape that cannot be.</exception>
    IEnumerable<RenamedTensor> Map(LdmPart part);
}

/// <summary>The tensors of a single file whose names begin with a component's prefix.</summary>
internal sealed class LdmPart
{
    private readonly string _prefix;
    private readonly SortedDictionary<string, TensorEntry> _tensors = new(StringComparer.Ordinal);

    public LdmPart(WeightSource file, string prefix)
    {
        (Path, _prefix) = (file.Path, prefix);
        foreach (string name in file.Names)
        {
            if (name.StartsWith(prefix, StringComparison.Ordinal))
                _tensors.Add(name[prefix.Length..], file.Describe(name)!);
        }
    }

    /// <summary>The file.</summary>
    public string Path { get; }

    /// <summary>The tensors by their names behind the prefix.</summary>
    public IEnumerable<KeyValuePair<string, TensorEntry>> Tensors => _tensors;

    public bool Has(string name) => _tensors.ContainsKey(name);

    public bool HasAny(string start) => _tensors.Keys.Any(name => name.StartsWith(start, StringComparison.Ordinal));

    /// <summary>An extent of a tensor that must exist.</summary>
    /// <exception cref="CheckpointException">It does not, or has no such axis.</exception>
    public int Extent(string name, int axis)
    {
        if (!_tensors.TryGetValue(name, out var tensor))
            throw new CheckpointException($"'{Path}': the tensor {_prefix}{name} is missing.");
        if (tensor.Dimensions.Count <= axis || tensor.Dimensions[axis] is <= 0 or > int.MaxValue)
            throw new CheckpointException(
                $"'{Path}': the tensor {tensor.Name} is {tensor.Extents}, expected an axis {axis} of a positive extent.");
        return (int)tensor.Dimensions[axis];
    }

    public int Rank(string name) => _tensors.TryGetValue(name, out var tensor) ? tensor.Dimensions.Count : 0;

    /// <summary>
    /// How many numbered places there are: the smallest number from <paramref name="first"/> on that has no tensor of this name, less
    /// <paramref name="first"/>.
    /// </summary>
    public int Count(Func<int, string> name, int first = 0)
    {
        int count = 0;
        while (Has(name(first + count)))
            count++;
        return count;
    }
}
