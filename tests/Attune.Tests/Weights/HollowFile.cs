using System.Text.Json.Nodes;

namespace Attune.Tests.Weights;

/// <summary>
/// A safetensors file of names and shapes whose data are a hole: as large as a released one, and nearly no room on the disk.
/// </summary>
internal static class HollowFile
{
    /// <param name="path">The file to write.</param>
    /// <param name="tensors">Names and shapes; all are bfloat16.</param>
    /// <returns>The path.</returns>
    public static string Write(string path, IEnumerable<(string Name, long[] Shape)> tensors)
    {
        long at = 0;
        var header = new JsonObject();
        foreach (var (name, shape) in tensors)
        {
            long end = at + 2 * shape.Aggregate(1L, (product, extent) => product * extent);
            header.Add(
                name, new JsonObject
                {
                    ["dtype"] = "BF16",
                    ["shape"] = new JsonArray([.. shape.Select(extent => (JsonNode)extent)]),
                    ["data_offsets"] = new JsonArray(at, end),
                });
            at = end;
        }
        byte[] text = System.Text.Encoding.UTF8.GetBytes(header.ToJsonString());
        using var stream = new FileStream(path, FileMode.CreateNew);
        stream.Write(BitConverter.GetBytes((long)text.Length));
        stream.Write(text);
        stream.SetLength(stream.Position + at);
        return path;
    }
}
