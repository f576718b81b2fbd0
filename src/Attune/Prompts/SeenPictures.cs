using Attune.Imaging;
using Attune.Tensors;
using Attune.TextEncoders.Decoder;

namespace Attune.Prompts;

/// <summary>References as a language model sees them.</summary>
/// <param name="processor">Makes them ready.</param>
/// <param name="images">The pictures.</param>
internal sealed class SeenPictures(QwenPictures processor, IReadOnlyList<Image> images)
{
    /// <summary>How many there are.</summary>
    public int Count => images.Count;

    /// <summary>How many tokens stand for all of them.</summary>
    public int Slots => images.Sum(processor.SlotsOf);

    /// <summary>A text with one slot for each picture, in which each slot is there as often as its picture needs it.</summary>
    public string Expand(string text) => processor.Expand(text, images);

    /// <summary>Their patches; tensors of the current scope.</summary>
    public VisionPicture[] Prepare(Device device) => [.. images.Select(image => processor.Prepare(image, device))];
}
