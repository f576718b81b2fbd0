using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using Attune.Tensors;

namespace Attune.Torch;

/// <summary>
/// A weight on the device, brought there as it is stored when a layer first asks for it, and widened there whenever it is multiplied. On
/// the processor it is read where it is stored, unless there is a budget.
/// </summary>
internal sealed unsafe class TorchWeight : PreparedWeight
{
    /// <summary>No type; 0 is that of bytes.</summary>
    private const int None = -1;

    private readonly TorchDevice _device;
    private readonly TorchWeight? _whole;
    private readonly long _first;
    private readonly bool _asBytes;
    private nint _handle;
    private nint _computed;
    private nint _scale;
    private nint _columns;
    private nint _pinned;
    private nint _arriving;
    private long _bytes;
    private bool _stays;

    public TorchWeight(TorchDevice device, StoredWeight stored, WeightRole role)
        : base(stored.Name, stored.Shape, stored.Bytes.Length)
    {
        (_device, Stored, Role) = (device, stored, role);
        _asBytes = PlainType(device.Operation) == None && role != WeightRole.Vector && TorchFormats.Has(stored);
    }

    private TorchWeight(TorchWeight whole, int start, StoredWeight rows)
        : base(rows.Name, rows.Shape, rows.Bytes.Length)
    {
        (_device, Stored, Role, _whole) = (whole._device, rows, whole.Role, whole);
        _first = start * (whole.Shape.Count / Math.Max(whole.Shape[0], 1));
    }

    public WeightRole Role { get; }

    public StoredWeight Stored { get; }

    /// <summary>The weight that was used after this one, of those that do not stay on the device.</summary>
    public TorchWeight? Next { get; set; }

    /// <summary>Bytes that were brought ahead of a use.</summary>
    public long Ahead { get; set; }

    /// <summary>Whether it was disposed.</summary>
    public bool IsGone { get; private set; }

    /// <summary>Whether it lies on the device.</summary>
    public bool IsThere => _handle != 0;

    /// <summary>What it occupies there.</summary>
    public long DeviceBytes => Shape.Count == 0 ? 0
        : PlainType(_device.Operation) != None || _asBytes ? Stored.Bytes.Length
        : Shape.Count * _device.Operation.BytesOf(HeldType(_device.Operation));

    /// <summary>A weight that this device prepared.</summary>
    /// <exception cref="ArgumentException">Another device did.</exception>
    public static TorchWeight Of(PreparedWeight weight, TorchDevice device) =>
        weight is TorchWeight own && own._device == device ? own
            : throw new ArgumentException($"{weight.Name} {weight.Shape} was not prepared for {device.Name}.");

    /// <summary>The weight in a type, as a contiguous tensor that the weight or the operation owns. On the device's thread.</summary>
    public nint In(TorchOperation o, int type)
    {
        if (_whole != null)
            return Part(o, _whole.In(o, type));
        Require(o);
        if (_asBytes)
            return o.As(TorchFormats.Widen(o, _handle, Stored, _scale, _columns), type);
        if (o.TypeOf(_handle) == type)
            return _handle;

        // Vectors are small and needed again and again; what is large is widened every time, so that it occupies its stored size.
        if (Role != WeightRole.Vector)
            return o.As(_handle, type);
        if (_computed == 0 || o.TypeOf(_computed) != type)
        {
            nint made = o.Release(o.As(_handle, type));
            Drop(o, ref _computed);
            _computed = made;
        }
        return _computed;
    }

    /// <summary>The weight in the type in which it lies on the device, or 0 where that is bytes. On the device's thread.</summary>
    public nint Plain(TorchOperation o)
    {
        if (_whole != null)
            return _whole.Plain(o) is not 0 and var whole ? Part(o, whole) : 0;
        if (_asBytes)
            return 0;
        Require(o);
        return _handle;
    }

    /// <summary>Brings the weight to the device. On the device's thread.</summary>
    /// <param name="o">What runs.</param>
    /// <param name="ahead">Whether it is for a later use: it does not stay, then.</param>
    public void Bring(TorchOperation o, bool ahead)
    {
        var residency = _device.Residency;
        long[] sizes = TorchDevice.Extents(Shape);
        int type = _asBytes ? o.Torch.Byte : PlainType(o);
        if (_asBytes)
            sizes = [Stored.Bytes.Length];
        if (type == None || Shape.Count == 0)
        {
            using var wide = TensorScope.Detach(Stored.ToTensor(Devices.Managed));
            using var memory = wide.Read();
            _handle = o.Release(o.As(o.Upload(memory.Span, sizes), HeldType(o)));
        }
        else if (!residency.Copies)
        {
            // It stays where it is stored, and is not counted.
            _handle = o.Release(o.Blob(Start(Stored), sizes, type));
            BringCompanions(o);
            return;
        }
        else
        {
            nint there = o.Empty(sizes, type);
            _arriving = residency.Copy(o, there, _pinned != 0 ? _pinned : o.Blob(Start(Stored), sizes, type), Stored.Bytes.Length, ahead);
            _handle = o.Release(there);
        }
        BringCompanions(o);
        _bytes = DeviceBytes;
        _device.CountBytes(_bytes);
        _stays = !ahead && residency.TryStay(_bytes);
        if (!_stays)
            Pin(o, sizes, type);
    }

