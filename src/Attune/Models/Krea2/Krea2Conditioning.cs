using Attune.Prompts;
using Attune.Tensors;

namespace Attune.Models.Krea2;

/// <summary>A prompt of Krea 2: hidden states of several layers of a language model for each token, without pads.</summary>
/// <param name="text">[1, tokens, layers, channels]; owned from here on.</param>
public sealed class Krea2Conditioning(Tensor text) : Conditioning(text);
