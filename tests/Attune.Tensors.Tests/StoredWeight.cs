namespace Attune.Tensors.Tests;

/// <summary>A weight in a mapped file of its own, at any byte offset, with the values it holds.</summary>
internal sealed class StoredWeight : IDisposable
{
    private readonly string _path = Path.Combine(Path.GetTempPath(), $"attune-{Guid.NewGuid():N}.bin");
    private readonly MappedFile _file;

    public StoredWeight(Shape shape, DataType type, int offset, Func<float> next)
    {
        Values = new float[shape.Count];
        // The weight ends with the file, so that reading past its end faults when it ends with a page.
        byte[] bytes = new byte[offset + shape.Count * type.Size()];
        for (int i = 0; i < Values.Length; i++)
        {
            var at = bytes.AsSpan(offset + i * type.Size());
            float value = next();
            switch (type)
            {
                case DataType.Float32:
                    BitConverter.TryWriteBytes(at, value);
                    break;
                case DataType.BFloat16:
                    BitConverter.TryWriteBytes(at, Conversion.ToBFloat16(value));
                    value = Conversion.FromBFloat16(Conversion.ToBFloat16(value));
                    break;
                default:
                    BitConverter.TryWriteBytes(at, (Half)value);
                    value = (float)(Half)value;
                    break;
            }
            Values[i] = value;
        }
        File.WriteAllBytes(_path, bytes);
        _file = new MappedFile(_path);
        Weight = new Weight($"{type} {shape}", shape, type, _file, offset);
    }

    public float[] Values { get; }

    public Weight Weight { get; }

    public void Dispose()
    {
        _file.Dispose();
        File.Delete(_path);
    }
}
