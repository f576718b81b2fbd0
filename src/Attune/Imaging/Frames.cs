using System.Collections;

namespace Attune.Imaging;

/// <summary>A video: pictures of one size, in order. A picture is a video of one frame. Immutable.</summary>
public sealed class Frames : IReadOnlyList<Image>
{
    private readonly Image[] _images;

    /// <summary>A video of pictures.</summary>
    /// <param name="images">The frames in order, at least one, all of one size.</param>
    /// <param name="rate">Frames a second, above 0; null where nobody says.</param>
    /// <exception cref="ArgumentException">There is none, or they differ in size.</exception>
    /// <exception cref="ArgumentOutOfRangeException">The rate is not above 0.</exception>
    public Frames(IReadOnlyList<Image> images, double? rate = null)
    {
        ArgumentNullException.ThrowIfNull(images);
        if (images.Count == 0)
            throw new ArgumentException("A video has at least one frame.", nameof(images));
        var first = images[0];
        for (int i = 1; i < images.Count; i++)
        {
            if ((images[i].Width, images[i].Height) != (first.Width, first.Height))
            {
                throw new ArgumentException(
                    $"Frame {i} has {images[i].Width} x {images[i].Height} pixels, expected {first.Width} x {first.Height} as the first.",
                    nameof(images));
            }
        }
        if (rate is { } given && !(given > 0 && double.IsFinite(given)))
            throw new ArgumentOutOfRangeException(nameof(rate), rate, "Frames a second are above 0.");
        (_images, Rate) = ([.. images], rate);
    }

    /// <summary>In pixels.</summary>
    public int Width => _images[0].Width;

    /// <summary>In pixels.</summary>
    public int Height => _images[0].Height;

    /// <summary>Frames a second; null where nobody says.</summary>
    public double? Rate { get; }

    /// <summary>The number of frames.</summary>
    public int Count => _images.Length;

    /// <summary>A frame, counted from 0.</summary>
    public Image this[int index] => _images[index];

    /// <inheritdoc/>
    public IEnumerator<Image> GetEnumerator() => ((IEnumerable<Image>)_images).GetEnumerator();

    IEnumerator IEnumerable.GetEnumerator() => GetEnumerator();
}
