using Attune.Prompts;
using Attune.Tensors;

namespace Attune.Models.Wan;

/// <summary>A prompt of Wan: UMT5's rows of the text, and rows of zeros behind it, which are read like the others.</summary>
/// <param name="text">[1, rows, text_dim]; owned from here on.</param>
public sealed class WanConditioning(Tensor text) : Conditioning(text);
