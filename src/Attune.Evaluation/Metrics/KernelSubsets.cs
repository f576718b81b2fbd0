namespace Attune.Evaluation.Metrics;

/// <summary>
/// Which rows the subsets of a kernel distance are made of, as one package draws them. All draw from MT19937 with the seed; they differ in
/// how an order is drawn from it, and in which set comes first.
/// </summary>
public enum KernelSubsets
{
    /// <summary>torch-fidelity 0.4: <c>RandomState(seed).choice</c>, of each subset the first set, then the second.</summary>
    TorchFidelity,

    /// <summary>torchmetrics 1.9: <c>torch.randperm</c>, the first set, then the second.</summary>
    TorchMetrics,

    /// <summary>
    /// clean-fid 0.1: <c>numpy.random.choice</c>, the second set, then the first. It never seeds: its own number changes from run to run.
    /// </summary>
    CleanFid,
}

/// <summary>Draws rows of subsets.</summary>
internal sealed class KernelDraws(KernelSubsets package, long seed)
{
    private readonly TorchRandom _random = new((ulong)seed);

    /// <summary>The rows of the next subset in sets of so many rows.</summary>
    public (int[] A, int[] B) Next(int a, int b, int size)
    {
        if (package != KernelSubsets.CleanFid)
        {
            int[] first = Draw(a, size);
            return (first, Draw(b, size));
        }
        int[] second = Draw(b, size);
        return (Draw(a, size), second);
    }

    private int[] Draw(int count, int size)
    {
        int[] order = [.. Enumerable.Range(0, count)];
        if (package == KernelSubsets.TorchMetrics)
        {
            for (int i = 0; i < count - 1; i++)
                Swap(i, i + (int)(_random.NextUInt32() % (uint)(count - i)));
        }
        else
        {
            for (int i = count - 1; i > 0; i--)
                Swap(i, UpTo((uint)i));
        }
        return order[..size];

        void Swap(int i, int j) => (order[i], order[j]) = (order[j], order[i]);
    }

    /// <summary>A number from 0 to the last one, by masking and drawing again.</summary>
    private int UpTo(uint last)
    {
        uint mask = uint.MaxValue >> System.Numerics.BitOperations.LeadingZeroCount(last);
        uint value;
        do
            value = _random.NextUInt32() & mask;
        while (value > last);
        return (int)value;
    }
}
