using System.Text.Json;
using Attune.Weights;

namespace Attune.Tests.Weights;

/// <summary>Writes a component of a golden folder as one file, under the names of the original code that a golden case of names has, or
/// under its own.</summary>
internal static class OriginalFile
{
    /// <param name="folder">The component's folder.</param>
    /// <param name="names">The case of names, or null for the folder's own.</param>
    /// <param name="path">The file to write; .gguf for that format.</param>
    public static string Write(string folder, string? names, string path)
    {
        using var source = WeightSource.Open(folder);
        bool gguf = path.EndsWith(".gguf", StringComparison.Ordinal);
        var (safetensors, ggml) = (new SafetensorsWriter(), new GgufBytes());
        foreach (var (name, type, shape, bytes) in Tensors(source, names))
        {
            int number = type switch { "F32" => 0, "F16" => 1, "BF16" => 30, _ => -1 };
            if (!gguf)
                safetensors.Add(name, type, bytes, shape);
            else if (number >= 0)
                ggml.Tensor(name, number, [.. shape.Reverse()], bytes);
        }
        return gguf ? ggml.Write(path) : safetensors.Write(path);
    }

    private static IEnumerable<(string Name, string Type, long[] Shape, byte[] Bytes)> Tensors(WeightSource source, string? names)
    {
        if (names == null)
        {
            foreach (var tensor in source.Entries)
                yield return (tensor.Name, tensor.Type, [.. tensor.Dimensions], SafetensorsWriter.Bytes(tensor));
            yield break;
        }
        using var json = JsonDocument.Parse(File.ReadAllBytes(Repository.Golden("cases", "single-file", names + ".json")));
        foreach (var entry in json.RootElement.GetProperty("arguments").GetProperty("tensors").EnumerateObject())
        {
            TensorEntry[] from = [.. entry.Value.GetProperty("from").EnumerateArray().Select(name => source.Describe(name.GetString()!)!)];
            byte[] bytes = [.. from.SelectMany(SafetensorsWriter.Bytes)];
            if (entry.Value.TryGetProperty("swap", out _))
                bytes = [.. bytes[(bytes.Length / 2)..], .. bytes[..(bytes.Length / 2)]];
            long[] shape = entry.Value.TryGetProperty("shape", out var stated)
                ? [.. stated.EnumerateArray().Select(extent => extent.GetInt64())]
                : from[0].Dimensions.Count == 0 ? []
                : [from.Sum(tensor => tensor.Dimensions[0]), .. from[0].Dimensions.Skip(1)];
            if (from.Length == 0)
                bytes = new byte[4 * shape.Aggregate(1L, (product, extent) => product * extent)];
            yield return (entry.Name, from.Length == 0 ? "F32" : from[0].Type, shape, bytes);
        }
    }
}
