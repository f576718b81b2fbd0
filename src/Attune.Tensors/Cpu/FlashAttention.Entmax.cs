using System.Runtime.Intrinsics;

namespace Attune.Tensors.Cpu;

/// <summary>
/// Attention with alpha-entmax weights, which need all logits of a query at once: a tile of queries against every key, and with the same
/// logits softmax too.
/// </summary>
internal unsafe partial struct FlashAttention
{
    public static void RunEntmax(in AttentionArguments arguments, float alpha, Tensor? dense, Tensor? support)
    {
        var given = arguments;
        ForQueryRanges(
            given,
            (item, head, first, end, packedKeys, packedValues) => AttendEntmax(
                given, alpha, dense, support, item, head, first, end, packedKeys, packedValues));
    }

    /// <summary>Some queries of one head over all keys.</summary>
    private static void AttendEntmax(
        in AttentionArguments arguments, float alpha, Tensor? dense, Tensor? support, int item, int head, int first, int end,
        float* packedKeys, float* packedValues)
    {
        int channels = arguments.Query.Shape[3];
        int keys = arguments.Key.Shape[1];
        int padded = (keys + TileRows - 1) / TileRows * TileRows;
        using var scratch = new Scratch((nuint)((2L * channels * TileWidth + 2L * padded * TileWidth + padded + Lanes) * sizeof(float)));
        var room = new EntmaxRoom(
            scratch.Take<float>((long)channels * TileWidth), scratch.Take<float>((long)channels * TileWidth),
            scratch.Take<float>((long)padded * TileWidth), scratch.Take<float>((long)padded * TileWidth),
            scratch.Take<float>(padded + Lanes));
        for (int at = first; at < end; at += TileWidth)
        {
            int rows = Math.Min(TileWidth, end - at);
            switch ((rows + Lanes - 1) / Lanes)
            {
                case 1: AttendEntmax<OneVector>(
                    arguments, alpha, dense, support, item, head, at, rows, packedKeys, packedValues, room); break;
                case 2: AttendEntmax<TwoVectors>(
                    arguments, alpha, dense, support, item, head, at, rows, packedKeys, packedValues, room); break;
                default: AttendEntmax<ThreeVectors>(
                    arguments, alpha, dense, support, item, head, at, rows, packedKeys, packedValues, room); break;
            }
        }
    }

    /// <summary>Memory for one tile at a time.</summary>
    /// <param name="queries">[channels, width].</param>
    /// <param name="sums">[channels, width].</param>
    /// <param name="sparse">[keys, width].</param>
    /// <param name="dense">[keys, width].</param>
    /// <param name="column">[keys].</param>
    private readonly struct EntmaxRoom(float* queries, float* sums, float* sparse, float* dense, float* column)
    {
        public float* Queries { get; } = queries;

        public float* Sums { get; } = sums;

        public float* Sparse { get; } = sparse;

        public float* Dense { get; } = dense;

        public float* Column { get; } = column;
    }

    private static void AttendEntmax<TWidth>(
        in AttentionArguments arguments, float alpha, Tensor? dense, Tensor? support, int item, int head, int first, int rows,
        float* packedKeys, float* packedValues, EntmaxRoom room)
        where TWidth : IWidth
    {
        var (query, key, _, scale, output, logSumExp, mask) = arguments;
        int width = TWidth.Vectors * Lanes;
        int channels = query.Shape[3];
        int keys = key.Shape[1];
        float* maxima = stackalloc float[TileWidth];
        float* totals = stackalloc float[TileWidth];
        float* factors = stackalloc float[TileWidth];
        new Span<float>(maxima, width).Fill(float.NegativeInfinity);
        PackQueries(query, scale, item, head, first, width, room.Queries);
        for (int i = 0; i < keys; i += TileRows)
            Scores<TWidth>(packedKeys + (long)i * channels, room.Queries, channels, room.Sparse + (long)i * width, null);
        if (mask != null)
            ApplyMask(mask, room.Sparse, width, 1, item, head, first, query.Shape[1], 0, keys, keys);
        for (int j = 0; j < width; j += Lanes)
        {
            Maximum(room.Sparse + j, keys, width, maxima + j);
            Split(
                room.Sparse + j, dense == null && logSumExp == null ? null : room.Dense + j, keys, width,
                Centre(Vector512.Load(maxima + j)), totals + j);
        }
        EntmaxColumns.Apply(room.Sparse, keys, width, alpha, factors, room.Column);
        if (support != null)
            WriteColumn(support, item, head, first, rows, factors);
        new Span<float>(factors, width).Fill(1);
        Weighted<TWidth>(packedValues, room.Sparse, keys, channels, factors, room.Sums);
        Write(output, item, head, first, rows, width, room.Sums, factors);
        if (dense != null)
        {
            Weighted<TWidth>(packedValues, room.Dense, keys, channels, factors, room.Sums);
            Inverse(totals, factors, width);
            Write(dense, item, head, first, rows, width, room.Sums, factors);
        }
        if (logSumExp == null)
            return;
        for (int j = 0; j < width; j += Lanes)
        {
            var total = Vector512.Load(totals + j);
            Vector512.ConditionalSelect(
                Vector512.Equals(total, Vector512<float>.Zero), Vector512.Create(float.NegativeInfinity),
                Vector512.Load(maxima + j) + Exponential.Log(total))
                .Store(maxima + j);
        }
        WriteColumn(logSumExp, item, head, first, rows, maxima);
    }

    /// <summary>Centres 16 columns of logits, and puts their exponentials beside them if wanted.</summary>
    private static void Split(float* logits, float* weights, int count, int width, Vector512<float> centre, float* totals)
    {
        var unit = Vector512.Create(Exponential.Log2E);
        var total = Vector512<float>.Zero;
        for (int i = 0; i < count; i++, logits += width)
        {
            var z = Vector512.Load(logits) - centre;
            z.Store(logits);
            if (weights == null)
                continue;
            var weight = Exponential.PowerOfTwo(z * unit);
            weight.Store(weights);
            total += weight;
            weights += width;
        }
        total.Store(totals);
    }

    private static void Inverse(float* totals, float* factors, int width)
    {
        for (int j = 0; j < width; j += Lanes)
        {
            var total = Vector512.Load(totals + j);
            Vector512.ConditionalSelect(Vector512.Equals(total, Vector512<float>.Zero), Vector512<float>.Zero, Vector512<float>.One / total)
                .Store(factors + j);
        }
    }

    /// <summary>A tile's weights times all values.</summary>
    private static void Weighted<TWidth>(float* values, float* weights, int keys, int channels, float* ones, float* sums)
        where TWidth : IWidth
    {
        int width = TWidth.Vectors * Lanes;
        new Span<float>(sums, channels * width).Clear();
        for (int start = 0; start < keys; start += KeyBlock, weights += KeyBlock * width)
        {
            int count = Math.Min(KeyBlock, keys - start);
            for (int c = 0; c < channels; c += TileRows, values += count * TileRows)
                Values<TWidth>(values, weights, count, ones, sums + c * width);
        }
    }
}
