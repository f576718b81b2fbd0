using Attune.Tensors;

namespace Attune.TextEncoders.Decoder;

/// <summary>What the tokens make with which many texts begin.</summary>
/// <param name="Ids">The tokens.</param>
/// <param name="Wanted">Which hidden states are kept of them.</param>
/// <param name="FinalNorm">Whether the last hidden state is normed.</param>
/// <param name="Layers">Keys, turned, and values of each layer that runs, [1, tokens, heads, channels].</param>
/// <param name="States">Their hidden states, as <paramref name="Wanted"/> says.</param>
internal sealed record KeptBeginning(
    int[] Ids, int[] Wanted, bool FinalNorm, IReadOnlyList<(Tensor Key, Tensor Value)> Layers, Tensor[] States);

/// <summary>
/// Keeps what beginnings of texts make in a language model: attention is causal, so it does not depend on what follows. The first few are
/// kept as long as the model: templates, of which a model has one or two. Thread-safe.
/// </summary>
internal sealed class KeptBeginnings : IDisposable
{
    /// <summary>Below so many rows products have kernels of their own, whose sums are in another order: other bits.</summary>
    private const int FewestRows = 5;

    /// <summary>How many are kept.</summary>
    private const int Most = 2;

    private readonly Lock _gate = new();
    private readonly List<KeptBeginning> _kept = [];
    private readonly TensorBag _owned = new();

    /// <summary>Whether a text begins so, and is long enough on both sides that nothing changes but the time.</summary>
    public static bool Suits(int[] tokens, int[]? beginning) =>
        beginning != null && beginning.Length >= FewestRows && tokens.Length >= beginning.Length + FewestRows
            && tokens.AsSpan().StartsWith(beginning);

    /// <summary>What a beginning makes: known, or made now. It belongs to this, or to the current scope where enough are kept.</summary>
    /// <param name="ids">The tokens.</param>
    /// <param name="wanted">Which hidden states.</param>
    /// <param name="finalNorm">Whether the last one is normed.</param>
    /// <param name="make">Makes hidden states, and hands keys and values of each layer on, which are its own.</param>
    public KeptBeginning Find(int[] ids, int[] wanted, bool finalNorm, Func<Action<Tensor, Tensor>, Tensor[]> make)
    {
        bool Is(KeptBeginning one) =>
            one.FinalNorm == finalNorm && one.Ids.AsSpan().SequenceEqual(ids) && one.Wanted.AsSpan().SequenceEqual(wanted);
        lock (_gate)
        {
            if (_kept.Find(Is) is { } known)
                return known;
        }
        using var scope = new TensorScope();
        using var layers = new TensorBag();
        var pairs = new List<(Tensor Key, Tensor Value)>();
        var states = make((key, value) => pairs.Add((layers.Own(key.Clone()), layers.Own(value.Clone()))));
        lock (_gate)
        {
            if (_kept.Find(Is) is { } known)
                return known;           // another call was faster
            Func<Tensor, Tensor> keep = _kept.Count < Most ? tensor => _owned.Own(tensor) : scope.Keep;
            var made = new KeptBeginning(
                ids, wanted, finalNorm, [.. pairs.Select(pair => (keep(pair.Key.View()), keep(pair.Value.View())))],
                [.. states.Select(keep)]);
            if (_kept.Count < Most)
                _kept.Add(made);
            return made;
        }
    }

    /// <inheritdoc/>
    public void Dispose() => _owned.Dispose();
}
