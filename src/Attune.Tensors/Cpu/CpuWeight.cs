namespace Attune.Tensors.Cpu;

/// <summary>A weight where it is stored: kernels widen it to float32 while they pack it.</summary>
internal sealed unsafe class CpuWeight(StoredWeight weight) : PreparedWeight(weight.Name, weight.Shape, weight.Bytes.Length)
{
    private readonly WeightReader _reader = new(weight);

    /// <summary>How the elements lie in memory.</summary>
    public WeightFormat Format => _reader.Format;

    /// <summary>
    /// Bytes of an element that kernels read themselves: the format is one of those that they know, and there are no scales. Otherwise 0,
    /// and elements must be widened before they are used.
    /// </summary>
    public int PlainBytes { get; } = weight.Companions.Count > 0 ? 0
        : weight.Format == WeightFormat.Float32 ? 4
        : weight.Format == WeightFormat.BFloat16 || weight.Format == WeightFormat.Float16 ? 2
        : 0;

    /// <summary>The first byte; not necessarily aligned.</summary>
    /// <exception cref="ObjectDisposedException">The file or memory was disposed.</exception>
    public byte* Pointer => _reader.Pointer;

    /// <summary>Whether rows can be multiplied without being widened first.</summary>
    public bool HasDots => _reader.HasDots;

    /// <summary>The product of a row with floats, and the sums of each <see cref="WeightFormat.SumLength"/> of them.</summary>
    public float Dot(long row, float* floats, float* sums) => _reader.Dot(row, floats, sums);

    /// <summary>Widens elements [start, start + count) to float32.</summary>
    public void Widen(long start, float* destination, long count) => _reader.Widen(start, destination, count);

    /// <summary>All elements as float32, in no scope.</summary>
    public Tensor Widened()
    {
        _ = Pointer;        // throws before anything is allocated
        var result = TensorScope.Detach(Tensor.Empty(Devices.Managed, Shape));
        Widen(0, result.Pointer, Count);
        return result;
    }

    /// <summary>A weight that this device prepared.</summary>
    /// <exception cref="ArgumentException">Another device did, or it has low-rank addends, which the operation does not
    /// compute.</exception>
    public static CpuWeight Of(PreparedWeight weight) =>
        weight as CpuWeight ?? throw new ArgumentException($"{weight.Name} {weight.Shape} was not prepared for the managed device.");

    /// <summary>As <see cref="Of"/>; null for none.</summary>
    public static CpuWeight? Find(PreparedWeight? weight) => weight == null ? null : Of(weight);

    protected override PreparedWeight Select(int start, int length) => new CpuWeight(weight.Rows(start, length));

    protected override void Dispose(bool disposing) => weight.Dispose();
}
