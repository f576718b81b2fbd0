using Attune.Tensors;

namespace Attune.Schedulers;

/// <summary>Weighted sums of tensors of one shape.</summary>
internal static class Mix
{
    /// <summary>The sum of the terms, in their order; terms of weight 0 are left out.</summary>
    public static Tensor Of(params ReadOnlySpan<(double Weight, Tensor Value)> terms)
    {
        Tensor? sum = null;
        var first = terms[0];
        bool pending = true;
        foreach (var term in terms[1..])
        {
            if (term.Weight == 0)
                continue;
            if (pending)
                sum = TensorOperations.Combine((float)first.Weight, first.Value, (float)term.Weight, term.Value);
            else
                TensorOperations.Combine(1, sum!, (float)term.Weight, term.Value, into: sum);
            pending = false;
        }
        return sum ?? first.Value.Affine((float)first.Weight);
    }
}

/// <summary>The last few tensors of a run, the newest at 0. Owns them.</summary>
internal sealed class TensorHistory(int capacity) : IDisposable
{
    private readonly Tensor?[] _items = new Tensor?[capacity];

    /// <summary>How many there are.</summary>
    public int Count { get; private set; }

    public Tensor this[int age] => _items[age] ?? throw new InvalidOperationException($"The history holds {Count} tensors.");

    /// <summary>Keeps a copy; the oldest is dropped.</summary>
    public void Push(Tensor value)
    {
        _items[^1]?.Dispose();
        Array.Copy(_items, 0, _items, 1, capacity - 1);
        _items[0] = TensorScope.Detach(value.Clone());
        Count = Math.Min(Count + 1, capacity);
    }

    /// <summary>Drops all.</summary>
    public void Dispose()
    {
        foreach (var item in _items)
            item?.Dispose();
        Array.Clear(_items);
        Count = 0;
    }
}
