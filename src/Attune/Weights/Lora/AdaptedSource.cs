using Attune.Tensors;

namespace Attune.Weights.Lora;

/// <summary>
/// A component's weights with LoRA files on them, which it owns. Merging computes in float32, in the order in which the files were given;
/// DoRA (Liu et al., "DoRA: Weight-Decomposed Low-Rank Adaptation", 2024) then gives the rows of the sum their lengths, as peft does:
/// magnitude (W + s BA) / |W + s BA|.
/// </summary>
internal sealed class AdaptedSource : WeightSource
{
    private readonly WeightSource _source;
    private readonly Dictionary<string, SafetensorsFile> _files = new(StringComparer.Ordinal);
    private readonly ILookup<string, LoraDelta> _deltas;
    private readonly bool _merge;

    /// <param name="source">The component's weights; this source owns it.</param>
    /// <param name="deltas">The changes, in order.</param>
    /// <param name="merge">Whether all of them are merged, or low-rank ones are kept apart where a layer can compute them.</param>
    public AdaptedSource(WeightSource source, IReadOnlyList<LoraDelta> deltas, bool merge)
    {
        (_source, _merge) = (source, merge);
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

    /// <inheritdoc/>
    public override string Path => _source.Path;

    /// <inheritdoc/>
    public override IReadOnlyCollection<string> Names => _source.Names;

    /// <inheritdoc/>
    public override TensorEntry? Describe(string name)
    {
        var entry = _source.Describe(name);
        return entry != null && _deltas.Contains(name) && ColumnsOf(name, entry.ToShape()) is { } columns
            ? entry with { Dimensions = [entry.Dimensions[0], columns] }
            : entry;
    }

    /// <inheritdoc/>
    public override StoredWeight? Find(string name, Shape? expected = null)
    {
        if (!_deltas.Contains(name) || _source.ShapeOf(name) is not { } shape)
            return _source.Find(name, expected);
        var stored = _source.Find(name, ColumnsOf(name, shape) == null ? expected : null)!;
        if (!_merge && _deltas[name].All(delta => IsLowRank(delta, stored.Shape)))
            return stored with { LowRank = [.. _deltas[name].Select(delta => KeptApart(delta, stored.Shape))] };
        using (stored)
            return Merge(stored);
    }

    /// <inheritdoc/>
    protected override void Dispose(bool disposing)
    {
        foreach (var file in _files.Values)
            file.Dispose();
        _source.Dispose();
    }

    /// <summary>Whether a change is the product of two factors and nothing else, for all rows.</summary>
    private static bool IsLowRank(LoraDelta delta, Shape shape) =>
        !delta.IsBias
        && delta.Layer is { Down: not null, Mid: null, Magnitude: null, Difference: null }
        && delta.Rows.Rows == shape[0] && !delta.Widens(shape);

    /// <summary>The columns of a parameter that gets more than it has; else null.</summary>
    private int? ColumnsOf(string parameter, Shape shape) =>
        _deltas[parameter].Where(delta => delta.Widens(shape)).Max(delta => (int?)delta.Columns);

    private LowRank KeptApart(LoraDelta delta, Shape shape)
    {
        var (down, up) = (Read(delta, delta.Layer.Down!), Read(delta, delta.Layer.Up!));
        return new LowRank(
            down.Reshape(shape.With(0, down.Shape[0])), LowRankProduct.Matrix(up).Rows(delta.Rows.SourceStart, delta.Rows.Rows),
            delta.ProductScale);
    }

    /// <summary>The weight with all its changes.</summary>
    private StoredWeight Merge(StoredWeight stored)
    {
        using var scope = new TensorScope();
        var result = stored.ToTensor(Devices.Managed);
        if (ColumnsOf(stored.Name, stored.Shape) is { } columns)
        {
            var wide = Tensor.Zeros(Devices.Managed, [stored.Shape[0], columns]);
            result.CopyTo(wide.Slice(1, 0, stored.Shape[1]));
            result = wide;
        }
        var matrix = result.Reshape(stored.Shape[0], -1);
        foreach (var delta in _deltas[stored.Name])
        {
            // What does not widen a parameter that others do is for the columns that it had.
            int width = delta.Widens(stored.Shape) ? (int)delta.Columns : (int)(stored.Shape.Count / stored.Shape[0]);
            var rows = matrix.Slice(0, delta.Rows.TargetStart, delta.Rows.Rows).Slice(1, 0, width);
            if (delta.IsBias)
            {
                AddDifference(rows, delta, delta.Layer.UpBias, delta.ProductScale);
                AddDifference(rows, delta, delta.Layer.BiasDifference, delta.UserScale);
                continue;
            }
            if (delta.Layer.Replacement is { } replacement)
            {
                using var values = rows.Write();
                Read(delta, replacement).Widen(delta.Rows.SourceStart, values.Span);
            }
            AddDifference(rows, delta, delta.Layer.Difference, delta.UserScale);
            if (delta.Layer.Down != null)
                AddProduct(rows, delta);
            if (delta.Layer.Magnitude is { } magnitude)
                SetLengths(
                    rows, Read(delta, magnitude), delta.Rows.SourceStart, delta.HasLengthsByInput(stored.Shape) ? stored.Shape[1] : 0);
        }
        return StoredWeight.Owning(stored.Name, result);
    }

    /// <summary>A tensor of the file as it was when it was checked.</summary>
    private StoredWeight Read(LoraDelta delta, TensorEntry tensor)
    {
        var file = _files[delta.File];
        if (!file.Tensors.TryGetValue(tensor.Name, out var now)
            || now.Type != tensor.Type || !now.Dimensions.SequenceEqual(tensor.Dimensions))
            throw new CheckpointException($"'{delta.File}' was changed while the model was loaded: {tensor.Name} is not what it was.");
        return file.ToWeight(now);
    }

    private void AddDifference(Tensor rows, LoraDelta delta, TensorEntry? stored, float scale)
    {
        if (stored == null)
            return;
        using var scope = new TensorScope();
        var difference = rows.Like(rows.Shape);
        using (var values = difference.Write())
            Read(delta, stored).Widen((long)delta.Rows.SourceStart * rows.Shape[1], values.Span);
        TensorOperations.Combine(1, rows, scale, difference, into: rows);
    }

    private void AddProduct(Tensor rows, LoraDelta delta)
    {
        using var scope = new TensorScope();
        var down = LowRankProduct.Matrix(Read(delta, delta.Layer.Down!)).ToTensor(Devices.Managed);
        if (delta.Layer.Mid is { } mid)
            down = WithCore(down, Read(delta, mid));
        var up = LowRankProduct.Matrix(Read(delta, delta.Layer.Up!)).Rows(delta.Rows.SourceStart, delta.Rows.Rows);
        LowRankProduct.AddTo(rows, down, up.ToTensor(Devices.Managed), delta.ProductScale);
    }

    /// <summary>down [rank, in] and a core [rank', rank, kernel, kernel] to [rank', in kernel kernel].</summary>
    private static Tensor WithCore(Tensor down, StoredWeight core)
    {
        var (outer, rank) = (core.Shape[0], core.Shape[1]);
        int kernel = (int)(core.Shape.Count / outer / rank);
        int inputs = down.Shape[1];

        // For each row of the core, [kernel, rank] x [rank, in]; the kernel is the innermost axis of a convolution's weight.
        var positions = core.Reshape([outer, rank, kernel]).ToTensor(Devices.Managed).Permute(0, 2, 1);
        using var transposed = LowRankProduct.Prepare(down.Permute(1, 0));
        var product = positions.Linear(transposed);
        return product.Permute(0, 2, 1).Reshape(outer, inputs * kernel);
    }

    /// <summary>Gives every row its length, or every one of <paramref name="inputs"/> input channels if that is not 0.</summary>
    private static void SetLengths(Tensor rows, StoredWeight magnitude, int first, int inputs)
    {
        var lengths = new float[magnitude.Shape.Count];
        magnitude.Widen(0, lengths);
        using var before = rows.Read();
        using var after = rows.Write();
        if (inputs == 0)
        {
            for (int row = 0; row < rows.Shape[0]; row++)
                Scale(before.Row(row), lengths[first + row] / Math.Sqrt(Squares(before.Row(row))), after.Row(row));
            return;
        }
        int size = rows.Shape[1] / inputs;
        for (int group = 0; group < inputs; group++)
        {
            double squares = 0;
            for (int row = 0; row < rows.Shape[0]; row++)
                squares += Squares(before.Row(row).Slice(group * size, size));
            for (int row = 0; row < rows.Shape[0]; row++)
                Scale(
                    before.Row(row).Slice(group * size, size), lengths[group] / Math.Sqrt(squares),
                    after.Row(row).Slice(group * size, size));
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
    private static void Scale(ReadOnlySpan<float> values, double factor, Span<float> scaled)
    {
        for (int i = 0; i < values.Length; i++)
            scaled[i] = double.IsFinite(factor) ? (float)(values[i] * factor) : values[i];
    }
}
