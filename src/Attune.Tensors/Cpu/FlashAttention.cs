using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;

namespace Attune.Tensors.Cpu;

/// <summary>
/// Attention without the matrix of weights (Dao et al., arXiv 2205.14135): keys are taken block by block, and each query keeps a running
/// maximum, sum and output. Everything is transposed: a tile of 48 queries lies with its queries side by side, logits are [keys, queries]
/// and sums [channels, queries], and is turned back when it is written. Keys and values are packed once for each head; a piece of work is
/// some tiles of one head, and what a query becomes does not depend on the others of its tile, so the results do not depend on the number
/// of threads. Logits are kept in units of ln 2, so that weights are powers of two.
/// </summary>
internal unsafe partial struct FlashAttention
{
    private const int Lanes = 16;
    private const int TileRows = 8;
    private const int TileWidth = 3 * Lanes;
    private const int KeyBlock = 128;

    /// <summary>Queries and sums of a piece of work stay in the second-level cache, beside a block of keys and values.</summary>
    private const int PieceFloats = 96 << 10;

    /// <summary>What is done with the queries [first, end) of one head, given the head's packed keys and values.</summary>
    private delegate void QueryRangeBody(int item, int head, int first, int end, float* packedKeys, float* packedValues);

    public static void Run(in AttentionArguments arguments)
    {
        var given = arguments;
        ForQueryRanges(
            given, (item, head, first, end, packedKeys, packedValues) => Attend(given, item, head, first, end, packedKeys, packedValues));
    }

    private static void ForQueryRanges(in AttentionArguments arguments, QueryRangeBody body)
    {
        var (key, value) = (arguments.Key, arguments.Value);
        var shape = arguments.Query.Shape;
        var (batch, queries, heads, channels) = (shape[0], shape[1], shape[2], shape[3]);
        var (keyBatch, keys, keyHeads) = (key.Shape[0], key.Shape[1], key.Shape[2]);
        if (batch * heads == 0 || queries == 0)
            return;

        int blocks = (keys + KeyBlock - 1) / KeyBlock;
        long headSize = (long)(keys + TileRows - 1) / TileRows * TileRows * channels;
        using var scratch = new Scratch((nuint)(2 * headSize * keyBatch * keyHeads * sizeof(float)));
        float* packedKeys = scratch.Take<float>(headSize * keyBatch * keyHeads);
        float* packedValues = scratch.Take<float>(headSize * keyBatch * keyHeads);
        Workers.For(keyBatch * keyHeads * blocks, piece =>
        {
            var (head, start) = (piece / blocks, piece % blocks * KeyBlock);
            long at = head * headSize + (long)start * channels;
            Pack(key, value, head / keyHeads, head % keyHeads, start, packedKeys + at, packedValues + at);
        });

        // The number of tiles of a piece depends on the shape alone; not fewer than 16 pieces, if there are as many tiles.
        int tiles = (queries + TileWidth - 1) / TileWidth;
        int size = Math.Clamp(PieceFloats / (2 * TileWidth * Math.Max(channels, 1)), 1, 8);
        size = Math.Max(1, Math.Min(size, (int)((long)tiles * batch * heads / 16)));
        int pieces = (tiles + size - 1) / size;
        Workers.For(batch * heads * pieces, piece =>
        {
            var (item, head) = (piece / pieces / heads, piece / pieces % heads);
            int first = piece % pieces * size * TileWidth;
            long at = ((keyBatch == 1 ? 0 : item) * keyHeads + head / (heads / keyHeads)) * headSize;
            body(item, head, first, Math.Min(first + size * TileWidth, queries), packedKeys + at, packedValues + at);
        });
    }

