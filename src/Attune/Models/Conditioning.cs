using Attune.Tensors;

namespace Attune.Models;

/// <summary>What a prompt becomes: the inputs of a denoiser that do not change from step to step. Owns its tensors.</summary>
/// <param name="Text">Text embeddings, [1, tokens, channels].</param>
/// <param name="Pooled">The pooled embedding, [1, channels], where the model has one.</param>
public sealed record Conditioning(Tensor Text, Tensor? Pooled = null) : IDisposable
{
    /// <inheritdoc/>
    public void Dispose()
    {
        Text.Dispose();
        Pooled?.Dispose();
    }
}
