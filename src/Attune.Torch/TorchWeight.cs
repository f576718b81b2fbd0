using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using Attune.Tensors;

namespace Attune.Torch;

/// <summary>
/// A weight on the device, brought there when a layer first asks for it. On the processor, a float type that libtorch knows stays where
/// it is stored and is read there.
/// </summary>
internal sealed unsafe class TorchWeight : PreparedWeight
{
    private readonly TorchDevice _device;
    private readonly StoredWeight _stored;
    private readonly TorchWeight? _whole;
    private readonly long _first;
    private nint _handle;
    private nint _computed;
    private long _bytes;
    private bool _disposed;

    public TorchWeight(TorchDevice device, StoredWeight stored, WeightRole role)
        : base(stored.Name, stored.Shape, stored.Bytes.Length) => (_device, _stored, Role) = (device, stored, role);

    private TorchWeight(TorchWeight whole, int start, StoredWeight rows)
        : base(rows.Name, rows.Shape, rows.Bytes.Length)
    {
        (_device, _stored, Role, _whole) = (whole._device, rows, whole.Role, whole);
        _first = start * (whole.Shape.Count / Math.Max(whole.Shape[0], 1));
    }

    public WeightRole Role { get; }

    public StoredWeight Stored => _stored;

    /// <summary>A weight that this device prepared.</summary>
    /// <exception cref="ArgumentException">Another device did.</exception>
    public static TorchWeight Of(PreparedWeight weight, TorchDevice device) =>
        weight is TorchWeight own && own._device == device ? own
            : throw new ArgumentException($"{weight.Name} {weight.Shape} was not prepared for {device.Name}.");

    /// <summary>The weight in a type, as a contiguous tensor that the weight or the operation owns. On the device's thread.</summary>
    public nint In(TorchOperation o, int type)
    {
        ObjectDisposedException.ThrowIf(_disposed, this);
        long[] sizes = TorchDevice.Extents(Shape);
        if (_whole != null)
            return o.Reinterpret(_whole.In(o, type), sizes, Strides(sizes), _first);
        if (_handle == 0)
            Bring(o, sizes);
        if (o.TypeOf(_handle) == type)
            return _handle;
        // Vectors are small and needed again and again; what is large is widened every time, so that it occupies its stored size.
        if (Role != WeightRole.Vector)
            return o.As(_handle, type);
        if (_computed == 0 || o.TypeOf(_computed) != type)
        {
            nint made = o.Release(o.As(_handle, type));
            if (_computed != 0)
                o.Delete(_computed);
            _computed = made;
        }
        return _computed;
    }

    protected override PreparedWeight Select(int start, int length) => new TorchWeight(this, start, _stored.Rows(start, length));

    protected override void Dispose(bool disposing)
    {
        if (_disposed)
            return;
        _disposed = true;
        foreach (nint handle in new[] { _handle, _computed })
        {
            if (handle != 0)
                _device.DeleteLater(handle);
        }
        _device.CountBytes(-_bytes);
        (_handle, _computed, _bytes) = (0, 0, 0);
        if (_whole == null)
            _stored.Dispose();
    }

    private void Bring(TorchOperation o, long[] sizes)
    {
        int type = PlainType(o);
        if (type != 0 && Shape.Count > 0)
        {
            byte* bytes = (byte*)Unsafe.AsPointer(ref MemoryMarshal.GetReference(_stored.Bytes.Read(0, 1)));
            nint blob = o.Blob(bytes, sizes, type);
            if (_device.Type == o.Torch.Cpu)
            {
                _handle = o.Release(blob);
                return;
            }
            nint there = o.Empty(sizes, type);
            o.Copy(there, blob);
            Keep(o, there, type);
            return;
        }
        using var wide = TensorScope.Detach(_stored.ToTensor(Devices.Managed));
        using var memory = wide.Read();
        Keep(o, o.As(o.Upload(memory.Span, sizes), Role == WeightRole.Vector ? o.Torch.Float32 : o.Computed), o.Computed);
    }

    private void Keep(TorchOperation o, nint handle, int type)
    {
        _handle = o.Release(handle);
        _bytes = Shape.Count * o.BytesOf(type);
        _device.CountBytes(_bytes);
    }

    /// <summary>The type that the weight is stored in where libtorch has it and there are no scales beside it, else 0.</summary>
    private int PlainType(TorchOperation o) => _stored.Companions.Count > 0 ? 0
        : _stored.Format == WeightFormat.Float32 ? o.Torch.Float32
        : _stored.Format == WeightFormat.BFloat16 ? o.Torch.BFloat16
        : _stored.Format == WeightFormat.Float16 ? o.Torch.Float16
        : 0;

    private static long[] Strides(long[] sizes)
    {
        long[] strides = new long[sizes.Length];
        long stride = 1;
        for (int axis = sizes.Length - 1; axis >= 0; axis--)
        {
            strides[axis] = stride;
            stride *= sizes[axis];
        }
        return strides;
    }
}
