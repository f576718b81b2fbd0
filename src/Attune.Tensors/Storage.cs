namespace Attune.Tensors;

/// <summary>
/// What the elements of a tensor and of its views lie in. Only the device that made it (<see cref="Device.Allocate"/>) knows what that is;
/// it is freed when the last tensor that uses it is disposed.
/// </summary>
public abstract class Storage
{
    private int _references;

    /// <summary>Storage that no tensor uses yet.</summary>
    /// <param name="device">Whose kernels understand it.</param>
    /// <param name="precision">What the elements are held in.</param>
    protected Storage(Device device, Precision precision) => (Device, Precision) = (device, precision);

    /// <summary>Whose kernels understand it.</summary>
    public Device Device { get; }

    /// <summary>What the elements are held in.</summary>
    public Precision Precision { get; }

    /// <summary>Gives the memory back. Called once, on whatever thread disposes the last tensor.</summary>
    protected abstract void Free();

    internal void AddReference() => Interlocked.Increment(ref _references);

    internal void Release()
    {
        if (Interlocked.Decrement(ref _references) == 0)
            Free();
    }
}

/// <summary>Memory of the host, from the pool: float32 elements. What all devices use whose kernels run on the CPU.</summary>
internal sealed unsafe class HostStorage : Storage
{
    private readonly nuint _size;

    public HostStorage(Device device, long elements)
        : base(device, Precision.Float32) => Pointer = (float*)TensorMemory.Rent((nuint)checked(elements * sizeof(float)), out _size);

    public float* Pointer { get; }

    protected override void Free() => TensorMemory.Return(Pointer, _size);
}
