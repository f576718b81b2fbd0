using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;

namespace Attune.Tensors.OneDnn;

/// <summary>
/// Weights in the order that oneDNN's kernels read, made once and kept up to a budget. Nothing is driven out: a model larger than the
/// budget, which reads its weights in turn, would only ever miss. What a weight occupies is freed when its file is disposed, and, when room
/// is next needed, for tensors that were disposed and files that were collected.
/// </summary>
/// <param name="library">The library.</param>
/// <param name="budget">The most bytes to occupy.</param>
/// <param name="gate">Held by whoever calls, and taken when a file is disposed.</param>
internal sealed unsafe class WeightCache(OneDnnLibrary library, long budget, Lock gate)
{
    private readonly Dictionary<(nint Pointer, Shape Shape, DataType Type), Entry> _entries = [];
    private readonly ConditionalWeakTable<MappedFile, object> _watched = [];

    /// <summary>Bytes that are occupied.</summary>
    public long Bytes { get; private set; }

    /// <summary>The memory of a weight in the given order, or null.</summary>
    public nint Find(Weight weight, byte* descriptor) =>
        _entries.TryGetValue(Key(weight), out var entry) && ReferenceEquals(entry.Owner.Target, weight.Owner)
            ? entry.Find(descriptor)?.Memory ?? 0
            : 0;

    /// <summary>Whether so many bytes more stay within the budget.</summary>
    public bool HasRoom(nuint bytes)
    {
        if (Bytes + (long)bytes <= budget)
            return true;
        Sweep();
        return Bytes + (long)bytes <= budget;
    }

    /// <summary>Room for a weight in the given order, which the caller fills.</summary>
    public nint Add(Weight weight, byte* descriptor, out void* pointer)
    {
        Sweep();
        var key = Key(weight);
        if (_entries.TryGetValue(key, out var entry) && !ReferenceEquals(entry.Owner.Target, weight.Owner))
        {
            Free(entry);
            _entries.Remove(key);
            entry = null;
        }
        if (entry == null)
        {
            entry = new Entry(new WeakReference(weight.Owner));
            _entries[key] = entry;
        }
        var order = new Order(library, descriptor);
        entry.Orders.Add(order);
        Bytes += (long)order.Size;
        if (weight.Owner is MappedFile file)
            Watch(file);
        pointer = order.Pointer;
        return order.Memory;
    }

    /// <summary>Frees what belongs to files and tensors that are gone.</summary>
    public void Sweep()
    {
        List<(nint, Shape, DataType)>? gone = null;
        foreach (var (key, entry) in _entries)
        {
            if (entry.Owner.Target is null or MappedFile { IsDisposed: true } or Tensor { IsDisposed: true })
            {
                Free(entry);
                (gone ??= []).Add(key);
            }
        }
        foreach (var key in gone ?? [])
            _entries.Remove(key);
    }

    /// <summary>Frees everything.</summary>
    public void Clear()
    {
        foreach (var entry in _entries.Values)
            Free(entry);
        _entries.Clear();
    }

    private static (nint, Shape, DataType) Key(Weight weight) => ((nint)weight.Pointer, weight.Shape, weight.Type);

    private void Watch(MappedFile file)
    {
        if (!_watched.TryAdd(file, this))
            return;
        file.Disposed += () =>
        {
            lock (gate)
                Sweep();
        };
    }

    private void Free(Entry entry)
    {
        foreach (var order in entry.Orders)
        {
            Bytes -= (long)order.Size;
            order.Dispose();
        }
    }

    private sealed class Entry(WeakReference owner)
    {
        public WeakReference Owner => owner;

        /// <summary>A weight that meets products of several heights may be wanted in several orders.</summary>
        public List<Order> Orders { get; } = [];

        public Order? Find(byte* descriptor)
        {
            foreach (var order in Orders)
            {
                if (Native.AreEqual(order.Descriptor, descriptor) != 0)
                    return order;
            }
            return null;
        }
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
