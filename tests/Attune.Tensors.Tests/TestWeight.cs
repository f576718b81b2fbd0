namespace Attune.Tensors.Tests;

/// <summary>A weight in a mapped file of its own, at any byte offset, with the values it holds.</summary>
internal sealed class TestWeight : IDisposable
{
    private readonly string _path = Path.Combine(Path.GetTempPath(), $"attune-{Guid.NewGuid():N}.bin");
    private readonly MappedFile _file;
    private readonly Dictionary<Device, PreparedWeight> _prepared = [];

    public TestWeight(Shape shape, WeightFormat format, int offset, Func<float> next)
    {
        Values = new float[shape.Count];
        // The weight ends with the file, so that reading past its end faults when it ends with a page.
        byte[] bytes = new byte[offset + format.BytesOf(shape.Count)];
        for (int i = 0; i < Values.Length; i++)
        {
            var at = bytes.AsSpan(offset + i * format.BlockBytes);
            float value = next();
            if (format == WeightFormat.Float32)
            {
                BitConverter.TryWriteBytes(at, value);
            }
            else if (format == WeightFormat.BFloat16)
            {
                BitConverter.TryWriteBytes(at, Conversion.ToBFloat16(value));
                value = Conversion.FromBFloat16(Conversion.ToBFloat16(value));
            }
            else
            {
                BitConverter.TryWriteBytes(at, (Half)value);
                value = (float)(Half)value;
            }
            Values[i] = value;
        }
        File.WriteAllBytes(_path, bytes);
        _file = new MappedFile(_path);
        Stored = new StoredWeight(
            $"{format.Name} {shape}", shape, format, WeightBytes.Of(_file, offset, format.BytesOf(shape.Count)));
    }

    public float[] Values { get; }

    public StoredWeight Stored { get; }

    /// <summary>The weight on the managed device.</summary>
    public PreparedWeight Weight => On(Host);

    /// <summary>A tensor as a weight of the managed device; it must outlive it.</summary>
    public static PreparedWeight Of(Tensor tensor) => Prepare(StoredWeight.Of("w", tensor), Host);

    /// <summary>The weight on a device.</summary>
    public PreparedWeight On(Device device)
    {
        if (!_prepared.TryGetValue(device, out var prepared))
            _prepared[device] = prepared = Prepare(Stored, device);
        return prepared;
    }

    public void Dispose()
    {
        foreach (var prepared in _prepared.Values)
            prepared.Dispose();
        _file.Dispose();
        File.Delete(_path);
    }

    private static PreparedWeight Prepare(StoredWeight stored, Device device) =>
        device.Prepare(stored, stored.Shape.Rank switch { 1 => WeightRole.Vector, 2 => WeightRole.Matrix, _ => WeightRole.Convolution });
}
