namespace Attune.Tensors;

/// <summary>
/// Owns tensors that outlive a <see cref="TensorScope"/>: those of a run, a conditioning or a layer. Disposes them with itself. Not
/// thread-safe.
/// </summary>
public sealed class TensorBag : IDisposable
{
    private readonly HashSet<Tensor> _tensors = [];
    private bool _disposed;

    /// <summary>Takes a tensor out of its scope; from here on the bag disposes it.</summary>
    /// <returns>The tensor.</returns>
    /// <exception cref="ObjectDisposedException">The bag is disposed; the tensor stays where it was.</exception>
    public Tensor Own(Tensor tensor)
    {
        ObjectDisposedException.ThrowIf(_disposed, this);
        _tensors.Add(TensorScope.Detach(tensor));
        return tensor;
    }

    /// <summary>
    /// Owns a tensor in a slot, a field of the bag's owner, and disposes the one that was there. One that is in the slot already stays.
    /// </summary>
    /// <param name="slot">Null, or a tensor of this bag.</param>
    /// <param name="value">What the slot holds from here on; null empties it.</param>
    /// <exception cref="ArgumentException">The slot holds a tensor that this bag does not own.</exception>
    /// <exception cref="ObjectDisposedException">The bag is disposed.</exception>
    public void Set(ref Tensor? slot, Tensor? value)
    {
        ObjectDisposedException.ThrowIf(_disposed, this);
        if (ReferenceEquals(slot, value))
            return;
        if (slot != null && !_tensors.Remove(slot))
            throw new ArgumentException($"The slot holds a tensor {slot.Shape} that the bag does not own.", nameof(slot));
        slot?.Dispose();
        slot = value == null ? null : Own(value);
    }

    /// <summary>Disposes the tensors of the bag.</summary>
    public void Dispose()
    {
        _disposed = true;
        foreach (var tensor in _tensors)
            tensor.Dispose();
        _tensors.Clear();
    }
}
