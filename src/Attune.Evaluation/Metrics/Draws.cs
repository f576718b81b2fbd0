namespace Attune.Evaluation.Metrics;

/// <summary>
/// Random choices that are the same on every machine and version of .NET, which does not promise so for <see cref="Random"/>: MT19937.
/// </summary>
internal sealed class Draws(long seed)
{
    private readonly TorchRandom _random = new((ulong)seed);

    /// <summary>A number from 0, below the bound. Uniform up to bound / 2^32.</summary>
    public int Below(int bound) => (int)((ulong)_random.NextUInt32() * (uint)bound >> 32);

    /// <summary>Brings some elements, chosen at random, to the front; the others are behind them.</summary>
    public void Choose<T>(T[] elements, int count)
    {
        for (int i = 0; i < count; i++)
        {
            int other = i + Below(elements.Length - i);
            (elements[i], elements[other]) = (elements[other], elements[i]);
        }
    }
}