    /// <summary>
    /// A block of keys as rows, up to a whole number of tiles with rows of zeros, and of values as panels of 8 channels, [channels / 8,
    /// keys of the block, 8].
    /// </summary>
    private static void Pack(Tensor key, Tensor value, int item, int head, int start, float* keys, float* values)
    {
        int count = Math.Min(KeyBlock, key.Shape[1] - start);
        int channels = key.Shape[3];
        float* k = key.Pointer + item * key.Stride(0) + start * key.Stride(1) + head * key.Stride(2);
        float* v = value.Pointer + item * value.Stride(0) + start * value.Stride(1) + head * value.Stride(2);
        for (int row = 0; row < count; row++, k += key.Stride(1), v += value.Stride(1))
        {
            float* target = values + row * TileRows;
            for (int c = 0; c < channels; c += TileRows, target += count * TileRows)
            {
                Vector256.Load(k + c).Store(keys + c);
                Vector256.Load(v + c).Store(target);
            }
            keys += channels;
        }
        new Span<float>(keys, (TileRows - count % TileRows) % TileRows * channels).Clear();
    }

    /// <summary>Some queries of one head over all keys.</summary>
    private static void Attend(
        in AttentionArguments arguments, int item, int head, int first, int end, float* packedKeys, float* packedValues)
    {
        var (query, key, _, scale, _, _, mask) = arguments;
        int channels = query.Shape[3];
        int keys = key.Shape[1];
        int tiles = (end - first + TileWidth - 1) / TileWidth;
        int tileSize = TileWidth * channels;
        using var scratch = new Scratch((nuint)((tiles * (2 * tileSize + 2 * TileWidth) + KeyBlock * TileWidth) * sizeof(float)));
        float* queries = scratch.Take<float>(tiles * tileSize);
        float* sums = scratch.Take<float>(tiles * tileSize);
        float* weights = scratch.Take<float>(KeyBlock * TileWidth);
        float* maxima = scratch.Take<float>(tiles * TileWidth);
        float* totals = scratch.Take<float>(tiles * TileWidth);
        for (int tile = 0; tile < tiles; tile++)
            PackQueries(query, scale * Exponential.Log2E, item, head, first + tile * TileWidth, WidthOf(tile), queries + tile * tileSize);
        new Span<float>(sums, tiles * tileSize).Clear();
        new Span<float>(maxima, tiles * TileWidth).Fill(float.NegativeInfinity);
        new Span<float>(totals, tiles * TileWidth).Clear();

        for (int start = 0; start < keys; start += KeyBlock)
        {
            int count = Math.Min(KeyBlock, keys - start);
            float* keyBlock = packedKeys + (long)start * channels;
            float* valueBlock = packedValues + (long)start * channels;
            if (mask?.Keys is { } counted && !counted.Row(counted.Shape[0] == 1 ? 0 : item).Slice(start, count).ContainsAnyExcept(0f))
                continue;
            for (int tile = 0; tile < tiles; tile++)
            {
                int at = first + tile * TileWidth;
                if (mask is { Causal: true } && !Seen(mask, at, Math.Min(at + TileWidth, end), query.Shape[1], start, count, keys))
                    continue;
                var state = new TileState(
                    queries + tile * tileSize, sums + tile * tileSize, maxima + tile * TileWidth, totals + tile * TileWidth);
                var block = new PackedBlock(keyBlock, valueBlock, start, count);
                switch (WidthOf(tile) / Lanes)
                {
                    case 1: AddBlock<OneVector>(arguments, item, head, at, state, block, weights); break;
                    case 2: AddBlock<TwoVectors>(arguments, item, head, at, state, block, weights); break;
                    default: AddBlock<ThreeVectors>(arguments, item, head, at, state, block, weights); break;
                }
            }
        }

        for (int tile = 0; tile < tiles; tile++)
        {
            int at = first + tile * TileWidth;
            Finish(
                arguments, item, head, at, Math.Min(TileWidth, end - at), WidthOf(tile), sums + tile * tileSize, maxima + tile * TileWidth,
                totals + tile * TileWidth);
        }

        int WidthOf(int tile) => Math.Min(TileWidth, (end - first - tile * TileWidth + Lanes - 1) / Lanes * Lanes);
    }

