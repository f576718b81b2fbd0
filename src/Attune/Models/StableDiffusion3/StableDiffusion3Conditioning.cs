using Attune.Prompts;
using Attune.Tensors;

namespace Attune.Models.StableDiffusion3;

/// <summary>A prompt of Stable Diffusion 3: the rows of both CLIP encoders, then those of T5, and CLIP's pooled embeddings.</summary>
/// <param name="text">[1, tokens, joint_attention_dim]; owned from here on.</param>
/// <param name="pooled">[1, pooled_projection_dim]; owned from here on.</param>
public sealed class StableDiffusion3Conditioning(Tensor text, Tensor pooled) : Conditioning(text, ("pooled", pooled))
{
    /// <summary>[1, pooled_projection_dim].</summary>
    public Tensor Pooled => Parts["pooled"];
}
