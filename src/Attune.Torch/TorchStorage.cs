using Attune.Tensors;

namespace Attune.Torch;

/// <summary>
/// What tensors of the device lie in: memory of libtorch, which comes into being with the first result that is written. That result is
/// taken over as it is, in the type it has; a part that is written in a wider type widens the whole.
/// </summary>
internal sealed class TorchStorage(TorchDevice device, long elements, Precision precision) : Storage(device, precision)
{
    /// <summary>How many elements there is room for.</summary>
    public long Elements => elements;

    /// <summary>A tensor of libtorch over all elements, contiguous, or 0 while nothing was written.</summary>
    public nint Handle { get; private set; }

    /// <summary>The type of the elements, by libtorch's number.</summary>
    public int Type { get; private set; }

    /// <summary>Where the elements lie: to see whether a result is one of the operands.</summary>
    public nint Data { get; private set; }

    /// <summary>What it occupies.</summary>
    public long Bytes { get; private set; }

    /// <summary>Lies in other memory from here on. On the device's thread.</summary>
    public void Take(nint handle, int type, nint data, long bytes)
    {
        nint old = Handle;
        device.CountBytes(bytes - Bytes);
        (Handle, Type, Data, Bytes) = (handle, type, data, bytes);
        if (old != 0)
            device.Operation.Delete(old);
    }

    protected override void Free()
    {
        if (Handle == 0)
            return;
        device.CountBytes(-Bytes);
        device.DeleteLater(Handle);
        Handle = 0;
    }
}
