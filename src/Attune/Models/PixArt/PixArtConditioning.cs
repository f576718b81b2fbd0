using Attune.Prompts;
using Attune.Tensors;

namespace Attune.Models.PixArt;

/// <summary>A prompt of PixArt: T5's text tokens, without pads, and for some models the picture's size.</summary>
/// <param name="text">[1, tokens, caption_channels]; owned from here on.</param>
/// <param name="resolution">[1, 2], height and width in pixels, for models that are told them; owned from here on.</param>
/// <param name="aspectRatio">[1, 1], height over width, beside the resolution; owned from here on.</param>
public sealed class PixArtConditioning(Tensor text, Tensor? resolution = null, Tensor? aspectRatio = null)
    : Conditioning(text, ("resolution", resolution), ("aspect_ratio", aspectRatio))
{
    /// <summary>[1, 2], height and width in pixels; null for models that are not told them.</summary>
    public Tensor? Resolution => resolution;

    /// <summary>[1, 1], height over width.</summary>
    public Tensor? AspectRatio => aspectRatio;
}
