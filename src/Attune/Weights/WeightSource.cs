using Attune.Tensors;
using Attune.Weights.Quantised;

namespace Attune.Weights;

/// <summary>
/// Where the weights of one component come from: files, or another source under other names or with changes. Opening one reads names and
/// shapes; a weight is a view on its file until a device prepares it and computes with it.
/// </summary>
public abstract class WeightSource : IDisposable
{
    /// <summary>What was opened, for messages.</summary>
    public abstract string Path { get; }

    /// <summary>The names of all tensors, sorted; those that are no weights too.</summary>
    public abstract IReadOnlyCollection<string> Names { get; }

    /// <summary>All tensors as their files describe them, sorted by name.</summary>
    public IEnumerable<TensorEntry> Entries => Names.Select(name => Describe(name)!);

    /// <summary>Opens a file or folder: GGUF or safetensors, in a folder also in shards with an index.</summary>
    /// <exception cref="CheckpointException">A file is missing or malformed, or shards and index do not agree; the message names file and
    /// tensor.</exception>
    public static WeightSource Open(string path)
    {
        ArgumentNullException.ThrowIfNull(path);
        if (File.Exists(path) && GgufSource.Is(path))
            return GgufSource.Open(path);
        return WeightFiles.OnlyGguf(path) is { } file ? GgufSource.Open(file) : QuantisedSource.Of(SafetensorsSource.Open(path));
    }

    /// <summary>A tensor as its file describes it, or null when there is none. It need not be a weight.</summary>
    public abstract TensorEntry? Describe(string name);

    /// <summary>The shape of a tensor, or null when there is none.</summary>
    /// <exception cref="CheckpointException">It has too many axes.</exception>
    public Shape? ShapeOf(string name) => Describe(name)?.ToShape();

    /// <summary>
    /// A weight, or null when there is none with this name. It is the caller's, or that of the device that prepares it; the source must
    /// outlive it.
    /// </summary>
    /// <param name="name">The full name.</param>
    /// <param name="expected">
    /// The shape that the model has for it, or null for whatever is stored. Sources answer with the shape that they have, and the caller
    /// compares; only where a container does not hold shapes, or makes weights up, does it decide.
    /// </param>
    /// <exception cref="CheckpointException">It is of a type that is not read, or has too many axes.</exception>
    public abstract StoredWeight? Find(string name, Shape? expected = null);

    /// <summary>Closes the files. Weights throw from here on.</summary>
    public void Dispose()
    {
        Dispose(true);
        GC.SuppressFinalize(this);
    }

    /// <summary>Closes the files.</summary>
    protected abstract void Dispose(bool disposing);
}

/// <summary>A tensor as a file's header describes it.</summary>
/// <param name="Name">The full name.</param>
/// <param name="Type">The format's name of the element type: F32, BF16, I64, ...</param>
/// <param name="Dimensions">The extents, outermost first; empty for a scalar.</param>
/// <param name="File">The file that holds it.</param>
/// <param name="Offset">Where its bytes begin in the file.</param>
/// <param name="Length">How many bytes it has.</param>
public sealed record TensorEntry(string Name, string Type, IReadOnlyList<long> Dimensions, string File, long Offset, long Length)
{
    /// <summary>The number of elements.</summary>
    public long Count => Dimensions.Aggregate(1L, (product, extent) => product * extent);

    /// <summary>Whether it is of a format that can be a weight, by itself or with the scales beside it.</summary>
    internal bool IsWeight => IsQuantised || WeightFormat.Find(Type) != null;

    /// <summary>Whether it is a weight that the file holds in several tensors: codes and scales.</summary>
    internal bool IsQuantised { get; init; }

    /// <summary>The extents, for messages: <c>[64, 3]</c>.</summary>
    internal string Extents => $"[{string.Join(", ", Dimensions)}]";

    /// <summary>The extents.</summary>
    /// <exception cref="CheckpointException">There are too many, or one is 2^31 or more.</exception>
    internal Shape ToShape()
    {
        if (Dimensions.Count > Shape.MaxRank || Dimensions.Any(extent => extent > int.MaxValue))
            throw new CheckpointException(
                $"'{File}': the tensor {Name} has the shape {Extents}, expected at most {Shape.MaxRank} axes of less than 2^31.");
        return Shape.Create([.. Dimensions.Select(extent => (int)extent)]);
    }
}
