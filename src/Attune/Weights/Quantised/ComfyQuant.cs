using System.Collections.ObjectModel;
using System.Numerics;
using System.Runtime.InteropServices;
using Attune.Tensors;

namespace Attune.Weights.Quantised;

/// <summary>
/// ComfyUI's newer convention (its QUANTIZATION.md): each quantised layer has a tensor <c>comfy_quant</c> with a JSON object that names the
/// format, or the header's metadata name the formats of all; scales stand beside the weight.
/// </summary>
internal static class ComfyQuant
{
    /// <summary>The key of the header's metadata.</summary>
    public const string MetadataKey = "_quantization_metadata";

    private const string Marker = ".comfy_quant";

    // The scales of microscaling formats lie in tiles as cuBLAS reads them.
    private const int TileRows = 128;
    private const int TileColumns = 4;

    /// <summary>The weights, and their parts taken.</summary>
    public static IEnumerable<QuantisedWeight> Read(TensorParts parts)
    {
        foreach (string name in parts.Names)
        {
            if (name.EndsWith(Marker, StringComparison.Ordinal))
                yield return Read(parts, name[..^Marker.Length], parts.Json(parts.Take(name)!));
        }
        foreach (var (file, text) in parts.Metadata(MetadataKey))
        {
            var layers = JsonPart.Parse($"{file} ({MetadataKey})", System.Text.Encoding.UTF8.GetBytes(text)).Object().Find("layers");
            foreach (var layer in layers?.Object().Element.EnumerateObject().Select(property => property.Name).ToArray() ?? [])
            {
                if (!parts.IsTaken(layer + Marker))
                    yield return Read(parts, layer, layers![layer].Object());
            }
        }
    }

    private static QuantisedWeight Read(TensorParts parts, string layer, JsonPart json)
    {
        string name = layer + ".weight";
        var weight = parts.Find(name) ?? throw new CheckpointException($"{json.File}: the tensor {name}, to which it belongs, is missing.");
        string format = json["format"].String();
        if (format is not ("float8_e4m3fn" or "float8_e5m2" or "int8_tensorwise" or "mxfp8" or "nvfp4"))
        {
            throw TensorParts.Wrong(
                weight, $"has the format {format}, which is not supported; expected float8_e4m3fn, float8_e5m2, int8_tensorwise, mxfp8 or "
                    + "nvfp4");
        }
        if (weight.Dimensions.Count < 2)
            throw TensorParts.Wrong(weight, $"is {weight.Extents}, expected a matrix");
        string[] types = format switch
        {
            "int8_tensorwise" => ["I8"],
            "mxfp8" => ["F8_E4M3"],
            "nvfp4" => ["U8"],
            _ => ["F8_E4M3", "F8_E5M2"],
        };
        if (!types.Contains(weight.Type))
            throw TensorParts.Wrong(weight, $"is of type {weight.Type}, expected {string.Join(" or ", types)} for {format}");
        var scale = parts.Require(layer + ".weight_scale", name);
        var factors = parts.Take(layer + ".pre_quant_scale");
        parts.Take(layer + ".input_scale");
        switch (format)
        {
            case "mxfp8":
                return Microscaled(
                    parts, new Codes(weight, WeightFormat.Find("F8_E4M3")!, 32), scale, WeightFormat.Float8E8M0, null, factors);
            case "nvfp4":
                var outer = parts.Require(layer + ".weight_scale_2", name);
                if (outer.Count != 1)
                    throw TensorParts.Wrong(outer, $"is {outer.Extents}, expected one number");
                return Microscaled(
                    parts, new Codes(weight, WeightFormat.Float4E2M1, 16), scale, WeightFormat.Find("F8_E4M3")!, parts.Floats(outer, [1]),
                    factors);
            default:
                var stored = weight.Type == "I8" ? Integers(weight, json) : WeightFormat.Find(weight.Type)!;
                long columns = weight.Count / Math.Max(weight.Dimensions[0], 1);
                return Scaled.Of(
                    parts, weight, stored, scale,
                    factors == null ? null : StoredFactors(parts, factors, columns), byRows: format == "int8_tensorwise");
        }
    }

    /// <summary>Signed bytes, of rows that were rotated where the layer's object says so.</summary>
    private static WeightFormat Integers(TensorEntry weight, JsonPart json)
    {
        // Both may stand in an object of their own.
        var inner = json.Find("params")?.Object();
        if ((json.Find("convrot") ?? inner?.Find("convrot"))?.Bool() is not true)
            return WeightFormat.Int8;
        var given = json.Find("convrot_groupsize") ?? inner?.Find("convrot_groupsize");
        int group = given?.Int() ?? 256;
        if (group < 4 || !BitOperations.IsPow2(group) || BitOperations.Log2((uint)group) % 2 != 0)
            throw given!.Wrong("a power of 4");
        if (weight.Dimensions[^1] % group != 0)
            throw TensorParts.Wrong(weight, $"is {weight.Extents}, expected rows of a multiple of {group}, which were rotated together");
        return WeightFormat.RotatedInt8(group);
    }

    private static StoredWeight StoredFactors(TensorParts parts, TensorEntry factors, long columns) => factors.Count == columns
        ? parts.Floats(factors, [(int)columns])
        : throw TensorParts.Wrong(factors, $"is {factors.Extents}, expected {columns} elements, one for each column");

