using Attune.Tensors;

namespace Attune.Weights.Lora;

/// <summary>
/// What one algorithm's tensors in a layer of a file do to a weight. A file's layer may have several: a low-rank product and a whole
/// difference. They act one after the other, in float32, on the weight as what came before left it.
/// </summary>
internal abstract class AdapterForm
{
    /// <summary>
    /// The algorithms, in the order in which they act. Each takes the tensors that are its own out of a layer, or answers null.
    /// </summary>
    public static IReadOnlyList<Func<LayerReader, AdapterForm?>> All { get; } =
    [
        ReplacementForm.Read, DifferenceForm.Read, LowRankForm.Read, HadamardForm.Read, KroneckerForm.Read, GeneralizedForm.Read,
        RotationForm.Read, InfusedForm.Read,
    ];

    /// <summary>Whether some rows of a weight cannot be computed without all others: of modules that the file has as one.</summary>
    public virtual bool NeedsAllRows => false;

    /// <summary>What is wrong when the tensors do not fit a weight; null when they do.</summary>
    /// <param name="shape">The shape of the parameter; its first axis counts for <paramref name="rows"/> alone.</param>
    /// <param name="rows">The rows of all parameters that the layer is for.</param>
    public abstract string? Misfit(Shape shape, int rows);

    /// <summary>Changes rows of a weight.</summary>
    public abstract void Apply(AdapterTarget target);

    /// <summary>The sentence for a product of another extent, or null.</summary>
    protected static string? MisfitOfProduct(string what, long rows, long columns, Shape shape, int expected) =>
        rows == expected && columns == ColumnsOf(shape) ? null
            : FormattableString.Invariant(
                $"{what} make {rows} rows of {columns} numbers, expected {expected} of {ColumnsOf(shape)}");

    /// <summary>The sentence for a tensor of another size, or null.</summary>
    protected static string? MisfitOfCount(TensorEntry tensor, long count) =>
        tensor.Count == count ? null : FormattableString.Invariant($"{tensor.Name} is {tensor.Extents}, expected {count} numbers");

    /// <summary>The extent of all axes behind the first.</summary>
    protected static long ColumnsOf(Shape shape) => shape.Count / shape[0];
}

/// <summary>Rows of a weight that an adapter changes.</summary>
/// <param name="Rows">[rows, columns], float32, to be changed in place.</param>
/// <param name="First">The first of them among the rows of the file's layer.</param>
/// <param name="Shape">The parameter's shape.</param>
/// <param name="Strength">The user's scale.</param>
/// <param name="Read">A tensor of the file.</param>
internal sealed record AdapterTarget(Tensor Rows, int First, Shape Shape, float Strength, Func<TensorEntry, StoredWeight> Read)
{
    /// <summary>A tensor as a matrix of float32: all axes behind the first are one.</summary>
    public Tensor Matrix(TensorEntry tensor) => LowRankProduct.Matrix(Read(tensor)).ToTensor(Devices.Managed);

    /// <summary>The rows of a tensor that belong to <see cref="Rows"/>, as a matrix.</summary>
    public Tensor OwnRows(TensorEntry tensor) =>
        LowRankProduct.Matrix(Read(tensor)).Rows(First, Rows.Shape[0]).ToTensor(Devices.Managed);

    /// <summary>All numbers of a tensor.</summary>
    public float[] Numbers(TensorEntry tensor)
    {
        var values = new float[tensor.Count];
        Read(tensor).Widen(0, values);
        return values;
    }
}

/// <summary>A layer of a file while the algorithms take their tensors out of it.</summary>
internal sealed class LayerReader(SafetensorsFile file, LoraLayer layer)
{
    private readonly Dictionary<string, TensorEntry> _left = new(layer.Tensors, StringComparer.Ordinal);

    /// <summary>The tensors that nobody took.</summary>
    public IReadOnlyCollection<TensorEntry> Left => _left.Values;

    /// <summary>The scalar that stands for alpha, if the layer has one.</summary>
    public double? Alpha => layer.Tensors.TryGetValue("alpha", out var alpha) ? file.ReadNumber(alpha) : null;

    /// <summary>Whether the layer has a tensor that nobody took yet.</summary>
    public bool Has(string part) => _left.ContainsKey(part);

    /// <summary>Takes a tensor, of numbers that can be computed with; null when there is none.</summary>
    /// <exception cref="CheckpointException">Its type is no format of weights.</exception>
    public TensorEntry? Take(string part)
    {
        if (!_left.Remove(part, out var tensor))
            return null;
        return tensor.IsWeight ? tensor : throw SafetensorsFile.Unsupported(tensor);
    }

    /// <summary>Takes two tensors if both are there.</summary>
    public (TensorEntry, TensorEntry)? Take(string first, string second) =>
        Has(first) && Has(second) ? (Take(first)!, Take(second)!) : null;

    /// <summary>Takes a scalar of any type of numbers.</summary>
    public double? TakeNumber(string part) => _left.Remove(part, out var tensor) ? file.ReadNumber(tensor) : null;

    /// <summary>alpha / rank as LyCORIS has it: without an alpha, or with an alpha of 0, it is 1.</summary>
    public double ScaleOf(long rank) => Alpha is { } alpha && alpha != 0 ? Finite(alpha / rank) : 1;

    /// <summary>A scale that must be a number.</summary>
    public double Finite(double scale) => double.IsFinite(scale) ? scale
        : throw Wrong(FormattableString.Invariant($"its alpha / rank is {scale}, expected a finite number"));

    public CheckpointException Wrong(string what) => new($"'{file.Path}': the layer {layer.Name} is malformed: {what}.");
}
