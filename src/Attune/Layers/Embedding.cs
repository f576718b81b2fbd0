using Attune.Tensors;
using Attune.Weights;

namespace Attune.Layers;

/// <summary>A table of vectors.</summary>
internal sealed class Embedding(WeightCursor at, int rows, int channels)
{
    private readonly Weight _weight = at.Get("weight", [rows, channels]);

    /// <summary>The rows with the given numbers: [ids, channels].</summary>
    /// <exception cref="ArgumentOutOfRangeException">An id is outside of the table.</exception>
    public Tensor Apply(ReadOnlySpan<int> ids) => _weight.Embed(ids);

    /// <summary>The first rows: [count, channels].</summary>
    public Tensor First(int count) => _weight.Rows(0, count).ToTensor();
}
