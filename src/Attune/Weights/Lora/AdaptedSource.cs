using Attune.Tensors;

namespace Attune.Weights.Lora;

/// <summary>
/// A component's weights with LoRA files on them, which it owns. Merging computes in float32, in the order in which the files were given.
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
        && delta.Layer is { Forms: [LowRankForm { Mid: null }], Magnitude: null }
        && delta.Rows.Rows == shape[0] && !delta.Widens(shape);

    /// <summary>The columns of a parameter that gets more than it has; else null.</summary>
    private int? ColumnsOf(string parameter, Shape shape) =>
        _deltas[parameter].Where(delta => delta.Widens(shape)).Max(delta => (int?)delta.Columns);

    private LowRank KeptApart(LoraDelta delta, Shape shape)
    {
        var (down, up) = (Read(delta, delta.Layer.LowRank!.Down), Read(delta, delta.Layer.LowRank.Up));
        return new LowRank(
            down.Reshape(shape.With(0, down.Shape[0])), LowRankProduct.Matrix(up).Rows(delta.Rows.SourceStart, delta.Rows.Rows),
            delta.ProductScale);
    }

    /// <summary>The weight with all its changes.</summary>
    private StoredWeight Merge(StoredWeight stored)
    {
        using var scope = new TensorScope();
        return StoredWeight.Owning(stored.Name, Changed(stored, until: null));
    }

    /// <summary>A weight with its changes, all or those that come before a layer's.</summary>
    private Tensor Changed(StoredWeight stored, LoraLayer? until)
    {
        var result = stored.ToTensor(Devices.Managed);
        if (ColumnsOf(stored.Name, stored.Shape) is { } columns)
        {
            var wide = Tensor.Zeros(Devices.Managed, [stored.Shape[0], columns]);
            result.CopyTo(wide.Slice(1, 0, stored.Shape[1]));
            result = wide;
        }
        var matrix = result.Reshape(stored.Shape[0], -1);
        foreach (var delta in _deltas[stored.Name].TakeWhile(delta => delta.Layer != until))
        {
            // What does not widen a parameter that others do is for the columns that it had.
            int width = delta.Widens(stored.Shape) ? (int)delta.Columns : (int)(stored.Shape.Count / stored.Shape[0]);
            var rows = matrix.Slice(0, delta.Rows.TargetStart, delta.Rows.Rows).Slice(1, 0, width);
            var target = new AdapterTarget(
                rows, delta.Rows.SourceStart, stored.Shape, delta.UserScale, tensor => Read(delta, tensor));
            if (!delta.IsBias)
            {
                if (delta.NeedsWhole(stored.Shape))
                    ApplyToWhole(delta, target);
                else
                    delta.Apply(target);
                continue;
            }
            if (delta.Layer.UpBias is { } scaled)
                DifferenceForm.Add(target, scaled, delta.ProductScale);
            if (delta.Layer.BiasDifference is { } difference)
                DifferenceForm.Add(target, difference, delta.UserScale);
        }
        return result;
    }

    /// <summary>
    /// Rows of a layer that are spread over several parameters, where none can be computed without the others: they are put together,
    /// changed, and those that are asked for taken out.
    /// </summary>
    private void ApplyToWhole(LoraDelta delta, AdapterTarget target)
    {
        using var scope = new TensorScope();
        var all = target.Rows.Like([delta.Whole.Sum(part => part.Rows.Rows), target.Rows.Shape[1]]);
        foreach (var part in delta.Whole)
        {
            var place = all.Slice(0, part.Rows.SourceStart, part.Rows.Rows);
            if (ReferenceEquals(part, delta))
            {
                target.Rows.CopyTo(place);
                continue;
            }
            using var stored = _source.Find(part.Parameter)!;
            using var inner = new TensorScope();
            Changed(stored, part.Layer).Reshape(stored.Shape[0], -1).Slice(0, part.Rows.TargetStart, part.Rows.Rows).CopyTo(place);
        }
        delta.Apply(target with { Rows = all, First = 0 });
        all.Slice(0, delta.Rows.SourceStart, delta.Rows.Rows).CopyTo(target.Rows);
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
}
