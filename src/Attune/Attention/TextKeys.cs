using Attune.Tensors;

namespace Attune.Attention;

/// <summary>Keys and values of a cross-attention layer, packed [negative text, text]; the negative text only where the layer reads
/// it.</summary>
/// <param name="Key">[batch or 1, rows, heads * channels].</param>
/// <param name="Value">As the keys.</param>
/// <param name="Layout">What the rows are.</param>
internal readonly record struct TextKeys(Tensor Key, Tensor Value, TokenLayout Layout);
