using Attune.Prompts;
using Attune.Tensors;

namespace Attune.Models.Sana;

/// <summary>A prompt of Sana: hidden states of Gemma 2, without pads.</summary>
/// <param name="text">[1, tokens, caption_channels]; owned from here on.</param>
public sealed class SanaConditioning(Tensor text) : Conditioning(text);
