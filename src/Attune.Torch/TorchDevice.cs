using System.Globalization;
using Attune.Tensors;

namespace Attune.Torch;

/// <summary>
/// A device on libtorch: the processor or a graphics card. Products, convolutions and attention are made in the device's precision; what
/// is added up over a model (the residual stream), sums of norms, log-sum-exps and rows are float32. One thread owns the device: calls
/// from several threads follow one another.
/// </summary>
public sealed unsafe partial class TorchDevice : Device, IDisposable
{
    private readonly TorchThread _thread;
    private readonly List<nint> _deleted = [];
    private bool _deleting;
    private long _bytes;
    private long _peak;

    [ThreadStatic]
    private static Passage? _passage;

    private TorchDevice(TorchLibrary library, string name, int type, int index, Precision precision, long memory)
    {
        (Library, Name, Type, Index, Precision) = (library, name, type, index, precision);
        Operation = new TorchOperation(this, library.Functions);
        Residency = new TorchResidency(this) { Budget = memory };
        _thread = new TorchThread(name);
        if (library.SetThreads != null)
            _thread.Run(() => library.SetThreads(Workers.MaxThreads));
        if (type == library.Functions.Cuda && library.Functions.DeviceGuard is not 0 and var guard)
        {
            // The driver's events and free memory are those of the thread's current card, which else is the first one.
            _thread.Run(() =>
            {
                nint kept;
                Operation.Check(((delegate* unmanaged[Cdecl]<int, nint*, int>)guard)(index, &kept), "the current card");
            });
        }
    }

    /// <summary>torch:cpu, torch:cuda:0, ...</summary>
    public override string Name { get; }

    /// <inheritdoc/>
    public override string Description =>
        $"{Name}{(Type == Library.Functions.Cuda ? $" ({CudaDriver.NameOf(Index)})" : "")}, libtorch {Library.Version}, "
            + Tensors.Devices.NameOf(Precision) + (Residency.Budget > 0 ? $", {Gibibytes(Residency.Budget)}" : "");

    /// <summary>What products, convolutions and attention are made in.</summary>
    public Precision Precision { get; }

    /// <summary>The library that computes.</summary>
    public TorchLibrary Library { get; }

    /// <summary>Bytes of tensors and weights on the device now. What operators use by themselves is not in it.</summary>
    public override long LiveBytes => Interlocked.Read(ref _bytes);

    /// <inheritdoc/>
    public override long PeakBytes => Interlocked.Read(ref _peak);

    /// <summary>When set, memory of which a part is written first is filled with NaN. For tests.</summary>
    internal static bool PoisonNewTensors { get; set; }

    /// <summary>Called on the thread of the caller before each primitive, with its name. For tests.</summary>
    internal Action<string>? Watch { get; set; }

    /// <summary>Which weights lie on the device.</summary>
    internal TorchResidency Residency { get; }

    /// <summary>The weights that are used in the stretch of work that runs, where it has said that it passes.</summary>
    internal HashSet<TorchWeight>? Passed { get; private set; }

    /// <summary>What runs on the device's thread.</summary>
    internal TorchOperation Operation { get; }

    /// <summary>The device's kind and number as libtorch counts them.</summary>
    internal int Type { get; }

    internal int Index { get; }

    /// <summary>Handles of libtorch that were made for this device and not freed yet.</summary>
    internal long LiveHandles
    {
        get
        {
            _thread.Run(DeletePending);
            return Operation.LiveHandles;
        }
    }

