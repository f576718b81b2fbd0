using System.Runtime.InteropServices;
using Attune.Tensors.Cpu;

namespace Attune.Tensors.OneDnn;

/// <summary>
/// A weight in the orders that oneDNN's kernels read: made when a product first asks for one, since it depends on the number of rows, and
/// kept as long as the device has room. Those whose weights find no room reorder them in every call.
/// </summary>
/// <param name="device">The device, which counts what its weights occupy.</param>
/// <param name="plain">The weight where it is stored.</param>
internal sealed unsafe class OneDnnWeight(OneDnnDevice device, CpuWeight plain) : PreparedWeight(plain.Name, plain.Shape, plain.StoredBytes)
{
    private readonly List<Order> _orders = [];
    private bool _disposed;

    /// <summary>The weight where it is stored, for the managed device.</summary>
    public CpuWeight Plain => plain;

    /// <summary>The memory of the weight in the given order, or 0. The device's gate is held.</summary>
    public nint Find(byte* descriptor)
    {
        foreach (var order in _orders)
        {
            if (Native.AreEqual(order.Descriptor, descriptor) != 0)
                return order.Memory;
        }
        return 0;
    }

    /// <summary>Room for the weight in the given order, which the caller fills. The device's gate is held.</summary>
    /// <exception cref="ObjectDisposedException">The weight is disposed.</exception>
    public nint Add(OneDnnLibrary library, byte* descriptor, out void* pointer)
    {
        ObjectDisposedException.ThrowIf(_disposed, this);
        var order = new Order(library, descriptor);
        _orders.Add(order);
        device.WeightBytes += (long)order.Size;
        pointer = order.Pointer;
        return order.Memory;
    }

    protected override PreparedWeight Select(int start, int length) => new OneDnnWeight(device, (CpuWeight)plain.Rows(start, length));

    protected override void Dispose(bool disposing)
    {
        lock (device.Gate)
        {
            _disposed = true;
            foreach (var order in _orders)
            {
                device.WeightBytes -= (long)order.Size;
                order.Dispose();
            }
            _orders.Clear();
        }
        plain.Dispose();
    }

    private sealed class Order : IDisposable
    {
        public Order(OneDnnLibrary library, byte* descriptor)
        {
            Size = Native.SizeOf(descriptor);
            Pointer = TensorMemory.Allocate(Size);
            Memory = Operation.Memory(library, descriptor, Pointer);
            byte* own;
            OneDnnLibrary.Check(Native.DescriptorOf(Memory, &own), "a view of memory");
            Descriptor = own;
        }

        /// <summary>Owned by <see cref="Memory"/>.</summary>
        public byte* Descriptor { get; }

        public nuint Size { get; }

        public void* Pointer { get; }

        public nint Memory { get; }

        public void Dispose()
        {
            _ = Native.MemoryDestroy(Memory);
            NativeMemory.AlignedFree(Pointer);
        }
    }
}
