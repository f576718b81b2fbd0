using Attune.Prompts;
using Attune.Tensors;

namespace Attune.Models.QwenImage21;

/// <summary>
/// A prompt of Qwen-Image-2.1: hidden states of a language model, without those of the template's beginning. Rows that stand for
/// references are zeros: nobody reads them.
/// </summary>
/// <param name="text">[1, rows, context_in_dim]; owned from here on.</param>
/// <param name="slots">Which rows stand for references, each for four of their latents; empty for none.</param>
/// <param name="positions">
/// How many rows the positions count: more than there are where pads stand behind them, which nobody reads; null for as many as there are.
/// </param>
public sealed class QwenImage21Conditioning(Tensor text, IReadOnlyList<bool>? slots = null, int? positions = null) : Conditioning(text)
{
    /// <inheritdoc/>
    public override IReadOnlyList<bool> Slots { get; } = slots ?? [];

    /// <summary>How many rows the positions count, pads included.</summary>
    public int Positions { get; } = positions ?? text.Shape[1];
}
