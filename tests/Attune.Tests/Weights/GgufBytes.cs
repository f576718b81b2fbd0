using System.Text;

namespace Attune.Tests.Weights;

/// <summary>Writes small GGUF files, right or wrong ones.</summary>
internal sealed class GgufBytes
{
    private readonly MemoryStream _metadata = new();
    private readonly MemoryStream _infos = new();
    private readonly MemoryStream _data = new();
    private long _entries;
    private long _tensors;

    public int Alignment { get; init; } = 32;

    public uint Version { get; init; } = 3;

    public GgufBytes Entry(string key, int type, params byte[] value)
    {
        Text(_metadata, key);
        _metadata.Write(BitConverter.GetBytes(type));
        _metadata.Write(value);
        _entries++;
        return this;
    }

    /// <summary>A tensor with sizes as GGUF has them, innermost first.</summary>
    public GgufBytes Tensor(string name, int type, long[] sizes, byte[] bytes, long? offset = null)
    {
        Text(_infos, name);
        _infos.Write(BitConverter.GetBytes(sizes.Length));
        foreach (long size in sizes)
            _infos.Write(BitConverter.GetBytes(size));
        _infos.Write(BitConverter.GetBytes(type));
        _infos.Write(BitConverter.GetBytes(offset ?? _data.Length));
        _data.Write(bytes);
        Pad(_data);
        _tensors++;
        return this;
    }

    public string Write(string path)
    {
        using var file = new MemoryStream();
        file.Write("GGUF"u8);
        file.Write(BitConverter.GetBytes(Version));
        file.Write(BitConverter.GetBytes(_tensors));
        file.Write(BitConverter.GetBytes(_entries));
        _metadata.WriteTo(file);
        _infos.WriteTo(file);
        Pad(file);
        _data.WriteTo(file);
        File.WriteAllBytes(path, file.ToArray());
        return path;
    }

    private static void Text(MemoryStream stream, string text)
    {
        byte[] bytes = Encoding.UTF8.GetBytes(text);
        stream.Write(BitConverter.GetBytes((long)bytes.Length));
        stream.Write(bytes);
    }

    private void Pad(MemoryStream stream)
    {
        while (stream.Length % Alignment != 0)
            stream.WriteByte(0);
    }
}
