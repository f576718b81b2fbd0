using System.Numerics.Tensors;
using System.Runtime.Intrinsics;

namespace Attune.Tensors.Cpu;

/// <summary>
/// Attention without the matrix of weights (Dao et al., arXiv 2205.14135): keys are taken block by block, and each row keeps a running maximum, sum
/// and output. Keys and values are packed once for each head; a piece of work is a block of queries of one head, so the
/// results do not depend on the number of threads.
/// </summary>
internal unsafe partial struct FlashAttention
{
    private const int TileRows = 12;
    private const int QueryBlock = 8 * TileRows;
    private const int KeyBlock = 256;
    private const int Lanes = 16;
    private const int TileColumns = 2 * Lanes;

    /// <summary>What is done with a block of queries of one head, given the head's packed keys and values.</summary>
    private delegate void QueryBlockBody(int item, int head, int first, int width, float* packedKeys, float* packedValues);

    public static void Run(in AttentionArguments arguments)
    {
        var (query, key, value, scale, output, logSumExp, mask) = arguments;
        int keys = key.Shape[1];
        ForQueryBlocks(query, key, value, (item, head, first, width, packedKeys, packedValues) =>
            Attend(query, scale, output, logSumExp, mask, item, head, first, keys, width, packedKeys, packedValues));
    }

    private static void ForQueryBlocks(Tensor query, Tensor key, Tensor value, QueryBlockBody body)
    {
        var (batch, queries, heads, channels) = (query.Shape[0], query.Shape[1], query.Shape[2], query.Shape[3]);
        var (keyBatch, keys, keyHeads) = (key.Shape[0], key.Shape[1], key.Shape[2]);
        if (batch * heads == 0 || queries == 0)
            return;

        int width = (channels + TileColumns - 1) / TileColumns * TileColumns;
        int blocks = (keys + KeyBlock - 1) / KeyBlock;
        long headKeys = (long)blocks * KeyBlock * channels;
        long headValues = (long)blocks * KeyBlock * width;
        void* keyMemory = TensorMemory.Rent((nuint)(Math.Max(headKeys, 1) * keyBatch * keyHeads * sizeof(float)), out nuint keySize);
        void* valueMemory = TensorMemory.Rent((nuint)(Math.Max(headValues, 1) * keyBatch * keyHeads * sizeof(float)), out nuint valueSize);
        try
        {
            nint packedKeys = (nint)keyMemory;
            nint packedValues = (nint)valueMemory;
            Workers.For(keyBatch * keyHeads * blocks, piece =>
            {
                int head = piece / blocks;
                int block = piece % blocks;
                Pack(key, value, head / keyHeads, head % keyHeads, block * KeyBlock, width,
                    (float*)packedKeys + head * headKeys + (long)block * KeyBlock * channels, (float*)packedValues + head * headValues + (long)block * KeyBlock * width);
            });
            int queryBlocks = (queries + QueryBlock - 1) / QueryBlock;
            Workers.For(batch * heads * queryBlocks, piece =>
            {
                int item = piece / queryBlocks / heads;
                int head = piece / queryBlocks % heads;
                int keyHead = (keyBatch == 1 ? 0 : item) * keyHeads + head / (heads / keyHeads);
                body(item, head, piece % queryBlocks * QueryBlock, width, (float*)packedKeys + keyHead * headKeys, (float*)packedValues + keyHead * headValues);
            });
        }
        finally
        {
            TensorMemory.Return(keyMemory, keySize);
            TensorMemory.Return(valueMemory, valueSize);
        }
    }

