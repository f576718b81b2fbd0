using Attune.Tensors;
using Attune.Weights;

namespace Attune.Layers;

/// <summary>A table of vectors.</summary>
internal sealed class Embedding(WeightCursor at, int rows, int channels)
{
    private readonly PreparedWeight _weight = at.Get("weight", [rows, channels], WeightRole.Table);

    /// <summary>The rows with the given numbers: [ids, channels].</summary>
    /// <exception cref="ArgumentOutOfRangeException">An id is outside of the table.</exception>
    public Tensor Apply(ReadOnlySpan<int> ids) => _weight.Embed(ids);

    /// <summary>The first rows: [count, channels].</summary>
    /// <exception cref="ArgumentOutOfRangeException">There are not so many.</exception>
    public Tensor First(int count) => _weight.Embed([.. Enumerable.Range(0, count)]);
}
