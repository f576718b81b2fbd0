using Attune.Tensors;

namespace Attune.Weights.Lora;

/// <summary>A low-rank addend of a layer that is computed beside its weight: scale up(down(x)).</summary>
/// <param name="Down">[rank, in], or [rank, in, kernel, kernel] for a convolution.</param>
/// <param name="Up">[out, rank].</param>
/// <param name="Scale">What the product is multiplied with.</param>
internal sealed record LowRank(Weight Down, Weight Up, float Scale);

/// <summary>
/// The weight of a linear layer or a convolution, and what is computed beside it: null unless the user wants LoRA kept apart.
/// </summary>
internal readonly record struct LayerWeight(Weight Weight, IReadOnlyList<LowRank>? Addends = null)
{
    /// <summary>The weight with another shape, and the first factors with it.</summary>
    public LayerWeight Reshape(Shape shape) =>
        new(
            Weight.Reshape(shape),
            Addends == null ? null
                : [.. Addends.Select(addend => addend with { Down = addend.Down.Reshape(shape.With(0, addend.Down.Shape[0])) })]);
}

/// <summary>
/// The changes of one component's weights. Owns the mapped LoRA files. Merging computes in float32, in the order in which the files were
/// given; DoRA (Liu et al., "DoRA: Weight-Decomposed Low-Rank Adaptation", 2024) then gives the rows of the sum their lengths, as peft
/// does: magnitude (W + s BA) / |W + s BA|.
/// </summary>
internal sealed unsafe class LoraPatch : IDisposable
{
    /// <summary>About how many elements of a product exist at a time.</summary>
    private const long BlockElements = 4 << 20;

    private readonly Dictionary<string, SafetensorsFile> _files = new(StringComparer.Ordinal);
    private readonly ILookup<string, LoraDelta> _deltas;
    private readonly bool _merge;

    /// <param name="deltas">The changes, in order.</param>
    /// <param name="merge">Whether all of them are merged, or low-rank ones are kept apart where the layer can compute them.</param>
    public LoraPatch(IReadOnlyList<LoraDelta> deltas, bool merge)
    {
        _merge = merge;
        _deltas = deltas.ToLookup(delta => delta.Parameter, StringComparer.Ordinal);
        try
        {
            foreach (string path in deltas.Select(delta => delta.File))
            {
                if (!_files.ContainsKey(path))
                    _files[path] = SafetensorsFile.Open(path);
            }
        }
        catch
        {
            Dispose();
            throw;
        }
    }

    /// <summary>Whether a parameter is changed.</summary>
    public bool Changes(string parameter) => _deltas.Contains(parameter);

    /// <summary>The addends of a parameter of a layer that can compute them itself, or null when its weight must be merged.</summary>
    public IReadOnlyList<LowRank>? KeptApart(string parameter, Shape shape)
    {
        if (_merge
            || _deltas[parameter]
                .Any(
                    delta => delta.IsBias
                        || delta.Layer is not { Down: not null, Mid: null, Magnitude: null, Difference: null }
                        || delta.Rows.Rows != shape[0]))
            return null;
        return [.. _deltas[parameter].Select(delta =>
        {
            var (down, up) = (Read(delta, delta.Layer.Down!), Read(delta, delta.Layer.Up!));
            return new LowRank(
                down.Reshape(shape.With(0, down.Shape[0])), Matrix(up).Rows(delta.Rows.SourceStart, delta.Rows.Rows), delta.ProductScale);
        })];
    }

    /// <summary>The weight with all its changes; the caller disposes the tensor.</summary>
    public Tensor Merge(string parameter, Weight stored)
    {
        using var scope = new TensorScope();
        var result = stored.ToTensor();
        var matrix = result.Reshape(stored.Shape[0], -1);
        foreach (var delta in _deltas[parameter])
        {
            var rows = matrix.Slice(0, delta.Rows.TargetStart, delta.Rows.Rows);
            if (delta.IsBias)
            {
                AddDifference(rows, delta, delta.Layer.UpBias, delta.ProductScale);
                AddDifference(rows, delta, delta.Layer.BiasDifference, delta.UserScale);
                continue;
            }
            AddDifference(rows, delta, delta.Layer.Difference, delta.UserScale);
            if (delta.Layer.Down != null)
                AddProduct(rows, delta);
            if (delta.Layer.Magnitude is { } magnitude)
                SetLengths(
                    rows, Read(delta, magnitude), delta.Rows.SourceStart, delta.HasLengthsByInput(stored.Shape) ? stored.Shape[1] : 0);
        }
        return TensorScope.Detach(result);
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        foreach (var file in _files.Values)
            file.Dispose();
    }

