using System.Runtime.InteropServices;

namespace Attune.Tensors;

/// <summary>
/// The pool of native memory behind activations. Blocks are aligned to 64 bytes (2 MiB from there on) and are kept for reuse when their
/// tensor is disposed, because page faults cost as much as arithmetic. Thread-safe.
/// </summary>
public static unsafe partial class TensorMemory
{
    private const int Alignment = 64;
    private const nuint HugePage = 2 << 20;
    private static readonly Lock Gate = new();
    private static readonly Dictionary<nuint, Stack<nint>> Free = [];
    private static long _live;
    private static long _liveBytes;
    private static long _peakBytes;
    private static long _pooledBytes;

    /// <summary>The number of tensors (views too) that are not disposed.</summary>
    public static long LiveTensors => Interlocked.Read(ref _live);

    /// <summary>Bytes in blocks that tensors use now.</summary>
    public static long LiveBytes => Interlocked.Read(ref _liveBytes);

    /// <summary>The largest value of <see cref="LiveBytes"/> since the start or <see cref="ResetPeak"/>.</summary>
    public static long PeakBytes => Interlocked.Read(ref _peakBytes);

    /// <summary>When set, new tensors are filled with NaN, so that a read of memory that nothing wrote shows. For tests.</summary>
    internal static bool PoisonNewTensors { get; set; }

    /// <summary>Starts a new measurement of <see cref="PeakBytes"/>.</summary>
    public static void ResetPeak() => Interlocked.Exchange(ref _peakBytes, LiveBytes);

    /// <summary>Bytes in blocks that wait for reuse.</summary>
    public static long PooledBytes => Interlocked.Read(ref _pooledBytes);

    /// <summary>
    /// Gives the blocks that wait for reuse back to the system. Pipelines do so by themselves when no request of theirs runs any more, and
    /// between the levels of a decoder, whose blocks do not serve one another; 256 MiB are kept then.
    /// </summary>
    /// <param name="keep">Nothing is given back while no more than this many bytes wait.</param>
    public static void Trim(long keep = 0)
    {
        lock (Gate)
        {
            if (_pooledBytes <= keep)
                return;
            _pooledBytes = 0;
            foreach (var blocks in Free.Values)
            {
                while (blocks.TryPop(out nint block))
                    NativeMemory.AlignedFree((void*)block);
            }
            Free.Clear();
        }
    }

    internal static void CountTensor(int change) => Interlocked.Add(ref _live, change);

    /// <summary>A block of at least <paramref name="bytes"/>; <paramref name="size"/> is what <see cref="Return"/> must be told.</summary>
    internal static void* Rent(nuint bytes, out nuint size)
    {
        size = SizeClass(bytes);
        void* block = null;
        lock (Gate)
        {
            if (Free.TryGetValue(size, out var blocks) && blocks.TryPop(out nint reused))
            {
                block = (void*)reused;
                _pooledBytes -= (long)size;
            }
            _liveBytes += (long)size;
            _peakBytes = Math.Max(_peakBytes, _liveBytes);
        }
        if (block == null)
        {
            try
            {
                block = Allocate(size);
            }
            catch (OutOfMemoryException)
            {
                Trim();
                try
                {
                    block = Allocate(size);
                }
                catch (OutOfMemoryException)
                {
                    Interlocked.Add(ref _liveBytes, -(long)size);
                    throw;
                }
            }
        }
        if (PoisonNewTensors)
            new Span<int>(block, (int)Math.Min(size / 4, int.MaxValue)).Fill(BitConverter.SingleToInt32Bits(float.NaN));
        return block;
    }

    internal static void Return(void* block, nuint size)
    {
        lock (Gate)
        {
            if (!Free.TryGetValue(size, out var blocks))
                Free[size] = blocks = new Stack<nint>();
            blocks.Push((nint)block);
            _pooledBytes += (long)size;
            _liveBytes -= (long)size;
        }
    }

    /// <summary>
    /// Eight classes an octave, so that at most an eighth of a block is slack and blocks of nearly equal tensors are interchangeable. Of
    /// large blocks an eighth would be much: their classes are huge pages, and no more than 64 an octave.
    /// </summary>
    private static nuint SizeClass(nuint bytes)
    {
        if (bytes <= 512)
            return Math.Max((bytes + Alignment - 1) / Alignment, 1) * Alignment;
        int octave = System.Numerics.BitOperations.Log2(bytes - 1);
        nuint step = (nuint)1 << (octave - 3);
        if (step > HugePage)
            step = Math.Max(HugePage, (nuint)1 << (octave - 6));
        return (bytes + step - 1) / step * step;
    }

    /// <summary>
    /// A block outside of the pool, on huge pages where it is large; to be freed with <see cref="NativeMemory.AlignedFree"/>.
    /// </summary>
    internal static void* Allocate(nuint size)
    {
        if (size < HugePage)
            return NativeMemory.AlignedAlloc(size, Alignment);
        void* block = NativeMemory.AlignedAlloc(size, HugePage);
        if (OperatingSystem.IsLinux())
            _ = Advise(block, size, AdviseHugePage);
        return block;
    }

    private const int AdviseHugePage = 14;

    [LibraryImport("libc", EntryPoint = "madvise")]
    private static partial int Advise(void* address, nuint length, int advice);
}
