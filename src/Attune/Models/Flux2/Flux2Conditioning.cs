using Attune.Prompts;
using Attune.Tensors;

namespace Attune.Models.Flux2;

/// <summary>A prompt of FLUX.2: hidden states of three layers of a language model, side by side. Pads are rows like any others.</summary>
/// <param name="text">[1, tokens, joint_attention_dim]; owned from here on.</param>
public sealed class Flux2Conditioning(Tensor text) : Conditioning(text);