    /// <summary>Opens a device of libtorch.</summary>
    /// <param name="name"><c>torch:cpu</c>, <c>torch:cuda</c>, <c>torch:cuda:1</c> or <c>torch:mps</c> (untested), in any case.</param>
    /// <param name="precision">What products, convolutions and attention are made in.</param>
    /// <param name="folder">Where the library is, or null to look for it (<see cref="TorchLibrary.Load"/>).</param>
    /// <param name="option">The option or variable that has this name, for messages.</param>
    /// <param name="memory">How much of the device's memory may be used, in bytes: three quarters of it by weights, of which those that do
    /// not stay are brought for each use. 0 for all there is.</param>
    /// <exception cref="ArgumentException">There is no device of this name.</exception>
    /// <exception cref="NotSupportedException">The library cannot be used, or has no such device here: the message says why.</exception>
    public static TorchDevice Open(
        string name, Precision precision = Precision.Float32, string? folder = null, string? option = null, long memory = 0)
    {
        ArgumentNullException.ThrowIfNull(name);
        ArgumentOutOfRangeException.ThrowIfNegative(memory);
        string[] parts = name.ToLowerInvariant().Split(':');
        int index = 0;
        if (parts.Length is < 2 or > 3 || parts[0] != "torch" || parts[1] is not ("cpu" or "cuda" or "mps")
            || (parts.Length == 3
                && (parts[1] != "cuda" || !int.TryParse(parts[2], NumberStyles.None, CultureInfo.InvariantCulture, out index))))
            throw new ArgumentException($"{option ?? "The device"} is '{name}', expected torch:cpu, torch:cuda:N or torch:mps.");
        var library = TorchLibrary.Load(folder);
        var functions = library.Functions;
        if (parts[1] == "cuda" && !library.HasCuda)
            throw new NotSupportedException(
                $"'{name}' cannot be used: the libtorch in '{library.Folder}' has no CUDA"
                    + (library.CudaProblem == null ? $". {TorchLibrary.Advice}" : $": {library.CudaProblem}"));
        if (parts[1] == "cuda" && index >= CudaDriver.Count)
            throw new NotSupportedException(
                FormattableString.Invariant($"'{name}' cannot be used: {CudaDriver.Count} cards of NVIDIA are there."));
        if (parts[1] == "mps" && !OperatingSystem.IsMacOS())
            throw new NotSupportedException($"'{name}' cannot be used: it needs macOS.");
        return parts[1] switch
        {
            "cpu" => new TorchDevice(library, "torch:cpu", functions.Cpu, 0, precision, memory),
            "cuda" => new TorchDevice(
                library, FormattableString.Invariant($"torch:cuda:{index}"), functions.Cuda, index, precision, memory),
            _ => new TorchDevice(library, "torch:mps", functions.Mps, 0, precision, memory),
        };
    }

    /// <inheritdoc/>
    public override void ResetPeak() => Interlocked.Exchange(ref _peak, LiveBytes);

    /// <inheritdoc/>
    public override IDisposable Passing() => new Passage(this);

    /// <summary>Ends the device's thread. No tensor of the device may be in use, nor be used again.</summary>
    public void Dispose()
    {
        try
        {
            _thread.Run(DeletePending);
            _thread.Run(Operation.FreeConstants);
        }
        catch (ObjectDisposedException)
        {
            return;
        }
        _thread.Dispose();
    }

    /// <inheritdoc/>
    protected override Storage Allocate(long elements, Precision precision) => new TorchStorage(this, elements, precision);

    /// <inheritdoc/>
    protected override HostView Map(Tensor tensor, HostAccess access)
    {
        ArgumentNullException.ThrowIfNull(tensor);
        var copy = TensorScope.Detach(Tensor.Empty(Tensors.Devices.Managed, tensor.Shape));
        try
        {
            _ = StorageOf(tensor);
            if (access == HostAccess.Read && tensor.Count > 0)
            {
                Run("reading", o =>
                {
                    using var memory = copy.Write();
                    fixed (float* target = memory.Span)
                        o.Copy(o.Blob(target, Extents(tensor.Shape), o.Torch.Float32), o.View(tensor));
                });
            }
        }
        catch
        {
            copy.Dispose();
            throw;
        }
        return new HostView(copy, new Release(() =>
        {
            try
            {
                if (access == HostAccess.Write && tensor.Count > 0)
                {
                    Run("writing", o =>
                    {
                        using var memory = copy.Read();
                        o.Store(tensor, o.Upload(memory.Span, Extents(tensor.Shape)));
                    });
                }
            }
            finally
            {
                copy.Dispose();
            }
        }));
    }

    /// <summary>A tensor's storage and where it begins there.</summary>
    internal TorchStorage Of(Tensor tensor, out long offset)
    {
        offset = OffsetOf(tensor);
        return (TorchStorage)StorageOf(tensor);
    }

