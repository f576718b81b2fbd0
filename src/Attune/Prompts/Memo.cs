using Attune.Tensors;

namespace Attune.Prompts;

/// <summary>
/// Tensors that are made when they are first asked for and kept as long as their owner: what does not change from step to step.
/// Thread-safe: concurrent passes share what one of them made.
/// </summary>
public sealed class Memo : IDisposable
{
    private readonly Lock _gate = new();
    private readonly Dictionary<object, Tensor> _known = [];

    /// <summary>The tensor of a key.</summary>
    /// <param name="key">What asks, compared by equality: usually the layer itself, or a tuple of it and what else the tensor depends
    /// on.</param>
    /// <param name="make">Makes it; called once for each key, inside a scope of its own.</param>
    /// <returns>A tensor of the memo; it must be neither disposed nor written to.</returns>
    public Tensor Once(object key, Func<Tensor> make)
    {
        ArgumentNullException.ThrowIfNull(make);
        lock (_gate)
        {
            if (_known.TryGetValue(key, out var known))
                return known;
            using var scope = new TensorScope();
            return _known[key] = TensorScope.Detach(make());
        }
    }

    /// <summary>Disposes all tensors.</summary>
    public void Dispose()
    {
        lock (_gate)
        {
            foreach (var tensor in _known.Values)
                tensor.Dispose();
            _known.Clear();
        }
    }
}