    /// <summary>What a tile of queries keeps from block to block.</summary>
    /// <param name="queries">[channels, width].</param>
    /// <param name="sums">[channels, width].</param>
    /// <param name="maxima">[width].</param>
    /// <param name="totals">[width].</param>
    private readonly struct TileState(float* queries, float* sums, float* maxima, float* totals)
    {
        public float* Queries { get; } = queries;

        public float* Sums { get; } = sums;

        public float* Maxima { get; } = maxima;

        public float* Totals { get; } = totals;
    }

    /// <summary>A block of packed keys and values.</summary>
    private readonly struct PackedBlock(float* keys, float* values, int start, int count)
    {
        public float* Keys { get; } = keys;

        public float* Values { get; } = values;

        public int Start { get; } = start;

        public int Count { get; } = count;
    }

    /// <summary>A tile of queries over one block of keys.</summary>
    private static void AddBlock<TWidth>(
        in AttentionArguments arguments, int item, int head, int first, TileState state, PackedBlock block, float* weights)
        where TWidth : IWidth
    {
        int width = TWidth.Vectors * Lanes;
        int channels = arguments.Query.Shape[3];
        float* maxima = state.Maxima;
        int count = block.Count;
        float* before = stackalloc float[TileWidth];
        float* factors = stackalloc float[TileWidth];
        for (int j = 0; j < width; j += Lanes)
            Vector512.Load(maxima + j).Store(before + j);

        // Maxima are taken in the product where all its rows count and no mask changes them.
        int whole = arguments.Mask == null ? count / TileRows * TileRows : 0;
        float* keys = block.Keys;
        for (int i = 0; i < count; i += TileRows, keys += TileRows * channels)
            Scores<TWidth>(keys, state.Queries, channels, weights + i * width, i < whole ? maxima : null);
        if (arguments.Mask is { } mask)
            ApplyMask(
                mask, weights, width, Exponential.Log2E, item, head, first, arguments.Query.Shape[1], block.Start, count,
                arguments.Key.Shape[1]);
        if (whole < count)
        {
            for (int j = 0; j < width; j += Lanes)
                Maximum(weights + whole * width + j, count - whole, width, maxima + j);
        }
        Weigh<TWidth>(weights, count, before, maxima, factors, state.Totals);
        float* values = block.Values;
        for (int c = 0; c < channels; c += TileRows, values += count * TileRows)
            Values<TWidth>(values, weights, count, factors, state.Sums + c * width);
    }

    /// <summary>
    /// Turns logits into powers of two below their maxima, adds them to the totals, and tells by which factors earlier totals and sums go
    /// down: 1 unless the maximum has grown.
    /// </summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void Weigh<TWidth>(float* logits, int count, float* before, float* maxima, float* factors, float* totals)
        where TWidth : IWidth
    {
        var m0 = Centre(Vector512.Load(maxima));
        var m1 = TWidth.Vectors > 1 ? Centre(Vector512.Load(maxima + Lanes)) : default;
        var m2 = TWidth.Vectors > 2 ? Centre(Vector512.Load(maxima + 2 * Lanes)) : default;
        Vector512<float> s0 = Vector512<float>.Zero, s1 = Vector512<float>.Zero, s2 = Vector512<float>.Zero;
        for (; count > 0; count--, logits += TWidth.Vectors * Lanes)
        {
            var w0 = Exponential.PowerOfTwo(Vector512.Load(logits) - m0);
            w0.Store(logits);
            s0 += w0;
            if (TWidth.Vectors > 1)
            {
                var w1 = Exponential.PowerOfTwo(Vector512.Load(logits + Lanes) - m1);
                w1.Store(logits + Lanes);
                s1 += w1;
            }
            if (TWidth.Vectors > 2)
            {
                var w2 = Exponential.PowerOfTwo(Vector512.Load(logits + 2 * Lanes) - m2);
                w2.Store(logits + 2 * Lanes);
                s2 += w2;
            }
        }
        Finish(m0, s0, 0);
        if (TWidth.Vectors > 1)
            Finish(m1, s1, Lanes);
        if (TWidth.Vectors > 2)
            Finish(m2, s2, 2 * Lanes);

        void Finish(Vector512<float> centre, Vector512<float> sum, int at)
        {
            var factor = Exponential.PowerOfTwo(Vector512.Load(before + at) - centre);
            factor.Store(factors + at);
            Vector512.FusedMultiplyAdd(Vector512.Load(totals + at), factor, sum).Store(totals + at);
        }
    }

