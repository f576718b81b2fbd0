using System.Numerics;

namespace Attune.Tensors;

/// <summary>What the host does with the elements of a tensor while it sees them.</summary>
public enum HostAccess
{
    /// <summary>It reads them and changes nothing.</summary>
    Read,

    /// <summary>It writes every element and reads none before that.</summary>
    Write,
}

/// <summary>
/// The elements of a tensor as the host sees them, from <see cref="Tensor.Read"/> or <see cref="Tensor.Write"/> until
/// <see cref="Dispose"/>. On the CPU it is the tensor's own memory and costs nothing; elsewhere it is a copy, made when the view is asked
/// for and, after <see cref="Tensor.Write"/>, given back when it is disposed. While a view is open no operation may run on its tensor.
/// </summary>
public readonly ref struct HostView : IDisposable
{
    private readonly Tensor _memory;
    private readonly IDisposable? _release;

    /// <summary>A view for <see cref="Device.Map"/> to return.</summary>
    /// <param name="memory">A tensor in the host's memory, of the shape of the mapped one.</param>
    /// <param name="release">Disposed with the view: gives a copy back, or frees it. Null where there is nothing to do.</param>
    public HostView(Tensor memory, IDisposable? release = null)
    {
        ArgumentNullException.ThrowIfNull(memory);
        (_memory, _release) = (memory, release);
    }

    /// <summary>All elements in row-major order. Only to be written to after <see cref="Tensor.Write"/>.</summary>
    /// <exception cref="InvalidOperationException">The tensor is a strided view, which has rows alone (<see cref="Row"/>), or has 2^31
    /// elements or more.</exception>
    public Span<float> Span => _memory.Span;

    /// <summary>
    /// The innermost axis at the given outer coordinates, of any tensor or view: <c>view.Row(b, t)</c> of [batch, tokens, channels]. Only
    /// to be written to after <see cref="Tensor.Write"/>.
    /// </summary>
    /// <exception cref="ArgumentException">There are not as many coordinates as outer axes.</exception>
    /// <exception cref="ArgumentOutOfRangeException">A coordinate lies outside of its axis.</exception>
    public Span<float> Row(params ReadOnlySpan<int> coordinates) => _memory.Row(coordinates);

    /// <summary>Copies all elements, of any tensor or view, in row-major order.</summary>
    /// <exception cref="ArgumentException">There are not as many places as elements.</exception>
    public unsafe void CopyTo(Span<float> destination)
    {
        if (destination.Length != _memory.Count)
            throw new ArgumentException($"{_memory.Shape} does not fit into {destination.Length} places.", nameof(destination));
        var rows = Rows.Of(_memory);
        for (long i = 0; i < rows.Count; i++)
            new Span<float>(rows.At(i), rows.Columns).CopyTo(destination[(int)(i * rows.Columns)..]);
    }

    /// <summary>How many elements, of any tensor or view, are NaN or infinite.</summary>
    public unsafe long CountNotFinite()
    {
        var rows = Rows.Of(_memory);
        long count = 0;
        for (long i = 0; i < rows.Count; i++)
        {
            var row = new ReadOnlySpan<float>(rows.At(i), rows.Columns);

            // x - x is 0 for whatever is finite and NaN for the rest, and a sum keeps a NaN: a row is counted only where there is one.
            var sum = Vector<float>.Zero;
            int at = 0;
            for (; at <= row.Length - Vector<float>.Count; at += Vector<float>.Count)
            {
                var values = new Vector<float>(row[at..]);
                sum += values - values;
            }
            float rest = Vector.Sum(sum);
            for (; at < row.Length; at++)
                rest += row[at] - row[at];
            if (float.IsNaN(rest))
            {
                foreach (float value in row)
                    count += float.IsFinite(value) ? 0 : 1;
            }
        }
        return count;
    }

    /// <summary>Sets every element, of any tensor or view.</summary>
    public unsafe void Fill(float value)
    {
        var rows = Rows.Of(_memory);
        if (rows.Contiguous)
        {
            for (long at = 0; at < _memory.Count; at += 1 << 30)
                new Span<float>(rows.At(0) + at, (int)Math.Min(_memory.Count - at, 1 << 30)).Fill(value);
            return;
        }
        for (long i = 0; i < rows.Count; i++)
            new Span<float>(rows.At(i), rows.Columns).Fill(value);
    }

    /// <summary>Ends the view; its spans must not be used any more.</summary>
    public void Dispose() => _release?.Dispose();
}
