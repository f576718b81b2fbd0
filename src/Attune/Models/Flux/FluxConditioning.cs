using Attune.Prompts;
using Attune.Tensors;

namespace Attune.Models.Flux;

/// <summary>A prompt of FLUX.1: T5's text tokens and CLIP's pooled embedding, which enters every modulation.</summary>
/// <param name="text">[1, tokens, joint_attention_dim]; owned from here on.</param>
/// <param name="pooled">[1, pooled_projection_dim]; owned from here on.</param>
public sealed class FluxConditioning(Tensor text, Tensor pooled) : Conditioning(text, ("pooled", pooled))
{
    /// <summary>[1, pooled_projection_dim].</summary>
    public Tensor Pooled => Parts["pooled"];
}