    /// <summary>The maxima, and 0 where no key has counted yet, so that logits of minus infinity stay so.</summary>
    private static Vector512<float> Centre(Vector512<float> maxima) =>
        Vector512.ConditionalSelect(Vector512.Equals(maxima, Vector512.Create(float.NegativeInfinity)), Vector512<float>.Zero, maxima);

    /// <summary>Queries of one head as [channels, width], times the scale; those after the last are that one again.</summary>
    private static void PackQueries(Tensor query, float scale, int item, int head, int first, int width, float* target)
    {
        int channels = query.Shape[3];
        int rows = Math.Min(width, query.Shape[1] - first);
        long stride = query.Stride(1);
        float* source = query.Pointer + item * query.Stride(0) + first * stride + head * query.Stride(2);
        int whole = rows / TileRows * TileRows;
        var factors = Vector256.Create(scale);
        for (int i = 0; i < whole; i += TileRows)
        {
            for (int c = 0; c < channels; c += TileRows)
                Transposition.Tile(source + i * stride + c, stride, factors, target + c * width + i, width);
        }
        for (int i = whole; i < width; i++)
        {
            float* row = source + Math.Min(i, rows - 1) * stride;
            for (int c = 0; c < channels; c++)
                target[c * width + i] = row[c] * scale;
        }
    }

    /// <summary>Writes the outputs and log-sum-exps of a tile.</summary>
    private static void Finish(
        in AttentionArguments arguments, int item, int head, int first, int rows, int width, float* sums, float* maxima, float* totals)
    {
        for (int j = 0; j < width; j += Lanes)
        {
            // NaN is not hidden: only a total of 0 says that no key counts.
            var total = Vector512.Load(totals + j);
            var none = Vector512.Equals(total, Vector512<float>.Zero);
            if (arguments.LogSumExp != null)
            {
                var logarithm = Vector512.FusedMultiplyAdd(
                    Vector512.Load(maxima + j), Vector512.Create(0.693147181f), Exponential.Log(total));
                Vector512.ConditionalSelect(none, Vector512.Create(float.NegativeInfinity), logarithm).Store(maxima + j);
            }
            Vector512.ConditionalSelect(none, Vector512<float>.Zero, Vector512<float>.One / total).Store(totals + j);
        }
        Write(arguments.Output, item, head, first, rows, width, sums, totals);
        if (arguments.LogSumExp is { } logSumExp)
            WriteColumn(logSumExp, item, head, first, rows, maxima);
    }

    /// <summary>Turns sums [channels, width] back to rows, times a factor for each.</summary>
    private static void Write(Tensor output, int item, int head, int first, int rows, int width, float* sums, float* factors)
    {
        int channels = output.Shape[3];
        long stride = output.Stride(1);
        float* target = output.Pointer + item * output.Stride(0) + first * stride + head * output.Stride(2);
        int whole = rows / TileRows * TileRows;
        for (int i = 0; i < whole; i += TileRows)
        {
            var factor = Vector256.Load(factors + i);
            for (int c = 0; c < channels; c += TileRows)
                Transposition.Tile(sums + c * width + i, width, factor, target + i * stride + c, stride);
        }
        for (int i = whole; i < rows; i++)
        {
            for (int c = 0; c < channels; c++)
                target[i * stride + c] = sums[c * width + i] * factors[i];
        }
    }

    private static void WriteColumn(Tensor target, int item, int head, int first, int rows, float* numbers)
    {
        float* at = target.Pointer + item * target.Stride(0) + first * target.Stride(1) + head * target.Stride(2);
        for (int i = 0; i < rows; i++, at += target.Stride(1))
            *at = numbers[i];
    }

