namespace Attune.Tensors;

/// <summary>
/// The bytes of a stored weight: part of a mapped file, which must outlive it, or memory, which it may own. Nothing is read from a file
/// before somebody reads the bytes.
/// </summary>
public sealed unsafe class WeightBytes : IDisposable
{
    private readonly MappedFile? _file;
    private readonly Tensor? _memory;
    private readonly bool _owned;
    private readonly long _offset;

    private WeightBytes(MappedFile? file, Tensor? memory, bool owned, long offset, long length) =>
        (_file, _memory, _owned, _offset, Length) = (file, memory, owned, offset, length);

    /// <summary>How many they are.</summary>
    public long Length { get; }

    /// <summary>The first byte, of any alignment.</summary>
    /// <exception cref="ObjectDisposedException">The file or the memory was disposed.</exception>
    internal byte* Pointer => (_file != null ? _file.Pointer : (byte*)_memory!.Pointer) + _offset;

    /// <summary>Part of a mapped file.</summary>
    /// <param name="file">The file.</param>
    /// <param name="offset">Where the bytes begin; any alignment.</param>
    /// <param name="length">How many they are.</param>
    /// <exception cref="ArgumentOutOfRangeException">They do not lie within the file.</exception>
    public static WeightBytes Of(MappedFile file, long offset, long length)
    {
        ArgumentNullException.ThrowIfNull(file);
        if (offset < 0 || length < 0 || offset > file.Length - length)
            throw new ArgumentOutOfRangeException(
                nameof(offset), $"{length} bytes at {offset} do not lie within '{file.Path}' ({file.Length} bytes).");
        return new WeightBytes(file, null, false, offset, length);
    }

    /// <summary>The elements of a contiguous tensor, which must outlive them.</summary>
    /// <exception cref="ArgumentException">The tensor is a strided view.</exception>
    public static WeightBytes Of(Tensor memory) => Of(memory, owned: false);

    /// <summary>The elements of a contiguous tensor, which is taken out of its scope and disposed with the bytes.</summary>
    /// <exception cref="ArgumentException">The tensor is a strided view.</exception>
    public static WeightBytes Owning(Tensor memory) => Of(memory, owned: true);

    /// <summary>Bytes that are made rather than loaded.</summary>
    /// <param name="length">How many.</param>
    public static WeightBytes Allocate(long length)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(length);
        var memory = TensorScope.Detach(Tensor.Empty(Devices.Managed, [checked((int)((length + sizeof(float) - 1) / sizeof(float)))]));
        return new WeightBytes(null, memory, true, 0, length);
    }

    /// <summary>A copy of some bytes and others behind them.</summary>
    internal static WeightBytes Join(WeightBytes first, WeightBytes second)
    {
        var joined = Allocate(first.Length + second.Length);
        Buffer.MemoryCopy(first.Pointer, joined.Pointer, joined.Length, first.Length);
        Buffer.MemoryCopy(second.Pointer, joined.Pointer + first.Length, second.Length, second.Length);
        return joined;
    }

    /// <summary>Some of the bytes, to read.</summary>
    /// <exception cref="ArgumentOutOfRangeException">There are not so many.</exception>
    /// <exception cref="ObjectDisposedException">The file or the memory was disposed.</exception>
    public ReadOnlySpan<byte> Read(long offset, int length)
    {
        Require(offset, length);
        return new ReadOnlySpan<byte>(Pointer + offset, length);
    }

    /// <summary>Some of the bytes, to write: only of memory.</summary>
    /// <exception cref="InvalidOperationException">The bytes are those of a file.</exception>
    /// <exception cref="ArgumentOutOfRangeException">There are not so many.</exception>
    /// <exception cref="ObjectDisposedException">The memory was disposed.</exception>
    public Span<byte> Write(long offset, int length)
    {
        if (_file != null)
            throw new InvalidOperationException($"The bytes of '{_file.Path}' are read-only.");
        Require(offset, length);
        return new Span<byte>(Pointer + offset, length);
    }

    /// <summary>Some of the bytes as a view, which does not own them.</summary>
    /// <exception cref="ArgumentOutOfRangeException">There are not so many.</exception>
    public WeightBytes Slice(long offset, long length)
    {
        Require(offset, length);
        return new WeightBytes(_file, _memory, false, _offset + offset, length);
    }

    /// <summary>Frees memory that the bytes own; does nothing to a file.</summary>
    public void Dispose()
    {
        if (_owned)
            _memory!.Dispose();
    }

    private static WeightBytes Of(Tensor memory, bool owned)
    {
        ArgumentNullException.ThrowIfNull(memory);
        if (!memory.IsContiguous)
            throw new ArgumentException($"The tensor {memory.Shape} is a strided view; a weight must be contiguous.", nameof(memory));
        return new WeightBytes(null, owned ? TensorScope.Detach(memory) : memory, owned, 0, memory.Count * sizeof(float));
    }

    private void Require(long offset, long length)
    {
        if (offset < 0 || length < 0 || offset > Length - length)
            throw new ArgumentOutOfRangeException(nameof(offset), $"{length} bytes at {offset} do not lie within {Length}.");
    }
}
