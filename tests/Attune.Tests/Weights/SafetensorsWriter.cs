using System.Runtime.InteropServices;
using System.Text.Json;
using Attune.Weights;

namespace Attune.Tests.Weights;

/// <summary>Writes small safetensors files.</summary>
internal sealed class SafetensorsWriter
{
    private readonly List<(string Name, string Type, long[] Shape, byte[] Bytes)> _tensors = [];

    public Dictionary<string, string> Metadata { get; } = [];

    public SafetensorsWriter Add(string name, float[] values, params long[] shape)
    {
        Assert.Equal(shape.Aggregate(1L, (product, extent) => product * extent), values.Length);
        return Add(name, "F32", MemoryMarshal.AsBytes(values.AsSpan()).ToArray(), shape);
    }

    public SafetensorsWriter Add(string name, string type, byte[] bytes, params long[] shape)
    {
        _tensors.Add((name, type, shape, bytes));
        return this;
    }

    /// <summary>A tensor of another file, as it is, under another name and, if given, with another shape.</summary>
    public SafetensorsWriter Copy(TensorEntry tensor, string name, params long[] shape) =>
        Add(name, tensor.Type, Bytes(tensor), shape.Length > 0 ? shape : [.. tensor.Dimensions]);

    public string Write(string path)
    {
        using var header = new MemoryStream();
        using (var json = new Utf8JsonWriter(header))
        {
            json.WriteStartObject();
            if (Metadata.Count > 0)
            {
                json.WriteStartObject("__metadata__");
                foreach (var (key, value) in Metadata)
                    json.WriteString(key, value);
                json.WriteEndObject();
            }
            long at = 0;
            foreach (var (name, type, shape, bytes) in _tensors)
            {
                json.WriteStartObject(name);
                json.WriteString("dtype", type);
                json.WriteStartArray("shape");
                Array.ForEach(shape, json.WriteNumberValue);
                json.WriteEndArray();
                json.WriteStartArray("data_offsets");
                json.WriteNumberValue(at);
                json.WriteNumberValue(at += bytes.Length);
                json.WriteEndArray();
                json.WriteEndObject();
            }
            json.WriteEndObject();
        }
        using var file = File.Create(path);
        file.Write(BitConverter.GetBytes(header.Length));
        file.Write(header.ToArray());
        foreach (var tensor in _tensors)
            file.Write(tensor.Bytes);
        return path;
    }

    public static byte[] Bytes(TensorEntry tensor)
    {
        using var file = File.OpenRead(tensor.File);
        file.Position = tensor.Offset;
        byte[] bytes = new byte[tensor.Length];
        file.ReadExactly(bytes);
        return bytes;
    }
}

/// <summary>Components without a pipeline around them: a function opens the weights of each.</summary>
internal sealed class TestSource(IReadOnlyDictionary<string, Func<WeightSource>> components) : ModelSource(Host)
{
    /// <summary>The folders below one folder.</summary>
    public static TestSource Folders(string folder) =>
        new(
            Directory.GetDirectories(folder)
                .ToDictionary(
                    component => System.IO.Path.GetFileName(component),
                    component => (Func<WeightSource>)(() => WeightSource.Open(component)))) { Root = folder };

    public string Root { get; init; } = "test";

    public override string Path => Root;

    public override ModelConfig Index => throw new NotSupportedException();

    public override ModelConfig Scheduler => throw new NotSupportedException();

    public override bool Has(string component) => components.ContainsKey(component);

    public override ComponentSource Component(string name) =>
        new(
            File.Exists(System.IO.Path.Combine(Root, name, "config.json"))
                ? ModelConfig.Read(System.IO.Path.Combine(Root, name, "config.json"))
                : ModelConfig.Parse("test", "{}"u8.ToArray()),
            Device, components[name]);

    public override string Tokenizer(string name) => throw new NotSupportedException();
}
