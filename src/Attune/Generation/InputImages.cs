using System.Globalization;
using Attune.Imaging;
using Attune.Tensors;

namespace Attune.Generation;

/// <summary>
/// The pictures that a request gives to a model. <see cref="Models.FamilyFacts.Options"/> says which of them a model takes; the others are
/// errors.
/// </summary>
public sealed record InputImages
{
    /// <summary>
    /// The image to begin with; it is resampled to the size that is asked for, or else to the next smaller one that fits.
    /// </summary>
    public Image? Initial { get; init; }

    /// <summary>
    /// The same as a tensor [1 or count, height, width, 3] with values from 0 to 1, of exactly the size that is made. Read, never disposed.
    /// </summary>
    public Tensor? InitialTensor { get; init; }

    /// <summary>
    /// How much of an initial image is changed, above 0 and at most 1: the part of the steps that is done. Null is the model's default
    /// (Stable Diffusion: 0.8, SDXL: 0.3).
    /// </summary>
    public float? Strength { get; init; }

    /// <summary>
    /// White where the initial image is made anew, black where it is kept; grey from the middle on is white. It is resampled as the image
    /// is.
    /// </summary>
    public Image? Mask { get; init; }

    /// <summary>
    /// By how many pixels the part of the initial image around the mask is grown that is made anew, at the size that is asked for, and
    /// pasted into the image then: more pixels for a small part of a large picture. Null makes the image as a whole.
    /// </summary>
    public int? MaskPadding { get; init; }

    /// <summary>Pictures that the model looks at.</summary>
    public IReadOnlyList<Image> References { get; init => field = Whole(value, nameof(References)); } = [];

    /// <summary>
    /// The side, in pixels, of the square whose area references are brought to, where a model does that; 0 keeps their own size, null is
    /// the model's.
    /// </summary>
    public int? ReferenceSize { get; init; }

    /// <summary>
    /// The same for the text encoder, where a model sees references at a size of its own there (Qwen-Image-Edit-Plus: 384); null is the
    /// model's.
    /// </summary>
    public int? SightSize { get; init; }

    /// <summary>Pictures that say where things are: edges, depth, poses.</summary>
    public IReadOnlyList<Image> Control { get; init => field = Whole(value, nameof(Control)); } = [];

    /// <summary>Whether there is an image to begin with.</summary>
    public bool HasInitial => Initial != null || InitialTensor != null;

    private static IReadOnlyList<Image> Whole(IReadOnlyList<Image> images, string name)
    {
        ArgumentNullException.ThrowIfNull(images, name);
        for (int i = 0; i < images.Count; i++)
        {
            if (images[i] == null)
                throw new ArgumentException(FormattableString.Invariant($"{name}[{i}] is null, expected a picture."), name);
        }
        return images;
    }

    /// <summary>A sentence for each picture that hides colours below its alpha, which shows them.</summary>
    /// <param name="referencesHaveAlpha">Whether the model sees the alpha of references.</param>
    internal IEnumerable<string> TransparencyWarnings(bool referencesHaveAlpha)
    {
        IEnumerable<(string Name, Image? Image)> given = [
            (nameof(Initial), Initial), (nameof(Mask), Mask),
            .. referencesHaveAlpha ? [] : References.Select((image, i) => ($"{nameof(References)}[{i}]", (Image?)image)),
            .. Control.Select((image, i) => ($"{nameof(Control)}[{i}]", (Image?)image))];
        foreach (var (name, image) in given)
        {
            if (image?.TransparentShare is > 0 and var share)
            {
                string percent = Math.Max(100 * share, 0.1).ToString("0.#", CultureInfo.InvariantCulture);
                yield return $"Images.{name}: {percent} % of the picture is transparent, wholly or partly. Alpha is dropped, and the "
                    + "colours stored below it show; flatten the picture first where they should not.";
            }
        }
    }
}
