namespace Attune.Weights.SingleFile;

/// <summary>The tensors of a file whose names begin with a component's prefix.</summary>
internal sealed class FilePart
{
    private readonly string _prefix;
    private readonly SortedDictionary<string, TensorEntry> _tensors = new(StringComparer.Ordinal);

    /// <param name="path">The file, for messages.</param>
    /// <param name="prefix">What stands before the names.</param>
    /// <param name="tensors">The tensors of the file; those whose names begin otherwise are left out.</param>
    public FilePart(string path, string prefix, IEnumerable<TensorEntry> tensors)
    {
        (Path, _prefix) = (path, prefix);
        foreach (var tensor in tensors.Where(tensor => tensor.Name.StartsWith(prefix, StringComparison.Ordinal)))
            _tensors.Add(tensor.Name[prefix.Length..], tensor);
    }

    /// <summary>The file.</summary>
    public string Path { get; }

    /// <summary>What stands before the names in the file.</summary>
    public string Prefix => _prefix;

    /// <summary>Receives the names that were asked for and are there; null for nowhere.</summary>
    public ICollection<string>? Found { get; set; }

    /// <summary>The tensors by their names behind the prefix.</summary>
    public IEnumerable<KeyValuePair<string, TensorEntry>> Tensors => _tensors;

    public bool Has(string name) => Note(_tensors.ContainsKey(name) ? name : null);

    public bool HasAny(string start) => Note(_tensors.Keys.FirstOrDefault(name => name.StartsWith(start, StringComparison.Ordinal)));

    /// <summary>Whether a tensor of the file, by its whole name there, is of the part.</summary>
    public bool Holds(string name) => name.StartsWith(_prefix, StringComparison.Ordinal) && _tensors.ContainsKey(name[_prefix.Length..]);

    /// <summary>Whether a name is this one, or ends with it behind a dot.</summary>
    public bool HasEnd(string end) => Note(Ending(end));

    /// <summary>An extent of the tensor whose name is this one, or ends with it behind a dot.</summary>
    /// <exception cref="CheckpointException">There is none, or it has no such axis.</exception>
    public int ExtentOfEnd(string end, int axis) => Extent(Ending(end) ?? end, axis);

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

    /// <summary>The number of elements of a tensor that must exist.</summary>
    /// <exception cref="CheckpointException">It does not.</exception>
    public long CountOf(string name) => _tensors.TryGetValue(name, out var tensor) ? tensor.Count
        : throw new CheckpointException($"'{Path}': the tensor {_prefix}{name} is missing.");

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

    private bool Note(string? name)
    {
        if (name != null && Found?.Contains(name) == false)
            Found.Add(name);
        return name != null;
    }

    private string? Ending(string end) =>
        _tensors.ContainsKey(end) ? end
            : _tensors.Keys.FirstOrDefault(
                name => name.Length > end.Length && name.EndsWith(end, StringComparison.Ordinal) && name[^(end.Length + 1)] == '.');
}