    /// <summary>
    /// A block of keys as panels of 32, channel by channel, and of values as rows of a whole number of tiles; what is beyond the last key of a panel or the
    /// last channel is zero. Panels and rows of values beyond the last key are never read, and stay as they are.
    /// </summary>
    private static void Pack(Tensor key, Tensor value, int item, int head, int start, int width, float* keys, float* values)
    {
        int count = Math.Min(KeyBlock, key.Shape[1] - start);
        int channels = key.Shape[3];
        float* k = key.Pointer + item * key.Stride(0) + start * key.Stride(1) + head * key.Stride(2);
        float* v = value.Pointer + item * value.Stride(0) + start * value.Stride(1) + head * value.Stride(2);
        for (int panel = 0; panel < (count + TileColumns - 1) / TileColumns; panel++)
        {
            float* target = keys + (long)panel * TileColumns * channels;
            for (int j = 0; j < TileColumns; j++)
            {
                int row = panel * TileColumns + j;
                float* source = k + row * key.Stride(1);
                for (int c = 0; c < channels; c++)
                    target[c * TileColumns + j] = row < count ? source[c] : 0;
            }
        }
        for (int row = 0; row < count; row++)
        {
            var target = new Span<float>(values + (long)row * width, width);
            new ReadOnlySpan<float>(v + row * value.Stride(1), channels).CopyTo(target);
            target[channels..].Clear();
        }
    }

    /// <summary>One block of queries of one head over all keys.</summary>
    private static void Attend(
        Tensor query, float scale, Tensor output, Tensor? logSumExp, AttentionMask? mask, int item, int head, int first, int keys, int width, float* packedKeys, float* packedValues)
    {
        int channels = query.Shape[3];
        int rows = Math.Min(QueryBlock, query.Shape[1] - first);
        int tiles = (rows + TileRows - 1) / TileRows;
        int padded = tiles * TileRows;
        void* memory = TensorMemory.Rent((nuint)((padded * (channels + width + 2) + TileRows * KeyBlock) * sizeof(float)), out nuint size);
        float* queries = (float*)memory;
        float* sums = queries + padded * channels;
        float* weights = sums + padded * width;
        float* maxima = weights + TileRows * KeyBlock;
        float* totals = maxima + padded;
        try
        {
            for (int i = 0; i < padded; i++)
            {
                float* source = query.Pointer + item * query.Stride(0) + (first + i) * query.Stride(1) + head * query.Stride(2);
                float* target = queries + i / TileRows * (TileRows * channels) + i % TileRows;
                for (int c = 0; c < channels; c++)
                    target[c * TileRows] = i < rows ? source[c] * scale : 0;
            }
            new Span<float>(sums, padded * width).Clear();
            new Span<float>(maxima, padded).Fill(float.NegativeInfinity);
            new Span<float>(totals, padded).Clear();

            for (int start = 0; start < keys; start += KeyBlock)
            {
                int count = Math.Min(KeyBlock, keys - start);
                int panels = (count + TileColumns - 1) / TileColumns;
                float* keyBlock = packedKeys + (long)start * channels;
                float* valueBlock = packedValues + (long)start * width;
                for (int tile = 0; tile < tiles; tile++)
                {
                    for (int panel = 0; panel < panels; panel++)
                        Scores(queries + tile * TileRows * channels, keyBlock + (long)panel * TileColumns * channels, channels, weights + panel * TileColumns, KeyBlock);
                    float* tileSums = sums + (long)tile * TileRows * width;
                    for (int i = 0; i < TileRows; i++)
                    {
                        int row = tile * TileRows + i;
                        float* z = weights + i * KeyBlock;
                        if (mask != null && row < rows)
                            ApplyMask(mask, z, item, head, first + row, query.Shape[1], start, count, keys);
                        new Span<float>(z + count, panels * TileColumns - count).Fill(float.NegativeInfinity);
                        Normalise(z, panels * TileColumns, maxima + row, totals + row, tileSums + (long)i * width, width);
                    }
                    for (int c = 0; c < width; c += TileColumns)
                        Values(weights, valueBlock + c, width, count, tileSums + c, width);
                }
            }

            for (int i = 0; i < rows; i++)
            {
                var result = new Span<float>(output.Pointer + item * output.Stride(0) + (first + i) * output.Stride(1) + head * output.Stride(2), channels);
                bool any = totals[i] > 0;
                if (any)
                    TensorPrimitives.Multiply(new ReadOnlySpan<float>(sums + (long)i * width, channels), 1 / totals[i], result);
                else
                    result.Clear();
                if (logSumExp != null)
                    logSumExp.Row(item, first + i)[head] = any ? maxima[i] + MathF.Log(totals[i]) : float.NegativeInfinity;
            }
        }
        finally
        {
            TensorMemory.Return(memory, size);
        }
    }

