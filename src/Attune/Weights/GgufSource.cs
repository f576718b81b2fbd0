using Attune.Tensors;

namespace Attune.Weights;

/// <summary>The tensors of a GGUF file.</summary>
internal sealed class GgufSource : WeightSource
{
    private readonly GgufFile _file;
    private readonly string[] _names;

    private GgufSource(GgufFile file)
    {
        _file = file;
        _names = [.. file.Tensors.Keys.Order(StringComparer.Ordinal)];
    }

    /// <inheritdoc/>
    public override string Path => _file.Path;

    /// <inheritdoc/>
    public override IReadOnlyCollection<string> Names => _names;

    /// <summary>The file.</summary>
    public GgufFile File => _file;

    /// <summary>Opens a file.</summary>
    /// <exception cref="CheckpointException">As <see cref="GgufFile.Open"/>, and for one of several files that belong together.</exception>
    public static new GgufSource Open(string path)
    {
        var file = GgufFile.Open(path);
        if (file.Find("split.count") is { } count && !count.Equals((ushort)1))
        {
            file.Dispose();
            throw new CheckpointException(
                $"'{path}' is one of {count} files of one model, which is not supported; expected one file, as gguf-split --merge makes "
                    + "of them.");
        }
        return new GgufSource(file);
    }

    /// <summary>Whether a file says that it is one: by its first bytes or its name.</summary>
    public static bool Is(string path)
    {
        if (System.IO.Path.GetExtension(path).Equals(".gguf", StringComparison.OrdinalIgnoreCase))
            return true;
        try
        {
            Span<byte> start = stackalloc byte[4];
            using var handle = System.IO.File.OpenHandle(path);
            return RandomAccess.Read(handle, start, 0) == start.Length && start.SequenceEqual("GGUF"u8);
        }
        catch (Exception exception) when (exception is IOException or UnauthorizedAccessException)
        {
            return false;        // whoever opens it says so
        }
    }

    /// <inheritdoc/>
    public override TensorEntry? Describe(string name) => _file.Tensors.GetValueOrDefault(name);

    /// <summary>
    /// A weight. Tools that write such files may drop outer axes of one and merge outer axes of those that have five: the tensor takes the
    /// expected shape where it differs in nothing else.
    /// </summary>
    public override StoredWeight? Find(string name, Shape? expected = null)
    {
        if (!_file.Tensors.TryGetValue(name, out var tensor))
            return null;
        var weight = _file.ToWeight(tensor);
        return expected is { } shape && weight.Shape != shape && IsSame(weight.Shape, shape) ? weight.Reshape(shape) : weight;
    }

    /// <inheritdoc/>
    protected override void Dispose(bool disposing) => _file.Dispose();

    private static bool IsSame(Shape stored, Shape expected) =>
        Trim(stored).SequenceEqual(Trim(expected))
            || (expected.Rank == 5 && stored.Rank == 4 && stored[0] == (long)expected[0] * expected[1]
                && Enumerable.Range(1, 3).All(axis => stored[axis] == expected[axis + 1]));

    /// <summary>The extents without ones on either side.</summary>
    private static int[] Trim(Shape shape)
    {
        int[] extents = [.. Enumerable.Range(0, shape.Rank).Select(axis => shape[axis])];
        int start = Array.FindIndex(extents, extent => extent != 1);
        return start < 0 ? [] : extents[start..(Array.FindLastIndex(extents, extent => extent != 1) + 1)];
    }
}
