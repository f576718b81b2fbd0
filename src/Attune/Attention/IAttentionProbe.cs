using Attune.Tensors;

namespace Attune.Attention;

/// <summary>Watches the attention layers of a pass. It changes nothing: a pass with a probe gives the same bits as one without.</summary>
public interface IAttentionProbe
{
    /// <summary>
    /// Receives a layer where latents see text (<see cref="AttentionKind.Cross"/>, <see cref="AttentionKind.Joint"/>) or where a rule acts,
    /// when its output is computed.
    /// </summary>
    /// <param name="facts">The plain facts of the call. Those that no rule has asked for are computed when the probe asks.</param>
    /// <param name="guided">[batch, latent rows, heads, channels]: the latent rows as they go on to the model. Only for reading, and during
    /// the call alone.</param>
    /// <param name="effects">What acted at the layer, in the order in which it was applied; empty for plain attention.</param>
    void Observe(AttentionFacts facts, Tensor guided, IReadOnlyList<AttentionEffect> effects);
}