    /// <summary>Turns a row of logits into exp(z - maximum); when the maximum grows, what was summed before is scaled down.</summary>
    private static void Normalise(float* z, int count, float* maximum, float* total, float* sums, int width)
    {
        var largest = Vector512.Load(z);
        for (int j = Lanes; j < count; j += Lanes)
            largest = Vector512.Max(largest, Vector512.Load(z + j));
        float before = *maximum;
        float now = before;
        for (int lane = 0; lane < Lanes; lane++)
            now = MathF.Max(now, largest[lane]);
        if (float.IsNegativeInfinity(now))
        {
            new Span<float>(z, count).Clear();
            return;
        }
        if (now > before)
        {
            *maximum = now;
            float factor = MathF.Exp(before - now);
            *total *= factor;
            if (factor != 1)
                TensorPrimitives.Multiply(new ReadOnlySpan<float>(sums, width), factor, new Span<float>(sums, width));
        }
        var centre = Vector512.Create(now);
        var sum = Vector512<float>.Zero;
        for (int j = 0; j < count; j += Lanes)
        {
            var weight = ExpOfNegative(Vector512.Load(z + j) - centre);
            weight.Store(z + j);
            sum += weight;
        }
        *total += Vector512.Sum(sum);
    }

    /// <summary>
    /// exp(x) for x of at most 0, within 2 units in the last place: x = n ln 2 + r, a polynomial in r (Cephes' expf), and n put into the exponent. Below -87 the result is 0.
    /// </summary>
    private static Vector512<float> ExpOfNegative(Vector512<float> x)
    {
        var small = Vector512.LessThan(x, Vector512.Create(-87f));
        x = Vector512.ConditionalSelect(small, Vector512<float>.Zero, x);
        var n = Vector512.Round(x * Vector512.Create(1.44269504f));
        var r = Vector512.FusedMultiplyAdd(n, Vector512.Create(-0.693359375f), x);
        r = Vector512.FusedMultiplyAdd(n, Vector512.Create(2.12194440e-4f), r);
        var p = Vector512.FusedMultiplyAdd(Vector512.Create(1.9875691500e-4f), r, Vector512.Create(1.3981999507e-3f));
        p = Vector512.FusedMultiplyAdd(p, r, Vector512.Create(8.3334519073e-3f));
        p = Vector512.FusedMultiplyAdd(p, r, Vector512.Create(4.1665795894e-2f));
        p = Vector512.FusedMultiplyAdd(p, r, Vector512.Create(1.6666665459e-1f));
        p = Vector512.FusedMultiplyAdd(p, r, Vector512.Create(5.0000001201e-1f));
        p = Vector512.FusedMultiplyAdd(p, r * r, r + Vector512<float>.One);
        var exponent = (Vector512.ConvertToInt32Native(n) + Vector512.Create(127)) << 23;
        return Vector512.ConditionalSelect(small, Vector512<float>.Zero, p * exponent.AsSingle());
    }

    private static void ApplyMask(AttentionMask mask, float* z, int item, int head, int query, int queries, int start, int count, int keys)
    {
        var row = new Span<float>(z, count);
        if (mask.SoftCap > 0)
        {
            for (int j = 0; j < count; j++)
                row[j] = mask.SoftCap * MathF.Tanh(row[j] / mask.SoftCap);
        }
        if (mask.Bias is { } bias)
            TensorPrimitives.Add(row, bias.Row(bias.Shape[0] == 1 ? 0 : item, bias.Shape[1] == 1 ? 0 : head, query).Slice(start, count), row);
        if (mask.Keys is { } counted)
        {
            var keep = counted.Row(counted.Shape[0] == 1 ? 0 : item).Slice(start, count);
            for (int j = 0; j < count; j++)
            {
                if (keep[j] == 0)
                    row[j] = float.NegativeInfinity;
            }
        }
        if (!mask.Causal)
            return;
        int last = query + keys - queries - start;          // the last key that is seen, within this block
        if (last + 1 < count)
            row[Math.Max(last + 1, 0)..].Fill(float.NegativeInfinity);
        if (mask.Window > 0 && last - mask.Window + 1 > 0)
            row[..Math.Min(last - mask.Window + 1, count)].Fill(float.NegativeInfinity);
    }
}
