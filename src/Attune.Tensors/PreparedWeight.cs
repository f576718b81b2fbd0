using System.Diagnostics;

namespace Attune.Tensors;

/// <summary>How a layer reads a weight.</summary>
public enum WeightRole
{
    /// <summary>[out, in] of a linear layer.</summary>
    Matrix,

    /// <summary>
    /// [out, in, kernel height, kernel width] of a convolution, or [out, in, kernel frames, kernel height, kernel width] of one over
    /// videos.
    /// </summary>
    Convolution,

    /// <summary>[channels]: a bias, or what a norm multiplies with.</summary>
    Vector,

    /// <summary>[rows, channels], of which single rows are read: an embedding.</summary>
    Table,
}

/// <summary>
/// A weight as the kernels of one device read it: on the CPU a view on what is stored, elsewhere a copy in another order or place. Made by
/// <see cref="Device.Prepare"/>, owned by the layer that computes with it (<c>Checkpoint</c> disposes those of its layers), and the only
/// place where a device keeps what it makes of a weight.
/// </summary>
[DebuggerDisplay("PreparedWeight {Name} {Shape}")]
public abstract class PreparedWeight : IDisposable
{
    private readonly Lock _gate = new();
    private readonly Dictionary<(int Start, int Length), PreparedWeight> _rows = [];
    private Device? _device;

    /// <summary>A weight that is ready.</summary>
    /// <param name="name">The full name in the checkpoint, for messages.</param>
    /// <param name="shape">The extents.</param>
    /// <param name="bytes">What it occupies in the stored format.</param>
    protected PreparedWeight(string name, Shape shape, long bytes) => (Name, Shape, StoredBytes) = (name, shape, bytes);

    /// <summary>The full name in the checkpoint.</summary>
    public string Name { get; }

    /// <summary>The extents.</summary>
    public Shape Shape { get; }

    /// <summary>The number of elements.</summary>
    public long Count => Shape.Count;

    /// <summary>Bytes in the stored format: what has to be read once to compute with it.</summary>
    public long StoredBytes { get; }

    /// <summary>The device that prepared it.</summary>
    public Device Device
    {
        get => _device ?? throw new InvalidOperationException($"{Name} was not made by a device.");
        internal set => _device = value;
    }

    /// <summary>
    /// Some rows of the outermost axis, for layers of which only some outputs are wanted. The same object each time, which this one owns.
    /// </summary>
    /// <exception cref="ArgumentOutOfRangeException">They do not lie within the axis.</exception>
    public PreparedWeight Rows(int start, int length)
    {
        if (start < 0 || length < 0 || start > Shape[0] - length)
            throw new ArgumentOutOfRangeException(nameof(start), $"Rows [{start}, {start} + {length}) of {Name} {Shape}.");
        if (length == Shape[0])
            return this;
        lock (_gate)
        {
            if (!_rows.TryGetValue((start, length), out var rows))
            {
                rows = Select(start, length);
                rows._device = _device;
                _rows[(start, length)] = rows;
            }
            return rows;
        }
    }

    /// <summary>Frees what was made for the weight. No kernel may be reading it.</summary>
    public void Dispose()
    {
        foreach (var rows in _rows.Values)
            rows.Dispose();
        _rows.Clear();
        Dispose(true);
        GC.SuppressFinalize(this);
    }

    /// <summary>Some rows of the outermost axis, which lie within it.</summary>
    protected abstract PreparedWeight Select(int start, int length);

    /// <summary>Frees what the weight holds itself.</summary>
    protected abstract void Dispose(bool disposing);
}
