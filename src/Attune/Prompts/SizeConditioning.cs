using Attune.Imaging;

namespace Attune.Prompts;

/// <summary>
/// What SDXL is told about the picture's history (Podell et al., arXiv 2307.01952, 2.2): it was trained on pictures of all sizes, cut to
/// size, and learned how each looks. Values that are null are those of the picture that is made. Both passes of classifier-free guidance
/// get the same, except for the scores.
/// </summary>
public sealed record SizeConditioning
{
    /// <summary>The size before the picture was scaled. Large values ask for detail.</summary>
    public PixelSize? OriginalSize { get; init; }

    /// <summary>How many rows were cut off above; 0 or more. 0 asks for a well centred picture.</summary>
    public int CropTop { get; init; }

    /// <summary>How many columns were cut off on the left; 0 or more.</summary>
    public int CropLeft { get; init; }

    /// <summary>The size after it was cut.</summary>
    public PixelSize? TargetSize { get; init; }

    /// <summary>
    /// Read by models with <c>requires_aesthetics_score</c> (SDXL's refiner) instead of <see cref="TargetSize"/>: how beautiful the picture
    /// is, 1 to 10. Default 6.
    /// </summary>
    public float AestheticScore { get; init; } = 6;

    /// <summary>
    /// The same for the negative prompt; null is the prompt's score. diffusers takes 2.5, which guides even where both prompts are equal.
    /// </summary>
    public float? NegativeAestheticScore { get; init; }

    /// <summary>The numbers in the order in which SDXL reads them (<c>time_ids</c>).</summary>
    internal float[] TimeIds(PixelSize made)
    {
        var (original, target) = (OriginalSize ?? made, TargetSize ?? made);
        return [original.Height, original.Width, CropTop, CropLeft, target.Height, target.Width];
    }

    /// <summary>The numbers in the order in which SDXL's refiner reads them.</summary>
    internal float[] AestheticIds(PixelSize made, bool negative, bool asDiffusers)
    {
        var original = OriginalSize ?? made;
        float score = !negative ? AestheticScore : NegativeAestheticScore ?? (asDiffusers ? 2.5f : AestheticScore);
        return [original.Height, original.Width, CropTop, CropLeft, score];
    }
}
