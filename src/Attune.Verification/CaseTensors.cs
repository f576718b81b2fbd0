using System.Buffers.Binary;
using System.Text.Json;
using Attune.Tensors;
using Attune.Weights;

namespace Attune.Verification;

/// <summary>The tensors of a golden case: a small safetensors file of float32 and integers, read as a whole.</summary>
internal sealed class CaseTensors
{
    private readonly string _path;
    private readonly Device _device;
    private readonly byte[] _bytes;
    private readonly Dictionary<string, (string Type, Shape Shape, int Start)> _entries = [];

    public CaseTensors(string path, Device device)
    {
        (_path, _device) = (path, device);
        _bytes = File.Exists(path) ? File.ReadAllBytes(path) : throw new CheckpointException($"'{path}' does not exist.");
        int header = checked((int)BinaryPrimitives.ReadInt64LittleEndian(_bytes));
        using var json = JsonDocument.Parse(_bytes.AsMemory(8, header));
        foreach (var entry in json.RootElement.EnumerateObject().Where(entry => entry.Name != "__metadata__"))
        {
            int[] axes = [.. entry.Value.GetProperty("shape").EnumerateArray().Select(e => e.GetInt32())];
            _entries[entry.Name] = (
                entry.Value.GetProperty("dtype").GetString()!, Shape.Create(axes),
                8 + header + entry.Value.GetProperty("data_offsets")[0].GetInt32());
        }
    }

    public bool Contains(string name) => _entries.ContainsKey(name);

    public Shape ShapeOf(string name) => Entry(name).Shape;

    public bool IsInteger(string name) => Entry(name).Type is "I64" or "I32" or "U8" or "BOOL";

    public Tensor Float(string name)
    {
        var (type, shape, start) = Entry(name);
        var result = Tensor.Empty(_device, shape);
        using var view = result.Write();
        for (int i = 0; i < result.Count; i++)
        {
            view.Span[i] = type switch
            {
                "F32" => BinaryPrimitives.ReadSingleLittleEndian(_bytes.AsSpan(start + 4 * i)),
                "F64" => (float)BinaryPrimitives.ReadDoubleLittleEndian(_bytes.AsSpan(start + 8 * i)),
                "I64" => BinaryPrimitives.ReadInt64LittleEndian(_bytes.AsSpan(start + 8 * i)),
                "I32" => BinaryPrimitives.ReadInt32LittleEndian(_bytes.AsSpan(start + 4 * i)),
                _ => throw new CheckpointException($"'{_path}': {name} is {type}, expected float32 or integers."),
            };
        }
        return result;
    }

    public long[] Integer(string name)
    {
        var (type, shape, start) = Entry(name);
        var result = new long[shape.Count];
        for (int i = 0; i < result.Length; i++)
        {
            result[i] = type switch
            {
                "I64" => BinaryPrimitives.ReadInt64LittleEndian(_bytes.AsSpan(start + 8 * i)),
                "I32" => BinaryPrimitives.ReadInt32LittleEndian(_bytes.AsSpan(start + 4 * i)),
                "U8" or "BOOL" => _bytes[start + i],
                _ => throw new CheckpointException($"'{_path}': {name} is {type}, expected integers."),
            };
        }
        return result;
    }

    private (string Type, Shape Shape, int Start) Entry(string name) =>
        _entries.TryGetValue(name, out var entry) ? entry : throw new CheckpointException($"'{_path}' has no tensor {name}.");
}
