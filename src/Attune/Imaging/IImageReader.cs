namespace Attune.Imaging;

/// <summary>What the head of an image file says, before a pixel is decoded.</summary>
/// <param name="Width">Of the pixels as they are stored, before they are turned upright.</param>
/// <param name="Height">Of the pixels as they are stored.</param>
/// <param name="Frames">How many pictures it has: more than one for animations.</param>
public readonly record struct ImageHead(int Width, int Height, int Frames);

/// <summary>Reads files of an image format.</summary>
public interface IImageReader
{
    /// <summary>What people call the format, as PNG.</summary>
    string Name { get; }

    /// <summary>Whether a file is of this format, by its first bytes; its name does not count.</summary>
    /// <param name="bytes">The whole file.</param>
    bool Matches(ReadOnlySpan<byte> bytes);

    /// <summary>Reads how large the image is and nothing more, in little time and memory.</summary>
    /// <param name="bytes">The whole file.</param>
    /// <param name="name">What errors call it: its path.</param>
    /// <exception cref="ImageException">The head is damaged, or claims more than <see cref="Image.MaxPixels"/>.</exception>
    ImageHead ReadHead(ReadOnlySpan<byte> bytes, string name);

    /// <summary>Decodes a file to 8-bit RGB, upright.</summary>
    /// <param name="bytes">The whole file.</param>
    /// <param name="name">What errors call it: its path.</param>
    /// <exception cref="ImageException">The file is damaged, too large, or uses a feature that is not read.</exception>
    Image Read(ReadOnlySpan<byte> bytes, string name);
}
