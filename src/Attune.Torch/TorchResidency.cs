namespace Attune.Torch;

/// <summary>
/// Which weights lie on the device. Without a budget all that were used; with one as many as have room, in the order in which they were
/// first used, and the others are brought for each use and leave again. Those that follow in the order of the last time are brought ahead:
/// on a card from pinned memory, on a second stream. Everything happens on the device's thread.
/// </summary>
internal sealed unsafe class TorchResidency(TorchDevice device)
{
    /// <summary>The share of the device's memory that weights may take; the rest is for activations.</summary>
    private const double ShareOfWeights = 0.75;

    /// <summary>The share of the weights' room through which those go that do not stay.</summary>
    private const double ShareOfWindow = 0.2;

    private readonly List<TorchWeight> _passing = [];
    private TorchWeight? _last;
    private long _staying;
    private long _ahead;
    private nint _stream;
    private bool _noStream;

    /// <summary>How much of the device's memory may be used, in bytes; 0 for all there is.</summary>
    public long Budget { get; init; }

    /// <summary>Whether weights are copied to memory of the device, or read where they are stored.</summary>
    public bool Copies => Budget > 0 || device.Type != device.Library.Functions.Cpu;

    /// <summary>Bytes that were copied to the device so far.</summary>
    public long CopiedBytes { get; private set; }

    private long Window => (long)(Budget * ShareOfWeights * ShareOfWindow);

    /// <summary>Whether so many bytes more of weights may stay on the device; if so, they are counted.</summary>
    public bool TryStay(long bytes)
    {
        if (Budget > 0 && _staying + bytes > (long)(Budget * ShareOfWeights) - Window)
            return false;
        _staying += bytes;
        return true;
    }

    /// <summary>Bytes of weights that stayed have left.</summary>
    public void Leave(long bytes) => _staying -= bytes;

    /// <summary>A weight that does not stay is used: it leaves when the operation ends, and those after it are brought.</summary>
    public void Use(TorchOperation o, TorchWeight weight)
    {
        if (_last != null && _last != weight)
            _last.Next = weight;
        _last = weight;
        _passing.Add(weight);
        if (weight.Ahead > 0)
        {
            _ahead -= weight.Ahead;
            weight.Ahead = 0;
        }
        var next = weight.Next;
        for (int i = 0; next != null && next != weight && i < 64; i++, next = next.Next)
        {
            if (next.IsGone || _ahead + next.DeviceBytes > Window)
                break;
            if (next.IsThere)
                continue;
            try
            {
                next.Bring(o, ahead: true);
            }
            catch (InsufficientMemoryException)
            {
                break;      // it is brought when it is its turn
            }
            next.Ahead = next.DeviceBytes;
            _ahead += next.Ahead;
        }
    }

    /// <summary>Weights that were brought for this operation alone leave.</summary>
    public void End(TorchOperation o)
    {
        foreach (var weight in _passing)
            weight.Leave(o);
        _passing.Clear();
    }

    /// <summary>A weight has left; one that is gone for good is no part of the order any more.</summary>
    public void Forget(TorchWeight weight)
    {
        _ahead -= weight.Ahead;
        weight.Ahead = 0;
        if (weight.IsGone && _last == weight)
            _last = null;
    }

    /// <summary>Copies bytes of the host into memory of the device; on a card ahead of time, if there is a stream for it.</summary>
    /// <returns>An event after which the memory may be read, or 0 where it may be at once.</returns>
    public nint Copy(TorchOperation o, nint there, nint here, long bytes, bool ahead)
    {
        CopiedBytes += bytes;
        if (!ahead || !TryStream(o))
        {
            o.Copy(there, here);
            return 0;
        }

        // What computes so far may still read the memory that was given: the copy begins after it, and what computes later waits for the
        // copy where it needs it.
        nint computing = CurrentStream(o);
        nint so = CudaDriver.NewEvent();
        CudaDriver.Record(so, computing);
        CudaDriver.Wait(_stream, so);
        CudaDriver.Delete(so);
        SetStream(o, _stream);
        try
        {
            o.Check(o.Torch.Copy(there, here, 1), "copy_");
        }
        finally
        {
            SetStream(o, computing);
        }
        nint done = CudaDriver.NewEvent();
        CudaDriver.Record(done, _stream);
        return done;
    }

    /// <summary>What computes from here on waits for an event, which is freed.</summary>
    public static void Wait(TorchOperation o, TorchDevice device, nint done)
    {
        CudaDriver.Wait(CurrentStream(o, device), done);
        CudaDriver.Delete(done);
    }

    private bool TryStream(TorchOperation o)
    {
        if (_stream != 0)
            return true;
        if (_noStream || device.Type != o.Torch.Cuda || o.Torch.StreamFromPool == 0 || o.Torch.SetStream == 0
            || o.Torch.CurrentStream == 0)
            return false;
        nint stream;
        if (((delegate* unmanaged[Cdecl]<byte, int, nint*, int>)o.Torch.StreamFromPool)(0, device.Index, &stream) != 0 || stream == 0)
        {
            _noStream = true;
            return false;
        }
        _stream = stream;
        return true;
    }

    private nint CurrentStream(TorchOperation o) => CurrentStream(o, device);

    private static nint CurrentStream(TorchOperation o, TorchDevice device)
    {
        nint stream;
        o.Check(((delegate* unmanaged[Cdecl]<int, nint*, int>)o.Torch.CurrentStream)(device.Index, &stream), "the current stream");
        return stream;
    }

    private void SetStream(TorchOperation o, nint stream) =>
        o.Check(((delegate* unmanaged[Cdecl]<nint, int, int>)o.Torch.SetStream)(stream, device.Index), "a stream");
}