    /// <summary>Gives up what lies on the device; it is brought again when it is needed.</summary>
    public void Leave(TorchOperation o)
    {
        if (_bytes == 0)
            return;
        if (_arriving != 0)
        {
            // Whatever gets the memory next must not be overtaken by the copy.
            TorchResidency.Wait(o, _device, _arriving);
            _arriving = 0;
        }
        Drop(o, ref _handle);
        Drop(o, ref _computed);
        Drop(o, ref _scale);
        Drop(o, ref _columns);
        _device.CountBytes(-_bytes);
        if (_stays)
            _device.Residency.Leave(_bytes);
        _device.Residency.Forget(this);
        (_bytes, _stays) = (0, false);
    }

    protected override PreparedWeight Select(int start, int length) => new TorchWeight(this, start, Stored.Rows(start, length));

    protected override void Dispose(bool disposing)
    {
        if (IsGone)
            return;
        IsGone = true;
        if (_whole != null)
            return;
        _device.Soon(o =>
        {
            Leave(o);
            Drop(o, ref _handle);
            Drop(o, ref _computed);
            Drop(o, ref _scale);
            Drop(o, ref _columns);
            Drop(o, ref _pinned);
            _device.Residency.Forget(this);
        });
        Stored.Dispose();
    }

    /// <summary>The weight lies on the device from here on, until the operation ends.</summary>
    private void Require(TorchOperation o)
    {
        ObjectDisposedException.ThrowIf(IsGone, this);
        if (_handle == 0)
            Bring(o, ahead: false);
        if (!_stays && _device.Residency.Copies)
            _device.Residency.Use(o, this);
        _device.Passed?.Add(this);
        if (_arriving != 0)
        {
            TorchResidency.Wait(o, _device, _arriving);
            _arriving = 0;
        }
    }

    /// <summary>These rows of the whole weight.</summary>
    private nint Part(TorchOperation o, nint whole)
    {
        ObjectDisposedException.ThrowIf(IsGone, this);
        long[] sizes = TorchDevice.Extents(Shape);
        return o.Reinterpret(whole, sizes, Strides(sizes), _first);
    }

    private static void Drop(TorchOperation o, ref nint handle)
    {
        if (handle != 0)
            o.Delete(handle);
        handle = 0;
    }

    private static byte* Start(StoredWeight stored) =>
        (byte*)Unsafe.AsPointer(ref MemoryMarshal.GetReference(stored.Bytes.Read(0, 1)));

    /// <summary>The scales of what is widened on the device, in float32: they are few.</summary>
    private void BringCompanions(TorchOperation o)
    {
        if (!_asBytes)
            return;
        _scale = Companion(o, StoredWeight.ScaleCompanion);
        _columns = Companion(o, StoredWeight.ColumnsCompanion);
    }

    private nint Companion(TorchOperation o, string name)
    {
        if (!Stored.Companions.TryGetValue(name, out var companion))
            return 0;
        float[] values = new float[companion.Shape.Count];
        companion.Widen(0, values);
        return o.Release(o.Upload(values, [values.Length]));
    }

    /// <summary>Keeps a copy in memory from which a card reads by itself, for a weight that is brought again and again.</summary>
    private void Pin(TorchOperation o, long[] sizes, int type)
    {
        if (_pinned != 0 || type == None || _device.Type != o.Torch.Cuda)
            return;
        long[] strides = Strides(sizes);
        nint pinned;
        fixed (long* s = sizes, t = strides)
        {
            if (o.Torch.EmptyPinned(sizes.Length, s, t, type, o.Torch.Cpu, 0, &pinned) != 0)
                return;
        }
        _pinned = o.Release(o.Own(pinned));
        o.Copy(_pinned, o.Blob(Start(Stored), sizes, type));
    }

    /// <summary>The type that the weight is stored in where libtorch has it and there are no scales beside it, else none.</summary>
    private int PlainType(TorchOperation o) => Stored.Companions.Count > 0 ? None
        : Stored.Format == WeightFormat.Float32 ? o.Torch.Float32
        : Stored.Format == WeightFormat.BFloat16 ? o.Torch.BFloat16
        : Stored.Format == WeightFormat.Float16 ? o.Torch.Float16
        : None;

    /// <summary>The type of what had to be widened on the host.</summary>
    private int HeldType(TorchOperation o) => Role == WeightRole.Vector ? o.Torch.Float32 : o.Computed;

    private static long[] Strides(long[] sizes)
    {
        long[] strides = new long[sizes.Length];
        fixed (long* s = strides)
            TorchOperation.Contiguous(sizes, s);
        return strides;
    }
}
