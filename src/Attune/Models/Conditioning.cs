using Attune.Tensors;

namespace Attune.Models;

/// <summary>
/// What a prompt becomes: the inputs of a denoiser that do not change from step to step. Owns its tensors, and those that models derive
/// from it once for a request. Used by one pass at a time.
/// </summary>
/// <param name="Text">Text embeddings, [1, tokens, channels].</param>
/// <param name="Pooled">The pooled embedding, [1, channels], where the model has one.</param>
public sealed record Conditioning(Tensor Text, Tensor? Pooled = null) : IDisposable
{
    private readonly Dictionary<(string Name, Conditioning? Other), Tensor> _derived = [];

    /// <summary>
    /// A tensor that depends on this conditioning alone, or on it and another one, such as the keys of a cross-attention layer: made when
    /// it is first asked for and kept as long as the conditioning.
    /// </summary>
    /// <param name="name">Who asks: the checkpoint's name of the module, and what of it.</param>
    /// <param name="other">The other conditioning, or null.</param>
    /// <param name="make">Makes the tensor.</param>
    internal Tensor Derive(string name, Conditioning? other, Func<Tensor> make)
    {
        if (!_derived.TryGetValue((name, other), out var tensor))
        {
            using var scope = new TensorScope();
            _derived[(name, other)] = tensor = TensorScope.Detach(make());
        }
        return tensor;
    }

    /// <summary>Conditionings are equal when they are the same object.</summary>
    public bool Equals(Conditioning? other) => ReferenceEquals(this, other);

    /// <inheritdoc/>
    public override int GetHashCode() => System.Runtime.CompilerServices.RuntimeHelpers.GetHashCode(this);

    /// <inheritdoc/>
    public void Dispose()
    {
        Text.Dispose();
        Pooled?.Dispose();
        foreach (var tensor in _derived.Values)
            tensor.Dispose();
        _derived.Clear();
    }
}
