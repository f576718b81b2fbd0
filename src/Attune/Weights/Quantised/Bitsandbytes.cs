using System.Runtime.InteropServices;
using Attune.Tensors;

namespace Attune.Weights.Quantised;

/// <summary>
/// Weights that bitsandbytes quantised (Dettmers et al., arXiv 2305.14314 and 2208.07339). In four bits: two codes in a byte, the first in
/// its upper half, for the values of a table, times the scale of each block of the flattened matrix; scales may be quantised in their turn.
/// In eight: signed bytes times a scale of each row, over 127.
/// </summary>
internal static class Bitsandbytes
{
    private const string State = ".quant_state.bitsandbytes__";

    /// <summary>The weights, and their parts taken.</summary>
    public static IEnumerable<QuantisedWeight> Read(TensorParts parts)
    {
        foreach (string name in parts.Names)
        {
            if (name.LastIndexOf(State, StringComparison.Ordinal) is > 0 and var at && name[(at + State.Length)..] is "nf4" or "fp4")
                yield return FourBits(parts, name[..at], name);
            else if (name.EndsWith(".SCB", StringComparison.Ordinal) && parts.Find(name[..^4] + ".weight") is { } weight)
                yield return EightBits(parts, weight, name);
        }
    }

    private static QuantisedWeight EightBits(TensorParts parts, TensorEntry weight, string scales)
    {
        if (weight.Type != "I8" || weight.Dimensions.Count != 2 || weight.Count == 0)
            throw TensorParts.Wrong(weight, $"is {weight.Type} {weight.Extents}, expected a matrix of I8, because {scales} is there");
        var shape = weight.ToShape();
        if (parts.Take(weight.Name + "_format") is { } order && (order.Length != 1 || parts.Bytes(order)[0] != 0))
            throw TensorParts.Wrong(order, "names an order of the codes other than by rows (0), which is not supported");
        float[] rows = parts.Values(parts.Take(scales)!, shape[0]);
        for (int i = 0; i < rows.Length; i++)
            rows[i] /= 127;
        return new QuantisedWeight(
            weight with { IsQuantised = true },
            (_, memory) => WithScale(
                parts.Read(weight, WeightFormat.Int8, shape), memory.Floats(scales, rows, [shape[0], 1])));
    }

    private static QuantisedWeight FourBits(TensorParts parts, string name, string state)
    {
        var json = parts.Json(parts.Take(state)!);
        var weight = parts.Find(name)
            ?? throw new CheckpointException($"{json.File}: the tensor {name}, to which it belongs, is missing.");
        string type = json["quant_type"].String();
        int length = json["blocksize"].Int();
        int[] extents = [.. json["shape"].Items().Select(extent => extent.Int())];
        if (length < 2 || length % 2 != 0)
            throw json["blocksize"].Wrong("an even number above 0");
        Int128 elements = extents.Aggregate((Int128)1, (product, extent) => product * extent);
        if (extents.Length is 0 or > Shape.MaxRank || extents.Any(extent => extent < 1) || (elements + 1) / 2 != weight.Length)
        {
            throw TensorParts.Wrong(
                weight, $"has {weight.Length} bytes, which are not those of four-bit codes of the shape [{string.Join(", ", extents)}]");
        }
        var shape = Shape.Create(extents);
        int blocks = checked((int)((shape.Count + length - 1) / length));
        float[] table = parts.Values(parts.Require(name + ".quant_map", name), 16);
        var scales = parts.Require(name + ".absmax", name);
        float[]? unfolded = null;
        if (scales.Type == "U8" || json.Find("nested_offset") != null)
            unfolded = Unfold(parts, name, scales, json, blocks);
        else if (scales.Count != blocks)
            throw TensorParts.Wrong(scales, $"has {scales.Count} elements, expected {blocks}");
        var format = WeightFormat.CodeBook(type.ToUpperInvariant(), table);
        var entry = weight with { Type = format.Name, Dimensions = [.. extents.Select(extent => (long)extent)], IsQuantised = true };
        long columns = shape.Count / shape[0];
        if (columns % length != 0)
            return new QuantisedWeight(entry, (_, memory) => Widen(memory));
        return new QuantisedWeight(entry, (_, memory) =>
        {
            Shape groups = [shape[0], (int)(columns / length)];
            return WithScale(
                parts.Read(weight, format, shape),
                unfolded == null ? parts.Floats(scales, groups) : memory.Floats(scales.Name, unfolded, groups));
        });

        // Blocks that cross rows: not many a matrix has such.
        StoredWeight Widen(MadeMemory memory)
        {
            float[] factors = unfolded ?? parts.Values(scales, blocks);
            var codes = parts.Bytes(weight);
            long bytes = shape.Count * sizeof(float);
            var made = memory.Allocate(bytes);
            var values = MemoryMarshal.Cast<byte, float>(made.Write(0, checked((int)bytes)));
            for (int i = 0; i < values.Length; i++)
                values[i] = table[codes[i / 2] >> (i % 2 == 0 ? 4 : 0) & 15] * factors[i / length];
            return new StoredWeight(name, shape, WeightFormat.Float32, made);
        }
    }

    /// <summary>Scales that are codes of eight bits for the values of a table, times the scale of each of their blocks, plus a
    /// number.</summary>
    private static float[] Unfold(TensorParts parts, string name, TensorEntry scales, JsonPart json, int blocks)
    {
        int length = json["nested_blocksize"].Int();
        float offset = (float)json["nested_offset"].Double();
        if (length < 1)
            throw json["nested_blocksize"].Wrong("a number above 0");
        if (scales.Type != "U8" || scales.Count != blocks)
            throw TensorParts.Wrong(scales, $"is {scales.Type} {scales.Extents}, expected {blocks} elements of U8");
        float[] table = parts.Values(parts.Require(name + ".nested_quant_map", name), 256);
        float[] outer = parts.Values(parts.Require(name + ".nested_absmax", name), (blocks + (long)length - 1) / length);
        var codes = parts.Bytes(scales);
        var unfolded = new float[blocks];
        for (int i = 0; i < blocks; i++)
            unfolded[i] = table[codes[i]] * outer[i / length] + offset;
        return unfolded;
    }

    private static StoredWeight WithScale(StoredWeight weight, StoredWeight scale) =>
        weight with { Companions = new Dictionary<string, StoredWeight> { [StoredWeight.ScaleCompanion] = scale } };
}
