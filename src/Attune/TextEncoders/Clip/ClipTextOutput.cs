using Attune.Tensors;

namespace Attune.TextEncoders.Clip;

/// <summary>
/// What <see cref="ClipTextModel.Encode"/> was asked for; the rest is null or empty. The tensors belong to the scope in which they were
/// made; disposing the output disposes them.
/// </summary>
public sealed record ClipTextOutput : IDisposable
{
    /// <summary>The last layer's output after the final layer norm, [batch, tokens, channels].</summary>
    public Tensor? LastHiddenState { get; init; }

    /// <summary>
    /// The hidden states in the order of the request, each [batch, tokens, channels]: 0 is the embedding, k the output of layer k, none of
    /// them after the final layer norm.
    /// </summary>
    public IReadOnlyList<Tensor> HiddenStates { get; init; } = [];

    /// <summary>The last hidden state at the end-of-text token (<c>pooler_output</c>), [batch, channels].</summary>
    public Tensor? PooledOutput { get; init; }

    /// <summary>The projection of the pooled output, [batch, projection channels]; null also for models without one.</summary>
    public Tensor? TextEmbeds { get; init; }

    /// <inheritdoc/>
    public void Dispose()
    {
        LastHiddenState?.Dispose();
        PooledOutput?.Dispose();
        TextEmbeds?.Dispose();
        foreach (var state in HiddenStates)
            state.Dispose();
    }
}
