using System.Numerics.Tensors;
using System.Runtime.Intrinsics;

namespace Attune.Tensors.Cpu;

/// <summary>Attention with alpha-entmax weights, which need all logits of a row at once: a tile of queries against every key, and with the same logits softmax too.</summary>
internal unsafe partial struct FlashAttention
{
    public static void RunEntmax(in AttentionArguments arguments, float alpha, Tensor? dense, Tensor? support)
    {
        var (query, key, value, scale, output, logSumExp, mask) = arguments;
        int keys = key.Shape[1];
        ForQueryBlocks(query, key, value, (item, head, first, width, packedKeys, packedValues) =>
            AttendEntmax(query, scale, alpha, output, dense, logSumExp, support, mask, item, head, first, keys, width, packedKeys, packedValues));
    }

    /// <summary>One block of queries of one head over all keys.</summary>
    private static void AttendEntmax(
        Tensor query, float scale, float alpha, Tensor output, Tensor? dense, Tensor? logSumExp, Tensor? support, AttentionMask? mask,
        int item, int head, int first, int keys, int width, float* packedKeys, float* packedValues)
    {
        int channels = query.Shape[3];
        int end = Math.Min(first + QueryBlock, query.Shape[1]);
        int panels = (keys + TileColumns - 1) / TileColumns;
        int padded = panels * TileColumns;
        int blocks = (keys + KeyBlock - 1) / KeyBlock;
        int weightCount = blocks * TileRows * KeyBlock;
        void* memory = TensorMemory.Rent((nuint)((TileRows * (channels + width + padded) + 2 * weightCount) * sizeof(float)), out nuint size);
        float* sparseWeights = (float*)memory;
        float* denseWeights = sparseWeights + weightCount;
        float* sums = denseWeights + weightCount;
        float* logits = sums + TileRows * width;
        float* queries = logits + TileRows * padded;
        float* totals = stackalloc float[TileRows];
        bool softmax = dense != null || logSumExp != null;
        try
        {
            for (int start = first; start < end; start += TileRows)
            {
                int rows = Math.Min(TileRows, end - start);
                for (int i = 0; i < TileRows; i++)
                {
                    float* source = query.Pointer + item * query.Stride(0) + (start + i) * query.Stride(1) + head * query.Stride(2);
                    for (int c = 0; c < channels; c++)
                        queries[c * TileRows + i] = i < rows ? source[c] * scale : 0;
                }
                for (int panel = 0; panel < panels; panel++)
                    Scores(queries, packedKeys + (long)panel * TileColumns * channels, channels, logits + panel * TileColumns, padded);
                for (int i = 0; i < rows; i++)
                {
                    float* z = logits + i * padded;
                    if (mask != null)
                        ApplyMask(mask, z, item, head, start + i, query.Shape[1], 0, keys, keys);
                    new Span<float>(z + keys, padded - keys).Fill(float.NegativeInfinity);
                    float maximum = Centre(z, padded);
                    bool any = !float.IsNegativeInfinity(maximum);
                    totals[i] = 0;
                    int positive = 0;
                    if (any)
                    {
                        if (softmax)
                            totals[i] = Exponentials(z, padded, denseWeights + i * KeyBlock);
                        positive = EntmaxRow.Apply(z, padded, alpha);
                    }
                    else
                    {
                        new Span<float>(z, padded).Clear();
                        for (int block = 0; block < blocks; block++)
                            new Span<float>(denseWeights + (block * TileRows + i) * KeyBlock, KeyBlock).Clear();
                    }
                    if (logSumExp != null)
                        logSumExp.Row(item, start + i)[head] = any ? maximum + MathF.Log(totals[i]) : maximum;
                    if (support != null)
                        support.Row(item, start + i)[head] = positive;
                    for (int block = 0; block < blocks; block++)
                    {
                        int at = block * KeyBlock;
                        new ReadOnlySpan<float>(z + at, Math.Min(KeyBlock, padded - at)).CopyTo(new Span<float>(sparseWeights + (block * TileRows + i) * KeyBlock, KeyBlock));
                    }
                }
                Weigh(sparseWeights, packedValues, keys, width, sums);
                for (int i = 0; i < rows; i++)
                    new ReadOnlySpan<float>(sums + i * width, channels).CopyTo(Row(output, item, start + i, head, channels));
                if (dense == null)
                    continue;
                Weigh(denseWeights, packedValues, keys, width, sums);
                for (int i = 0; i < rows; i++)
                    TensorPrimitives.Multiply(new ReadOnlySpan<float>(sums + i * width, channels), totals[i] > 0 ? 1 / totals[i] : 0, Row(dense, item, start + i, head, channels));
            }
        }
        finally
        {
            TensorMemory.Return(memory, size);
        }
    }

    private static Span<float> Row(Tensor tensor, int item, int row, int head, int channels) =>
        new(tensor.Pointer + item * tensor.Stride(0) + row * tensor.Stride(1) + head * tensor.Stride(2), channels);

    /// <summary>Subtracts the row's maximum, unless it is minus infinity, and returns it.</summary>
    private static float Centre(float* z, int count)
    {
        var largest = Vector512.Create(float.NegativeInfinity);
        for (int j = 0; j < count; j += Lanes)
            largest = Vector512.Max(largest, Vector512.Load(z + j));
        float maximum = float.NegativeInfinity;
        for (int lane = 0; lane < Lanes; lane++)
            maximum = MathF.Max(maximum, largest[lane]);
        if (float.IsNegativeInfinity(maximum))
            return maximum;
        var centre = Vector512.Create(maximum);
        for (int j = 0; j < count; j += Lanes)
            (Vector512.Load(z + j) - centre).Store(z + j);
        return maximum;
    }

    /// <summary>exp of a centred row, in the order that <see cref="Values"/> reads: blocks of keys, each with all rows of the tile.</summary>
    /// <returns>Their sum.</returns>
    private static float Exponentials(float* z, int count, float* weights)
    {
        var sum = Vector512<float>.Zero;
        for (int start = 0; start < count; start += KeyBlock, weights += TileRows * KeyBlock)
        {
            int size = Math.Min(KeyBlock, count - start);
            for (int j = 0; j < size; j += Lanes)
            {
                var weight = ExpOfNegative(Vector512.Load(z + start + j));
                weight.Store(weights + j);
                sum += weight;
            }
        }
        return Vector512.Sum(sum);
    }

    /// <summary>A tile's weights times all values.</summary>
    private static void Weigh(float* weights, float* values, int keys, int width, float* sums)
    {
        new Span<float>(sums, TileRows * width).Clear();
        for (int start = 0; start < keys; start += KeyBlock, weights += TileRows * KeyBlock, values += (long)KeyBlock * width)
        {
            for (int c = 0; c < width; c += TileColumns)
                Values(weights, values + c, width, Math.Min(KeyBlock, keys - start), sums + c, width);
        }
    }
}