    internal void CountBytes(long change)
    {
        long now = Interlocked.Add(ref _bytes, change);
        long peak = Interlocked.Read(ref _peak);
        while (now > peak)
        {
            long seen = Interlocked.CompareExchange(ref _peak, now, peak);
            if (seen == peak)
                break;
            peak = seen;
        }
    }

    /// <summary>Frees a handle on the device's thread, soon.</summary>
    internal void DeleteLater(nint handle)
    {
        lock (_deleted)
        {
            _deleted.Add(handle);
            if (_deleting)
                return;
            _deleting = true;
        }
        _thread.Post(DeletePending);
    }

    /// <summary>What to throw where memory could not be had.</summary>
    internal Exception OutOfMemory(long[] sizes, string reason)
    {
        var (free, _) = Type == Library.Functions.Cuda ? CudaDriver.Memory() : default;
        return new InsufficientMemoryException(
            $"{Name} has no room{(sizes.Length > 0 ? $" for a tensor [{string.Join(", ", sizes)}]" : "")} beside {Gibibytes(LiveBytes)} of "
                + "tensors and weights"
                + (free > 0 ? $" ({Gibibytes(free)} free)" : "")
                + $"{reason}. A smaller picture, fewer pictures at a time, --precision bf16 or a smaller --gpu-memory leave more room.");
    }

    /// <summary>Does a primitive's work on the device's thread.</summary>
    /// <exception cref="TorchException">libtorch refused something: the message names the primitive and the shapes.</exception>
    internal void Run(string primitive, Action<TorchOperation> work)
    {
        Watch?.Invoke(primitive);
        var passage = _passage;
        _thread.Run(() => Do(primitive, work, passage));
    }

    /// <summary>Does something on the device's thread, soon; it must not throw.</summary>
    internal void Soon(Action<TorchOperation> work) => _thread.Post(() => work(Operation));

    private void Do(string primitive, Action<TorchOperation> work, Passage? passage)
    {
        DeletePending();
        Passed = passage?.Device == this ? passage.Weights : null;
        try
        {
            work(Operation);
        }
        catch (TorchException exception)
        {
            if (Type == Library.Functions.Cuda && IsWantOfMemory(exception.Message, CudaDriver.Memory()))
                throw OutOfMemory([], $" during {primitive} of {Operation.Shapes}: {exception.Message}");
            throw new TorchException($"{Name}: {primitive} of {Operation.Shapes}: {exception.Message}", exception);
        }
        finally
        {
            Residency.End(Operation);
            Operation.End();
            Passed = null;
        }
    }

    internal static string Gibibytes(long bytes) =>
        string.Create(CultureInfo.InvariantCulture, $"{bytes / (double)(1 << 30):0.##} GiB");

    internal static long[] Extents(Shape shape)
    {
        long[] sizes = new long[shape.Rank];
        for (int axis = 0; axis < sizes.Length; axis++)
            sizes[axis] = shape[axis];
        return sizes;
    }

    /// <summary>
    /// Whether an operator is taken to have failed for want of memory: where the library says so, and where it does not say why (before
    /// 2.13) while less than a tenth of the card is free.
    /// </summary>
    internal static bool IsWantOfMemory(string reason, (long Free, long Total) memory) =>
        reason.Contains("out of memory", StringComparison.OrdinalIgnoreCase)
            || (reason.EndsWith(TorchOperation.NoReason, StringComparison.Ordinal) && memory.Total > 0 && memory.Free < memory.Total / 10);

    private void DeletePending()
    {
        lock (_deleted)
        {
            _deleting = false;
            foreach (nint handle in _deleted)
                Operation.Delete(handle);
            _deleted.Clear();
        }
    }

    /// <summary>A stretch of work on one thread, whose weights leave at its end.</summary>
    private sealed class Passage : IDisposable
    {
        private readonly Passage? _outer;

        public Passage(TorchDevice device) => (Device, _outer, _passage) = (device, _passage, this);

        public TorchDevice Device { get; }

        public HashSet<TorchWeight> Weights { get; } = [];

        public void Dispose()
        {
            _passage = _outer;
            Device.Run("giving up weights", o =>
            {
                foreach (var weight in Weights)
                    weight.Leave(o);
            });
        }
    }

    private sealed class Release(Action action) : IDisposable
    {
        public void Dispose() => action();
    }
}
