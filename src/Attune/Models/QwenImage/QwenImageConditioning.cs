using Attune.Prompts;
using Attune.Tensors;

namespace Attune.Models.QwenImage;

/// <summary>A prompt of Qwen-Image: hidden states of a language model, without pads.</summary>
/// <param name="text">[1, tokens, joint_attention_dim]; owned from here on.</param>
public sealed class QwenImageConditioning(Tensor text) : Conditioning(text);
