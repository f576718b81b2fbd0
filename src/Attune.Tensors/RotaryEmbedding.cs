namespace Attune.Tensors;

/// <summary>How the channels of a head form the pairs that a rotary embedding turns.</summary>
public enum RotaryPairing
{
    /// <summary>Channels 2i and 2i + 1, as in FLUX, Wan and Qwen-Image.</summary>
    Adjacent,

    /// <summary>Channels i and i + channels / 2 ("rotate half"), as in the LLaMA family.</summary>
    Halves,

    /// <summary>
    /// Channels i and i + channels / 2, but channel c by angle c / 2, as ERNIE-Image was trained: the two of a pair turn by different
    /// angles. That is no rotation, and the products of queries and keys depend on where both stand, not on their distance alone.
    /// </summary>
    HalvesByNeighbours,
}

/// <summary>
/// Cosines and sines of a rotary position embedding: pair i of a token's channels is turned by the angle whose cosine and sine stand at
/// [token, i] (<see cref="RotaryPairing.HalvesByNeighbours"/>: channel c by angle c / 2). Owns its tables.
/// </summary>
public sealed class RotaryEmbedding : IDisposable
{
    /// <summary>Takes ownership of two tables [tokens, channels / 2].</summary>
    public RotaryEmbedding(Tensor cosine, Tensor sine, RotaryPairing pairing = RotaryPairing.Adjacent)
    {
        ArgumentNullException.ThrowIfNull(cosine);
        ArgumentNullException.ThrowIfNull(sine);
        if (cosine.Shape != sine.Shape || cosine.Shape.Rank != 2)
            throw new ArgumentException($"Cosines {cosine.Shape} and sines {sine.Shape} must have one shape [tokens, channels / 2].");
        (Cosine, Sine, Pairing) = (cosine, sine, pairing);
    }

    /// <summary>[tokens, channels / 2].</summary>
    public Tensor Cosine { get; }

    /// <summary>[tokens, channels / 2].</summary>
    public Tensor Sine { get; }

    /// <summary>Which channels form a pair.</summary>
    public RotaryPairing Pairing { get; }

    /// <summary>The number of tokens.</summary>
    public int Tokens => Cosine.Shape[0];

    /// <summary>The table of a range of tokens, as a view.</summary>
    public RotaryEmbedding Slice(int start, int length) => new(Cosine.Slice(0, start, length), Sine.Slice(0, start, length), Pairing);

    /// <inheritdoc/>
    public void Dispose()
    {
        Cosine.Dispose();
        Sine.Dispose();
    }
}
