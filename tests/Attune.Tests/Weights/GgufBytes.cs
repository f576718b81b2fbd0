using System.Text;

namespace Attune.Tests.Weights;

/// <summary>Writes small GGUF files, right or wrong ones.</summary>
internal sealed class GgufBytes
{
    private readonly List<byte> _metadata = [];
    private readonly List<byte> _infos = [];
    private readonly List<byte> _data = [];
    private long _entries;
    private long _tensors;

    public int Alignment { get; init; } = 32;

    public uint Version { get; init; } = 3;

    public GgufBytes Entry(string key, int type, params byte[] value)
    {
        Text(_metadata, key);
        _metadata.AddRange(BitConverter.GetBytes(type));
        _metadata.AddRange(value);
        _entries++;
        return this;
    }

    /// <summary>A tensor with sizes as GGUF has them, innermost first.</summary>
    public GgufBytes Tensor(string name, int type, long[] sizes, byte[] bytes, long? offset = null)
    {
        Text(_infos, name);
        _infos.AddRange(BitConverter.GetBytes(sizes.Length));
        foreach (long size in sizes)
            _infos.AddRange(BitConverter.GetBytes(size));
        _infos.AddRange(BitConverter.GetBytes(type));
        _infos.AddRange(BitConverter.GetBytes(offset ?? (long)_data.Count));
        _data.AddRange(bytes);
        Pad(_data);
        _tensors++;
        return this;
    }

    public string Write(string path)
    {
        List<byte> file =
        [
            .. "GGUF"u8, .. BitConverter.GetBytes(Version), .. BitConverter.GetBytes(_tensors), .. BitConverter.GetBytes(_entries),
            .. _metadata, .. _infos,
        ];
        Pad(file);
        file.AddRange(_data);
        File.WriteAllBytes(path, [.. file]);
        return path;
    }

    private static void Text(List<byte> to, string text)
    {
        byte[] bytes = Encoding.UTF8.GetBytes(text);
        to.AddRange(BitConverter.GetBytes((long)bytes.Length));
        to.AddRange(bytes);
    }

    private void Pad(List<byte> to)
    {
        while (to.Count % Alignment != 0)
            to.Add(0);
    }
}
