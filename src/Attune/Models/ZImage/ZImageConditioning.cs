using Attune.Prompts;
using Attune.Tensors;

namespace Attune.Models.ZImage;

/// <summary>A prompt of Z-Image: hidden states of a language model, without pads.</summary>
/// <param name="text">[1, tokens, cap_feat_dim]; owned from here on.</param>
public sealed class ZImageConditioning(Tensor text) : Conditioning(text);
