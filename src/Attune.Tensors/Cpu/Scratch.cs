namespace Attune.Tensors.Cpu;

/// <summary>Memory of the pool for the length of a piece of work, handed out in aligned parts.</summary>
internal unsafe ref struct Scratch : IDisposable
{
    private const nuint Alignment = 64;

    /// <summary>Blocks of this size lie on huge pages.</summary>
    private const nuint Minimum = 2 << 20;

    private readonly byte* _block;
    private readonly nuint _size;
    private nuint _taken;

    /// <summary>Room for parts of so many bytes together; up to sixteen parts may be taken.</summary>
    public Scratch(nuint bytes) => _block = (byte*)TensorMemory.Rent(nuint.Max(bytes + 16 * Alignment, Minimum), out _size);

    public T* Take<T>(long count)
        where T : unmanaged
    {
        byte* part = _block + _taken;
        _taken += ((nuint)count * (nuint)sizeof(T) + Alignment - 1) / Alignment * Alignment;
        if (_taken > _size)
            throw new InvalidOperationException($"Scratch memory of {_size} bytes does not hold {_taken}.");
        return (T*)part;
    }

    public readonly void Dispose() => TensorMemory.Return(_block, _size);
}