    /// <summary>Whether any of the queries [first, end) sees a key of a block under a causal mask.</summary>
    private static bool Seen(AttentionMask mask, int first, int end, int queries, int start, int count, int keys)
    {
        int offset = keys - queries;
        return start <= end - 1 + offset && (mask.Window <= 0 || start + count - 1 > first + offset - mask.Window);
    }

    /// <summary>Applies a mask to logits [count, width] that are multiplied by <paramref name="unit"/>.</summary>
    private static void ApplyMask(
        AttentionMask mask, float* logits, int width, float unit, int item, int head, int first, int queries, int start, int count,
        int keys)
    {
        int rows = Math.Min(width, queries - first);
        if (mask.SoftCap > 0)
        {
            float cap = mask.SoftCap * unit;
            for (int j = 0; j < count * width; j++)
                logits[j] = cap * MathF.Tanh(logits[j] / cap);
        }
        if (mask.Bias is { } bias)
            AddBias(bias, logits, width, unit, bias.Shape[0] == 1 ? 0 : item, bias.Shape[1] == 1 ? 0 : head, first, rows, start, count);
        if (mask.Keys is { } counted)
        {
            var keep = counted.Row(counted.Shape[0] == 1 ? 0 : item).Slice(start, count);
            for (int j = 0; j < count; j++)
            {
                if (keep[j] == 0)
                    new Span<float>(logits + j * width, width).Fill(float.NegativeInfinity);
            }
        }
        if (!mask.Causal)
            return;
        for (int j = 0; j < count; j++)
        {
            // Queries from `own` on see this key, and with a window those before `last` only.
            int own = start + j - (keys - queries) - first;
            var row = new Span<float>(logits + j * width, rows);
            row[..Math.Clamp(own, 0, rows)].Fill(float.NegativeInfinity);
            if (mask.Window > 0)
                row[Math.Clamp(own + mask.Window, 0, rows)..].Fill(float.NegativeInfinity);
        }
    }

    /// <summary>
    /// Adds rows of a bias to columns of logits. A bias that is finite stays so when it is multiplied: the lowest number, with which some
    /// models mask, on all keys of a row means their average, where minus infinity means no keys.
    /// </summary>
    private static void AddBias(
        Tensor bias, float* logits, int width, float unit, int item, int head, int first, int rows, int start, int count)
    {
        float* tile = stackalloc float[TileRows * TileRows];
        long stride = bias.Stride(2);
        float* source = bias.Pointer + item * bias.Stride(0) + head * bias.Stride(1) + first * stride + start;
        var factor = Vector256.Create(unit);
        int wholeRows = rows / TileRows * TileRows;
        int wholeKeys = count / TileRows * TileRows;
        for (int i = 0; i < wholeRows; i += TileRows)
        {
            for (int j = 0; j < wholeKeys; j += TileRows)
            {
                Transposition.Tile(source + i * stride + j, stride, Vector256<float>.One, tile, TileRows);
                for (int k = 0; k < TileRows; k++)
                {
                    float* at = logits + (j + k) * width + i;
                    (Vector256.Load(at) + FiniteProduct(Vector256.Load(tile + k * TileRows), factor)).Store(at);
                }
            }
        }
        for (int i = 0; i < rows; i++)
        {
            for (int j = i < wholeRows ? wholeKeys : 0; j < count; j++)
                logits[j * width + i] += FiniteProduct(Vector256.CreateScalar(source[i * stride + j]), factor)[0];
        }
    }

    /// <summary>Products, the largest number in place of those that are infinite though the values are finite.</summary>
    private static Vector256<float> FiniteProduct(Vector256<float> values, Vector256<float> factor)
    {
        var infinite = Vector256.Create(float.PositiveInfinity);
        var product = values * factor;
        var overflow = Vector256.AndNot(
            Vector256.Equals(Vector256.Abs(product), infinite), Vector256.Equals(Vector256.Abs(values), infinite));
        return Vector256.ConditionalSelect(overflow, Vector256.CopySign(Vector256.Create(float.MaxValue), product), product);
    }
}
