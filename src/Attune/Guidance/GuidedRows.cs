using Attune.Tensors;

namespace Attune.Guidance;

/// <summary>Walks over the guided rows of an attention output on all threads.</summary>
internal static class GuidedRows
{
    /// <summary>About as many elements as make a piece of work worth handing to a thread.</summary>
    private const int Grain = 1 << 14;

    /// <summary>A view of [batch, tokens, heads, channels] as [batch, tokens, heads channels], for the current scope.</summary>
    public static Tensor Flat(this Tensor x) => x.Reshape(x.Shape[0], x.Shape[1], x.Shape[2] * x.Shape[3]);

    /// <summary>Calls <paramref name="body"/> with the batch item and the token of every row.</summary>
    public static void For(Tensor rows, Action<int, int> body)
    {
        var (tokens, width) = (rows.Shape[1], rows.Shape[2]);
        int count = rows.Shape[0] * tokens;
        int size = Math.Max(1, Grain / Math.Max(1, width));
        Workers.For((count + size - 1) / size, piece =>
        {
            int end = Math.Min((piece + 1) * size, count);
            for (int row = piece * size; row < end; row++)
                body(row / tokens, row % tokens);
        });
    }
}
