using Attune.Prompts;
using Attune.Tensors;

namespace Attune.Models.ErnieImage;

/// <summary>A prompt of ERNIE-Image: hidden states of a language model, without pads.</summary>
/// <param name="text">[1, tokens, text_in_dim]; owned from here on.</param>
public sealed class ErnieImageConditioning(Tensor text) : Conditioning(text);