    /// <summary>A tensor of the file as it was when it was checked.</summary>
    private Weight Read(LoraDelta delta, StoredTensor tensor)
    {
        var file = _files[delta.File];
        if (!file.Tensors.TryGetValue(tensor.Name, out var now)
            || now.Type != tensor.Type || !now.Dimensions.SequenceEqual(tensor.Dimensions))
            throw new CheckpointException($"'{delta.File}' was changed while the model was loaded: {tensor.Name} is not what it was.");
        return file.ToWeight(now);
    }

    private static Weight Matrix(Weight weight) => weight.Reshape([weight.Shape[0], (int)(weight.Count / weight.Shape[0])]);

    private void AddDifference(Tensor rows, LoraDelta delta, StoredTensor? stored, float scale)
    {
        if (stored == null)
            return;
        using var scope = new TensorScope();
        long columns = rows.Shape[1];
        var difference = Tensor.Empty(rows.Shape);
        Read(delta, stored).Widen(delta.Rows.SourceStart * columns, difference.Pointer, difference.Count);
        TensorOperations.Combine(1, rows, scale, difference, into: rows);
    }

    private void AddProduct(Tensor rows, LoraDelta delta)
    {
        using var scope = new TensorScope();
        var down = Matrix(Read(delta, delta.Layer.Down!)).ToTensor();
        if (delta.Layer.Mid is { } mid)
            down = WithCore(down, Read(delta, mid));
        var transposed = new Weight(delta.Layer.Name, down.Permute(1, 0));
        var up = Matrix(Read(delta, delta.Layer.Up!)).Rows(delta.Rows.SourceStart, delta.Rows.Rows).ToTensor();
        int block = (int)Math.Clamp(BlockElements / rows.Shape[1], 1, rows.Shape[0]);
        for (int start = 0; start < rows.Shape[0]; start += block)
        {
            using var inner = new TensorScope();
            int count = Math.Min(block, rows.Shape[0] - start);
            var target = rows.Slice(0, start, count);
            TensorOperations.Combine(1, target, delta.ProductScale, up.Slice(0, start, count).Linear(transposed), into: target);
        }
    }

    /// <summary>down [rank, in] and a core [rank', rank, kernel, kernel] to [rank', in kernel kernel].</summary>
    private static Tensor WithCore(Tensor down, Weight core)
    {
        var (outer, rank) = (core.Shape[0], core.Shape[1]);
        int kernel = (int)(core.Count / outer / rank);
        int inputs = down.Shape[1];

        // For each row of the core, [kernel, rank] x [rank, in]; the kernel is the innermost axis of a convolution's weight.
        var positions = core.Reshape([outer, rank, kernel]).ToTensor().Permute(0, 2, 1);
        var product = positions.Linear(new Weight(core.Name, down.Permute(1, 0)));
        return product.Permute(0, 2, 1).Reshape(outer, inputs * kernel);
    }

    /// <summary>Gives every row its length, or every one of <paramref name="inputs"/> input channels if that is not 0.</summary>
    private static void SetLengths(Tensor rows, Weight magnitude, int first, int inputs)
    {
        using var scope = new TensorScope();
        var lengths = magnitude.ToTensor().Reshape(-1);
        if (inputs == 0)
        {
            for (int row = 0; row < rows.Shape[0]; row++)
            {
                var values = rows.Row(row);
                Scale(values, lengths.Span[first + row] / Math.Sqrt(Squares(values)));
            }
            return;
        }
        int size = rows.Shape[1] / inputs;
        for (int group = 0; group < inputs; group++)
        {
            double squares = 0;
            for (int row = 0; row < rows.Shape[0]; row++)
                squares += Squares(rows.Row(row).Slice(group * size, size));
            for (int row = 0; row < rows.Shape[0]; row++)
                Scale(rows.Row(row).Slice(group * size, size), lengths.Span[group] / Math.Sqrt(squares));
        }
    }

    private static double Squares(ReadOnlySpan<float> values)
    {
        double sum = 0;
        foreach (float value in values)
            sum += (double)value * value;
        return sum;
    }

    /// <summary>A row of zeros has no direction: it stays.</summary>
    private static void Scale(Span<float> values, double factor)
    {
        if (!double.IsFinite(factor))
            return;
        foreach (ref float value in values)
            value = (float)(value * factor);
    }
}
