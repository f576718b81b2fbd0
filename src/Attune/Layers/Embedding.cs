using Attune.Tensors;
using Attune.Weights;

namespace Attune.Layers;

/// <summary>A table of vectors.</summary>
/// <param name="at">Where it is.</param>
/// <param name="rows">The number of vectors.</param>
/// <param name="channels">Their channels.</param>
/// <param name="name">Its name; buffers of positions have others, and a third axis in front.</param>
internal sealed class Embedding(WeightCursor at, int rows, int channels, string name = "weight")
{
    private readonly PreparedWeight _weight = at.Get(
        name, at.ShapeOf(name) is { Rank: 3 } ? [1, rows, channels] : [rows, channels], WeightRole.Table);

    /// <summary>The rows with the given numbers: [ids, channels].</summary>
    /// <exception cref="ArgumentOutOfRangeException">An id is outside of the table.</exception>
    public Tensor Apply(ReadOnlySpan<int> ids) => _weight.Embed(ids);

    /// <summary>The first rows: [count, channels].</summary>
    /// <exception cref="ArgumentOutOfRangeException">There are not so many.</exception>
    public Tensor First(int count) => _weight.Embed([.. Enumerable.Range(0, count)]);
}
