using Attune.Attention;
using Attune.Tensors;

namespace Attune.Latents;

/// <summary>A picture that a model looks at, encoded.</summary>
/// <param name="Latents">[1, tokens, channels], in the denoiser's form.</param>
/// <param name="Grid">How they lie, in tokens.</param>
public sealed record ReferenceLatents(Tensor Latents, LatentGrid Grid);

/// <summary>What a model takes for a reference.</summary>
/// <param name="LargestArea">In pixels; larger pictures are made smaller.</param>
/// <param name="SmallestSide">In pixels; smaller pictures are refused.</param>
internal sealed record ReferenceSize(int LargestArea, int SmallestSide);