    /// <summary>
    /// A matrix with a scale for each group of a row's elements. Rows and columns may be padded; how far, only the model knows.
    /// </summary>
    private static QuantisedWeight Microscaled(
        TensorParts parts, Codes codes, TensorEntry scale, WeightFormat scaleFormat, StoredWeight? outer, TensorEntry? factors)
    {
        var weight = codes.Weight;
        if (weight.Dimensions.Count != 2 || weight.Count == 0 || codes.Columns % codes.Group != 0 || codes.Columns > int.MaxValue)
            throw TensorParts.Wrong(weight, $"is {weight.Extents}, expected a matrix with rows of groups of {codes.Group}");
        long paddedRows = Padded(codes.Rows, TileRows);
        long paddedGroups = Padded(codes.Columns / codes.Group, TileColumns);
        if ((scale.Type != "U8" && scale.Type != scaleFormat.Name) || scale.Length != paddedRows * paddedGroups)
        {
            throw TensorParts.Wrong(
                scale, $"is {scale.Type} {scale.Extents}, expected {scaleFormat.Name} [{paddedRows}, {paddedGroups}] in tiles for "
                    + $"{weight.Name} {weight.Extents}");
        }
        if (factors != null && factors.Count > codes.Columns)
            throw TensorParts.Wrong(factors, $"is {factors.Extents}, expected one element for each of {codes.Columns} columns");
        long[] extents = [codes.Rows, factors?.Count ?? codes.Columns];
        var entry = weight with { Type = outer == null ? "MXFP8" : "NVFP4", Dimensions = extents, IsQuantised = true };
        return new QuantisedWeight(entry, (expected, memory) =>
        {
            var stored = parts.Read(weight, codes.Format, [(int)codes.Rows, (int)codes.Columns]) with
            {
                Companions = new Dictionary<string, StoredWeight>
                {
                    [StoredWeight.ScaleCompanion] = Untiled(parts, codes, scale, scaleFormat, memory) with
                    {
                        Companions = outer == null ? ReadOnlyDictionary<string, StoredWeight>.Empty
                            : new Dictionary<string, StoredWeight> { [StoredWeight.ScaleCompanion] = outer },
                    },
                },
            };
            if (factors != null)
            {
                var all = new float[codes.Columns];
                parts.Values(factors, factors.Count).CopyTo(all, 0);
                stored = stored with
                {
                    Companions = new Dictionary<string, StoredWeight>(stored.Companions)
                    {
                        [StoredWeight.ColumnsCompanion] = memory.Floats(factors.Name, all, [all.Length]),
                    },
                };
            }
            return Cut(stored, expected ?? entry.ToShape(), memory);
        });
    }

    /// <summary>What is left of a padded matrix; as it is stored where that is no such.</summary>
    private static StoredWeight Cut(StoredWeight stored, Shape shape, MadeMemory memory)
    {
        if (shape.Rank != 2 || shape[0] > stored.Shape[0] || shape[1] > stored.Shape[1] || shape.Count == 0)
            return stored;
        if (shape[1] == stored.Shape[1])
            return stored.Rows(0, shape[0]);
        // Groups that are cut in two have no form of their own; released models have no such.
        long bytes = shape.Count * sizeof(float);
        var made = memory.Allocate(bytes);
        var values = MemoryMarshal.Cast<byte, float>(made.Write(0, checked((int)bytes)));
        for (int row = 0; row < shape[0]; row++)
            stored.Widen((long)row * stored.Shape[1], values.Slice(row * shape[1], shape[1]));
        return new StoredWeight(stored.Name, shape, WeightFormat.Float32, made);
    }

    /// <summary>
    /// Scales in the order of the matrix. Tiles of 128 rows by 4 columns follow each other row by row; within one, row r and column c lie
    /// at 16 (r mod 32) + 4 (r / 32) + c.
    /// </summary>
    private static StoredWeight Untiled(TensorParts parts, Codes codes, TensorEntry scale, WeightFormat format, MadeMemory memory)
    {
        var (rows, columns) = ((int)codes.Rows, (int)(codes.Columns / codes.Group));
        var tiled = parts.Bytes(scale);
        var made = memory.Allocate((long)rows * columns);
        var plain = made.Write(0, rows * columns);
        int tilesPerRow = (columns + TileColumns - 1) / TileColumns;
        for (int row = 0; row < rows; row++)
        {
            int within = row % 32 * 16 + row % TileRows / 32 * 4;
            for (int column = 0; column < columns; column++)
            {
                int tile = row / TileRows * tilesPerRow + column / TileColumns;
                plain[row * columns + column] = tiled[tile * TileRows * TileColumns + within + column % TileColumns];
            }
        }
        return new StoredWeight(scale.Name, [rows, columns], format, made);
    }

    private static long Padded(long count, int unit) => (count + unit - 1) / unit * unit;

    /// <summary>The codes of a matrix, and how many neighbours share a scale.</summary>
    private sealed record Codes(TensorEntry Weight, WeightFormat Format, int Group)
    {
        public long Rows => Weight.Dimensions[0];

        public long Columns => Weight.Dimensions[1] * Format.BlockLength / Format.BlockBytes;
    }
}
