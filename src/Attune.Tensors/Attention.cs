namespace Attune.Tensors;

/// <summary>
/// One partial attention: softmax(scale Q K^T + bias) V of some queries over one span of keys, and the logarithm of the softmax's
/// denominator, with which partials over disjoint spans merge exactly (<see cref="Device.MergeAttention"/>).
/// Where no key counts, the output is 0 and the log-sum-exp minus infinity.
/// </summary>
/// <param name="Query">[batch, queries, heads, channels], any strides but the innermost; channels a multiple of 8.</param>
/// <param name="Key">[batch or 1, keys, key heads, channels]; key heads divide heads (grouped queries).</param>
/// <param name="Value">[batch or 1, keys, key heads, channels].</param>
/// <param name="Scale">What the products of queries and keys are multiplied with.</param>
/// <param name="Output">[batch, queries, heads, channels]: where the result goes.</param>
/// <param name="LogSumExp">[batch, queries, heads], natural logarithm, or null when it is not needed.</param>
/// <param name="Mask">Which keys count.</param>
public readonly record struct AttentionArguments(
    Tensor Query, Tensor Key, Tensor Value, float Scale, Tensor Output, Tensor? LogSumExp = null, AttentionMask? Mask = null);

/// <summary>Which keys count, and what is added to the logits; everything that is given applies.</summary>
public sealed record AttentionMask
{
    /// <summary>[batch or 1, keys]: a key counts where the value is not 0.</summary>
    public Tensor? Keys { get; init; }

    /// <summary>[1 or batch, 1 or heads, queries, keys], added to the scaled logits; minus infinity leaves a key out.</summary>
    public Tensor? Bias { get; init; }

    /// <summary>Query i sees keys up to i + keys - queries.</summary>
    public bool Causal { get; init; }

    /// <summary>With <see cref="Causal"/>: how many keys, its own among them, a query sees at most; 0 for no bound.</summary>
    public int Window { get; init; }

    /// <summary>If positive, logits z become cap tanh(z / cap) before the mask, as in Gemma 2.</summary>
    public float SoftCap { get; init; }
}
