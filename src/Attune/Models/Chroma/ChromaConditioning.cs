using Attune.Prompts;
using Attune.Tensors;

namespace Attune.Models.Chroma;

/// <summary>A prompt of Chroma: T5's text tokens, of which the words and one pad count.</summary>
/// <param name="text">[1, tokens, joint_attention_dim]; owned from here on.</param>
/// <param name="counted">How many of them count.</param>
/// <param name="additive">Whether the others are read too, as the pipeline of diffusers does: it adds 1 to the logits of rows that count,
/// for each other and for the latents, and masks nothing.</param>
public sealed class ChromaConditioning(Tensor text, int counted, bool additive = false) : Conditioning(text)
{
    /// <summary>Whether rows that do not count are read too.</summary>
    public bool IsAdditive => additive;

    /// <inheritdoc/>
    public override int CountedRows => counted;
}
